"""Outages and kills: whatever befalls which service, and when, nothing is lost, doubled or left undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.local.postgres import Database
from ops.local.runtime import ForkRuntime
from pipeline import store
from replay_world import DAY, EAGER, SERVICES, eventful_market, replayed

NEWS = """published_at,title,summary,link
2026-01-26T14:31:00Z,Apple shares jump after strong quarterly earnings beat expectations,,https://news.invalid/1
rubbish
2026-13-26T14:31:00Z,No such month,,https://news.invalid/2
2026-01-26T14:36:00Z,Tesla misses earnings estimates and cuts full-year guidance,,https://news.invalid/3
2026-01-26T14:39:59Z,"Stocks, to watch today",,https://news.invalid/4
2026-01-26T14:40:01Z,Published after the end of the replay,,https://news.invalid/5
"""


@pytest.fixture
def news(tmp_path: Path) -> Path:
    path = tmp_path / "news.csv"
    path.write_text(NEWS, encoding="utf-8")
    return path


def test_a_plain_replay_reports_every_key_that_was_asked_for(database: Database, news: Path) -> None:
    report = replayed(database.url, eventful_market(), end="09:40", news=news)
    keys = (
        "session symbols session_bars_in_file session_bars_stored bars_lost bars_duplicated features features_wrong"
        " lookahead_violations news sentiments signals dispatches dispatches_duplicated gaps runs wall_seconds"
        " peak_rss_mb"
    )
    assert set(keys.split()) <= set(vars(report))
    assert report.session == {
        "date": str(DAY),
        "open": "2026-01-26T14:30:00+00:00",
        "close": "2026-01-26T21:00:00+00:00",
    }
    assert report.symbols == ["AAPL", "TSLA"]
    assert (report.session_bars_in_file, report.session_bars_stored, report.features) == (20, 20, 20)
    assert (report.news, report.sentiments) == (3, 3)  # the fourth comes too late
    assert [row["line"] for row in report.news_rejected] == [3, 4]
    assert set(report.runs) == set(SERVICES)
    assert sum(report.runs[SERVICES[0]].values()) == 10
    assert report.faults == {}
    assert report.clean


def test_all_services_killed_in_their_last_run_make_up_for_it(database: Database, news: Path) -> None:
    report = replayed(database.url, eventful_market(), end="09:40", news=news, kills=[f"{s}@09:40" for s in SERVICES])
    assert [report.runs[service].get("KILLED") for service in SERVICES] == [1] * len(SERVICES)
    assert len(report.runs_killed) == len(SERVICES)
    assert (report.session_bars_stored, report.features, report.sentiments) == (20, 20, 3)
    assert report.faults == {}


def test_all_services_out_until_the_end_make_up_for_it(database: Database, news: Path) -> None:
    outages = [f"{service}=09:33-23:59" for service in SERVICES]
    report = replayed(database.url, eventful_market(), end="09:40", news=news, outages=outages)
    assert report.runs_held_back[SERVICES[0]] == 8
    assert (report.session_bars_stored, report.features, report.sentiments) == (20, 20, 3)
    assert report.gaps["our_outage"] > 0
    assert report.gaps == report.gaps_backfilled
    assert report.faults == {}


@pytest.mark.slow
def test_kills_at_the_close_are_made_up_for_after_it(database: Database) -> None:
    report = replayed(
        database.url,
        eventful_market(),
        start="15:54",
        kills=[f"{service}@16:00" for service in SERVICES],
        outages=[f"{SERVICES[0]}=15:55-15:59"],
    )
    assert (report.session_bars_in_file, report.session_bars_stored) == (12, 12)
    assert report.faults == {}


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_killed_after_its_outage_and_no_signal_is_traded_twice(
    database: Database, service: str
) -> None:
    """From 09:45 on both symbols have signals, which these limits let through."""
    report = replayed(
        database.url,
        eventful_market(),
        EAGER,
        start="09:43",
        end="09:53",
        outages=[f"{service}=09:46-09:49"],
        kills=[f"{service}@09:49"],
    )
    assert len(report.runs_killed) == 1
    assert report.faults == {}
    assert report.signals >= 1
    assert report.dispatches == report.signals
    assert (report.session_bars_stored, report.features) == (20, 20)


def test_a_kill_loses_the_write_that_it_interrupts(database: Database) -> None:
    replayed(database.url, eventful_market(), end="09:33", kills=[f"{SERVICES[0]}@09:32"])
    with store.connect(database.url) as connection:
        rows = connection.execute(
            "select ts, ingested_at from bars where symbol = 'AAPL' and ts >= %s order by ts", [DAY]
        )
        stored_at = [(f"{ts:%H:%M}", f"{at:%H:%M}") for ts, at in rows]
    assert stored_at[:3] == [("14:30", "14:31"), ("14:31", "14:33"), ("14:32", "14:33")]


def test_a_service_that_only_fails_is_shown_and_makes_the_replay_unclean(database: Database) -> None:
    unusable = {"dispatch_limits": '{"mode": "SIMULATED",}'}
    report = replayed(database.url, eventful_market(), unusable, end="09:32")
    assert not report.clean
    assert report.unfinished == [f"{DAY} dispatcher"]
    assert report.runs["dispatcher"] == {"FAILED": report.runs_failed}
    assert "parameter dispatch_limits (DISPATCH_LIMITS): not JSON" in report.failures[0]


def test_a_run_that_cannot_be_started_fails_the_replay_with_words(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the machine is out of processes: the process that starts runs is gone."""
    started = ForkRuntime.start

    def start_and_lose(self: ForkRuntime, *arguments: object, **options: object) -> object:
        self._process.kill()
        self._process.wait()
        return started(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ForkRuntime, "start", start_and_lose)
    from ops.local.runtime import RuntimeFailed

    with pytest.raises(RuntimeFailed, match="process that starts runs"):
        replayed(database.url, eventful_market(), end="09:32")
