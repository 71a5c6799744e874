"""What names, labels and annotations may look like.

Owns the Kubernetes and Calico name grammars (DNS-1123, qualified names, port names).
Each check returns what is wrong as a sentence, or None. Must never raise for a string.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_SUBDOMAIN = 253
MAX_LABEL = 63
MAX_PORT_NAME = 15
MAX_INTERFACE = 15
MAX_ANNOTATIONS = 256 * 1024
"""Bytes of all keys and values together, as Kubernetes counts them."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_LABEL_RE = re.compile(_LABEL)
_GLOBAL_POLICY_RE = re.compile(rf"(?:{_LABEL}\.)?{_LABEL}")
_POLICY_RE = re.compile(rf"{_LABEL}(?:\.{_LABEL})?|(?:knp|ossg)\.default\.{_SUBDOMAIN}")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_INTERFACE = re.compile(r"[a-zA-Z0-9_.-]{1,15}")

SUBDOMAIN_RULE = "lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
LABEL_RULE = "lower-case letters, digits and '-', starting and ending with a letter or digit"


def subdomain(text: str) -> str | None:
    """Check a DNS-1123 subdomain: the name of most resources."""
    return _named(_SUBDOMAIN_RE, text, MAX_SUBDOMAIN, SUBDOMAIN_RULE)


def tier(text: str) -> str | None:
    """Check a tier's name: one DNS-1123 label, because policies may carry it as a prefix."""
    return _named(_LABEL_RE, text, MAX_LABEL, f"{LABEL_RULE}; dots are not allowed in a tier's name")


def global_policy(text: str) -> str | None:
    """Check the name of a GlobalNetworkPolicy: one label, or two joined by a dot."""
    return _named(_GLOBAL_POLICY_RE, text, MAX_SUBDOMAIN, f"{LABEL_RULE}; at most one dot, after the tier")


def policy(text: str) -> str | None:
    """Check the name of a NetworkPolicy: as a global one, or knp.default.* of Kubernetes' own."""
    return _named(_POLICY_RE, text, MAX_SUBDOMAIN, f"{LABEL_RULE}; at most one dot, after the tier")


def interface(text: str) -> str | None:
    """Check a network interface name."""
    if _INTERFACE.fullmatch(text):
        return None
    return f"an interface name has 1-{MAX_INTERFACE} letters, digits, '_', '.' or '-'"


def port_name(text: str) -> str | None:
    """Check an IANA service name, as Kubernetes wants port names."""
    if len(text) <= MAX_PORT_NAME and _PORT_NAME.fullmatch(text) and not text.replace("-", "").isdigit():
        return None
    return (
        f"a port name has 1-{MAX_PORT_NAME} lower-case letters, digits or single inner '-', "
        "and at least one letter"
    )


def label_key(text: str) -> str | None:
    """Check a qualified name: an optional subdomain and '/', then a name."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > MAX_SUBDOMAIN or not _SUBDOMAIN_RE.fullmatch(prefix)):
        return f"what stands before '/' must be {SUBDOMAIN_RULE}, at most {MAX_SUBDOMAIN} characters"
    if len(name) <= MAX_LABEL and _QUALIFIED.fullmatch(name):
        return None
    return f"a key has 1-{MAX_LABEL} letters, digits, '-', '_' or '.', starting and ending with a letter or digit"


def label_value(text: str) -> str | None:
    """Check a label's value; the empty one is fine."""
    if not text or (len(text) <= MAX_LABEL and _QUALIFIED.fullmatch(text)):
        return None
    return (
        f"a label's value has at most {MAX_LABEL} letters, digits, '-', '_' or '.', "
        "starting and ending with a letter or digit"
    )


def bad_labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the key and what is wrong with it or its value, for each bad label."""
    for key, value in labels.items():
        wrong = label_key(key)
        if wrong is not None:
            yield key, wrong
        wrong = label_value(value)
        if wrong is not None:
            yield key, wrong


def bad_annotations(annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield bad keys as `bad_labels`; the empty key stands for all of them being too large."""
    size = 0
    for key, value in annotations.items():
        size += len(key.encode()) + len(value.encode())
        wrong = label_key(key.lower())
        if wrong is not None:
            yield key, wrong
    if size > MAX_ANNOTATIONS:
        yield "", f"all annotations together have {size} bytes, at most {MAX_ANNOTATIONS} are allowed"


def _named(pattern: re.Pattern[str], text: str, longest: int, rule: str) -> str | None:
    if len(text) > longest:
        return f"the name has {len(text)} characters, at most {longest} are allowed"
    return None if pattern.fullmatch(text) else f"expected {rule}"
