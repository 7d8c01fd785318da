"""Two emulators a session, mended and plain: every patch's test runs on both, and must fail on the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

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


@pytest.fixture(params=["mended", "plain"])
def aws(request: pytest.FixtureRequest) -> Any:
    """The mended AWS, and the plain one on which the test has to fail."""
    return request.getfixturevalue(f"{request.param}_aws")


FAILURES = (
    AssertionError,
    ClientError,
    BotoCoreError,
    ResponseParserError,
    LookupError,
    ValueError,
    pytest.fail.Exception,
)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Turns the result around on the plain AWS: what passes there needs no patch."""
    if not hasattr(pyfuncitem, "callspec") or pyfuncitem.callspec.params.get("aws") != "plain":
        return (yield)
    try:
        yield
    except FAILURES:
        return True  # type: ignore[return-value]
    pytest.fail("plain moto does this by itself: drop the patch")
