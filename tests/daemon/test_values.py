from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon import values

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD: dict[str, tuple[Callable[[object], object], object, object]] = {
    "a path alone": (values.paths, "/etc/rules", ("/etc/rules",)),
    "paths in a variable are split by colons": (values.paths, "/a:/b", ("/a", "/b")),
    "a path in TOML is not split": (values.paths, values.typed("/a:/b"), ("/a:/b",)),
    "a list of paths": (values.paths, ["/a", "/b"], ("/a", "/b")),
    "a word of the list": (values.choice("open", "closed"), "open", "open"),
    "yes in a variable": (values.boolean, "Yes", True),
    "a TOML boolean": (values.boolean, False, False),
    "a number as text": (values.integer(0, 9), "7", 7),
    "a number": (values.integer(0, 9), 9, 9),
    "a mask as hexadecimal text": (values.mask, "0x3000", 0x3000),
    "a mask as a TOML string": (values.mask, values.typed("0xf0000000"), 0xF0000000),
    "a mask as a number": (values.mask, 12, 12),
    "an IPv4 address and port": (values.listen, "127.0.0.1:9091", "127.0.0.1:9091"),
    "an IPv6 address in brackets": (values.listen, "[::1]:9091", "[::1]:9091"),
    "no address at all": (values.listen, "off", "off"),
}

BAD: dict[str, tuple[Callable[[object], object], object, str]] = {
    "no paths": (values.paths, "", "a path or a list"),
    "a number for a path": (values.paths, 5, "a path or a list"),
    "a list with a number for paths": (values.paths, ["a", 5], "a path or a list"),
    "a word that is not in the list": (values.choice("open", "closed"), "shut", "open or closed"),
    "a TOML string for a boolean": (values.boolean, values.typed("true"), "true or false"),
    "a number for a boolean": (values.boolean, 1, "true or false"),
    "a TOML string for a number": (values.integer(0, 9), values.typed("7"), "0-9"),
    "a number past the end": (values.integer(0, 9), 10, "0-9"),
    "a boolean for a number": (values.integer(0, 9), True, "0-9"),
    "text that is no number": (values.integer(0, 9), "many", "0-9"),
    "an empty mask": (values.mask, 0, "32-bit mask"),
    "a mask of 33 bits": (values.mask, 1 << 32, "32-bit mask"),
    "a number for text": (values.text, 5, "a string"),
    "an address without port": (values.listen, "127.0.0.1", "HOST:PORT"),
    "an IPv6 address without brackets": (values.listen, "::1:9091", "HOST:PORT"),
    "a port past the end": (values.listen, "127.0.0.1:65536", "HOST:PORT"),
    "a port that is no number": (values.listen, "127.0.0.1:http", "HOST:PORT"),
    "no host": (values.listen, ":9091", "HOST:PORT"),
}


@pytest.mark.parametrize(("convert", "value", "expected"), GOOD.values(), ids=GOOD)
def test_accepts(convert: Callable[[object], object], value: object, expected: object) -> None:
    assert convert(value) == expected


@pytest.mark.parametrize(("convert", "value", "expected"), BAD.values(), ids=BAD)
def test_refuses_and_says_what_was_expected(
    convert: Callable[[object], object], value: object, expected: str
) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        convert(value)

    assert expected in str(caught.value)


def test_listen_addresses_lose_their_brackets() -> None:
    assert values.parse_listen("[::1]:9091") == values.Listen("::1", 9091)
    assert values.parse_listen("off") is None
