"""Whether the provider takes the keys and serves the feed: one authenticated call and one for data, never a trade."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pipeline.provider import (
    DATA_URL,
    AlpacaError,
    OutOfTime,
    Pair,
    ProviderError,
    TransientProviderError,
    Unreachable,
    refusal,
)
from pipeline.settings import Values

TRADING_URL = "https://paper-api.alpaca.markets"
ANSWER_SECONDS = 3.0
PAUSE_SECONDS = 0.5
TRIES = 2
SYMBOLS_ASKED = 50
# Where nobody knows which symbols are followed, the keys and the feed can be tried all the same.
ALWAYS_THERE = ("SPY",)
LARGEST_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where the provider is and with what it is asked."""

    data_url: str
    trading_url: str
    pair: Pair
    feed: str

    @classmethod
    def of(cls, environment: Mapping[str, str], values: Values) -> Access:
        """From a run's environment and its parameters."""
        return cls(
            data_url=environment.get("ALPACA_DATA_URL", DATA_URL).rstrip("/"),
            trading_url=environment.get("ALPACA_TRADING_URL", TRADING_URL).rstrip("/"),
            pair=(values.secret("alpaca_key_id"), values.secret("alpaca_secret_key")),
            feed=values.text("alpaca_data_feed"),
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call came to: no code where it was answered."""

    code: str | None
    words: str


@dataclass(frozen=True, kw_only=True)
class Provider:
    """`newest`: the newest bar that it serves of any followed symbol; None where it serves none or refuses.

    The account's answer decides nothing by itself: a pair that may read data need not belong to the paper account."""

    data: Answer
    account: Answer
    feed: str
    newest: datetime | None


def read(access: Access, symbols: tuple[str, ...]) -> Provider:
    """Both calls, each tried once more where that may help."""
    names = quote(",".join(symbols[:SYMBOLS_ASKED] or ALWAYS_THERE), safe=",")
    data, body = _asked(access, f"{access.data_url}/v2/stocks/bars/latest?symbols={names}&feed={quote(access.feed)}")
    account, _ = _asked(access, f"{access.trading_url}/v2/account")
    return Provider(data=data, account=account, feed=access.feed, newest=_newest(body))


def _asked(access: Access, address: str) -> tuple[Answer, Any]:
    for attempt in range(1, TRIES + 1):
        try:
            return Answer(code=None, words="answered"), _get(access, address)
        except AlpacaError as error:
            if not error.retryable or attempt == TRIES:
                return Answer(code=error.code, words=str(error)), None
        time.sleep(PAUSE_SECONDS)
    raise OutOfTime("no try was made")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The keys go nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _get(access: Access, address: str) -> Any:
    """The JSON of a 200 answer. Raises AlpacaError."""
    key_id, secret_key = access.pair
    headers = {"APCA-API-KEY-ID": key_id.reveal().strip(), "APCA-API-SECRET-KEY": secret_key.reveal().strip()}
    try:
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=ANSWER_SECONDS) as response:
            body = response.read(LARGEST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(LARGEST_BYTES)
        raise refusal(error.code, dict(error.headers), told, pair=access.pair, feed=access.feed) from None
    except urllib.error.URLError as error:
        raise Unreachable(f"no connection to {address.partition('?')[0]}: {error.reason}") from None
    except TimeoutError:
        raise TransientProviderError(f"Alpaca did not answer within {ANSWER_SECONDS:g} s") from None
    except (OSError, ValueError) as error:
        raise ProviderError(f"Alpaca could not be asked: {type(error).__name__}") from None
    try:
        return json.loads(body)
    except ValueError:
        raise TransientProviderError(f"Alpaca's answer is not JSON ({len(body)} bytes)") from None


def _newest(body: Any) -> datetime | None:
    bars = body.get("bars") if isinstance(body, dict) else None
    times = [bar["t"] for bar in (bars or {}).values() if isinstance(bar, dict) and isinstance(bar.get("t"), str)]
    try:
        return max((datetime.fromisoformat(text).astimezone(UTC) for text in times), default=None)
    except ValueError:
        return None
