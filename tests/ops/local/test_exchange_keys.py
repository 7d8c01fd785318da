"""Who is let in, how often, and the controls from another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests

from exchange_client import NOON, Client, small_market
from ops.local.exchange import Exchange
from ops.local.exchange.keys import LIVE


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(small_market()) as exchange:
        exchange.set_now(NOON)
        yield exchange


def statuses(exchange: Exchange, key_id: str | None = None, secret: str | None = None) -> tuple[int, int]:
    """The status of the data and of the trading API for a pair."""
    given = {"APCA-API-KEY-ID": key_id or exchange.key_id, "APCA-API-SECRET-KEY": secret or exchange.secret_key}
    with Client(exchange, **given) as client:
        return client.bars().status_code, client.get("/v2/account").status_code


def test_a_wrong_half_or_none_at_all_is_refused_by_each_api_in_its_own_way(exchange: Exchange) -> None:
    assert statuses(exchange) == (200, 200)
    assert statuses(exchange, secret="wrong") == (401, 401)
    assert statuses(exchange, key_id="WRONG") == (401, 401)
    data = requests.get(exchange.url + "/v2/stocks/bars", timeout=5)
    assert (data.status_code, data.headers["Content-Type"]) == (401, "text/html")
    assert "401 Authorization Required" in data.text
    trading = requests.get(exchange.url + "/v2/account", timeout=5)
    assert (trading.status_code, trading.json()) == (401, {"message": "unauthorized."})


def test_revoking_takes_effect_at_once(exchange: Exchange) -> None:
    exchange.keys.revoke(exchange.key_id)
    assert statuses(exchange) == (401, 401)


def test_a_replaced_pair_ends_at_once_or_after_the_overlap(exchange: Exchange) -> None:
    exchange.keys.replace("NEW", "new-secret", overlap=timedelta(minutes=5))
    assert statuses(exchange) == (200, 200)
    assert statuses(exchange, "NEW", "new-secret") == (200, 200)
    assert statuses(exchange, "NEW", exchange.secret_key) == (401, 401)
    exchange.set_now(NOON + timedelta(minutes=5))
    assert statuses(exchange) == (401, 401)
    exchange.keys.replace("NEWER", "newer-secret")
    assert statuses(exchange, "NEW", "new-secret") == (401, 401)
    assert statuses(exchange, "NEWER", "newer-secret") == (200, 200)


def test_a_live_accounts_pair_reads_data_but_may_not_trade_here(exchange: Exchange) -> None:
    exchange.keys.issue("AKLIVE", "live-secret", account=LIVE)
    assert statuses(exchange, "AKLIVE", "live-secret") == (200, 401)
    with Client(exchange, **{"APCA-API-KEY-ID": "AKLIVE", "APCA-API-SECRET-KEY": "live-secret"}) as client:
        assert client.get("/v2/account").json() == {"code": 40110000, "message": "request is not authorized"}


def test_another_paper_accounts_pair_sees_another_account(exchange: Exchange) -> None:
    exchange.keys.issue("OTHER", "other-secret", account="other")
    with (
        Client(exchange) as mine,
        Client(exchange, **{"APCA-API-KEY-ID": "OTHER", "APCA-API-SECRET-KEY": "other-secret"}) as other,
    ):
        numbers = {c.get("/v2/account").json()["account_number"] for c in (mine, other)}
    assert len(numbers) == 2


def test_a_pair_without_data_entitlement_trades_but_reads_no_data(exchange: Exchange) -> None:
    exchange.keys.issue("NODATA", "secret", data=False)
    assert statuses(exchange, "NODATA", "secret") == (403, 200)


def test_the_limit_counts_down_then_answers_429_until_the_window_ends() -> None:
    with Exchange(small_market(), rate_limit=3) as exchange, Client(exchange) as client:
        exchange.set_now(NOON)
        answers = [client.bars() for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0"]
        assert {a.headers["X-RateLimit-Limit"] for a in answers} == {"3"}
        assert answers[-1].json() == {"message": "too many requests."}
        assert int(answers[-1].headers["X-RateLimit-Reset"]) - NOON.timestamp() == 60
        assert client.get("/v2/account").status_code == 200  # the trading API counts for itself
        exchange.set_now(NOON + timedelta(minutes=1))
        assert client.bars().status_code == 200


def test_the_limit_can_run_on_a_clock_of_its_own() -> None:
    ticks = [NOON]
    with Exchange(small_market(), rate_limit=1, rate_clock=lambda: ticks[0]) as exchange, Client(exchange) as client:
        exchange.set_now(NOON)
        assert [client.bars().status_code for _ in range(2)] == [200, 429]
        exchange.set_now(NOON + timedelta(hours=1))
        assert client.bars().status_code == 429
        ticks[0] += timedelta(minutes=1)
        assert client.bars().status_code == 200


def test_the_admin_endpoints_need_the_token_and_drive_clock_keys_and_faults(exchange: Exchange) -> None:
    admin = requests.Session()
    url = exchange.url + "/admin"
    assert admin.get(url + "/stats", timeout=5).status_code == 401
    admin.headers["X-Admin-Token"] = exchange.admin_token
    assert admin.post(url + "/clock", json={"now": "2026-01-26T14:32:00Z"}, timeout=5).ok
    assert exchange.now() == datetime.fromisoformat("2026-01-26T14:32:00Z")
    with Client(exchange) as client:
        fault = {"kind": "status", "status": 503, "path": "/v2/stocks", "symbols": ["AAA"], "times": 1}
        added = admin.post(url + "/faults", json=fault, timeout=5).json()
        assert [client.bars().status_code for _ in range(2)] == [503, 200]
        assert admin.get(url + "/faults", timeout=5).json()[0]["applied"] == 1
        assert admin.delete(f"{url}/faults/{added['id']}", timeout=5).json() == []
        wrong = admin.post(url + "/faults", json={"kind": "earthquake"}, timeout=5)
        assert (wrong.status_code, "there are status" in wrong.json()["error"]) == (400, True)
        replaced = {"action": "replace", "key_id": "NEW", "secret_key": "new-secret", "overlap_seconds": 0}
        assert admin.post(url + "/keys", json=replaced, timeout=5).ok
        assert client.bars().status_code == 401
        stats = admin.get(url + "/stats", timeout=5).json()
    admin.close()
    assert stats["requests"] == {
        "GET /v2/stocks/bars 503": 1,
        "GET /v2/stocks/bars 200": 1,
        "GET /v2/stocks/bars 401": 1,
    }


def test_it_runs_as_a_process_that_says_where_it_is() -> None:
    command = [sys.executable, "-m", "ops.local.exchange", "--synthetic", "AAPL,MSFT", "--date", "2026-01-26"]
    folders = ":".join(folder for folder in sys.path if Path(folder).name in ("scripts", "base"))
    process = subprocess.Popen(
        [*command, "--now", "2026-01-26T15:00:00Z"],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": folders, "PATH": os.environ["PATH"]},
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            keys = {"APCA-API-KEY-ID": told["key_id"], "APCA-API-SECRET-KEY": told["secret_key"]}
            query = {"symbols": "AAPL,MSFT", "timeframe": "1Min", "feed": "iex"}
            page = requests.get(told["url"] + "/v2/stocks/bars", params=query, headers=keys, timeout=5).json()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert {symbol: len(bars) for symbol, bars in page["bars"].items()} == {"AAPL": 30, "MSFT": 30}
