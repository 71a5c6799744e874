from __future__ import annotations

from nfq_guard.model.decision import Action, RuleRef
from nfq_guard.model.flow import Side


def test_a_rules_full_name_says_its_namespace_where_there_is_one() -> None:
    ref = RuleRef("default", "NetworkPolicy", "web", "shop", 0, Side.INGRESS, Action.ALLOW, "a.yaml", 1)

    assert ref.full_name == "shop/web"
    assert ref._replace(namespace=None).full_name == "web"
