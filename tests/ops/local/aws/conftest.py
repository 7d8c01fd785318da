"""Two emulators a session, mended and plain: every patch's test runs on both, and must fail on the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ops.local.aws import LocalAws


@pytest.fixture(scope="session")
def mended_aws() -> Iterator[LocalAws]:
    """A private AWS of this worker's own, empty at first."""
    with LocalAws(None) as aws:
        yield aws


@pytest.fixture(scope="session")
def plain_aws() -> Iterator[LocalAws]:
    """moto without our patches."""
    with LocalAws(None, plain=True) as aws:
        yield aws


@pytest.fixture(
    params=[
        "mended",
        pytest.param(
            "plain", marks=pytest.mark.xfail(strict=True, reason="moto falls short here; else drop the patch")
        ),
    ]
)
def aws(request: pytest.FixtureRequest) -> Any:
    """The mended AWS, and the plain one on which the test has to fail."""
    return request.getfixturevalue(f"{request.param}_aws")
