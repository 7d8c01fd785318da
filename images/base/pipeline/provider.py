"""What Alpaca's answers mean: which refusal is the key's fault, which the plan's, and which may go away by itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pipeline.errors import PipelineError
from pipeline.settings import Secret

DATA_URL = "https://data.alpaca.markets"
ROTATE = "run scripts/diagnose (was it really the key?), then runbooks/rotate-alpaca-keys"
# What Alpaca's key ids look like; secrets are longer and of mixed case.
KEY_ID = re.compile(r"[PAC]K[A-Z0-9]{14,26}")
BAD_FEED = re.compile(r"invalid feed", re.IGNORECASE)
BAD_SYMBOL = re.compile(r"invalid symbol:? *([^\s,]+)", re.IGNORECASE)

Pair = tuple[Secret, Secret]


class AlpacaError(PipelineError):
    """A request that did not bring its page. `retryable`: it may at the next try, not before `wait_seconds`."""

    retryable = False
    wait_seconds: float | None = None


class KeyRejected(AlpacaError):
    """401: the key pair is not valid. `code` is key_swapped where the two values stand in each other's place."""

    code = "key_rejected"


class NotEntitled(AlpacaError):
    """403: the pair is valid and may not have this data."""

    code = "not_entitled"


class RateLimited(AlpacaError):
    """429, again and again."""

    code = "rate_limited"
    retryable = True


class ProviderError(AlpacaError):
    """5xx, a time-out, or a body that is no page of bars."""

    code = "provider_error"


class TransientProviderError(ProviderError):
    """A provider error that the next try may not meet."""

    retryable = True


class Unreachable(AlpacaError):
    """No connection at all."""

    code = "task_network"
    retryable = True


class SymbolRefused(AlpacaError):
    """400 for one symbol, which spoils the request for all others in it."""

    code = "ticker_config"

    def __init__(self, message: str, symbol: str) -> None:
        super().__init__(message)
        self.symbol = symbol


class FeedUnknown(AlpacaError):
    """400 for a feed that there is not: the setting's fault, not the provider's."""

    code = "config_invalid"


class OutOfTime(AlpacaError):
    """The time for fetching was used up before all was fetched."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, pair: Pair, feed: str) -> AlpacaError:
    """What an answer other than 200 means. `pair` is the key id and its secret, which no text repeats."""
    said = words(body)
    if status == 401:
        return rejected(said, pair)
    if status == 403:
        return NotEntitled(
            f"Alpaca refused the {feed} feed to this key pair (403: {said}); "
            "set the parameter alpaca_data_feed to one that the subscription covers, or widen the subscription"
        )
    if status == 429:
        limited = RateLimited(f"Alpaca's rate limit is used up (429: {said})")
        limited.wait_seconds = _seconds_to_reset(headers)
        return limited
    if status >= 500 or status == 408:
        return TransientProviderError(f"Alpaca answered {status}: {said}")
    if status == 400 and (found := BAD_SYMBOL.search(said)):
        return SymbolRefused(f"Alpaca knows no symbol like {found[1]!r} (400); correct the parameter tickers", found[1])
    if status == 400 and BAD_FEED.search(said):
        return FeedUnknown(f"Alpaca knows no feed like {feed!r} (400: {said}); correct the parameter alpaca_data_feed")
    return ProviderError(f"Alpaca answered {status}: {said}; run scripts/diagnose")


def rejected(said: str, pair: Pair) -> KeyRejected:
    """The refusal of a key pair: swapped, where the two values look as if each stood in the other's place."""
    key_id, secret_key = (part.reveal().strip() for part in pair)
    if KEY_ID.fullmatch(secret_key) and not KEY_ID.fullmatch(key_id):
        return KeyRejected(
            f"Alpaca refused the key pair (401: {said}): alpaca_secret_key holds a key id, the two values are "
            "swapped; store each under its own name",
            code="key_swapped",
        )
    return KeyRejected(f"Alpaca refused the key pair (401: {said}); {ROTATE}")


def words(body: bytes) -> str:
    """What an error body says, in one short line."""
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace"))
    text = " ".join(str(said).split())
    return text[:160] or "an empty body"


def _seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """How long until X-RateLimit-Reset (epoch seconds) by the server's own clock; None where it does not say."""
    reset = headers.get("X-RateLimit-Reset", "")
    if not reset.isdecimal() or len(reset) > 12:
        return None
    try:
        at = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except ValueError:
        at = time.time()
    return max(0.0, int(reset) - at)


def cause(error: Exception) -> str:
    """The innermost reason, without the addresses that requests wraps around it."""
    found: BaseException = error
    while (inner := found.__cause__ or found.__context__) is not None:
        found = inner
    text = " ".join(str(found).split())
    return f"{type(found).__name__}: {text}"[:160] if text else type(found).__name__
