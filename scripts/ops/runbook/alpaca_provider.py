"""Asking Alpaca, with GET alone, whether it takes a key pair: the account of the trading API, a bar of the data API."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import requests

from ops.runbook import stored
from ops.runbook.alpaca_pair import Pair
from ops.runbook.reading import Look

TRADING_URL, DATA_URL = "https://paper-api.alpaca.markets", "https://data.alpaca.markets"
TIMEOUT_SECONDS = (4.0, 8.0)
OTHER_ENVIRONMENT = 40110000
FEED, SYMBOLS = "alpaca_data_feed", "tickers"  # as the catalogue calls them


class Verdict(StrEnum):
    """What an answer says of the pair."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FORBIDDEN = "not entitled"
    ELSEWHERE = "of another environment"
    UNANSWERED = "not answered"  # nothing is said of the pair


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: what it says of the pair, in whose words, and for an account its number."""

    verdict: Verdict
    said: str
    account: str = ""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What both APIs said to the same pair, several times."""

    trading: tuple[Answer, ...]
    data: tuple[Answer, ...]

    @property
    def all(self) -> tuple[Answer, ...]:
        return (*self.trading, *self.data)

    def always(self, verdict: Verdict) -> bool:
        return all(answer.verdict is verdict for answer in self.all)

    def ever(self, verdict: Verdict) -> bool:
        return any(answer.verdict is verdict for answer in self.all)

    @property
    def inconsistent(self) -> str:
        """The API that says yes and no to the same pair, with its numbers; empty where none does."""
        for name, answers in (("trading", self.trading), ("data", self.data)):
            seen = Counter(answer.verdict for answer in answers)
            if seen[Verdict.ACCEPTED] and seen[Verdict.REFUSED]:
                return (
                    f"the {name} API accepted it {seen[Verdict.ACCEPTED]} times and refused it {seen[Verdict.REFUSED]}"
                )
        return ""

    @property
    def told(self) -> str:
        """For people: verdicts by API, and the words of the first answer that is no yes."""
        parts = []
        for name, answers in (("trading", self.trading), ("data", self.data)):
            seen = Counter(answer.verdict for answer in answers)
            parts.append(f"{name} API: " + ", ".join(f"{verdict} {times}×" for verdict, times in seen.items()))
        words = next((answer.said for answer in self.all if answer.verdict is not Verdict.ACCEPTED), "")
        return "; ".join(parts) + (f" ({words})" if words else "")

    @property
    def account(self) -> str:
        return next((answer.account for answer in self.trading if answer.account), "")


def ask(look: Look, pair: Pair, times: int) -> Answers:
    """Puts both questions so many times."""
    with requests.Session() as session:
        session.headers["APCA-API-KEY-ID"] = pair.key_id.reveal()
        session.headers["APCA-API-SECRET-KEY"] = pair.secret_key.reveal()
        account, bars = _account(look), _bars(look)
        return Answers(
            trading=tuple(_get(session, account) for _ in range(times)),
            data=tuple(_get(session, bars) for _ in range(times)),
        )


def _account(look: Look) -> str:
    return f"{look.environ.get('ALPACA_TRADING_URL', TRADING_URL).rstrip('/')}/v2/account"


def _bars(look: Look) -> str:
    """The last minutes of one symbol, from the feed that is deployed: asked as the tasks ask, with an end. Without it
    the provider's clock sets one, and a start that this machine's clock has later than that is an error to it."""
    feed, symbol = _value(look, FEED), _value(look, SYMBOLS).split(",")[0].strip()
    end = look.now()
    start = end - timedelta(minutes=5)
    return (
        f"{look.environ.get('ALPACA_DATA_URL', DATA_URL).rstrip('/')}/v2/stocks/bars?symbols={symbol}&timeframe=1Min"
        f"&start={start:%Y-%m-%dT%H:%M:%SZ}&end={end:%Y-%m-%dT%H:%M:%SZ}&limit=1&adjustment=raw&feed={feed}"
    )


def _value(look: Look, name: str) -> str:
    """What is stored, or where nothing is deployed yet what a deployment would begin with."""
    found = stored.find(look, name)
    return found.value.reveal() if found else str(look.catalog.parameters[name].initial)


def _get(session: requests.Session, url: str) -> Answer:
    try:
        response = session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.exceptions.InvalidHeader:
        return Answer(verdict=Verdict.REFUSED, said="it cannot be sent: there is a line break or a space in it")
    except requests.RequestException as error:
        return Answer(verdict=Verdict.UNANSWERED, said=type(error).__name__)
    return _judged(response)


def _judged(response: requests.Response) -> Answer:
    body = _object(response)
    said = f"{response.status_code}: {_words(response, body)}"
    if response.status_code == 401:
        elsewhere = body.get("code") == OTHER_ENVIRONMENT
        return Answer(verdict=Verdict.ELSEWHERE if elsewhere else Verdict.REFUSED, said=said)
    if response.status_code == 403:
        return Answer(verdict=Verdict.FORBIDDEN, said=said)
    if response.status_code == 200 and ("bars" in body or "account_number" in body):
        return Answer(verdict=Verdict.ACCEPTED, said=said, account=str(body.get("account_number", "")))
    return Answer(verdict=Verdict.UNANSWERED, said=said)


def _object(response: requests.Response) -> Mapping[str, object]:
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(response: requests.Response, body: Mapping[str, object]) -> str:
    said = body.get("message") or re.sub(r"<[^>]*>", " ", response.text[:2000])
    return " ".join(str(said).split())[:120]
