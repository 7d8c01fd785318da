"""Everything that the provider can do to us: what is retried, what it is called, and that nothing is lost by it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest

from ingest_world import DAY, MINUTE, SYMBOLS, World, at, session_market
from ops.local.exchange import Exchange, Fault, faults
from ops.local.exchange.faults import CORRUPTIONS
from ops.local.postgres import Database
from pipeline.ledger import Outcome
from pipeline.settings import Secret
from telemetry_ingestor import alpaca
from telemetry_ingestor.fetch_plan import Ask

BARS = "/v2/stocks/bars"
TRANSIENT: dict[str, Callable[..., Fault]] = {
    "429": lambda **k: faults.status(429, **k),
    "500": lambda **k: faults.status(500, **k),
    "503": lambda **k: faults.status(503, **k),
    "504 in HTML": lambda **k: faults.status(504, html=True, **k),
    "HTML instead of JSON": lambda **k: faults.status(200, body="<html><body>busy</body></html>", html=True, **k),
    "an empty body": lambda **k: faults.status(200, body="", **k),
    "a list": lambda **k: faults.status(200, body="[]", **k),
    "bars of a wrong type": lambda **k: faults.status(200, body='{"bars": {"AAPL": 7}}', **k),
    "truncated JSON": lambda **k: faults.truncate(0.5, **k),
    "a broken off body": lambda **k: faults.truncate(0.5, honest=False, **k),
    "a reset connection": lambda **k: faults.reset(**k),
    "nesting without end": lambda **k: faults.status(200, body="[" * 100_000, **k),
}
FINAL_CODE = {"429": "rate_limited"}


@pytest.fixture
def last_word(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was printed; a traceback in it fails the test."""

    def read() -> str:
        text = capsys.readouterr().out
        assert "Traceback" not in text
        return text

    return read


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_may_pass_is_retried(world: World, name: str, last_word: Callable[[], str]) -> None:
    fault = world.fault(TRANSIENT[name](times=1, path=BARS))
    row = world.ingest(at(10))
    assert (row["outcome"], row["rows_out"], fault.applied) == (Outcome.OK, 30, 1)
    assert '"RequestsMade": 2, "RequestsRetried": 1' in last_word()


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_does_not_pass_fails_by_name_and_the_next_run_heals_it(
    world: World, name: str, last_word: Callable[[], str]
) -> None:
    fault = world.fault(TRANSIENT[name](path=BARS))
    row = world.ingest(at(10))
    assert (row["outcome"], row["rows_out"], fault.applied) == (Outcome.FAILED, 0, 3)
    assert row["error_code"] == FINAL_CODE.get(name, "provider_error")
    assert "3 times" in row["error"]
    world.exchange.faults.clear()
    assert world.ingest(at(11))["outcome"] == Outcome.OK
    assert world.bar_count() == 33
    last_word()


def test_a_hanging_provider_is_left_after_the_time_allowed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca, "PATIENCE", alpaca.Patience(tries=2, answer_seconds=0.2, total_seconds=2))
    world.fault(faults.hang(10, path=BARS))
    row = world.ingest(at(10))
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "provider_error")
    assert "did not answer within" in row["error"]


def test_an_answer_that_is_merely_slow_is_waited_for(world: World) -> None:
    world.fault(faults.latency(0.3, path=BARS))
    assert world.ingest(at(10))["outcome"] == Outcome.OK


def test_nobody_listening_is_the_network(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        row = world.ingest(at(10), ALPACA_DATA_URL=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "task_network")


def test_an_address_without_a_scheme_refuses_to_start(world: World) -> None:
    row = world.ingest(at(10), ALPACA_DATA_URL="data.alpaca.markets")
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "config_invalid")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def refused_once(world: World, row: dict[str, object], code: str, last_word: Callable[[], str]) -> None:
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, code)
    assert len(world.exchange.requests) == 1, "a refusal is not retried"
    assert world.exchange.secret_key not in last_word()
    assert world.exchange.secret_key not in str(row)


def test_a_revoked_key_is_named_and_not_retried(world: World, last_word: Callable[[], str]) -> None:
    world.exchange.keys.revoke()
    row = world.ingest(at(10))
    refused_once(world, row, "key_rejected", last_word)
    assert "rotate-alpaca-keys" in row["error"]


def test_a_swapped_pair_is_told_from_a_revoked_one(world: World, last_word: Callable[[], str]) -> None:
    row = world.ingest(at(10), ALPACA_KEY_ID=world.exchange.secret_key, ALPACA_SECRET_KEY=world.exchange.key_id)
    refused_once(world, row, "key_swapped", last_word)


def test_a_feed_without_subscription_is_no_key_problem(world: World, last_word: Callable[[], str]) -> None:
    row = world.ingest(at(10), ALPACA_DATA_FEED="sip")
    refused_once(world, row, "not_entitled", last_word)
    assert "subscription does not permit querying recent SIP data" in row["error"]


def test_a_secret_with_a_line_break_never_shows(world: World, last_word: Callable[[], str]) -> None:
    row = world.ingest(at(10), ALPACA_SECRET_KEY="first\nsecond-part")
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "key_rejected")
    assert "second-part" not in last_word() + str(row)


def test_an_unknown_feed_refuses_to_start(world: World) -> None:
    row = world.ingest(at(10), ALPACA_DATA_FEED="IEX")
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "config_invalid")
    assert len(world.exchange.requests) == 0


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_that_repeats_ends_the_run_and_keeps_what_came(world: World) -> None:
    world.fault(faults.repeat_token(path=BARS))
    row = world.ingest(at(10))
    assert (row["outcome"], row["error_code"]) == (Outcome.DEGRADED, "provider_error")
    assert "next_page_token came twice" in row["error"]
    assert len(world.exchange.requests) == 2
    world.exchange.faults.clear()
    assert world.ingest(at(11))["outcome"] == Outcome.OK
    assert world.bar_count() == 33


@pytest.mark.parametrize("null", [False, True])
def test_no_bars_at_all_is_no_input_and_counted(world: World, null: bool, last_word: Callable[[], str]) -> None:
    world.fault(faults.empty(null=null, path=BARS))
    assert world.ingest(at(10))["outcome"] == Outcome.NO_INPUT
    assert "SessionMinutesSinceLastBar" not in last_word(), "without any bar ever it is unknown, not 0"


def test_an_empty_page_with_a_token_leads_on(world: World) -> None:
    world.fault(faults.empty(token=True, times=1, path=BARS))
    assert world.ingest(at(10))["outcome"] in (Outcome.OK, Outcome.NO_INPUT)
    world.ingest(at(11))
    assert world.bar_count() == 33


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_a_corrupt_bar_is_set_aside_once_and_the_rest_is_stored(
    world: World, how: str, last_word: Callable[[], str]
) -> None:
    fault = world.fault(faults.corrupt(how, symbols={"AAPL"}, start=at(4), end=at(5)))
    row = world.ingest(at(10))
    assert row["outcome"] == Outcome.DEGRADED
    assert (row["rows_in"], row["rows_out"], row["counts"]["rejected"]) == (30, 29, 1)
    assert world.bar_count() == 29
    assert world.ingest(at(11))["outcome"] == Outcome.OK, "a rejection that is known is no news"
    seen = world.rows("select symbol, first_seen, last_seen from bars_rejected")
    assert seen == [("AAPL", at(10), at(11))]
    world.exchange.faults.remove(fault)
    world.ingest(at(12))
    assert world.bar_count() == 36
    last_word()


def test_when_every_bar_is_corrupt_the_run_fails(world: World) -> None:
    world.fault(faults.corrupt("high_below_low"))
    for minute in (10, 11):
        row = world.ingest(at(minute))
        assert (row["outcome"], row["rows_out"]) == (Outcome.FAILED, 0)


def test_a_correction_within_the_overlap_overwrites(world: World) -> None:
    world.fault(faults.correct(5, factor=1.5, symbols={"AAPL"}, start=at(3), end=at(4)))
    world.ingest(at(5))
    wrong = world.value("select close from bars where symbol = 'AAPL' and ts = %s", at(3))
    row = world.ingest(at(9))
    assert row["counts"]["updated"] == 1
    right = world.value("select close from bars where symbol = 'AAPL' and ts = %s", at(3))
    assert wrong == pytest.approx(right * 1.5, abs=1e-3)


def test_an_earlier_now_does_not_undo_a_correction(world: World) -> None:
    world.fault(faults.correct(5, factor=1.5, symbols={"AAPL"}, start=at(3), end=at(4)))
    world.ingest(at(5))
    world.ingest(at(9))
    right = world.value("select close from bars where symbol = 'AAPL' and ts = %s", at(3))
    world.ingest(at(5))
    assert world.value("select close from bars where symbol = 'AAPL' and ts = %s", at(3)) == right


def test_a_symbol_that_the_provider_calls_invalid_does_not_take_the_others_with_it(world: World) -> None:
    world.symbols = (*SYMBOLS, "A1")
    row = world.ingest(at(10))
    assert (row["outcome"], row["error_code"]) == (Outcome.DEGRADED, "ticker_config")
    assert "'A1'" in row["error"]
    assert world.bar_count() == 30


def test_when_one_of_several_requests_fails_the_rest_is_stored(database: Database) -> None:
    symbols = tuple(f"S{a}{b}" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")[:60]
    with Exchange(session_market(symbols), rate_limit=None) as exchange:
        world = World(database=database, exchange=exchange, symbols=symbols)
        world.fault(faults.status(500, symbols={symbols[0]}, path=BARS))
        row = world.ingest(at(200))
        assert (row["outcome"], row["error_code"]) == (Outcome.DEGRADED, "provider_error")
        stored = world.value("select count(distinct symbol) from bars")
        assert 0 < stored < 60
        world.exchange.faults.clear()
        assert world.ingest(at(201))["outcome"] == Outcome.OK
        assert world.bar_count() == 60 * 201
        world.close()


# ── patience ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rate_limit_s_reset_is_honoured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    original = alpaca.Client.__init__

    def watched(self: alpaca.Client, *args: object, **named: object) -> None:
        original(self, *args, **named, sleep=slept.append)  # type: ignore[arg-type]

    monkeypatch.setattr(alpaca.Client, "__init__", watched)
    world.fault(faults.status(429, times=1, reset_seconds=7, path=BARS))
    assert world.ingest(at(10))["outcome"] == Outcome.OK
    (wait,) = slept
    assert 7 <= wait < 7.1


def test_a_reset_beyond_the_time_allowed_is_not_waited_for(world: World) -> None:
    world.fault(faults.status(429, reset_seconds=59, path=BARS))
    row = world.ingest(at(10))
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "rate_limited")
    assert len(world.exchange.requests) == 1


def test_when_the_time_is_used_up_what_came_is_stored_and_the_next_run_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alpaca, "PATIENCE", alpaca.Patience(total_seconds=0.0))
    row = world.ingest(at(10))
    assert row["outcome"] == Outcome.FAILED
    assert "used up" in row["error"]


def test_back_off_grows_and_is_random() -> None:
    slept: list[float] = []
    with Exchange(session_market(days=(DAY,)), rate_limit=None) as exchange:
        exchange.faults.add(faults.status(500))
        patience = alpaca.Patience(tries=6, backoff_seconds=1, backoff_most_seconds=4)
        key_id, secret_key = Secret(exchange.key_id), Secret(exchange.secret_key)
        with (
            alpaca.Client(
                exchange.url, key_id=key_id, secret_key=secret_key, feed="iex", patience=patience, sleep=slept.append
            ) as client,
            pytest.raises(alpaca.ProviderError, match="6 times"),
        ):
            list(client.pages(Ask(symbols=("AAPL",), first=1, last=2)))
    assert all(0 <= wait <= most for wait, most in zip(slept, (1, 2, 4, 4, 4), strict=True))
    assert len(set(slept)) == 5


def test_the_request_is_what_the_vendor_documents(world: World) -> None:
    world.ingest(at(10) + 0.5 * MINUTE)
    (request,) = world.exchange.requests
    query = dict(request.query)
    assert set(query.pop("symbols").split(",")) == set(SYMBOLS)
    assert query == {
        "timeframe": "1Min",
        "start": "2026-01-15T14:30:00Z",
        "end": "2026-01-26T14:39:00Z",
        "limit": "10000",
        "adjustment": "raw",
        "feed": "iex",
        "sort": "asc",
    }
    assert re.fullmatch(r"PK[A-Z0-9]+", request.key_id)
