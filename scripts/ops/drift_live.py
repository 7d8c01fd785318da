"""What lives in the account under our prefix or tags and was declared by no one, part by part."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops import drift_live_access, drift_live_network, drift_live_stores, drift_live_triggers
from ops.drift_finding import EXISTS, UNDECLARED, Finding, Unchecked
from ops.drift_live_part import Part, Stray
from ops.drift_state import Declared

AT_ONCE = 8
PARTS: tuple[tuple[str, Part], ...] = (
    *drift_live_triggers.PARTS,
    *drift_live_access.PARTS,
    *drift_live_network.PARTS,
    *drift_live_stores.PARTS,
)


@dataclass(kw_only=True)
class Clients:
    """A boto3 client by service name, and region where it is another, each made once; threads may share it."""

    make: Callable[..., Any]
    made: dict[tuple[str, ...], Any] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, *service: str) -> Any:
        with self.lock:
            if service not in self.made:
                self.made[service] = self.make(*service)
            return self.made[service]


def undeclared(clients: Clients, declared: Declared) -> tuple[list[Finding], list[Unchecked]]:
    """What nobody declared, and the parts that could not be listed."""
    found: list[Finding] = []
    unchecked = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda part: _listed(part[1], clients, declared), PARTS)
    for (title, _), (strays, reason) in zip(PARTS, answers, strict=True):
        if reason:
            unchecked.append(Unchecked(part=title, reason=reason))
        told = {finding.address for finding in found}  # the tags, listed last, tell again what other parts told better
        found += [_finding(stray) for stray in strays if stray.attribute != EXISTS or stray.arn not in told]
    return found, unchecked


def _listed(part: Part, clients: Clients, declared: Declared) -> tuple[list[Stray], str | None]:
    """The strays of a part; where it breaks off, those found until then and the reason."""
    found: list[Stray] = []
    try:
        for stray in part(clients, declared):
            found.append(stray)  # noqa: PERF402 - what was found before an error counts
    except (ClientError, BotoCoreError) as error:
        return found, " ".join(str(error).split())
    return found, None


def _finding(stray: Stray) -> Finding:
    return Finding(
        kind=UNDECLARED,
        address=stray.arn,
        attribute=stray.attribute,
        expected=stray.expected,
        actual=stray.actual,
        severity=stray.severity,
        repair=stray.remove,
        resource=stray.name,
    )
