from __future__ import annotations

from dataclasses import fields

import pytest

from nfq_guard.daemon.settings import KEYS, Settings, describe, resolve
from nfq_guard.model.problem import ConfigError


def test_the_table_of_keys_and_the_settings_name_the_same_things_in_the_same_order() -> None:
    assert [key.name for key in KEYS] == [field.name for field in fields(Settings)]


def test_every_default_is_a_value_that_its_own_key_accepts() -> None:
    defaults = Settings()

    for key in KEYS:
        assert key.convert(getattr(defaults, key.name)) == getattr(defaults, key.name)


def test_flags_beat_variables_beat_the_file_beats_defaults() -> None:
    text = 'node = "file"\nqueue = 7\nstate = "/file"\n'
    environ = {"NFQ_GUARD_NODE": "variable", "NFQ_GUARD_STATE": "/variable", "HOME": "/root"}

    resolved = resolve(config=("c.toml", text), environ=environ, flags={"node": "flag", "metrics": None})

    assert (resolved.settings.node, resolved.settings.state, resolved.settings.queue) == (
        "flag",
        "/variable",
        7,
    )
    assert str(resolved.origins["node"]) == "flag --node"
    assert str(resolved.origins["state"]) == "environment NFQ_GUARD_STATE"
    assert str(resolved.origins["queue"]) == "file c.toml:2:1"
    assert str(resolved.origins["metrics"]) == "default"


@pytest.mark.parametrize("spelled", ["fail_mode", "fail-mode", "failMode"])
def test_the_file_may_spell_a_key_as_flags_and_resources_do(spelled: str) -> None:
    resolved = resolve(config=("c.toml", f'{spelled} = "open"'))

    assert resolved.settings.fail_mode == "open"


def test_every_problem_of_every_source_is_reported_at_once_with_its_place() -> None:
    text = '\nfail_mode = "shut"\ncolour = "red"\n  queue = "5"\nfailMode = "open"\n[server]\nport = 1\n'
    environ = {"NFQ_GUARD_QUEUE_COUNT": "none", "NFQ_GUARD_TYPO": "1"}

    with pytest.raises(ConfigError) as caught:
        resolve(config=("c.toml", text), environ=environ, flags={"metrics": "nowhere", "color": "red"})

    found = {(str(problem.position), problem.code) for problem in caught.value.problems}
    assert found == {
        ("c.toml:2:1", "bad-setting"),
        ("c.toml:3:1", "unknown-setting"),
        ("c.toml:4:3", "bad-setting"),
        ("c.toml:5:1", "duplicate-setting"),
        ("c.toml:6:1", "unknown-setting"),
        ("NFQ_GUARD_QUEUE_COUNT", "bad-setting"),
        ("NFQ_GUARD_TYPO", "unknown-setting"),
        ("--metrics", "bad-setting"),
        ("color", "unknown-setting"),
    }


def test_a_file_that_is_not_toml_is_a_problem_not_a_crash() -> None:
    with pytest.raises(ConfigError, match="not TOML"):
        resolve(config=("c.toml", "queue = = 5"))


def test_queues_may_not_run_past_the_last_one() -> None:
    with pytest.raises(ConfigError, match="queues must lie in 0-65535"):
        resolve(flags={"queue": 65535, "queue_count": 2})


def test_masks_that_the_kernel_could_not_use_are_refused_where_they_were_given() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(config=("c.toml", "connection_mark_mask = 0x5"), flags={"queue": 65535, "queue_count": 2})

    found = {(str(problem.position), problem.field) for problem in caught.value.problems}
    assert found == {("c.toml:1:1", "connection_mark_mask"), ("--queue-count", "queue_count")}


def test_the_variable_that_names_the_file_is_no_setting() -> None:
    assert resolve(environ={"NFQ_GUARD_CONFIG": "/c.toml"}).settings == Settings()


def test_description_lists_every_key_with_masks_in_hexadecimal() -> None:
    described = {key: (value, origin) for key, value, origin in describe(resolve(flags={"queue": 3}))}

    assert described["packet_mark_mask"] == ("0x3000", "default")
    assert described["queue"] == (3, "flag --queue")
    assert len(described) == len(KEYS)


def test_flags_and_variables_are_spelled_after_the_key() -> None:
    key = next(key for key in KEYS if key.name == "fail_mode")

    assert (key.flag, key.variable) == ("--fail-mode", "NFQ_GUARD_FAIL_MODE")
