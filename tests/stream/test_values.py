from __future__ import annotations

import pytest

from nfq_guard.model.addresses import parse_net
from nfq_guard.stream.fields import FIELDS
from nfq_guard.stream.values import Span, Value, nearest, read_pattern, read_value, shown, written

READ: dict[str, tuple[str, str, Value]] = {
    "a number": ("dport", "443", Span(443, 443)),
    "a range": ("dport", "1024-65535", Span(1024, 65535)),
    "a range as in Wireshark": ("dport", "1..9", Span(1, 9)),
    "a range as in iptables": ("dport", "1:9", Span(1, 9)),
    "a protocol by name, in any letter case": ("proto", "Tcp", Span(6, 6)),
    "a protocol by number": ("proto", "47", Span(47, 47)),
    "a family by name": ("family", "ip6", Span(6, 6)),
    "a network": ("src", "10.0.0.0/8", parse_net("10.0.0.0/8")),
    "an address in a network, as the network": ("src", "10.1.2.3/8", parse_net("10.0.0.0/8")),
    "an address": ("host", "fd00::1", parse_net("fd00::1/128")),
    "a word in any letter case": ("verdict", "DENY", "deny"),
    "another word for it": ("verdict", "dropped", "deny"),
    "a flag": ("rejected", "yes", "true"),
    "a name as it is": ("policy", "Shop/a", "Shop/a"),
    "a kind in any letter case": ("kind", "NetworkPolicy", "networkpolicy"),
    "a kind in short": ("kind", "GNP", "globalnetworkpolicy"),
}


@pytest.mark.parametrize(("name", "text", "value"), READ.values(), ids=READ.keys())
def test_a_text_means(name: str, text: str, value: Value) -> None:
    field = FIELDS[name]

    assert read_value(field, text) == value
    assert read_value(field, written(field, value).strip('"')) == value


REFUSED = {
    "a word": ("dport", "ssh", "found `ssh`, expected for dport a number 0-65535, or a range"),
    "too high a number": ("dport", "65536", "found `65536`, expected for dport a number 0-65535"),
    "a range the wrong way round": (
        "dport",
        "9-1",
        "found `9-1`, expected a range from the lower to the higher number",
    ),
    "a number in other digits": (
        "dport",
        "٤٤٣",
        "found `٤٤٣`, expected for dport a number 0-65535, or a range",
    ),
    "a protocol that nearly is one": (
        "proto",
        "tpc",
        "found `tpc`, expected for proto tcp, udp, icmp, icmpv6, sctp, udplite or a number 0-255; did you mean tcp?",
    ),
    "a name for an address": (
        "src",
        "example.org",
        "found `example.org`, expected an IPv4 or IPv6 address or network, as in 10.0.0.0/8",
    ),
    "a word that nearly is one": (
        "verdict",
        "dney",
        "found `dney`, expected for verdict one of allow, deny, pass, unjudged, log; did you mean deny?",
    ),
    "no name": ("policy", "", "found no name between the quotes, expected one for policy"),
}


@pytest.mark.parametrize(("name", "text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_text_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        read_value(FIELDS[name], text)

    assert str(caught.value) == message


WRITTEN: dict[str, tuple[str, Value, bool, str]] = {
    "a protocol by its name": ("proto", Span(6, 6), False, "tcp"),
    "a protocol without a name": ("proto", Span(200, 200), False, "200"),
    "an address without its length": ("src", parse_net("10.0.0.1/32"), False, "10.0.0.1"),
    "a name that is one word": ("policy", "shop/a-b.c", False, "shop/a-b.c"),
    "a name with a blank": ("policy", "a b", False, '"a b"'),
    "a name with quotes": ("policy", 'a"\\', False, '"a\\"\\\\"'),
    "a star that is no pattern": ("policy", "a*", False, '"a*"'),
    "a star that is one": ("policy", "a*", True, "a*"),
}


@pytest.mark.parametrize(("name", "value", "pattern", "text"), WRITTEN.values(), ids=WRITTEN.keys())
def test_a_value_is_written(name: str, value: Value, text: str, *, pattern: bool) -> None:
    assert written(FIELDS[name], value, pattern=pattern) == text


def test_a_pattern_keeps_its_letter_case_where_that_counts() -> None:
    assert read_pattern(FIELDS["policy"], "Shop/*") == "Shop/*"
    assert read_pattern(FIELDS["kind"], "Network*") == "network*"
    with pytest.raises(ValueError, match="no pattern"):
        read_pattern(FIELDS["policy"], "")


def test_what_is_shown_is_short_and_printable() -> None:
    assert shown("") == "the end"
    assert shown("\x1b[31m") == r"`\u001b[31m`"
    assert shown("x" * 100) == f"`{'x' * 39}…`"


def test_the_nearest_word_is_named() -> None:
    assert nearest("DPROT", FIELDS) == "; did you mean dport?"
    assert nearest("zzz", FIELDS) == ""
