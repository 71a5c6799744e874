"""What every test relies on: the shared cases, the kernel gate, Hypothesis profiles.

Owns the rule when a test may be skipped: by name and with the reason, and with
CI=true never where it is about the kernel or the shared conformance cases.
"""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import netns
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "cases"
KERNEL_MARKERS = ("netns", "traffic")
KERNEL_TOOLS = ("ip", "nft", "conntrack")
DEEP_TIMEOUT = 3600
"""Seconds one test may take in the deep profile."""

_SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("fast", max_examples=60, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=_SLOW_IS_FINE)
# Taken out of the environment: to the program, a variable of this prefix that is no setting is an error.
PROFILE = os.environ.pop("NFQ_GUARD_HYPOTHESIS_PROFILE", "fast")
settings.load_profile(PROFILE)


def in_ci() -> bool:
    """Return whether a skip of a kernel or conformance test must count as a failure."""
    return os.environ.get("CI", "").lower() == "true"


def skip_or_fail(reason: str) -> None:
    """Skip the test with its reason; with CI=true fail it instead."""
    if in_ci():
        pytest.fail(f"with CI=true this test must run: {reason}", pytrace=False)
    pytest.skip(reason)


@functools.cache
def kernel_missing() -> str:
    """Return why kernel tests cannot run here, or an empty string where they can."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    absent = [tool for tool in KERNEL_TOOLS if shutil.which(tool, path=path) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return netns.missing()


def is_kernel_test(item: pytest.Item) -> bool:
    """Return whether the test carries one of the markers of kernel tests."""
    return any(item.get_closest_marker(name) for name in KERNEL_MARKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of the deep profile the time they need."""
    if PROFILE != "deep":
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(DEEP_TIMEOUT))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold back what this machine or this profile cannot run."""
    if item.get_closest_marker("deep") and PROFILE != "deep":
        pytest.skip("runs with the deep profile only: scripts/test --deep")
    if is_kernel_test(item) and (reason := kernel_missing()):
        skip_or_fail(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn any other skip of a kernel test into a failure, with CI=true."""
    report = yield
    deep_only = item.get_closest_marker("deep") and PROFILE != "deep"
    if (
        report.skipped
        and in_ci()
        and is_kernel_test(item)
        and not deep_only
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"with CI=true a kernel test must run; it skipped itself: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Return the folder of the shared conformance cases, which lies beside the checkout."""
    if not CASES.is_dir():
        skip_or_fail("the shared conformance cases (../shared/cases) are not beside this checkout")
    return CASES


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout."""
    return ROOT
