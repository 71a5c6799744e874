from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nfq_guard.stream.fields import ALIASES, BARE, FIELDS
from nfq_guard.stream.nodes import render
from nfq_guard.stream.parser import MAX_DEPTH, parse_node
from nfq_guard.stream.tokens import FilterError

MEANS = {
    "no text is everything": ("", ""),
    "blanks are everything": (" \t\n", ""),
    "a comparison": ("dport == 443", "dport == 443"),
    "without blanks": ("dport==443&&tcp", "dport == 443 and proto == tcp"),
    "one equals sign": ("dport = 443", "dport == 443"),
    "words for marks": ("dport ge 1 and dport lt 9", "dport >= 1 and dport < 9"),
    "letter case is of no account": ("DENY And DPort In {22}", "verdict == deny and dport == 22"),
    "a word by itself": ("deny", "verdict == deny"),
    "an address by itself": ("10.0.0.0/8", "host == 10.0.0.0/8"),
    "conditions side by side": ("deny tcp dport 443", "verdict == deny and proto == tcp and dport == 443"),
    "and binds tighter than or": ("tcp or udp and deny", "proto == tcp or proto == udp and verdict == deny"),
    "so does and that is left out": ("tcp or udp deny", "proto == tcp or proto == udp and verdict == deny"),
    "parentheses group": ("(tcp or udp) deny", "(proto == tcp or proto == udp) and verdict == deny"),
    "superfluous parentheses vanish": ("((tcp))", "proto == tcp"),
    "not binds tightest": ("not tcp and deny", "not proto == tcp and verdict == deny"),
    "! is not": ("!tcp", "not proto == tcp"),
    "not of a group": ("!(tcp or udp)", "not (proto == tcp or proto == udp)"),
    "two negations are none": ("not not tcp", "proto == tcp"),
    "a set": ("dport in {22,80 , 1024-2000}", "dport in {22, 80, 1024-2000}"),
    "a set without commas": ("dport {22 80}", "dport in {22, 80}"),
    "a set may end in a comma": ("dport in {22,}", "dport == 22"),
    "a set behind ==": ("dport == {22, 80}", "dport in {22, 80}"),
    "a set behind !=": ("dport != {22, 80}", "dport not in {22, 80}"),
    "not in": ("dport not in {22}", "dport != 22"),
    "a range": ("dport in 1024-65535", "dport == 1024-65535"),
    "a network": ("src in 10.0.0.0/8", "src == 10.0.0.0/8"),
    "a pattern": ("policy ~ allow-*", "policy ~ allow-*"),
    "a pattern without an operator": ("iface eth*", "iface ~ eth*"),
    "a star in quotes is a star": ("policy == 'a*'", 'policy == "a*"'),
    "a name that is a keyword": ("iface == and", "iface == and"),
    "in, by itself, is a direction": ("in and tcp", "direction == in and proto == tcp"),
    "not in, by itself, too": ("not in", "not direction == in"),
    "direction in": ("direction in", "direction == in"),
    "direction in, in parentheses": ("(direction in) tcp", "direction == in and proto == tcp"),
    "direction in a set": ("direction in {in, out}", "direction in {in, out}"),
    "direction is in": ("direction == in", "direction == in"),
    "direction not in": ("direction not in {out}", "direction != out"),
    "a flag by itself": ("rejected and tcp", "rejected == true and proto == tcp"),
    "a flag with its value": ("rejected false", "rejected == false"),
    "a flag compared": ("rejected != yes", "rejected != true"),
    "tcpdump: src and dst": ("src 10.0.0.1 and dst fd00::1", "src == 10.0.0.1 and dst == fd00::1"),
    "tcpdump: host, net, port": ("host 10.0.0.1 port 53", "host == 10.0.0.1 and port == 53"),
    "tcpdump: src host, dst net": (
        "src host 10.0.0.1 dst net 10.0.0.0/8",
        "src == 10.0.0.1 and dst == 10.0.0.0/8",
    ),
    "tcpdump: tcp src port": ("tcp src port 80", "proto == tcp and sport == 80"),
    "tcpdump: portrange": ("dst portrange 1-1024", "dport == 1-1024"),
    "nft: ip saddr, tcp dport": (
        "ip saddr 10.0.0.0/8 tcp dport {22, 80}",
        "family == ipv4 and src == 10.0.0.0/8 and proto == tcp and dport in {22, 80}",
    ),
    "nft: iifname": ('iifname "eth0"', "in_interface == eth0"),
    "nft: icmp type": ("icmp type 8", "proto == icmp and icmp_type == 8"),
    "Wireshark: ip.addr": ("ip.addr == 10.0.0.1", "host == 10.0.0.1"),
    "policy is the field": ("policy shop/web", "policy == shop/web"),
}


@pytest.mark.parametrize(("text", "canonical"), MEANS.values(), ids=MEANS.keys())
def test_a_text_means(text: str, canonical: str) -> None:
    node = parse_node(text)

    assert render(node) == canonical
    assert parse_node(canonical) == node


REFUSED = {
    "a field with a slip of the pen": (
        "tcp dprot == 443",
        5,
        "found `dprot`, expected `and` or `or`; did you mean dport?",
    ),
    "the same at the beginning": ("dprot == 443", 1, "found `dprot`; did you mean dport?"),
    "a word that is none": (
        "zzzzzz",
        1,
        "found `zzzzzz`, expected a condition, as in `deny`, `tcp`, `dport == 443` or `src in 10.0.0.0/8`",
    ),
    "a field that is none": ("zzzzzz == 1", 1, f"found `zzzzzz`, expected a field ({', '.join(FIELDS)})"),
    "a word that nearly is one": ("dney", 1, "found `dney`; did you mean deny?"),
    "a value without its field": (
        "port 80 or 443",
        12,
        "found `443`, which belongs to no field; several values stand in braces, as in `port in {80, 443}`",
    ),
    "a field without anything": (
        "dport",
        6,
        "found the end after dport, expected a comparison: `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`, and a number",
    ),
    "a field before and": (
        "policy and tcp",
        8,
        "found `and` after policy, expected a comparison: `==`, `!=`, `in` or `~`, and a value",
    ),
    "an operator without a value": ("dport ==", 9, "found the end, expected a value for dport"),
    "three equals signs": ("dport === 1", 9, "found `===`, expected a value"),
    "<>": ("dport <> 1", 8, "found `<>`, expected `!=`"),
    "=~": ("policy =~ a", 9, "found `=~`, expected `~`"),
    "contains": ("policy contains a", 8, "found `contains`, expected `~`"),
    "order of names": ("policy < a", 8, "found `<`, but policy has no order; expected `==`, `!=` or `in`"),
    "order of addresses": (
        "src > 10.0.0.1",
        5,
        "found `>`, but src has no order; expected `==`, `!=` or `in`",
    ),
    "a pattern for a number": (
        "dport ~ 4*",
        7,
        "found `~`, but dport is no name; expected `==`, `!=` or `in`",
    ),
    "a pattern behind ==": (
        "iface == eth*",
        10,
        "found the pattern `eth*`, expected `~` ahead of it, or quotes",
    ),
    "a set in an order": ("dport < {1, 2}", 7, "found a set after `<`, expected one number"),
    "a range in an order": ("dport < 1-2", 9, "found the range `1-2`, expected one number"),
    "an empty set": ("dport in {}", 11, "found `}`, expected a value for dport"),
    "an open set": ("dport in {22", 13, "found the end, expected a value for dport"),
    "an open parenthesis": (
        "(tcp or udp",
        12,
        "found the end, expected `and`, `or` or the `)` that closes column 1",
    ),
    "a closing one too many": ("tcp)", 4, "found `)`, which closes nothing, expected `and`, `or` or the end"),
    "a comma": (
        "tcp, udp",
        4,
        "found `,`, expected `and` or `or`; a set of values stands in braces, as in {80, 443}",
    ),
    "two values": (
        "dport in 22 443",
        13,
        "found `443`, expected `and` or `or`; several values stand in braces, as in {80, 443}",
    ),
    "and without what it joins": (
        "tcp and",
        8,
        "found the end, expected a condition, as in `deny`, `tcp`, `dport == 443` or `src in 10.0.0.0/8`",
    ),
    "or at the beginning": (
        "or tcp",
        1,
        "found `or`, expected a condition, as in `deny`, `tcp`, `dport == 443` or `src in 10.0.0.0/8`",
    ),
    "a string as a condition": (
        '"deny"',
        1,
        'found `"deny"`, expected a condition, as in `deny`, `tcp`, `dport == 443` or `src in 10.0.0.0/8`',
    ),
    "a value of another sort": (
        "src == eth0",
        8,
        "found `eth0`, expected an IPv4 or IPv6 address or network, as in 10.0.0.0/8",
    ),
    "too deep": (
        "(" * (MAX_DEPTH + 1) + "tcp" + ")" * (MAX_DEPTH + 1),
        MAX_DEPTH + 1,
        "found more than 32 parentheses in each other, expected fewer",
    ),
}


@pytest.mark.parametrize(("text", "column", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_text_is_refused_with_column_and_what_was_expected(text: str, column: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_node(text)

    assert (caught.value.column, caught.value.message) == (column, message)


def test_the_deepest_that_is_taken_prints_and_reads_back() -> None:
    text = "tcp"
    for _ in range(MAX_DEPTH):
        text = f"not (deny or udp {text})" if text != "tcp" else "not (deny or udp tcp)"
    node = parse_node(text)

    assert parse_node(render(node)) == node


PIECES = st.sampled_from(
    [
        *FIELDS,
        *ALIASES,
        *BARE,
        *"=<>!~(){},&|\"'*?",
        "==",
        "!=",
        "in",
        "not",
        "and",
        "or",
        "443",
        "10.0.0.0/8",
        "eth*",
        " ",
    ]
)


@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(PIECES, max_size=14).map(" ".join),
        st.lists(PIECES, max_size=14).map("".join),
    )
)
@example("(" * 5000)
@example("not " * 1000 + "tcp")
@example("!" * 4000)
@example("dport in {" + "1 " * 2000)
@example("\ud800")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        node = parse_node(text)
    except FilterError as refused:
        error = refused
    else:
        assert parse_node(render(node)) == node
        return
    assert 1 <= error.column <= len(text) + 1
    assert error.message.startswith("found ")
    assert any(word in error.message for word in ("expected", "did you mean", "braces", "closes"))
