"""Alpaca's market data over HTTP: what is worth a retry, what a refusal means, and how long we have patience."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from pipeline.errors import ConfigInvalid
from pipeline.provider import (
    DATA_URL,
    ROTATE,
    AlpacaError,
    KeyRejected,
    NotEntitled,
    OutOfTime,
    ProviderError,
    RateLimited,
    SymbolRefused,
    TransientProviderError,
    Unreachable,
    cause,
    refusal,
    words,
)
from pipeline.settings import Secret
from telemetry_ingestor.fetch_plan import PAGE_BARS, Ask

__all__ = [
    "DATA_URL",
    "AlpacaError",
    "Client",
    "KeyRejected",
    "NotEntitled",
    "OutOfTime",
    "ProviderError",
    "RateLimited",
    "SymbolRefused",
    "Unreachable",
]

# A page of 10,000 bars has 1.3 MB; a body that goes on beyond this is no page.
LARGEST_PAGE_BYTES = 64 * 2**20
CHUNK_BYTES = 2**18


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a run tries. `total_seconds` holds for all requests of the run together: what is fetched
    must still be stored before the service's deadline (50 s)."""

    tries: int = 5
    backoff_seconds: float = 0.5
    backoff_most_seconds: float = 8.0
    connect_seconds: float = 3.05
    answer_seconds: float = 10.0
    total_seconds: float = 30.0


PATIENCE = Patience()


@dataclass(kw_only=True)
class Tally:
    """Requests sent, and those among them that repeated one that failed."""

    made: int = 0
    retried: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, again: bool) -> None:
        with self._lock:
            self.made += 1
            self.retried += again


class Client:
    """The bars endpoint for one run and one key pair; usable from several threads. Close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        key_id: Secret,
        secret_key: Secret,
        feed: str,
        patience: Patience | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        if not url.startswith(("https://", "http://")):
            raise ConfigInvalid(f"ALPACA_DATA_URL: {url!r} is not an http(s) address")
        self._url = url.rstrip("/")
        self._pair = (key_id, secret_key)
        self._feed = feed
        self._patience = patience or PATIENCE
        self._monotonic = monotonic
        self._ends = monotonic() + self._patience.total_seconds
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self.tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends waiting threads and closes the connections."""
        self._closed.set()
        for session in self._sessions:
            session.close()

    def pages(self, ask: Ask) -> Iterator[Mapping[str, Sequence[Any]]]:
        """The pages of one request: symbol → JSON bars. Raises AlpacaError; the pages before that are good."""
        query = self._query(ask)
        seen: set[str] = set()
        token = None
        while True:
            bars, token = self._page(query + (f"&page_token={quote(token, safe='')}" if token else ""))
            yield bars
            if not token:
                return
            if token in seen:
                raise ProviderError(
                    f"Alpaca's pages go round in a circle: next_page_token came twice, on page {len(seen) + 1} for "
                    f"{_named(ask.symbols)}; what came before is kept, the next run asks again"
                )
            seen.add(token)

    def _query(self, ask: Ask) -> str:
        # written by hand: requests would turn each comma into three bytes, and the address must stay under 8 kB
        return (
            f"{self._url}/v2/stocks/bars?symbols={','.join(ask.symbols)}&timeframe=1Min"
            f"&start={_stamp(ask.first)}&end={_stamp(ask.last)}&limit={PAGE_BARS}"
            f"&adjustment=raw&feed={quote(self._feed, safe='')}&sort=asc"
        )

    # ── one page, with patience ──────────────────────────────────────────────────────────────────────────────────────

    def _page(self, address: str) -> tuple[Mapping[str, Sequence[Any]], str | None]:
        patience = self._patience
        for attempt in range(1, patience.tries + 1):
            left = self._left()
            self.tally.count(again=attempt > 1)
            try:
                return _read_page(self._get(address, left))
            except AlpacaError as error:
                wait = self._wait_seconds(error, attempt)
                if not error.retryable or attempt == patience.tries or wait >= self._ends - self._monotonic():
                    raise _after(error, attempt) from error
            self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _left(self) -> float:
        left = self._ends - self._monotonic()
        if left <= 0 or self._closed.is_set():
            raise OutOfTime(
                f"the {self._patience.total_seconds:g} s for fetching are used up after {self.tally.made} requests; "
                "what came is kept, the next run goes on from there"
            )
        return left

    def _wait_seconds(self, error: AlpacaError, attempt: int) -> float:
        """Exponential back-off with full jitter (AWS Architecture Blog, 2015), or until the rate limit's reset."""
        patience = self._patience
        most = min(patience.backoff_most_seconds, patience.backoff_seconds * 2 ** (attempt - 1))
        jitter = random.uniform(0, most)
        return jitter if error.wait_seconds is None else error.wait_seconds + min(jitter, patience.backoff_seconds)

    # ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _get(self, address: str, left_seconds: float) -> bytes:
        """The body of a 200 answer. Raises AlpacaError."""
        answer_seconds = min(self._patience.answer_seconds, left_seconds)
        timeouts = (min(self._patience.connect_seconds, left_seconds), answer_seconds)
        try:
            with self._session().get(address, timeout=timeouts, stream=True, allow_redirects=False) as response:
                body = self._body(response, self._monotonic() + answer_seconds)
        except requests.Timeout as error:
            kind = Unreachable if isinstance(error, requests.ConnectTimeout) else TransientProviderError
            raise kind(f"Alpaca did not answer within {answer_seconds:.3g} s") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise self._broken_off(error) from error
        if response.status_code != 200:
            raise refusal(response.status_code, response.headers, body, pair=self._pair, feed=self._feed)
        return body

    def _body(self, response: requests.Response, ends: float) -> bytes:
        # requests' own time-out starts again with every byte: a body that trickles would never end
        chunks, size = [], 0
        for chunk in response.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > LARGEST_PAGE_BYTES:
                raise ProviderError(f"Alpaca's answer goes on beyond {LARGEST_PAGE_BYTES} bytes; it is no page of bars")
            if self._monotonic() > ends:
                raise TransientProviderError(f"Alpaca's answer was not complete in time ({size} bytes came)")
            chunks.append(chunk)
        return b"".join(chunks)

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            key_id, secret_key = self._pair
            session.headers["APCA-API-KEY-ID"] = key_id.reveal().strip()
            session.headers["APCA-API-SECRET-KEY"] = secret_key.reveal().strip()
            self._local.session = session
            self._sessions.append(session)
        return session

    def _broken_off(self, error: Exception) -> AlpacaError:
        if isinstance(error, requests.exceptions.InvalidHeader):
            return KeyRejected(f"the key pair cannot be sent: it holds a line break or a space in front; {ROTATE}")
        if _never_connected(error):
            return Unreachable(f"no connection to {self._url} ({cause(error)}); check route, DNS and security group")
        return TransientProviderError(f"Alpaca broke the connection off ({cause(error)})")


def _after(error: AlpacaError, attempts: int) -> AlpacaError:
    """The same error, telling how often it was tried."""
    if attempts > 1:
        error.args = (f"{error}, {attempts} times; the next run tries again",)
    return error


def _read_page(body: bytes) -> tuple[Mapping[str, Sequence[Any]], str | None]:
    """Bars by symbol and the next page's token. Raises TransientProviderError where the body is no page of bars."""
    try:
        page = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TransientProviderError(f"Alpaca's answer is not JSON ({len(body)} bytes: {words(body)})") from error
    bars = page.get("bars", ...) if isinstance(page, dict) else ...
    token = page.get("next_page_token") if isinstance(page, dict) else None
    bars = {} if bars is None else bars
    if not isinstance(bars, dict) or not isinstance(token, str | None):
        raise TransientProviderError(f"Alpaca's answer is no page of bars ({len(body)} bytes: {words(body)})")
    if not all(isinstance(rows, list) for rows in bars.values()):
        bars = {symbol: [] if rows is None else rows for symbol, rows in bars.items()}
        if not all(isinstance(rows, list) for rows in bars.values()):
            raise TransientProviderError("Alpaca's answer is no page of bars: a symbol's bars are not a list")
    return bars, token


def _never_connected(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _stamp(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _named(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")


def without(ask: Ask, symbol: str) -> Ask | None:
    """The same request less one symbol, or None where no other is left or it was not in it."""
    rest = tuple(name for name in ask.symbols if name != symbol)
    return replace(ask, symbols=rest) if rest and len(rest) < len(ask.symbols) else None
