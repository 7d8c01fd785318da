"""Alpaca's paper account through alpaca-py: what is asked of it, and which of its answers mean what.

alpaca-py itself has no timeout, repeats POST /v2/orders on 429 and 504, and its `APIError.code` raises on bodies
without one; all three are mended here. It takes 700 ms to import, so that happens in `connect` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dispatcher.fills import Plan
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.rows import Side
from pipeline.settings import Values

if TYPE_CHECKING:
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient

ENDPOINT = "ALPACA_TRADING_URL"
PAPER_HOST = "paper-api.alpaca.markets"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Connect and read: a run has 50 s for all it does, and after the first timeout it asks nothing more.
TIMEOUT_SECONDS = (4.0, 8.0)
NOT_FOUND = 40410000
# Alpaca refuses an order that the account cannot carry with 403 too, under this code; any other 403 is about the keys.
INSUFFICIENT = 40310000


class BrokerUnavailable(PipelineError):
    """No usable answer: what was asked may or may not have happened, and is looked up before it is asked again."""

    code = "provider_error"


class BrokerRefused(PipelineError):
    """The broker's no, in its own words: what was asked has not happened."""

    def __init__(self, message: str, *, status: int, vendor_code: int | None) -> None:
        super().__init__(message)
        self.status = status
        self.vendor_code = vendor_code


@dataclass(frozen=True, kw_only=True)
class Account:
    """What we trade with: equity and today's profit in USD (None: unknown), and the symbols with a position."""

    equity: float | None
    profit_today: float | None
    held: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as the broker tells it; `legs` are a bracket's exits. Prices in USD a share, None while not filled."""

    id: str
    type: str
    status: str
    quantity: float
    fill_price: float | None
    filled_at: datetime | None
    legs: tuple[Order, ...] = ()

    @property
    def dead(self) -> bool:
        """Whether it ended without a fill."""
        return self.status in ("canceled", "expired", "rejected", "suspended") and self.fill_price is None


def trading_url(environment: Mapping[str, str]) -> str:
    """The endpoint for orders. Raises ConfigInvalid for anything that may be a live account."""
    url = environment.get(ENDPOINT) or f"https://{PAPER_HOST}"
    parts = urlsplit(url)
    host = parts.hostname or ""
    local = environment.get("ENVIRONMENT") == "local" and not host.endswith("alpaca.markets")
    if parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query:
        raise ConfigInvalid(f"{ENDPOINT} is {url!r}, expected an address without a path, like https://{PAPER_HOST}")
    if not (local or host in LOOPBACK or (host == PAPER_HOST and parts.scheme == "https")):
        raise ConfigInvalid(f"{ENDPOINT} is {url!r}: orders go to the paper account alone, https://{PAPER_HOST}")
    return url.rstrip("/")


def connect(values: Values, environment: Mapping[str, str]) -> PaperBroker:
    """A broker that has not been asked anything yet."""
    from alpaca.trading.client import TradingClient

    client = TradingClient(
        api_key=values.secret("alpaca_key_id").reveal(),
        secret_key=values.secret("alpaca_secret_key").reveal(),
        paper=True,
        raw_data=True,  # its models refuse statuses that Alpaca adds later
        url_override=trading_url(environment),
    )
    # It offers no setting for these two; tests hold that they act.
    client._retry = 0
    _give_timeout(client)
    return PaperBroker(client)


def _give_timeout(client: TradingClient) -> None:
    from requests.adapters import HTTPAdapter

    class Timely(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            return super().send(*args, **kwargs | {"timeout": TIMEOUT_SECONDS})

    for prefix in ("http://", "https://"):
        client._session.mount(prefix, Timely())


class PaperBroker:
    """The five questions that are put to the broker. Each raises BrokerUnavailable or BrokerRefused."""

    def __init__(self, client: TradingClient) -> None:
        self._client = client

    def close(self) -> None:
        """Closes the connections, not the account."""
        self._client._session.close()

    def account(self) -> Account:
        raw = _ask("the account", self._client.get_account, dict)
        positions = _ask("the positions", self._client.get_all_positions, list)
        equity, before = _number(raw.get("equity")), _number(raw.get("last_equity"))
        return Account(
            equity=equity,
            profit_today=None if equity is None or before is None else equity - before,
            held=frozenset(str(position.get("symbol")) for position in positions if isinstance(position, dict)),
        )

    def find(self, client_order_id: str) -> Order | None:
        """Our order of that name, or None where the broker says in so many words that it has none."""
        try:
            raw = _ask("our order", lambda: self._client.get_order_by_client_id(client_order_id), dict)
        except BrokerRefused as refused:
            if refused.status == 404 and refused.vendor_code == NOT_FOUND:
                return None
            raise BrokerUnavailable(f"{refused}; whether the order exists is unknown") from refused
        return _order(raw)

    def follow(self, broker_order_id: str) -> Order:
        """An order with its legs."""
        from alpaca.trading.requests import GetOrderByIdRequest

        nested = GetOrderByIdRequest(nested=True)
        return _order(_ask("an order", lambda: self._client.get_order_by_id(broker_order_id, nested), dict))

    def submit(self, symbol: str, plan: Plan, client_order_id: str) -> Order:
        """Sends a market order with both exits attached, as one bracket.

        Good till canceled: a day's bracket would lose its stop at the close and leave the position bare overnight."""
        from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
        from alpaca.trading.requests import MarketOrderRequest, StopLossRequest, TakeProfitRequest

        request = MarketOrderRequest(
            symbol=symbol,
            qty=plan.quantity,
            side=OrderSide.BUY if plan.side is Side.BUY else OrderSide.SELL,
            time_in_force=TimeInForce.GTC,
            order_class=OrderClass.BRACKET,
            client_order_id=client_order_id,
            take_profit=TakeProfitRequest(limit_price=tick(plan.target_price)),
            stop_loss=StopLossRequest(stop_price=tick(plan.stop_price)),
        )
        return _order(_ask("the new order", lambda: self._client.submit_order(request), dict))


def tick(price: float) -> float:
    """The nearest price that may be quoted: whole cents, hundredths of a cent below a dollar."""
    return round(price, 2 if price >= 1 else 4)


def _ask(what: str, question: Callable[[], Any], expected: type) -> Any:
    """The answer to a question, or the one of our two errors that it amounts to."""
    from alpaca.common.exceptions import APIError
    from requests import ConnectTimeout, RequestException

    try:
        answer = question()
    except APIError as error:
        raise _refusal(what, error) from error
    except ConnectTimeout as error:
        raise BrokerUnavailable(f"{what}: no connection to Alpaca: {error}", code="task_network") from error
    except (RequestException, ValueError) as error:  # ValueError: a body that is not JSON
        raise BrokerUnavailable(f"{what}: no usable answer from Alpaca: {type(error).__name__}: {error}") from error
    if not isinstance(answer, expected):
        raise BrokerUnavailable(f"{what}: Alpaca answered with {type(answer).__name__}, expected {expected.__name__}")
    return answer


def _refusal(what: str, error: APIError) -> PipelineError:
    status = error.status_code or 0
    body = str(error)
    words, vendor_code = _words(body)
    told = f"{what}: Alpaca answered {status}: {words}"
    if status == 401 or (status == 403 and vendor_code != INSUFFICIENT):
        return BrokerUnavailable(f"{told}; check the key pair with runbooks/rotate-alpaca-keys", code="key_rejected")
    if status == 429:
        return BrokerUnavailable(told, code="rate_limited")
    if not 400 <= status < 500 or status == 408:
        return BrokerUnavailable(told)
    return BrokerRefused(told, status=status, vendor_code=vendor_code)


def _words(body: str) -> tuple[str, int | None]:
    """The message and code of an error body, which may be HTML, or JSON of any shape."""
    try:
        raw = json.loads(body)
    except ValueError:
        raw = None
    if isinstance(raw, dict):
        code = raw.get("code")
        return str(raw.get("message") or body)[:300], code if isinstance(code, int) else None
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())[:300] or "nothing", None


def _order(raw: Mapping[str, Any]) -> Order:
    quantity, filled = _number(raw.get("qty")), _number(raw.get("filled_qty"))
    price = _number(raw.get("filled_avg_price"))
    if not (raw.get("id") and raw.get("status") and quantity):
        raise BrokerUnavailable(f"Alpaca told of an order without id, status or quantity: {sorted(raw)}")
    return Order(
        id=str(raw["id"]),
        type=str(raw.get("type")),
        status=str(raw["status"]),
        quantity=quantity,
        fill_price=price if price and filled else None,
        filled_at=_instant(raw.get("filled_at")),
        legs=tuple(_order(leg) for leg in raw.get("legs") or ()),
    )


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _instant(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC) if value else None
    except ValueError:
        return None
