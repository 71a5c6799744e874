"""Text from files, made fit for a terminal or a log.

Owns what counts as unprintable: control characters (C0, DEL, C1), which command a
terminal, and what turns the direction of writing round or shows nothing. Must never
change text that a program compares.
"""

from __future__ import annotations

import json


def printable(text: str) -> str:
    r"""Return text with each unprintable character as JSON escapes it, `\u001b`: one line.

    JSON stays the same JSON: there, such characters stand inside strings only.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
