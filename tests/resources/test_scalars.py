"""What unquoted YAML means, and what text it becomes."""

from __future__ import annotations

import math

import pytest

from nfq_guard.resources.scalars import PlainScalar, float_text, resolve, too_large

PLAIN: dict[str, object] = {
    "": None, "~": None, "null": None, "NULL": None, "nUll": "nUll",
    "yes": True, "No": False, "on": True, "OFF": False, "y": True, "n": False, "true": True, "yEs": "yEs",
    "80": 80, "+80": 80, "-80": -80, "010": 8, "0o17": 15, "0x1F": 31, "0b101": 5, "1_000": 1000, "09": 9.0, "0": 0,
    "18446744073709551615": 18446744073709551615, "18446744073709551616": 1.8446744073709552e19,
    "1.5": 1.5, ".5": 0.5, "1.": 1.0, "1e3": 1000.0, "-1.5e-3": -0.0015, ".inf": math.inf, "-.Inf": -math.inf,
    "1:30": "1:30", "8000:8100": "8000:8100", "10.0.0.1": "10.0.0.1", "2024-01-02": "2024-01-02", "0x": "0x",
    "1e": "1e", "-": "-", "+": "+", ".": ".", "..": "..", "1-2": "1-2", "eth0": "eth0", "<<": "<<", "--": "--",
}  # fmt: skip


@pytest.mark.parametrize("raw", PLAIN)
def test_plain_scalars(raw: str) -> None:
    value = resolve(raw)

    assert (type(value), value) == (type(PLAIN[raw]), PLAIN[raw])


def test_not_a_number_is_a_float() -> None:
    value = resolve(".nan")

    assert isinstance(value, float)
    assert math.isnan(value)


def test_endless_digits_stay_text() -> None:
    assert resolve("9" * 100_000) == "9" * 100_000


FLOATS = {
    0.0: "0", 1.0: "1", 1.1: "1.1", 10.0: "10", 0.1: "0.1", 123456.0: "123456", 1234567.0: "1.234567e+06",
    1e6: "1e+06", 0.0001: "0.0001", 0.00001: "1e-05", -2.5: "-2.5", 1.23456789012: "1.2345679", 1e300: "+Inf",
    -1e300: "-Inf", 100.0: "100",
}  # fmt: skip


@pytest.mark.parametrize("value", FLOATS)
def test_floats_as_text(value: float) -> None:
    assert float_text(value) == FLOATS[value]
    assert float_text(math.nan) == "NaN"


def test_text_of_scalars_and_whether_it_is_what_the_file_shows() -> None:
    cases = {
        "no": ("false", False),
        "true": ("true", True),
        "80": ("80", True),
        "010": ("8", False),
        "1.10": ("1.1", False),
    }
    for raw, (text, faithful) in cases.items():
        value = resolve(raw)
        assert isinstance(value, bool | int | float)
        scalar = PlainScalar(value, raw, 1, 1)
        assert (scalar.text, scalar.faithful) == (text, faithful)


HUGE = {
    "the last float": ("9" * 308, float("9" * 308), False),
    "an integer beyond floats": ("9" * 309, "9" * 309, True),
    "one below them": ("-" + "9" * 309, "-" + "9" * 309, True),
    "an exponent beyond floats": ("1e400", "1e400", True),
    "hexadecimal beyond 64 bits": ("0x" + "f" * 17, "0x" + "f" * 17, True),
    "more digits than are read": ("9" * 401, "9" * 401, True),
    "text": ("eth0", "eth0", False),
    "text of digits and dots": ("10.0.0.1", "10.0.0.1", False),
}


@pytest.mark.parametrize("case", HUGE)
def test_a_number_that_nothing_can_hold_is_text_and_known_as_too_large(case: str) -> None:
    raw, expected, large = HUGE[case]

    assert (resolve(raw), too_large(raw)) == (expected, large)
