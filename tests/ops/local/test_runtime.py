"""Both kinds of runtime against one small service; what holds for a fresh interpreter must hold for a fork."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from ops.local.runtime import IMAGE_FOLDERS, ForkRuntime, ProcessRuntime, Run, Runtime, RuntimeFailed

if TYPE_CHECKING:
    from ops.local.postgres import Database

# The fake service does what DO says; `ideas` is the submodule that counts how often it was imported.
MAIN = """
import atexit, json, os, random, signal, sys, threading, time
from fake_service import ideas
exec(os.environ["DO"])
"""
IDEAS = """
import os
IMPORTED_BY = os.getpid()
"""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    root = tmp_path_factory.mktemp("images")
    for name, text in {"__init__": '"""A service."""', "ideas": IDEAS, "__main__": MAIN}.items():
        path = root / "fake_service" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (root / "broken_service").mkdir()
    (root / "broken_service" / "__init__.py").write_text("")
    (root / "broken_service" / "part.py").write_text("1 / 0\n")
    (root / "broken_service" / "__main__.py").write_text("from broken_service import part\n")
    return (root, *IMAGE_FOLDERS)


Make = Callable[[], Runtime]


@pytest.fixture(scope="module", params=["fork", "process"])
def make(request: pytest.FixtureRequest, roots: tuple[Path, ...]) -> Make:
    if request.param == "fork":
        return lambda: ForkRuntime(["fake_service", "broken_service"], roots=roots)
    return lambda: ProcessRuntime(roots=roots)


@pytest.fixture(scope="module")
def runtime(make: Make) -> Iterator[Runtime]:
    with make() as made:
        yield made


@pytest.fixture(scope="module")
def fork(roots: tuple[Path, ...]) -> Iterator[ForkRuntime]:
    with ForkRuntime(["fake_service", "broken_service"], roots=roots, modules=["numpy.random", "psycopg"]) as made:
        yield made


def do(runtime: Runtime, code: str, **env: str) -> Run:
    return runtime.start("fake_service", {"DO": code, **env})


def output_of(runtime: Runtime, code: str, **env: str) -> str:
    run = do(runtime, code, **env)
    assert run.wait(20) == 0, run.output
    return run.output.strip()


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


# --- the exit code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("sys.exit(256 + 7)", 7),
        ("sys.exit('no such thing')", 1),
        ("1 / 0", 1),
        ("os._exit(9)", 9),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(5)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", -signal.SIGINT),
        ("os.abort()", -signal.SIGABRT),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); os.kill(os.getpid(), signal.SIGTERM)", 4),
        ("atexit.register(os._exit, 5)", 5),
        ("threading.Thread(target=lambda: (time.sleep(0.1), os._exit(6))).start()", 6),
        ("sys.stdout = open('/dev/full', 'w'); print('lost')", 120),
    ],
)
def test_a_run_ends_as_the_interpreter_would(
    runtime: Runtime, roots: tuple[Path, ...], code: str, expected: int
) -> None:
    assert do(runtime, code).wait(20) == expected
    env = {"DO": code, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    fresh = subprocess.run([sys.executable, "-m", "fake_service"], env=env, capture_output=True, timeout=20)
    assert fresh.returncode == expected


def test_a_crash_shows_the_services_own_traceback_and_nothing_of_ours(runtime: Runtime) -> None:
    run = do(runtime, "1 / 0")
    run.wait(20)
    assert "ZeroDivisionError: division by zero" in run.output
    assert "fake_service/__main__.py" in run.output
    assert "zygote" not in run.output


def test_a_service_that_cannot_be_imported_fails_its_own_run(runtime: Runtime) -> None:
    run = runtime.start("broken_service", {})
    assert run.wait(20) == 1
    assert "ZeroDivisionError" in run.output
    assert do(runtime, "pass").wait(20) == 0


def test_a_service_that_is_not_there_fails_with_its_name(runtime: Runtime) -> None:
    run = runtime.start("no_such_service", {})
    assert run.wait(20) == 1
    assert "no_such_service" in run.output


def test_a_missing_working_folder_is_told(runtime: Runtime, tmp_path: Path) -> None:
    run = runtime.start("fake_service", {"DO": "pass"}, cwd=tmp_path / "none")
    assert run.wait(20) == 127
    assert "cannot start fake_service" in run.output


# --- what a run is given


def test_the_environment_is_exactly_what_was_given(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_KEY_ID", "of the shell")
    told = json.loads(output_of(runtime, "print(json.dumps(dict(os.environ)))", TICKERS="AAPL"))
    told.pop("LC_CTYPE", None)  # a fresh interpreter's own, in a C locale
    assert told.keys() == {"DO", "TICKERS", "PYTHONPATH"}
    assert told["TICKERS"] == "AAPL"


def test_the_time_zone_is_the_runs_own(runtime: Runtime) -> None:
    assert output_of(runtime, "print(time.tzname[0])", TZ="America/New_York") == "EST"
    assert output_of(runtime, "print(time.tzname[0])", TZ="UTC") == "UTC"


def test_the_service_is_main_and_knows_its_package(runtime: Runtime) -> None:
    code = "print(__name__, __package__, sys.modules['__main__'].__spec__.name, os.path.basename(sys.argv[0]))"
    assert output_of(runtime, code) == "__main__ fake_service fake_service.__main__ __main__.py"


def test_a_run_starts_in_its_folder(runtime: Runtime, tmp_path: Path) -> None:
    run = runtime.start("fake_service", {"DO": "print(os.getcwd(), sys.path[0])"}, cwd=tmp_path)
    run.wait(20)
    assert run.output.split() == [str(tmp_path), str(tmp_path)]


def test_signals_are_as_in_a_fresh_interpreter(runtime: Runtime) -> None:
    code = (
        "print([signal.getsignal(s) in (signal.SIG_DFL, signal.default_int_handler)"
        " for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)],"
        " signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    )
    assert output_of(runtime, code) == "[True, True, True, True] True set()"


def test_a_run_holds_no_files_of_ours(runtime: Runtime) -> None:
    code = "print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 64) if os.path.exists(f'/proc/self/fd/{n}')])"
    assert output_of(runtime, code) == "[]"


def test_two_runs_draw_different_random_numbers(fork: ForkRuntime) -> None:
    code = "import numpy; print(random.random(), numpy.random.random())"
    first, second = (output_of(fork, code).split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_forked_run_finds_the_modules_loaded_and_leaves_no_trace_in_them(fork: ForkRuntime) -> None:
    first = output_of(fork, "print(ideas.IMPORTED_BY, os.getppid(), hasattr(ideas, 'stain')); ideas.stain = 1")
    second = output_of(fork, "print(ideas.IMPORTED_BY, os.getppid(), hasattr(ideas, 'stain'))")
    assert first == second
    importer, zygote, stained = first.split()
    assert importer == zygote
    assert stained == "False"


def test_what_main_imports_is_loaded_before_the_fork(roots: tuple[Path, ...], tmp_path: Path) -> None:
    folder = tmp_path / "reading_service"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(
        "import sys\nprint('pipeline.sessions' in sys.modules, 'colorsys' in sys.modules)\n"
        "from pipeline import sessions\nfrom colorsys import rgb_to_hls\n"
    )
    with ForkRuntime(["reading_service"], roots=(tmp_path, *roots)) as runtime:
        run = runtime.start("reading_service", {})
        assert run.wait(20) == 0
        assert run.output == "True True\n"
        assert runtime.wait_ready() == {}


def test_what_could_not_be_preloaded_is_told(fork: ForkRuntime) -> None:
    assert fork.wait_ready() == {"broken_service.part": "ZeroDivisionError: division by zero"}


# --- what it printed


def test_output_and_errors_come_in_their_order(runtime: Runtime) -> None:
    code = "print('one', flush=True); print('two', file=sys.stderr); print('three')"
    assert output_of(runtime, code) == "one\ntwo\nthree"


def test_what_was_buffered_is_written_at_exit_and_exit_functions_run_once(runtime: Runtime) -> None:
    assert output_of(runtime, "atexit.register(print, 'bye'); sys.stdout.write('hello ')") == "hello bye"


def test_output_can_be_read_while_the_run_goes_on(runtime: Runtime) -> None:
    run = do(runtime, "print('working', flush=True); time.sleep(30)")
    assert wait_for(lambda: run.output == "working\n")
    run.kill()
    assert run.wait(20) == -signal.SIGKILL
    assert run.output == "working\n"


def test_a_log_file_is_appended_to_and_each_run_knows_its_part(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    texts = []
    for number in "12":
        run = runtime.start("fake_service", {"DO": f"print('run {number}')"}, output=log)
        run.wait(20)
        texts.append(run.output)
    assert texts == ["run 1\n", "run 2\n"]
    assert log.read_text() == "run 1\nrun 2\n"


def test_a_megabyte_of_output_blocks_nobody(runtime: Runtime) -> None:
    assert len(output_of(runtime, "print('x' * 2**20)")) == 2**20


# --- following it


def test_a_killed_run_ends_with_the_signal_and_a_second_kill_is_harmless(runtime: Runtime) -> None:
    run = do(runtime, "time.sleep(30)")
    assert run.poll() is None
    run.kill(signal.SIGTERM)
    assert run.wait(20) == -signal.SIGTERM
    run.kill()
    assert run.poll() == -signal.SIGTERM


def test_waiting_too_long_is_an_error_and_the_run_goes_on(runtime: Runtime) -> None:
    run = do(runtime, "time.sleep(0.5)")
    with pytest.raises(TimeoutError, match=rf"fake_service \(pid {run.pid}\) still runs after 0.05 s"):
        run.wait(0.05)
    assert run.wait(20) == 0


def test_the_pid_is_the_runs_own(runtime: Runtime) -> None:
    run = do(runtime, "print(os.getpid())")
    run.wait(20)
    assert int(run.output) == run.pid


def test_runs_started_by_many_threads_overlap_and_keep_their_own_output(runtime: Runtime) -> None:
    runs: list[tuple[str, Run]] = []

    def start(name: str) -> None:
        runs.append((name, do(runtime, f"time.sleep(0.3); print({name!r}); sys.exit({len(name)})")))

    threads = [threading.Thread(target=start, args=("x" * n,)) for n in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.pid for _, run in runs}) == 12
    assert [(run.wait(30), run.output.strip()) for _, run in runs] == [(len(name), name) for name, _ in runs]


def test_peak_memory_is_the_runs_own_and_not_the_starters(make: Make) -> None:
    ballast = bytearray(os.urandom(2**20) * 300)
    with make() as runtime:
        small, large = do(runtime, "pass"), do(runtime, "x = bytearray(os.urandom(2**20)) * 200")
        small.wait(20), large.wait(20)
    assert small.peak_rss_mb and large.peak_rss_mb
    assert small.peak_rss_mb < 150 < len(ballast) / 2**20
    assert large.peak_rss_mb - small.peak_rss_mb == pytest.approx(200, abs=25)


def test_thousands_of_kept_runs_keep_no_files_open(runtime: Runtime) -> None:
    before = psutil.Process().num_fds()
    runs = [do(runtime, "pass") for _ in range(5)]
    assert [run.wait(20) for run in runs] == [0] * 5
    assert psutil.Process().num_fds() == before


# --- ends that come too early


def test_closing_kills_what_still_runs(make: Make) -> None:
    with make() as runtime:
        run = do(runtime, "time.sleep(60)")
    assert run.wait(1) == -signal.SIGKILL
    assert gone(run.pid)
    with pytest.raises(RuntimeFailed, match="has ended"):
        runtime.start("fake_service", {"DO": "pass"})


def test_runs_of_a_killed_starter_are_told_as_lost_and_end_with_it(make: Make) -> None:
    with make() as runtime:
        run = do(runtime, "time.sleep(60)")
        runtime._process.kill()
        with pytest.raises(RuntimeFailed, match=rf"fake_service \(pid {run.pid}\) was lost.*exit code -9"):
            run.wait(10)
        with pytest.raises(RuntimeFailed):
            do(runtime, "pass")
    if sys.platform == "linux":
        assert wait_for(lambda: gone(run.pid))


OWNER = """
import sys, time
from ops.local.runtime import {kind}
runtime = {kind}({arguments}roots={roots})
run = runtime.start("fake_service", {{"DO": "time.sleep(60)"}})
print(runtime._process.pid, run.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["ForkRuntime", "ProcessRuntime"])
def test_nothing_outlives_an_owner_that_is_killed(roots: tuple[Path, ...], kind: str) -> None:
    arguments = "['fake_service'], " if kind == "ForkRuntime" else ""
    code = OWNER.format(kind=kind, arguments=arguments, roots=[str(root) for root in roots])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        owner.kill()
    assert wait_for(lambda: all(gone(pid) for pid in pids))


def test_a_module_that_starts_threads_is_refused_for_forking(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1,)).start()\n"
    )
    with (
        ForkRuntime([], modules=["busy"], roots=[tmp_path]) as runtime,
        pytest.raises(RuntimeFailed, match="started 1 threads"),
    ):
        runtime.wait_ready()


# --- with the real thing


def test_a_forked_run_uses_the_database(fork: ForkRuntime, database: Database) -> None:
    code = (
        "from pipeline import store\n"
        "with store.connect(os.environ['DATABASE_URL'], role='telemetry_ingestor') as connection:\n"
        "    print(connection.execute('select count(*) from bars').fetchone()[0], connection.info.backend_pid)"
    )
    first, second = (output_of(fork, code, DATABASE_URL=database.url).split() for _ in range(2))
    assert first[0] == second[0] == "0"
    assert first[1] != second[1]


def test_a_fork_costs_a_small_part_of_a_fresh_start(fork: ForkRuntime, roots: tuple[Path, ...]) -> None:
    def cost(runtime: Runtime) -> float:
        start = time.perf_counter()
        assert do(runtime, "import numpy.random, psycopg").wait(20) == 0
        return time.perf_counter() - start

    fork.wait_ready()
    with ProcessRuntime(roots=roots) as process:
        fresh = min(cost(process) for _ in range(3))
    assert min(cost(fork) for _ in range(20)) < fresh / 2  # measured idle: 5 ms against 180
