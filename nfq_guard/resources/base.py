"""What every resource and part of one has in common.

Owns the strictness of decoding (unknown fields are errors, camelCase as Calico spells
it) and the way a part reports what is wrong between its fields. Must never know a kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from nfq_guard.resources import names
from nfq_guard.resources.fields import Flag, Integer, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Path = tuple[str | int, ...]
"""Keys and indices from a part down to a value, as the file spells them."""

API_VERSION = "projectcalico.org/v3"


def camel(name: str) -> str:
    """Return Calico's spelling of a field, where it is the usual one."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Finding(NamedTuple):
    """Something wrong between the fields of a part."""

    path: Path
    """From the part to the field that is to be shown."""
    code: LiteralString
    message: str
    needs: tuple[Path, ...] = ()
    """Fields whose absence is, or may be, what is wrong."""


class Strict(BaseModel):
    """A mapping in a resource: immutable, complete, without fields that Calico does not know."""

    model_config = ConfigDict(
        alias_generator=camel,
        arbitrary_types_allowed=True,
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=False,
    )

    def findings(self) -> Iterable[Finding]:
        """Return what is wrong between the fields, all of which are good by themselves."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _exact_keys(cls, data: object) -> object:
        """Read keys and nulls as Go's JSON decoder does for a struct.

        `Order` stands for `order` where that is all that differs, and null leaves a field
        as it is. In a mapping of texts, which is no struct, null is the empty text.
        """
        known = cls._aliases()
        if not isinstance(data, dict) or (data.keys() <= known.keys() and None not in data.values()):
            return data
        folded = {alias.lower(): alias for alias in known}
        exact: dict[object, object] = {}
        for key, value in data.items():
            alias = folded.get(key.lower(), key) if isinstance(key, str) else key
            if value is not None or alias not in known:
                exact[key if alias in data or alias in exact else alias] = value
        return exact

    @classmethod
    def _aliases(cls) -> dict[str, str]:
        """Return the fields as Calico spells them, with their names in Python."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @model_validator(mode="after")  # type: ignore[pydantic-alias]  # the rule is `camel`
    def _consistent(self) -> Self:
        details: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError(
                    finding.code, "{message}", {"message": finding.message, "finding": finding}
                ),
                "loc": finding.path,
                "input": None,
            }
            for finding in self.findings()
        ]
        if details:
            raise ValidationError.from_exception_data(type(self).__name__, details)
        return self


class OmitEmpty(Strict):
    """A mapping in which an empty text is a field that is not there, as Go's `omitempty` has it."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value != ""}


class OwnerReference(Strict):
    """Kubernetes' note of what owns an object."""

    api_version: Text = ""
    kind: Text = ""
    name: Text = ""
    uid: Text = ""
    controller: Flag | None = None
    block_owner_deletion: Flag | None = None


class Metadata(Strict):
    """A resource's name and labels; the rest is Kubernetes' bookkeeping and has no effect here."""

    name: Text
    namespace: Text | None = None
    labels: dict[Text, Text] = Field(default_factory=dict)
    annotations: dict[Text, Text] = Field(default_factory=dict)
    uid: Text = ""
    resource_version: Text = ""
    generation: Integer | None = None
    generate_name: Text = ""
    self_link: Text = ""
    creation_timestamp: Text | None = None
    deletion_timestamp: Text | None = None
    deletion_grace_period_seconds: Integer | None = None
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[Text, ...] = ()
    managed_fields: tuple[dict[Text, Any], ...] = ()
    cluster_name: Text = ""

    def findings(self) -> Iterator[Finding]:
        """Check labels and annotations."""
        for key, wrong in names.bad_labels(self.labels):
            yield Finding(("labels", key), "bad-label", wrong)
        yield from bad_annotations(self.annotations)


def bad_annotations(annotations: dict[str, str]) -> Iterator[Finding]:
    """Return findings for a mapping of annotations that is the field `annotations`."""
    for key, wrong in names.bad_annotations(annotations):
        yield Finding(("annotations", key) if key else ("annotations",), "bad-annotation", wrong)


def duplicates(field: str, items: Sequence[object]) -> Iterator[Finding]:
    """Return a finding for each item that a list, which Calico treats as a set, repeats."""
    first: dict[object, int] = {}
    for index, item in enumerate(items):
        if item in first:
            yield Finding((field, index), "duplicate-item", f"repeats item {first[item]} of the list")
        first.setdefault(item, index)


class Resource(Strict):
    """The envelope of every kind."""

    api_version: Text = API_VERSION
    kind: Text = ""
    metadata: Metadata
