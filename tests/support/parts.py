"""Short ways to one part of a resource, or to one field's type, without a file around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nfq_guard.resources.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails


def errors_of(model: type[BaseModel], fields: Mapping[str, Any]) -> list[ErrorDetails]:
    """Return everything that is wrong with a part, its fields given as a file spells them."""
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def faults(model: type[BaseModel], fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return path and code of everything that is wrong with a part."""
    return [(format_path(error["loc"]), error["type"]) for error in errors_of(model, fields)]


def messages(model: type[BaseModel], fields: Mapping[str, Any]) -> list[str]:
    """Return what is said about everything that is wrong with a part."""
    return [error["ctx"]["message"] for error in errors_of(model, fields)]


def read(kind: Any, value: object) -> Any:
    """Return what a field of some type makes of a value."""
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: object) -> tuple[str, str]:
    """Return code and message of the one thing that a field of some type finds wrong with a value."""
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    (error,) = caught.value.errors(include_url=False)
    return error["type"], error["ctx"]["message"]
