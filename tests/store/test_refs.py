from __future__ import annotations

import pytest

from nfq_guard.resources.kinds import KINDS
from nfq_guard.store.refs import Ref, kind_of, ref_of


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("hep", "HostEndpoint"),
        ("HostEndpoints", "HostEndpoint"),
        ("gnp", "GlobalNetworkPolicy"),
        ("globalnetworkpolicies", "GlobalNetworkPolicy"),
        ("gns", "GlobalNetworkSet"),
        ("gnetsets", "GlobalNetworkSet"),
        ("felixconfig", "FelixConfiguration"),
        ("felixConfigurations", "FelixConfiguration"),
        ("np", "NetworkPolicy"),
        ("policy", "NetworkPolicy"),
        ("netsets", "NetworkSet"),
        ("pro", "Profile"),
        ("sgnps", "StagedGlobalNetworkPolicy"),
        ("snp", "StagedNetworkPolicy"),
        ("TIERS", "Tier"),
        ("weps", "WorkloadEndpoint"),
        ("hostendpoints.projectcalico.org", "HostEndpoint"),
        ("GlobalNetworkPolicies.v3.projectcalico.org", "GlobalNetworkPolicy"),
    ],
)
def test_a_kind_has_many_names(word: str, kind: str) -> None:
    assert kind_of(word) == kind


def test_other_words_name_no_kind() -> None:
    assert kind_of("pods") is None
    assert kind_of("networkpolicies.networking.k8s.io") is None
    assert kind_of("hep.v3") is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_named_by_itself_and_its_plural(kind: str) -> None:
    plural = kind.removesuffix("y") + "ies" if kind.endswith("y") else kind + "s"

    assert kind_of(kind) == kind_of(plural) == kind


def test_a_reference_reads_as_in_calicos_errors() -> None:
    assert str(ref_of("HostEndpoint", "eth0", "ignored")) == "HostEndpoint(eth0)"
    assert str(ref_of("NetworkPolicy", "a")) == "NetworkPolicy(default/a)"
    assert ref_of("NetworkSet", "a", "b") == Ref("NetworkSet", "b", "a")
