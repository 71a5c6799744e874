"""What is wrong with the operator's input, and where.

Owns the one error type meant for people. Everything else that is raised is a bug.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """Errors refuse the input; warnings accept it and say what will surprise."""

    ERROR = "error"
    WARNING = "warning"


class Position(NamedTuple):
    """A place in a file. Line and column are 1-based; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`, as compilers write it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(NamedTuple):
    """One thing wrong: where, what was found, what was expected."""

    position: Position
    code: str
    """Stable identifier, kebab-case: `unknown-field`, `bad-selector`."""
    message: str
    """What was found and what was expected, and how to mend it."""
    field: str = ""
    """Path in the resource, `spec.ingress[0].source.nets[1]`."""
    kind: str = ""
    name: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Return the problem on one line."""
        what = f"{self.kind}({self.name}) " if self.kind else ""
        where = f"{self.field}: " if self.field else ""
        return f"{self.position}: {self.severity}: {what}{where}{self.message} [{self.code}]"


class ConfigError(Exception):
    """The operator's input cannot be used; carries every problem found, not the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in file order."""
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
