"""What was loaded, and where in the files it stands."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from nfq_guard.model.problem import Position
from nfq_guard.resources.groups import Tier
from nfq_guard.resources.inventory import Inventory, Located
from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents

TEXT = """\
kind: Tier
metadata:
  name: web
  labels: {"example.org/a.b": x, 'plain': y}
spec:
  order: 7
status: {conditions: [{type: Ready}, {type: Old}]}
"""


def located(text: str = TEXT, file: str = "tiers.yaml") -> Located[Tier]:
    root = read_documents(Source(file, text.encode())).roots[0]
    value = Tier.model_validate({"kind": "Tier", "metadata": {"name": "web"}, "spec": {"order": 7}})
    return Located(value, "Tier", Position(file, root.line, root.column), root)


PLACES = {
    "": (1, 1),
    "kind": (1, 7),
    "metadata.name": (3, 9),
    'metadata.labels["example.org/a.b"]': (4, 31),
    "metadata.labels.plain": (4, 43),
    "spec": (6, 3),
    "SPEC.Order": (6, 10),
    "status.conditions[1].type": (7, 45),
    "status.conditions[2].type": (7, 10),
    "spec.defaultAction": (5, 1),
    "nowhere.at.all": (1, 1),
}
"""Field path to line and column; where there is no such field, those of what would hold it."""


@pytest.mark.parametrize("path", PLACES)
def test_where_a_field_stands(path: str) -> None:
    assert located().position(path) == Position("tiers.yaml", *PLACES[path])


def test_a_resource_is_named_by_its_metadata() -> None:
    assert located().name == "web"
    assert located().namespace is None


def test_the_same_resource_at_the_same_place_is_equal_however_the_file_goes_on() -> None:
    assert located() == located(TEXT + "# more\n")
    assert located() != located("\n" + TEXT)
    assert located() != located(file="other.yaml")


def test_an_inventory_is_empty_until_something_is_loaded_and_is_not_changed_then() -> None:
    inventory = Inventory()

    assert {getattr(inventory, field.name) for field in fields(inventory)} == {()}
    with pytest.raises(FrozenInstanceError):
        inventory.tiers = (located(),)  # type: ignore[misc]
