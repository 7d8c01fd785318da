"""The command as a process: what it prints, how it ends, and that nothing of it outlives it."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ops import __main__ as commands
from ops.local.postgres import Database
from replay_world import DAY, ROOT, csv_of, eventful_market, lines_of, running

PATIENCE_SECONDS = 90


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return csv_of(tmp_path / "bars.csv", [line for line in lines_of(eventful_market()) if line.startswith(str(DAY))])


def started(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that the replay has started, once its own PostgreSQL serves the first run's connection."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        family = psutil.Process(process.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):  # a run that has just ended
            if sum(child.name() == "postgres" for child in family) > 7:
                return family
        time.sleep(0.1)
    raise TimeoutError("the replay started no PostgreSQL")


def outlives(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are still there after a few seconds."""
    _, alive = psutil.wait_procs(family, timeout=15)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_clean_replay_in_fresh_processes_exits_with_0_and_writes_its_report(
    database: Database, bars: Path, tmp_path: Path
) -> None:
    """At a speed of its own, so that the bar of progress and the clock are at work too."""
    report = tmp_path / "report.json"
    options = ("--from", "09:31", "--to", "09:33", "--runtime", "process", "--speed", "6000", "--report", report)
    with running("--bars", bars, "--database", database.url, *options) as process:
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, error
    assert "Nothing lost, duplicated, wrong or ahead of its time." in " ".join(out.split())
    found = json.loads(report.read_text())
    assert found["session_bars_in_file"] == found["session_bars_stored"]


def test_what_is_lost_exits_with_3(database: Database, bars: Path, tmp_path: Path) -> None:
    """The database swallows every feature without a word."""
    with database.connect() as connection:
        connection.execute("create function lose() returns trigger language plpgsql as 'begin return null; end'")
        connection.execute("create trigger lose before insert on features for each row execute function lose()")
    report = tmp_path / "report.json"
    with running("--bars", bars, "--database", database.url, "--to", "09:33", "--report", report) as process:
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3, out + error
    assert "features missing" in out
    assert json.loads(report.read_text())["features_missing"] > 0
    assert "Traceback" not in out + error


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_replay_that_is_stopped_leaves_no_process(bars: Path, signum: int, code: int) -> None:
    with running("--bars", bars) as process:
        family = started(process)
        os.killpg(process.pid, signum) if signum == signal.SIGINT else process.send_signal(signum)
        _, error = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == code
        assert "Traceback" not in error
        assert outlives(family) == []


def test_ctrl_c_while_a_command_loads_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runpy, "run_module", interrupted)
    monkeypatch.setattr(sys, "argv", ["ops", "replay"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 130


def test_a_database_killed_in_mid_replay_ends_it_with_words(bars: Path) -> None:
    with running("--bars", bars) as process:
        family = started(process)
        server = next(child for child in family if child.name() == "postgres" and child.ppid() == process.pid)
        server.kill()
        _, error = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1
        assert "the database went away in mid-replay" in error
        assert "Traceback" not in error
        assert outlives(family) == []


def test_a_killed_replay_leaves_no_process(bars: Path) -> None:
    with running("--bars", bars) as process:
        family = started(process)
        process.kill()
        process.wait()
        assert outlives(family) == []


def test_the_script_answers_help() -> None:
    ended = subprocess.run([ROOT / "scripts" / "replay", "--help"], capture_output=True, text=True, check=True)
    asked_for = {"bars", "news", "from", "to", "outage", "kill", "runtime", "speed", "seed", "report"}
    assert asked_for <= set(re.findall(r"--(\w+)", ended.stdout))
