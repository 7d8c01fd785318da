"""The healthcheck over a real database, through the harness and with its own role's grants only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healthcheck.__main__ import DEMANDS, run
from healthy_database import SYMBOLS, insert_bars, insert_runs, make_healthy, open_findings
from in_process import last_counts, last_error, run_at
from market_rows import MINUTE, NOW, features, insert_features
from pipeline.ledger import Outcome

SERVICE = "healthcheck"


def check(database: Any, now: datetime = NOW) -> Outcome:
    return run_at(now, run, SERVICE, database, DEMANDS, TICKERS=",".join(SYMBOLS))


@pytest.fixture
def healthy(database: Any) -> Any:
    with database.connect() as connection:
        make_healthy(connection)
    return database


@contextmanager
def damage(database: Any) -> Iterator[Any]:
    with database.connect() as connection:
        yield connection


def test_a_healthy_database_has_no_findings(healthy: Any) -> None:
    assert check(healthy) is Outcome.OK
    assert open_findings(healthy) == {}


def test_an_empty_database_is_not_green(database: Any) -> None:
    assert check(database) is Outcome.OK
    findings = open_findings(database)
    assert findings["bars_gap", "bars"] == "critical"
    assert findings["feed_broken", "news"] == "unknown"
    assert findings["backlog", "telemetry_ingestor"] == "unknown"


def test_truncated_bars_turn_red(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute("truncate bars")
    check(healthy)
    assert open_findings(healthy)["bars_gap", "bars"] == "critical"


FAULTS: list[tuple[str, tuple[str, str]]] = [
    ("delete from bars where ts > '2026-01-26 15:15Z'", ("feed_delayed", "bars")),
    ("delete from bars where symbol = 'AAPL'", ("ticker_config", "AAPL")),
    ("update features set ts = '2026-01-26 15:10Z', computed_at = '2026-01-26 15:29:59Z'",
     ("features_stale", "features")),
    ("update feed_state set consecutive_failures = 3", ("feed_broken", "https://a.example/rss")),
    ("update sentiment set classified_at = '2026-01-26 15:31Z'; update news set fetched_at = '2026-01-26 15:15Z'",
     ("backlog", "news")),
    ("update watchlist set computed_at = '2026-01-26 15:15Z'", ("backlog", "watchlist")),
    ("delete from task_runs where service = 'dispatcher'", ("backlog", "dispatcher")),
    ("update task_runs set outcome = 'FAILED', error = '401', error_code = 'key_rejected'"
     " where service = 'telemetry_ingestor'", ("key_rejected", "telemetry_ingestor")),
    ("insert into task_runs (service, execution_id, started_at) values ('rss_ingest', 'hung', '2026-01-26 15:16Z');"
     "update task_runs set started_at = started_at - interval '1 h', finished_at = finished_at - interval '1 h'"
     " where service = 'rss_ingest' and outcome is not null", ("task_hang", "rss_ingest")),
    ("insert into task_runs (service, execution_id, started_at) values ('old_worker', 'x', '2026-01-24 15:20Z')",
     ("config_invalid", "old_worker")),
    ("insert into gaps values ('AAPL', '2026-01-26 14:30Z', '2026-01-26 14:44Z', 'our_outage', '2026-01-26 14:50Z')",
     ("bars_gap", "AAPL")),
    ("insert into bars_rejected values ('AAPL', '2026-01-26 15:20Z', 'low above high', '{}', 'iex',"
     " '2026-01-26 15:21Z', '2026-01-26 15:21Z')", ("provider_error", "bars_rejected")),
    ("insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at) values"
     " ('AAPL', '2026-01-26 15:10Z', 'r', 'BUY', 0.8, 1, '{}', '2026-01-26 15:11Z')", ("backlog", "signals untaken")),
    ("alter table features drop column rsi14", ("db_schema", "tables")),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "key"), FAULTS, ids=[f"{code}-{subject}" for _, (code, subject) in FAULTS])
def test_each_fault_is_found_and_nothing_else_is_blamed(healthy: Any, statement: str, key: tuple[str, str]) -> None:
    with damage(healthy) as connection:
        connection.execute(statement)
    assert check(healthy) is Outcome.OK
    assert open_findings(healthy).keys() == {key}


def test_a_claim_that_was_never_finished_is_stuck(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute(
            "insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at)"
            " values ('AAPL', %(t)s, 'r', 'BUY', 0.8, 1, '{}', %(t)s)", {"t": NOW - 10 * MINUTE}
        )  # fmt: skip
        connection.execute(
            "insert into dispatches (signal_id, state, created_at) select id, 'PENDING', created_at from signals"
        )
        connection.execute(
            "update dispatches set state = 'CLAIMED', claimed_by = 'x', claimed_at = created_at,"
            " lease_expires_at = created_at + interval '2 minutes'"
        )
    check(healthy)
    assert open_findings(healthy) == {("stuck_rows", "dispatches claimed"): "critical"}


def test_findings_clear_after_two_clean_checks_and_open_anew(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute("update feed_state set consecutive_failures = 4")
    fault = ("feed_broken", "https://a.example/rss")
    states = []
    for number in range(4):
        now = NOW + timedelta(minutes=number)
        with damage(healthy) as connection:
            if number:
                for symbol in SYMBOLS:
                    insert_bars(connection, symbol, now - MINUTE, now - MINUTE)
                    insert_features(connection, features(symbol, ts=now - MINUTE))
                insert_runs(connection, now)
                connection.execute("update feed_state set consecutive_failures = 0")
            if number == 3:
                connection.execute("update feed_state set consecutive_failures = 9")
        check(healthy, now)
        states.append(open_findings(healthy).keys())
    assert states == [{fault}, {fault}, set(), {fault}]
    with healthy.connect() as connection:
        rows = connection.execute("select first_seen, last_seen, cleared_at from findings order by id").fetchall()
    assert rows == [(NOW, NOW, NOW + 2 * MINUTE), (NOW + 3 * MINUTE, NOW + 3 * MINUTE, None)]


def test_a_second_check_at_the_same_instant_changes_nothing(database: Any) -> None:
    check(database)
    with database.connect() as connection:
        before = connection.execute("select * from findings order by id").fetchall()
    assert check(database) is Outcome.SKIPPED
    assert check(database, NOW - 5 * MINUTE) is Outcome.SKIPPED
    with database.connect() as connection:
        assert connection.execute("select * from findings order by id").fetchall() == before


def test_a_closed_market_is_no_fault(database: Any) -> None:
    holiday = datetime(2026, 2, 16, 16, 0, tzinfo=UTC)
    friday = datetime(2026, 2, 13, 20, 59, tzinfo=UTC)
    with database.connect() as connection:
        make_healthy(connection, holiday)
        connection.execute("truncate bars, features, bars_changed")
        for symbol in SYMBOLS:
            insert_bars(connection, symbol, friday - 90 * MINUTE, friday)
            insert_features(connection, features(symbol, ts=friday))
    assert check(database, holiday) is Outcome.OK
    assert open_findings(database) == {}


def test_a_table_that_may_not_be_read_is_unknown_and_names_the_cause(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute("revoke select on gaps from healthcheck")
    assert check(healthy) is Outcome.DEGRADED
    findings = open_findings(healthy)
    assert findings["bars_gap", "gaps_filled"] == "unknown"
    assert findings["db_permission", "Missing"] == "critical"
    assert "gaps_filled" in (last_error(healthy, SERVICE) or "")


def test_a_locked_table_does_not_stop_the_other_checks(healthy: Any) -> None:
    with damage(healthy) as connection, connection.transaction():
        connection.execute("lock table watchlist in access exclusive mode")
        assert check(healthy) is Outcome.DEGRADED
    findings = open_findings(healthy)
    assert findings["backlog", "watchlist_fresh"] == "unknown"
    assert findings["db_locked", "Watch"] == "critical"


def test_an_open_finding_survives_a_check_that_could_not_see(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute(
            "insert into gaps values ('AAPL', %(t)s, %(t)s, 'our_outage', %(t)s)", {"t": NOW - 50 * MINUTE}
        )
    check(healthy)
    with damage(healthy) as connection:
        connection.execute("revoke select on gaps from healthcheck")
    for minutes in range(1, 4):
        check(healthy, NOW + minutes * MINUTE)
    assert open_findings(healthy)["bars_gap", "AAPL"] == "critical"


def test_symbols_that_nobody_follows_are_no_critical_finding(healthy: Any) -> None:
    with damage(healthy) as connection:
        connection.execute(
            "insert into bars select 'S' || s, ts, 10, 11, 9, 10, 100, 5, 10, 'iex', ts + interval '1 minute'"
            " from generate_series(1, 30) s, generate_series(%s::timestamptz, %s::timestamptz, '1 minute') ts",
            (datetime(2026, 1, 23, 14, 30, tzinfo=UTC), datetime(2026, 1, 23, 20, 59, tzinfo=UTC)),
        )
    check(healthy)
    assert last_counts(healthy, SERVICE)["open_critical"] == 0
