"""The codes of all problems that loading can tell.

Owns the closed list that tests, docs and `check --format json` share. A code never
changes its meaning; a new one is added here first.
"""

from __future__ import annotations

CODES = {
    "bad-address": "not an IP address, or one of the wrong family",
    "bad-alias": "a YAML alias without anchor, or one that contains itself",
    "bad-annotation": "an annotation's key or the size of all of them",
    "bad-key": "a YAML key that is no text, or a merge key without mapping",
    "bad-label": "a label's key or value",
    "bad-name": "a name that the kind, an interface or a port cannot have",
    "bad-net": "not a CIDR, or bits set right of its prefix",
    "bad-port": "not a port, a range or a port name",
    "bad-protocol": "not a protocol, or not one that fits there",
    "bad-selector": "a selector that cannot be read",
    "bad-tag": "a YAML tag without meaning here",
    "bad-value": "text that is not one of the allowed words, or not of the required form",
    "built-in": "something that always exists declared differently",
    "conflict": "fields that cannot stand beside each other",
    "duplicate-item": "a list that is a set has an item twice",
    "duplicate-key": "a mapping has a key twice",
    "duplicate-resource": "a resource is declared twice",
    "log-only": "warning: rules only log, so the tier denies",
    "missing-field": "a required field is missing",
    "missing-port": "warning: a rule's named port that no endpoint with addresses declares",
    "missing-profile": "warning: an endpoint's profile is not declared",
    "missing-tier": "warning: a policy's tier is not declared",
    "never-matches": "warning: a rule asks for what no packet on a host can show",
    "no-effect": "warning: a resource or a setting that nothing here looks at",
    "no-endpoint": "warning: policies, but no HostEndpoint and no WorkloadEndpoint: nothing is guarded",
    "no-files": "a folder without rule files",
    "not-text": "not UTF-8 text",
    "out-of-range": "a number outside its limits",
    "selects-nothing": "warning: a policy's selector without an endpoint, or a rule's without an address",
    "skipped-file": "warning: a file of a folder that looks like rules and does not end like them",
    "too-deep": "nested deeper than any resource",
    "too-large": "more bytes or files than are read",
    "too-long": "a selector longer than Calico allows",
    "too-many-items": "a list longer than Calico allows",
    "too-many-problems": "more problems than are shown",
    "too-many-values": "more values in a file than are read, often by aliases of aliases",
    "unknown-field": "a field that Calico does not know",
    "unused-rules": "warning: rules in a direction that `types` leaves out",
    "unquoted-value": "warning: YAML reads an unquoted value as something else than it shows",
    "unreadable": "a file or folder that cannot be read",
    "unsupported-kind": "a kind that this version does not know",
    "unsupported-version": "an apiVersion other than projectcalico.org/v3",
    "wrong-type": "a list, mapping, number, boolean or text where another is expected",
    "yaml-syntax": "not YAML or JSON",
}
"""Code to what it stands for."""
