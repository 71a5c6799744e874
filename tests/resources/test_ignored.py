"""Which settings are told to have no effect."""

from __future__ import annotations

from policy import inventory_of, resource

from nfq_guard.resources.ignored import ignored_settings


def test_a_setting_is_told_where_it_stands_and_only_with_a_value_that_surprises() -> None:
    felix = resource("FelixConfiguration", "default", ipv6Support=False, logPrefix="x")
    felix["metadata"]["annotations"] = {"config.projectcalico.org/LogPrefix": "x", "mine": "y"}
    (quiet, loud) = (
        inventory_of(one).felix_configurations[0].value
        for one in (resource("FelixConfiguration", "default", ipv6Support=True), felix)
    )

    assert list(ignored_settings(quiet)) == []
    assert [path for path, _ in ignored_settings(loud)] == [
        "spec.ipv6Support",
        'metadata.annotations["config.projectcalico.org/LogPrefix"]',
    ]
    assert all(message.startswith("has no effect here: ") for _, message in ignored_settings(loud))
