"""A service for the harness's tests: `probe_service.py WHAT` runs as a catalogue service whose job does WHAT."""

import sys
import time

from pipeline import task
from pipeline.errors import PipelineError

SERVICE = "feature_computer"


def job(context: task.Context) -> task.Result:
    what = sys.argv[1]
    if what == "ok":
        return task.Result(outcome=task.Outcome.OK, rows_in=3, rows_out=2, counts={"odd": 1})
    if what == "skipped":
        return task.Result(outcome=task.Outcome.SKIPPED)
    if what == "degraded":
        return task.Result(outcome=task.Outcome.DEGRADED, rows_in=3, rows_out=2, error="1 of 3 failed")
    if what == "hollow":
        return task.Result(outcome=task.Outcome.OK, rows_in=36, rows_out=0)
    if what == "known":
        raise PipelineError("newest bar is 14:31, expected 14:44; run scripts/diagnose", code="bars_gap")
    if what == "crash":
        raise ZeroDivisionError("a bug")
    if what == "aborted":
        return _hide_the_first_error(context)
    if what == "drop_connection":
        context.connection.close()
        return task.Result(outcome=task.Outcome.OK, rows_in=1, rows_out=1)
    if what == "sql_sleep":
        context.connection.execute("select pg_sleep(60)")
    if what == "sleep":
        print("sleeping", flush=True)
        time.sleep(60)
    if what == "forbidden":
        context.connection.execute("delete from signals")
    raise AssertionError(what)


def _hide_the_first_error(context: task.Context) -> task.Result:
    """What FAULTS row 21 did: the handler of an error wrote inside the transaction that the error had aborted."""
    with context.connection.transaction():
        try:
            context.connection.execute("select no_such_column from bars")
        except Exception:  # noqa: BLE001 (the fault that is replayed)
            context.connection.execute("select 1")
    raise AssertionError("unreachable")


if __name__ == "__main__":
    task.main(job, SERVICE)
