"""Each check finds its fault, is silent when all is well or the market closed, and never takes unknown for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from health_evidence import CATALOG, TICKERS, changed, healthy, ledger, past_run, state
from healthcheck import checks, measures
from healthcheck.aws.parameters import Parameter
from healthcheck.checks import freshness, stored
from healthcheck.finding import Change, Finding, Severity
from healthcheck.snapshot import (
    Dispatching,
    Feed,
    GapGroup,
    Market,
    Missing,
    NewsState,
    RejectedGroup,
    Runs,
    Schema,
    Snapshot,
    Symbols,
    SymbolState,
    Unreadable,
    Watch,
)
from market_rows import MINUTE, NOW

PRESIDENTS_DAY = datetime(2026, 2, 16, 16, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 1, 24, 16, 0, tzinfo=UTC)
AFTER_HALF_DAY = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)


def found(snapshot: Snapshot) -> dict[tuple[str, str], Finding]:
    return {finding.key: finding for finding in checks.evaluate(snapshot).findings}


def opening(snapshot: Snapshot) -> set[tuple[str, str]]:
    return {key for key, finding in found(snapshot).items() if finding.opens}


def symbols(*states: SymbolState) -> Symbols:
    return Symbols(states=states, changes_waiting=0)


def all_symbols(**changes: Any) -> Symbols:
    return symbols(*(state(symbol, **changes) for symbol in TICKERS))


def test_a_healthy_pipeline_has_no_findings() -> None:
    assert found(healthy()) == {}


@pytest.mark.parametrize("now", [PRESIDENTS_DAY, SATURDAY, AFTER_HALF_DAY])
def test_a_closed_market_opens_nothing_however_old_the_bars(now: datetime) -> None:
    old = {"newest_bar": now - timedelta(days=3), "newest_features": now - timedelta(days=4)}
    stale = symbols(*(state(symbol, now, **old, unserved_since=now - timedelta(days=4)) for symbol in TICKERS))
    snapshot = healthy(now, symbols=stale)
    snapshot = changed(snapshot, Watch, computed_at=now - timedelta(days=3))
    snapshot = changed(snapshot, NewsState, newest_published=now - timedelta(days=2))
    assert opening(snapshot) == set()


def test_bars_of_the_last_session_are_up_to_date_on_a_holiday() -> None:
    friday = datetime(2026, 2, 13, 20, 59, tzinfo=UTC)
    snapshot = healthy(PRESIDENTS_DAY, symbols=all_symbols(newest_bar=friday, newest_features=friday))
    assert found(snapshot) == {}


def test_what_was_lost_before_the_close_stays_open_overnight() -> None:
    evening = datetime(2026, 1, 26, 22, 0, tzinfo=UTC)
    snapshot = healthy(evening, symbols=all_symbols(newest_bar=evening - timedelta(minutes=90)))
    assert found(snapshot).keys() == {("feed_delayed", "bars")}
    assert opening(snapshot) == set()


def test_no_new_bar_for_five_session_minutes_is_critical() -> None:
    quiet = healthy(symbols=all_symbols(newest_bar=NOW - 5 * MINUTE))
    late = healthy(symbols=all_symbols(newest_bar=NOW - 6 * MINUTE))
    assert found(quiet) == {}
    (finding,) = found(late).values()
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["session_minutes"] == 5


def test_the_writer_that_ran_and_found_nothing_newer_points_at_the_provider() -> None:
    stale = all_symbols(newest_bar=NOW - 30 * MINUTE)
    dead = ledger(telemetry_ingestor=[past_run("telemetry_ingestor", NOW - 30 * MINUTE)])
    assert ("feed_delayed", "bars") in found(healthy(symbols=stale))
    assert ("bars_gap", "bars") in found(healthy(symbols=stale, runs=dead))


def test_the_night_and_the_first_minutes_of_a_session_do_not_count_as_lateness() -> None:
    friday = datetime(2026, 1, 23, 20, 59, tzinfo=UTC)
    monday = datetime(2026, 1, 26, 14, 34, tzinfo=UTC)
    snapshot = healthy(monday, symbols=all_symbols(newest_bar=friday, newest_features=friday))
    assert found(snapshot) == {}


EMPTY = {"newest_bar": None, "recent_bars": 0, "recent_since": None, "newest_features": None}


def test_an_empty_bars_table_is_red_in_a_session_and_unknown_on_a_weekend() -> None:
    assert found(healthy(symbols=all_symbols(**EMPTY)))["bars_gap", "bars"].severity is Severity.CRITICAL
    before = ledger(SATURDAY, telemetry_ingestor=[past_run("telemetry_ingestor", SATURDAY - 6 * MINUTE)])
    weekend = found(healthy(SATURDAY, symbols=all_symbols(**EMPTY), runs=before))
    assert weekend["bars_gap", "bars"].severity is Severity.UNKNOWN
    emptied = all_symbols(**EMPTY | {"newest_features": SATURDAY - timedelta(days=1)})
    assert found(healthy(SATURDAY, symbols=emptied))["bars_gap", "bars"].severity is Severity.CRITICAL


def test_a_new_environment_has_no_bars_yet_and_is_not_ill() -> None:
    for now in (SATURDAY, datetime(2026, 1, 26, 14, 34, tzinfo=UTC)):
        first = ledger(now, telemetry_ingestor=[past_run("telemetry_ingestor", now - MINUTE)])
        assert found(healthy(now, symbols=all_symbols(**EMPTY), runs=first)) == {}


def test_one_silent_symbol_is_told_from_a_silent_market() -> None:
    silent = symbols(state("AAPL", newest_bar=NOW - 40 * MINUTE), state("MSFT"))
    assert found(healthy(symbols=silent)).keys() == {("bars_gap", "AAPL")}


def test_a_thin_symbol_is_given_the_silence_that_it_is_used_to() -> None:
    habit = {"newest_bar": NOW - 40 * MINUTE, "recent_since": NOW - timedelta(days=6, hours=1)}
    thin = symbols(state("AAPL", **habit, recent_bars=200), state("MSFT"))
    busy = symbols(state("AAPL", **habit, recent_bars=1800), state("MSFT"))
    assert found(healthy(symbols=thin)) == {}
    assert found(healthy(symbols=busy)).keys() == {("bars_gap", "AAPL")}


def test_the_tolerance_falls_as_trade_grows_and_is_never_under_a_quarter_hour() -> None:
    since = NOW - timedelta(days=6, hours=1)
    limits = [
        freshness.silence_tolerated(state(recent_since=since, recent_bars=bars)) for bars in (40, 200, 800, 1600, 9999)
    ]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == freshness.SYMBOL_MINUTES_MIN


def test_bars_without_features_are_stale_features() -> None:
    late = {"unserved_since": NOW - 9 * MINUTE, "newest_features": NOW - 11 * MINUTE}
    (finding,) = found(healthy(symbols=all_symbols(**late))).values()
    assert (finding.key, finding.severity) == (("features_stale", "features"), Severity.CRITICAL)
    assert finding.evidence["session_minutes"] == {"AAPL": 9, "MSFT": 9}


def test_features_computed_lately_from_old_bars_do_not_hide_the_lag() -> None:
    # the symbol's features stop on Friday; Monday's bars wait, whatever the processing time of the features
    friday = datetime(2026, 1, 23, 20, 59, tzinfo=UTC)
    late = {"newest_features": friday, "unserved_since": datetime(2026, 1, 26, 14, 31, tzinfo=UTC)}
    assert found(healthy(symbols=all_symbols(**late))).keys() == {("features_stale", "features")}


def test_a_thin_symbol_without_new_bars_has_no_stale_features() -> None:
    quiet = symbols(state("AAPL", newest_bar=NOW - 12 * MINUTE, newest_features=NOW - 12 * MINUTE), state("MSFT"))
    assert found(healthy(symbols=quiet)) == {}


def feed(failures: int, name: str = "a") -> Feed:
    return Feed(
        feed_url=f"https://{name}.example/rss", last_ok_at=None, last_error="503", consecutive_failures=failures
    )


def test_a_feed_is_broken_after_three_failures() -> None:
    snapshot = changed(healthy(), NewsState, feeds=(feed(2), feed(3, "b")))
    assert {key: f.severity for key, f in found(snapshot).items()} == {
        ("feed_broken", "https://b.example/rss"): Severity.WARNING
    }
    lost = changed(healthy(), NewsState, feeds=(feed(3), feed(3, "b")))
    assert {f.severity for f in found(lost).values()} == {Severity.CRITICAL}


def test_no_news_at_all_is_unknown_where_no_feed_answers() -> None:
    deaf = changed(healthy(), NewsState, feeds=(feed(1),))
    empty = changed(deaf, NewsState, newest_published=None, newest_fetched=None)
    assert found(empty)["feed_broken", "news"].severity is Severity.UNKNOWN
    old = changed(deaf, NewsState, newest_published=NOW - timedelta(hours=7))
    assert found(old)["feed_broken", "news"].severity is Severity.WARNING


def test_a_quiet_day_is_no_fault_while_feeds_answer_and_a_frozen_week_is() -> None:
    assert found(changed(healthy(), NewsState, newest_published=None, newest_fetched=None)) == {}
    assert found(changed(healthy(), NewsState, newest_published=NOW - timedelta(days=3))) == {}
    frozen = found(changed(healthy(), NewsState, newest_published=NOW - timedelta(days=5)))
    assert frozen["feed_broken", "news"].severity is Severity.WARNING


def test_a_watchlist_two_periods_old_is_stale() -> None:
    assert found(changed(healthy(), Watch, computed_at=NOW - 10 * MINUTE)) == {}
    old = found(changed(healthy(), Watch, computed_at=NOW - 11 * MINUTE))
    assert old["backlog", "watchlist"].severity is Severity.WARNING


def test_an_empty_watchlist_is_unknown_unless_its_writer_has_just_said_so() -> None:
    empty = changed(healthy(), Watch, computed_at=None, rows=0)
    assert found(empty) == {}
    silent = ledger(watchlist_engine=[past_run("watchlist_engine", NOW - 11 * MINUTE)])
    unknown = found(changed(healthy(runs=silent), Watch, computed_at=None, rows=0))
    assert unknown["backlog", "watchlist"].severity is Severity.UNKNOWN


def test_the_watchlist_has_two_periods_after_the_open() -> None:
    early = datetime(2026, 1, 26, 14, 39, tzinfo=UTC)
    assert found(changed(healthy(early), Watch, computed_at=early - timedelta(days=3))) == {}


def test_a_sessions_table_about_to_end_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sessions.covered", lambda: (date(2006, 1, 1), NOW.date() + timedelta(days=59)))
    assert found(healthy())["config_invalid", "sessions"].severity is Severity.WARNING


# the run ledger ------------------------------------------------------------------------------------------------------


def minutes_ago(minutes: float) -> datetime:
    return NOW - minutes * MINUTE


def service_findings(service: str, runs: list[Any]) -> dict[str, Severity]:
    return {f.code: f.severity for f in found(healthy(runs=ledger(**{service: runs}))).values() if f.subject == service}


@pytest.mark.parametrize("service", [s.name for s in CATALOG if s.name != "healthcheck"])
def test_a_service_that_nobody_starts_is_found_whichever_it_is(service: str) -> None:
    period = CATALOG[service].period / MINUTE
    allowed = 3 * period + CATALOG[service].deadline_seconds / 60
    assert service_findings(service, [past_run(service, minutes_ago(allowed))]) == {}
    assert service_findings(service, [past_run(service, minutes_ago(allowed + 1))]) == {"backlog": Severity.CRITICAL}
    assert service_findings(service, []) == {"backlog": Severity.CRITICAL}


def test_all_eight_silent_services_are_named_at_once() -> None:
    silent = ledger(**{service.name: [] for service in CATALOG})
    assert {subject for code, subject in found(healthy(runs=silent)) if code == "backlog"} >= {
        service.name for service in CATALOG if service.name != "healthcheck"
    }


def test_a_ledger_without_a_line_is_unknown() -> None:
    empty = Runs(recent={}, completed={}, remembered={}, since=None)
    assert {f.severity for f in found(healthy(runs=empty)).values()} == {Severity.UNKNOWN}


def test_a_pipeline_that_has_just_been_started_is_not_late() -> None:
    fresh = replace(ledger(**{service.name: [] for service in CATALOG}), since=minutes_ago(2))
    assert found(healthy(runs=fresh)) == {}


def test_a_skipped_run_beats() -> None:
    assert service_findings("dispatcher", [past_run("dispatcher", minutes_ago(1), "SKIPPED")]) == {}


def test_a_run_without_an_end_past_its_deadline_hangs() -> None:
    good = past_run("dispatcher", minutes_ago(4))
    young = past_run("dispatcher", minutes_ago(1), None)
    old = past_run("dispatcher", minutes_ago(3), None)
    assert service_findings("dispatcher", [young, good]) == {}
    assert service_findings("dispatcher", [old, good]) == {"task_hang": Severity.CRITICAL}


def test_runs_that_stand_back_for_a_hung_one_are_no_progress() -> None:
    hung = past_run("dispatcher", minutes_ago(9), None)
    back = [past_run("dispatcher", minutes_ago(i), "SKIPPED", error="an earlier run …") for i in range(1, 9)]
    assert service_findings("dispatcher", [*back, hung]) == {"task_hang": Severity.CRITICAL}


def test_one_killed_run_that_a_good_one_followed_is_over() -> None:
    runs = [past_run("dispatcher", minutes_ago(1)), past_run("dispatcher", minutes_ago(2), None)]
    assert service_findings("dispatcher", runs) == {}


def test_runs_that_end_without_a_record_one_after_the_other_crash() -> None:
    runs = [past_run("dispatcher", minutes_ago(i), None) for i in range(1, 6)]
    assert service_findings("dispatcher", runs) == {"task_crash": Severity.CRITICAL}


@pytest.mark.parametrize(
    ("recorded", "code"), [("key_rejected", "key_rejected"), (None, "task_crash"), ("x", "task_crash")]
)
def test_failing_runs_carry_the_cause_that_they_recorded(recorded: str | None, code: str) -> None:
    failed = {"outcome": "FAILED", "error": "401", "error_code": recorded}
    runs = [past_run("telemetry_ingestor", minutes_ago(i), **failed) for i in range(1, 4)]
    assert service_findings("telemetry_ingestor", [runs[0], past_run("telemetry_ingestor", minutes_ago(2))]) == {}
    good = past_run("telemetry_ingestor", minutes_ago(4))
    assert service_findings("telemetry_ingestor", [*runs, good]) == {code: Severity.CRITICAL}


def test_two_failures_after_a_recent_success_are_a_warning() -> None:
    failed = [past_run("dispatcher", minutes_ago(i), "FAILED", error="x") for i in (1, 2)]
    assert service_findings("dispatcher", [*failed, past_run("dispatcher", minutes_ago(3))]) == {
        "task_crash": Severity.WARNING
    }


def test_failures_of_long_ago_do_not_hide_that_nobody_starts_it_now() -> None:
    failed = [past_run("dispatcher", minutes_ago(60 + i), "FAILED", error="x") for i in range(3)]
    assert service_findings("dispatcher", failed) == {"backlog": Severity.CRITICAL}


def test_three_degraded_runs_are_a_warning() -> None:
    runs = [past_run("rss_ingest", minutes_ago(5 * i), "DEGRADED", error="1 of 3 feeds") for i in range(1, 4)]
    assert service_findings("rss_ingest", runs[:2]) == {}
    assert service_findings("rss_ingest", runs) == {"backlog": Severity.WARNING}


def test_the_watcher_says_that_it_was_away() -> None:
    assert service_findings("healthcheck", [past_run("healthcheck", minutes_ago(40))]) == {
        "watcher_silent": Severity.WARNING
    }
    assert service_findings("healthcheck", []) == {}


def test_a_service_that_ran_last_week_and_is_not_declared_is_found() -> None:
    runs = ledger()
    gone = replace(runs, remembered={**runs.remembered, "sentiment_worker": NOW - timedelta(days=2)})
    assert found(healthy(runs=gone)).keys() == {("config_invalid", "sentiment_worker")}


def versions(service: str, *starts: tuple[float, str], parameter: str = "tickers") -> list[Any]:
    return [past_run(service, minutes_ago(at), parameter_versions={parameter: version}) for at, version in starts]


def test_two_lists_of_tickers_are_found() -> None:
    runs = ledger(
        telemetry_ingestor=versions("telemetry_ingestor", (1, "new"), (2, "new"), (6, "new")),
        classifier=versions("classifier", (5, "old"), (10, "old")),
    )
    assert found(healthy(runs=runs)).keys() == {("ticker_config", "tickers")}


def test_a_change_that_has_not_reached_the_slower_service_yet_is_no_difference() -> None:
    runs = ledger(
        telemetry_ingestor=versions("telemetry_ingestor", (1, "new"), (2, "new"), (6, "old")),
        classifier=versions("classifier", (5, "old")),
    )
    assert found(healthy(runs=runs)) == {}


def test_a_secret_kept_in_two_places_is_found() -> None:
    runs = ledger(
        telemetry_ingestor=versions("telemetry_ingestor", (1, "a"), (2, "a"), parameter="alpaca_key_id"),
        dispatcher=versions("dispatcher", (1, "b"), (2, "b"), parameter="alpaca_key_id"),
    )
    assert found(healthy(runs=runs)).keys() == {("config_invalid", "alpaca_key_id")}


def test_of_a_secret_kept_in_two_places_the_refused_one_is_said() -> None:
    refused = [
        past_run("telemetry_ingestor", NOW - n * MINUTE, "FAILED", error="401", error_code="key_rejected",
                 parameter_versions={"alpaca_key_id": "a"})
        for n in (1, 2)
    ]  # fmt: skip
    other = versions("dispatcher", (1, "b"), (2, "b"), parameter="alpaca_key_id")
    runs = ledger(telemetry_ingestor=refused, dispatcher=other)
    assert {code for code, _ in found(healthy(runs=runs))} == {"key_rejected"}


# gaps, refused bars, tickers -----------------------------------------------------------------------------------------


def gap(minutes_old: float, cause: str = "our_outage") -> GapGroup:
    return GapGroup(
        symbol="AAPL",
        cause=cause,
        minutes=15,
        first_minute=minutes_ago(45),
        last_minute=minutes_ago(31),
        detected_at=minutes_ago(minutes_old),
    )


def test_a_gap_has_ten_minutes_to_heal() -> None:
    assert found(changed(healthy(), Missing, gaps=(gap(9),))) == {}
    finding = found(changed(healthy(), Missing, gaps=(gap(10),)))["bars_gap", "AAPL"]
    assert finding.severity is Severity.CRITICAL
    assert "--symbols AAPL" in finding.repair


def test_a_late_feed_is_less_than_our_own_outage() -> None:
    finding = found(changed(healthy(), Missing, gaps=(gap(60, "feed_late"),)))["bars_gap", "AAPL"]
    assert finding.severity is Severity.WARNING


def test_refused_bars_are_told_with_their_reason() -> None:
    group = RejectedGroup(reason="high below low", bars=3, symbols=("AAPL",), last_seen=NOW)
    finding = found(changed(healthy(), Missing, rejected=(group,)))["provider_error", "bars_rejected"]
    assert "high below low (3)" in finding.summary


def test_a_followed_symbol_without_any_bar_is_a_matter_of_configuration() -> None:
    nothing = {"newest_bar": None, "recent_bars": 0, "recent_since": None, "newest_features": None}
    assert found(healthy(symbols=symbols(state("AAPL", **nothing), state("MSFT")))).keys() == {
        ("ticker_config", "AAPL")
    }


def test_a_thin_symbol_may_have_its_first_bar_an_hour_after_the_others() -> None:
    nothing = {"newest_bar": None, "recent_bars": 0, "recent_since": None, "newest_features": None}
    new = symbols(state("AAPL", **nothing), state("MSFT", recent_since=NOW - 59 * MINUTE, recent_bars=59))
    assert found(healthy(symbols=new)) == {}


def test_bars_of_a_symbol_that_is_not_followed_are_found_only_while_they_come() -> None:
    extra = symbols(state("AAPL"), state("MSFT"), state("TSLA"))
    former = symbols(state("AAPL"), state("MSFT"), state("TSLA", newest_bar=NOW - timedelta(days=4)))
    assert found(healthy(symbols=extra)).keys() == {("ticker_config", "TSLA")}
    assert found(healthy(symbols=former)) == {}


# stuck rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        (Dispatching, {"lease_over": 1, "oldest_lease": minutes_ago(3)}, ("stuck_rows", "dispatches claimed")),
        (Dispatching, {"pending": 100, "oldest_pending": minutes_ago(6)}, ("backlog", "dispatches pending")),
        (Dispatching, {"untaken_signals": 1, "oldest_untaken": minutes_ago(6)}, ("backlog", "signals untaken")),
        (NewsState, {"unclassified": 5, "oldest_unclassified": minutes_ago(11)}, ("backlog", "news")),
        (Schema, {"pending": ("0008_more",)}, ("db_schema", "migrations")),
        (Schema, {"edited": "migration 0003 was edited"}, ("db_schema", "migrations")),
        (Schema, {"missing": ("column features.volume_ratio double precision",)}, ("db_schema", "tables")),
    ],
)
def test_what_waits_too_long_or_differs_is_found(kind: type, values: dict[str, Any], key: tuple[str, str]) -> None:
    assert found(changed(healthy(), kind, **values)).keys() == {key}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Dispatching, {"lease_over": 1, "oldest_lease": minutes_ago(2)}),
        (Dispatching, {"pending": 3, "oldest_pending": minutes_ago(5)}),
        (NewsState, {"unclassified": 5, "oldest_unclassified": minutes_ago(10)}),
        (Schema, {"foreign": ("column features.next text",)}),
    ],
)
def test_what_waits_within_its_time_is_no_fault(kind: type, values: dict[str, Any]) -> None:
    assert found(changed(healthy(), kind, **values)) == {}


# unknown -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(healthy().parts))
def test_a_part_that_cannot_be_read_makes_unknown_what_depends_on_it(kind: type) -> None:
    snapshot = healthy()
    blind = replace(
        snapshot, parts={**snapshot.parts, kind: Unreadable(reason="permission denied", code="db_permission")}
    )
    report = checks.evaluate(blind)
    dependent = {check.name for check in checks.OF_DATABASE if kind in check.needs}
    unknown = {finding.subject for finding in report.findings if finding.severity is Severity.UNKNOWN}
    assert dependent
    assert unknown == dependent == {check.name for check in report.unjudged}
    assert ("db_permission", kind.__name__) in {finding.key for finding in report.findings}


def test_data_outside_the_calendar_make_a_check_unknown_and_leave_the_others_be() -> None:
    ancient = healthy(symbols=all_symbols(newest_bar=datetime(1999, 1, 4, 15, 0, tzinfo=UTC)))
    report = checks.evaluate(ancient)
    assert "bars_fresh" in {check.name for check in report.unjudged}
    assert "services_progress" in {check.name for check in report.judged}


def test_checks_use_only_the_codes_that_they_declare() -> None:
    for check in checks.ALL:
        assert check.codes
        assert check.question.endswith("?")
    assert len({check.name for check in checks.ALL}) == len(checks.ALL)


def no_change() -> Change:
    return Change(opened=(), kept=(), missed=(), cleared=(), untouched=())


def test_what_was_not_read_is_no_number() -> None:
    snapshot = healthy()
    blind = replace(snapshot, parts={**snapshot.parts, Symbols: Unreadable(reason="x", code=None)})
    assert measures.metrics(snapshot, no_change())["SessionMinutesSinceLastBarWorst"] == 0
    assert measures.metrics(blind, no_change())["SessionMinutesSinceLastBarWorst"] is None


def test_a_symbol_without_any_bar_makes_the_worst_lag_unknown() -> None:
    nothing = symbols(state("AAPL", newest_bar=None), state("MSFT"))
    assert measures.metrics(healthy(symbols=nothing), no_change())["SessionMinutesSinceLastBarWorst"] is None


def test_a_part_that_a_check_did_not_ask_for_is_an_error() -> None:
    snapshot = replace(healthy(), parts={})
    with pytest.raises(TypeError, match="needs"):
        snapshot.part(Market)


@pytest.mark.parametrize(
    ("name", "age", "staged"),
    [
        ("/ops-pipeline/alpaca_key_id/next", timedelta(minutes=59), True),
        ("/ops-pipeline/alpaca_key_id/next", timedelta(hours=1), False),
        ("/ops-pipeline/alpaca_api_key/next", timedelta(minutes=1), False),
        ("/ops-pipeline/alpaca_key_id", timedelta(minutes=1), False),
    ],
)
def test_what_waits_for_a_rotation_is_unread_on_purpose_for_an_hour(name: str, age: timedelta, staged: bool) -> None:
    parameter = Parameter(
        name=name, arn="", type="SecureString", key="", version=1, modified_at=NOW - age, modified_by=""
    )
    assert stored._is_staged(name, parameter, {"/ops-pipeline/alpaca_key_id"}, NOW) is staged
