"""A terraform that is killed, interrupted or locked out leaves nobody behind and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops import terraform_process
from ops.terraform_process import Ended

LOCKED = Path(__file__).with_name("state_lock.txt").read_text()  # as terraform 1.11 words it


def script(folder: Path, text: str) -> list[str]:
    """A command that plays terraform."""
    path = folder / "terraform"
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_output_is_kept_and_quiet_shows_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = terraform_process.run(script(tmp_path, "echo out; echo err >&2; exit 3"), os.environ, tmp_path, quiet=True)
    assert ended == Ended(code=3, stdout="out\n", stderr="err\n")
    assert capfd.readouterr() == ("", "")


def test_a_killed_terraform_leaves_no_provider(tmp_path: Path) -> None:
    play = "sleep 60 & echo $! > provider; sleep 0.2; kill -9 $$"
    ended = terraform_process.run(script(tmp_path, play), os.environ, tmp_path, quiet=True)
    assert ended.code == -signal.SIGKILL
    provider = int((tmp_path / "provider").read_text())
    for _ in range(100):
        if not psutil.pid_exists(provider) or psutil.Process(provider).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    pytest.fail(f"the provider, process {provider}, still runs")


def begun(folder: Path, play: str, *, finish: bool = False) -> subprocess.Popen[bytes]:
    """A process that runs such a terraform and ends with its code, once that is up. Ctrl-C alone does not end it."""
    program = (
        "import os, signal, sys; from pathlib import Path; from ops import terraform_process\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        f"ended = terraform_process.run({script(folder, play)!r}, os.environ, Path({str(folder)!r}), finish={finish})\n"
        "sys.exit(ended.code)"
    )
    runner = subprocess.Popen([sys.executable, "-c", program])
    while not (folder / "up").exists():
        time.sleep(0.02)
    return runner


def appears(path: Path) -> bool:
    """Whether it is there within four seconds."""
    for _ in range(200):
        if path.exists():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_reaches_terraform_which_ends_by_itself(tmp_path: Path, signum: signal.Signals) -> None:
    runner = begun(tmp_path, "trap 'echo lock given back > told; exit 1' INT; touch up; sleep 30 & wait")
    runner.send_signal(signum)
    assert runner.wait(10) == 1
    assert (tmp_path / "told").read_text() == "lock given back\n"


def test_terraform_is_interrupted_when_its_runner_is_killed_and_may_say_so(tmp_path: Path) -> None:
    """Nobody reads any more what it writes, of which it must not die: it still has to give its lock back."""
    play = "trap 'sleep 0.2; echo stopping && echo stopping >&2 && touch told; exit 1' INT; touch up; sleep 30 & wait"
    runner = begun(tmp_path, play)
    runner.kill()
    runner.wait()
    assert appears(tmp_path / "told"), "terraform went on without its runner"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_one_that_is_to_finish_does_whatever_happens_to_its_runner(tmp_path: Path, signum: signal.Signals) -> None:
    runner = begun(tmp_path, "trap 'touch disturbed' INT; touch up; sleep 0.5; touch finished", finish=True)
    runner.send_signal(signum)
    assert runner.wait(10) == (0 if signum is signal.SIGINT else -signum)
    assert appears(tmp_path / "finished"), "terraform ended with its runner"
    assert not (tmp_path / "disturbed").exists()


def test_the_holder_of_a_state_lock_is_told_in_words() -> None:
    told = Ended(code=1, stdout="", stderr=LOCKED).lock_held
    assert told == (
        "ana@desk has been at it since 2026-01-26 15:12:00.1 +0000 UTC "
        "(Apply, lock 6dd3ba4f-8f6b-6a7b-4f6b-0d1c3a0e8f11)"
    )
    assert Ended(code=1, stdout="", stderr="Error: no such thing").lock_held is None
