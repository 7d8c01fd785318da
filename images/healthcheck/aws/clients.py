"""The way to AWS: one client a service, short patience, calls counted by operation, and work done at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self, TypeVar

AT_ONCE = 16
# A check that waits is a check that is late: two tries, then the part is unknown.
CONNECT_SECONDS = 2
ANSWER_SECONDS = 6
TRIES = 2
# CloudTrail takes two calls a second, and says so to the third.
SLOW = {"cloudtrail": {"mode": "adaptive", "total_max_attempts": 8}}

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(kw_only=True)
class Clients:
    """A boto3 client by (service, region), each made once and shared by threads. Close it, or use it in a `with`."""

    make: Callable[[str, str | None], Any]
    calls: Counter[str] = field(default_factory=Counter)
    _made: dict[tuple[str, str | None], Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "aws"))

    def __call__(self, service: str, region: str | None = None) -> Any:
        """The client of a service, in another region than the project's where one is given."""
        with self._lock:
            if (service, region) not in self._made:
                client = self.make(service, region)
                client.meta.events.register("before-call", self._count)
                self._made[service, region] = client
            return self._made[service, region]

    def _count(self, model: Any, **_: Any) -> None:
        with self._lock:
            self.calls[f"{model.service_model.service_name}:{model.name}"] += 1

    def each(self, ask: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
        """What `ask` answers for each item, in their order, asked at once. Raises what the first failure raises."""
        return list(self._pool.map(ask, items))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clients(region: str) -> Clients:
    """Clients by the environment's credentials; AWS_ENDPOINT_URL, where it is set, leads them elsewhere."""
    import boto3  # here, since its 0.3 s are wasted where there is no AWS
    from botocore.config import Config

    session = boto3.session.Session(region_name=region)

    def make(service: str, other: str | None) -> Any:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            max_pool_connections=AT_ONCE,
            retries=SLOW.get(service, {"mode": "standard", "total_max_attempts": TRIES}),
        )
        return session.client(service, region_name=other or region, config=config)

    return Clients(make=make)


def pages(client: Any, operation: str, key: str, **asked: Any) -> Iterator[Any]:
    """What a listing call lists under `key`, page after page."""
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**asked):
            yield from page.get(key) or ()
        return
    while True:
        page = getattr(client, operation)(**asked)
        yield from page.get(key) or ()
        token = page.get("NextToken") or page.get("nextToken")
        if not token:
            return
        asked["NextToken" if "NextToken" in page else "nextToken"] = token


def found(ask: Callable[[], Value], *absent: str) -> Value | None:
    """What `ask` answers; None where AWS says, by one of the codes `absent`, that there is no such thing."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in absent:
            return None
        raise
