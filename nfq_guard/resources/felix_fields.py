"""Field types that only FelixConfiguration uses.

Owns their grammars (Calico api/pkg/apis/projectcalico/v3/felixconfig.go: patterns and
validator tags). Must never know which fields have an effect here.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from nfq_guard.model.addresses import parse_net
from nfq_guard.resources import names
from nfq_guard.resources.endpoints import WILDCARD
from nfq_guard.resources.fields import (
    MAX_UINT32,
    AddressOrCidr,
    Integer,
    RulePort,
    Text,
    address_of,
    at_most_items,
    between,
    matching,
    named,
    one_of,
    refuse,
    show,
    unwrap,
)
from nfq_guard.resources.values import Port, whole

MAX_ROUTE_PRIORITY = 2_147_483_646
MAX_NODE_PORT_RANGES = 7
"""The kernel's multiport match takes 15 numbers, a range takes two."""

MAX_REGION = names.MAX_LABEL - len("openstack-region-")

_UNIT = r"(?:ms|s|m|h)"
_DURATION = rf"0|(?:[0-9]+(?:\.[0-9]+)?{_UNIT})+"
_GO_DURATION = r"0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+"
_CONNTRACK_TIMEOUT = r"(?:[0-9]*(?:\.[0-9]*)?(?:ms|us|s|h|m))+|Auto"
_FILTER = r"[a-zA-Z0-9:._+-]{1,15}"
_FEATURE = r"[a-zA-Z0-9_-]+=(?:true|false|)"
_GATE = r"[a-zA-Z0-9_-]+=[^=,]+"
_DSCP = r"[0-9]|[1-5][0-9]|6[0-3]|DF|EF|VA|LE|CS[0-7]|AF[1-4][1-3]"


def regex(text: str) -> str:
    """Check a regular expression."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        refuse("bad-value", f"found {show(text)}, expected a regular expression: {error}")
    return text


def _interfaces(text: str) -> str:
    """Check a comma list of interface names and of regular expressions between slashes."""
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if len(part) > 1 and part.startswith("/") and part.endswith("/"):
            regex(part[1:-1])
        elif names.interface(part) is not None:
            refuse("bad-value", f"found {show(part)} in the list, expected an interface name or a /regex/")
    return text


def _ipv4(text: str) -> str:
    if parse_net(text, bare=True, host_bits=True).family != 4:  # noqa: PLR2004 - a family is 4 or 6
        refuse("bad-net", f"found {show(text)}, expected an IPv4 address or CIDR")
    return text


def _numeric(port: Port) -> Port:
    if port.name is not None:
        refuse("bad-port", f'found "{port.name}", expected a port number or a range such as 30000:32767')
    return port


def _dscp(value: object) -> str:
    number = whole(unwrap(value))
    text = value if isinstance(value, str) else str(number)
    if not re.fullmatch(_DSCP, text):
        refuse("bad-value", f"found {show(value)}, expected 0-63 or a name such as EF, CS1 or AF11")
    return text


Duration = Annotated[Text, matching(_DURATION, "a duration such as 90s, 1m30s or 500ms")]
AnyDuration = Annotated[Text, matching(_GO_DURATION, "a duration such as 90s, 1m30s or 500ms")]
ConntrackTimeout = Annotated[Text, matching(_CONNTRACK_TIMEOUT, "a duration such as 90s, or Auto")]
OnOff = Annotated[Text, one_of("Enabled", "Disabled")]
Severity = Annotated[Text, one_of("Trace", "Debug", "Info", "Warning", "Error", "Fatal", any_case=True)]
AcceptReturn = Annotated[Text, one_of("Accept", "Return", any_case=True)]
DropReject = Annotated[Text, one_of("Drop", "Reject", any_case=True)]
Regex = Annotated[Text, AfterValidator(regex)]
Mark = Annotated[Integer, between(0, MAX_UINT32)]
RoutePriority = Annotated[Integer, between(1, MAX_ROUTE_PRIORITY)]
Ipv4 = Annotated[Text, address_of(4)]
Ipv6 = Annotated[Text, address_of(6)]
Ipv4OrCidr = Annotated[AddressOrCidr, AfterValidator(_ipv4)]
InterfaceFilter = Annotated[Text, matching(_FILTER, "1-15 letters, digits or : . _ + -")]
InterfaceList = Annotated[Text, AfterValidator(_interfaces)]
InterfacePrefixes = Annotated[
    Text,
    matching(r"[a-zA-Z0-9_-]{1,15}(?:,[a-zA-Z0-9_-]{1,15})*", "prefixes of interface names between commas"),
]
AnyInterface = Annotated[Text, named(lambda text: None if text == WILDCARD else names.interface(text))]
LogPrefix = Annotated[Text, matching(r"[a-zA-Z0-9%: /_-]*", "letters, digits, spaces or % : / _ -")]
RateLimit = Annotated[
    Text, matching(r"[1-9][0-9]{0,3}/(?:second|minute|hour|day)", "a rate such as 10/second or 100/hour")
]
MetricsHost = Annotated[Text, matching(r"[a-zA-Z0-9:._+-]{1,64}", "an address or a host name")]
Region = Annotated[
    Text,
    matching(
        rf"(?=.{{1,{MAX_REGION}}}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?",
        f"a DNS label of 1-{MAX_REGION} characters",
    ),
]
FeatureOverrides = Annotated[
    Text, matching(rf"(?:{_FEATURE},)*(?:{_FEATURE})?", "a list such as A=true,B=false")
]
FeatureGates = Annotated[Text, matching(rf"(?:{_GATE},)*(?:{_GATE})?", "a list such as A=enabled,B=false")]
NodePortRanges = Annotated[
    tuple[Annotated[RulePort, AfterValidator(_numeric)], ...], at_most_items(MAX_NODE_PORT_RANGES)
]
Dscp = Annotated[str, BeforeValidator(_dscp)]
