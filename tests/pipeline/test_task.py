"""The harness, tried on real processes and a real database: outcomes, exit codes, deadlines, signals, overlaps."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import store
from probe_service import SERVICE
from service_runs import find_record, service_environment

PROBE = Path(__file__).resolve().parents[1] / "probe_service.py"
NOW = "2026-01-26T14:31:00+00:00"


def start(database, what, **overrides):
    environment = service_environment(SERVICE, database, now=NOW, **overrides)
    process = subprocess.Popen(
        [sys.executable, str(PROBE), what], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process, environment


def run(database, what, **overrides):
    process, environment = start(database, what, **overrides)
    output, _ = process.communicate(timeout=60)
    assert "Traceback" not in output
    return process.returncode, output, find_record(database, SERVICE, environment["EXECUTION_ID"])


@pytest.mark.parametrize(
    ("what", "outcome", "code", "beat"),
    [
        ("ok", "OK", 0, "RunsCompleted"),
        ("skipped", "SKIPPED", 0, "RunsCompleted"),
        ("degraded", "DEGRADED", 3, "RunsCompleted"),
        ("hollow", "FAILED", 1, "RunsFailed"),
        ("known", "FAILED", 1, "RunsFailed"),
        ("crash", "FAILED", 1, "RunsFailed"),
    ],
)
def test_an_outcome_reaches_ledger_exit_code_and_metrics(database, what, outcome, code, beat):
    exit_code, output, record = run(database, what)

    assert (exit_code, record.outcome) == (code, outcome)
    assert f'"{beat}": 1' in output
    assert ("RunsCompleted" in output) != ("RunsFailed" in output)


def test_a_known_failure_keeps_its_words_and_its_cause(database):
    _, output, record = run(database, "known")

    assert record.error == "PipelineError: newest bar is 14:31, expected 14:44; run scripts/diagnose"
    assert record.error_code == "bars_gap"
    assert "trace" not in output


def test_a_bug_is_a_crash_with_the_place_where_it_rose(database):
    _, output, record = run(database, "crash")

    assert record.error_code == "task_crash"
    assert "probe_service.py" in output


def test_none_of_n_rows_is_a_failure(database):
    _, _, record = run(database, "hollow")
    assert "0 of 36" in record.error


def test_the_first_error_of_an_aborted_transaction_is_the_one_recorded(database):
    _, _, record = run(database, "aborted")

    assert "no_such_column" in record.error
    assert record.error_code == "db_schema"


def test_a_service_cannot_touch_what_the_catalogue_does_not_give_it(database):
    _, _, record = run(database, "forbidden")

    assert "permission denied for table signals" in record.error
    assert record.error_code == "db_permission"


def test_a_missing_parameter_refuses_to_start_and_is_recorded(database):
    environment = service_environment("telemetry_ingestor", database, now=NOW, TICKERS=None)
    ended = subprocess.run(
        [sys.executable, "-m", "telemetry_ingestor"], env=environment, capture_output=True, text=True, timeout=60
    )

    record = find_record(database, "telemetry_ingestor", environment["EXECUTION_ID"])
    assert ended.returncode == 1
    assert "tickers (TICKERS)" in record.error
    assert record.error_code == "config_invalid"


def test_a_virtual_clock_outside_the_local_environment_is_refused(database):
    exit_code, output, record = run(database, "ok", ENVIRONMENT="production")

    assert exit_code == 1
    assert "remove VIRTUAL_NOW" in output
    assert record is None


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/none", "not an address", "postgresql://u@127.0.0.1:99999/x"]
)
def test_a_database_that_is_not_there_fails_in_one_line(database, url):
    exit_code, output, _ = run(database, "ok", DATABASE_URL=url)

    assert exit_code == 1
    assert "DatabaseUnreachable" in output


def test_no_free_connection_is_named(database):
    with database.connect() as admin:
        admin.execute("alter role signal_engine login")
        admin.execute(f"alter database {database.name} connection limit 1")  # this very connection takes it
        exit_code, output, _ = run(database, "ok", DATABASE_URL=database.url.replace("ops@", "signal_engine@"))
        admin.execute("alter role signal_engine nologin")

    assert exit_code == 1
    assert '"error_code": "db_connections"' in output


def test_a_pending_migration_stops_the_run(database):
    with database.connect() as admin:
        admin.execute("delete from schema_migrations where version = 7")

    exit_code, output, record = run(database, "ok")

    assert exit_code == 1
    assert "migration pending: 0007_findings; run scripts/migrate" in output
    assert record is None


def test_a_run_past_its_deadline_is_ended_and_says_so(database):
    for what in ("sleep", "sql_sleep"):
        process, environment = start_with_deadline(database, what, seconds=1)
        process.communicate(timeout=30)

        record = find_record(database, SERVICE, environment["EXECUTION_ID"])
        assert process.returncode == 1
        assert record.outcome == "FAILED"
        assert record.error_code == "task_hang"


def start_with_deadline(database, what, *, seconds):
    code = (
        "import dataclasses, sys, types; from pipeline import catalog; from pathlib import Path;"
        f"sys.path.insert(0, {str(PROBE.parent)!r}); sys.argv = ['probe', {what!r}];"
        "whole = catalog.load(); "
        f"short = {{n: dataclasses.replace(s, deadline_seconds={seconds}) for n, s in whole.services.items()}};"
        "catalog.load = lambda: dataclasses.replace(whole, services=short);"
        "import probe_service; from pipeline import task; task.main(probe_service.job, probe_service.SERVICE)"
    )
    environment = service_environment(SERVICE, database, now=NOW)
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process, environment


def test_sigterm_ends_a_run_cleanly(database):
    process, environment = start(database, "sleep")
    assert "sleeping" in process.stdout.readline()

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)

    record = find_record(database, SERVICE, environment["EXECUTION_ID"])
    assert time.monotonic() - began < 10
    assert process.returncode == 1
    assert record.outcome == "FAILED"
    assert "SIGTERM" in record.error
    assert "Traceback" not in output


def test_a_second_run_stands_back_while_the_first_is_going(database):
    first, first_environment = start(database, "sleep")
    assert "sleeping" in first.stdout.readline()

    exit_code, output, record = run(database, "ok")
    first.kill()
    first.communicate()

    assert (exit_code, record.outcome) == (0, "SKIPPED")
    assert "still going" in record.error
    assert '"RunsOverlapped": 1' in output
    assert find_record(database, SERVICE, first_environment["EXECUTION_ID"]).outcome is None


def test_a_killed_run_leaves_a_record_without_outcome_and_the_next_one_runs(database):
    first, environment = start(database, "sleep")
    assert "sleeping" in first.stdout.readline()
    first.kill()
    first.communicate()

    assert find_record(database, SERVICE, environment["EXECUTION_ID"]).outcome is None
    wait_until_unlocked(database)
    exit_code, _, record = run(database, "ok", EXECUTION_ID=environment["EXECUTION_ID"])
    assert (exit_code, record.outcome, record.attempts) == (0, "OK", 2)


def wait_until_unlocked(database, patience_seconds=10):
    """PostgreSQL notices the end of a killed client a moment later."""
    query = b"select count(*) from pg_locks where locktype = 'advisory'"
    with store.connect(database.url) as connection:
        deadline = time.monotonic() + patience_seconds
        while connection.execute(query).fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.02)


def test_a_doubled_delivery_of_a_completed_run_does_nothing(database):
    _, _, first = run(database, "ok", EXECUTION_ID="the-same")
    exit_code, output, second = run(database, "degraded", EXECUTION_ID="the-same")

    assert exit_code == 0
    assert second == first
    assert "duplicate_delivery" in output


def test_a_retry_of_a_failed_run_runs_again(database):
    run(database, "known", EXECUTION_ID="the-same")
    _, _, record = run(database, "ok", EXECUTION_ID="the-same")

    assert (record.outcome, record.attempts, record.error) == ("OK", 2, None)


def test_a_connection_lost_in_the_work_still_gets_its_record(database):
    exit_code, _, record = run(database, "drop_connection")
    assert (exit_code, record.outcome) == (0, "OK")
