"""The harness: what every run of every service has in common, from reading its environment to its exit code.

`python -m <service>` calls `main(job)`. The harness connects as the service's own database role, opens the run's
record, lets the job work within its deadline, closes the record, writes the metrics and exits with the outcome's code.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import FrameType
from typing import Any, NoReturn

import psycopg

from pipeline import catalog, clock, ledger, settings, store
from pipeline.catalog import Service
from pipeline.errors import ConfigInvalid, DatabaseUnreachable, DeadlineExceeded, PipelineError, Terminated
from pipeline.ledger import Outcome, Result, Run
from pipeline.logs import Log, frames
from pipeline.settings import Values
from pipeline.store import Connection, migrations

__all__ = ["Blind", "Context", "Demands", "Outcome", "Result", "main"]

# After the deadline a run has this long to roll back and write its record before the process is ended for good.
GRACE_SECONDS = 10
# ECS sends SIGKILL 30 s after SIGTERM.
STOP_SECONDS = 20
ADDRESS = "database_url"  # among the fingerprints of a run's parameters: with which login it worked


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a job is given. `now` is one instant for the whole run; `environment` is for endpoints, never parameters."""

    service: Service
    run: Run
    now: datetime
    values: Values
    environment: Mapping[str, str]
    connection: Connection
    log: Log

    def connect(self) -> Connection:
        """Another connection with the run's own grants; the caller closes it. Raises DatabaseUnreachable."""
        return store.connect(self.environment["DATABASE_URL"], role=self.service.name)


@dataclass(frozen=True, kw_only=True)
class Blind:
    """What a job is given that can do something without a database: the same, and why there is none."""

    service: Service
    run: Run
    now: datetime
    values: Values
    environment: Mapping[str, str]
    unreachable: PipelineError
    log: Log


Job = Callable[[Context], Result]
BlindJob = Callable[[Blind], Result]


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What has to be there before a run starts: the schema that its image was built for, and every parameter, unless
    it is there to find out about just that. Without a database it fails, unless it can do something all the same."""

    schema: bool = True
    parameters: bool = True
    without_database: BlindJob | None = None


def main(job: Job, service_name: str, demands: Demands = Demands()) -> NoReturn:
    """Runs the job of a service (`__package__`) once in this process and exits with its outcome's code."""
    sys.exit(run_once(job, service_name, os.environ, demands).exit_code)


def run_once(
    job: Job,
    service_name: str,
    environment: Mapping[str, str],
    demands: Demands = Demands(),
) -> Outcome:
    """One run from environment to outcome; never raises."""
    execution_id = environment.get("EXECUTION_ID") or str(uuid.uuid4())
    log = Log(service_name, execution_id, clock=clock.wall)
    result = Result(outcome=Outcome.FAILED)
    try:
        service = catalog.load()[service_name]
        with _stoppable(service.deadline_seconds, log):
            now_of = clock.from_environment(environment)
            run = _identify(service, environment, execution_id, now_of())
            log = Log(service_name, execution_id, clock=now_of)
            try:
                result = _with_connection(job, service, run, environment, log, demands)
            except _NoConnection as error:
                if demands.without_database is None:
                    raise error.reason from None
                result = _blind(demands.without_database, service, run, environment, log, error.reason)
    except BaseException as error:  # noqa: BLE001 (the harness alone may: a run's end is always told)
        result = _failure(error, log)
    log.info("run ended", **_summary(result))
    log.metrics({_beat(result.outcome): 1, "RowsIn": result.rows_in, "RowsOut": result.rows_out, **result.metrics})
    return result.outcome


def _summary(result: Result) -> dict[str, Any]:
    said = {"error": result.error, "error_code": result.error_code} if result.error else {}
    return {
        "outcome": result.outcome,
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "counts": result.counts,
        **said,
    }


def _beat(outcome: Outcome) -> str:
    """A failed run does not beat, so that a service which only fails goes silent."""
    return "RunsFailed" if outcome is Outcome.FAILED else "RunsCompleted"


def _identify(service: Service, environment: Mapping[str, str], execution_id: str, now: datetime) -> Run:
    scheduled = environment.get("SCHEDULED_TIME")
    return Run(
        service=service.name,
        execution_id=execution_id,
        scheduled_for=clock.parse(scheduled) if scheduled else None,
        started_at=now,
        trigger_arn=environment.get("SCHEDULE_ARN"),
        image_digest=environment.get("IMAGE_DIGEST"),
        git_sha=environment.get("GIT_SHA"),
    )


def _with_connection(
    job: Job, service: Service, run: Run, environment: Mapping[str, str], log: Log, demands: Demands
) -> Result:
    url = _address(environment)
    with _connect(url, service) as connection:
        if not _lock(connection, service.name):
            return _stand_back(connection, run, log)
        if demands.schema:
            migrations.require_current(connection)
        if not ledger.begin(connection, run):
            log.info("this execution has completed before; nothing is done twice")
            return Result(outcome=Outcome.SKIPPED, counts={"duplicate_delivery": 1})
        values: Values | None = None
        try:
            values = settings.read(environment, service, require_all=demands.parameters)
            context = Context(
                service=service,
                run=run,
                now=run.started_at,
                values=values,
                environment=environment,
                connection=connection,
                log=log,
            )
            result = _refuse_hollow_success(job(context))
        except BaseException as error:  # noqa: BLE001 (recorded in the ledger)
            result = _failure(error, log)
        versions = {**(values.fingerprints() if values else {}), ADDRESS: settings.fingerprint(url)}
        return _close_record(connection, url, run, result, versions, log)


class _NoConnection(Exception):
    """The run's first connection did not come about; one that is lost later is another matter."""

    def __init__(self, reason: PipelineError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _address(environment: Mapping[str, str]) -> str:
    """Where the database is. Raises _NoConnection."""
    url = environment.get("DATABASE_URL")
    if not url:
        raise _NoConnection(ConfigInvalid("missing: DATABASE_URL (postgresql://user@host:port/name)"))
    return url


def _connect(url: str, service: Service) -> Connection:
    try:
        return store.connect(url, role=service.name)
    except DatabaseUnreachable as error:
        raise _NoConnection(error) from error


def _blind(
    job: BlindJob,
    service: Service,
    run: Run,
    environment: Mapping[str, str],
    log: Log,
    unreachable: PipelineError,
) -> Result:
    """A run without record and lock; what it does must bear being done twice."""
    log.error("no database", error=str(unreachable), error_code=unreachable.code)
    blind = Blind(
        service=service,
        run=run,
        now=run.started_at,
        values=settings.read(environment, service, require_all=False),
        environment=environment,
        unreachable=unreachable,
        log=log,
    )
    return _refuse_hollow_success(job(blind))


def _lock(connection: Connection, service_name: str) -> bool:
    """Whether no other run of the service is going; held until the connection ends, so a killed run frees it."""
    row = connection.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))", (f"run:{service_name}",)
    ).fetchone()
    return bool(row and row[0])


def _stand_back(connection: Connection, run: Run, log: Log) -> Result:
    reason = "an earlier run of this service is still going"
    ledger.record_overlap(connection, run, reason)
    log.warning(reason)
    return Result(outcome=Outcome.SKIPPED, counts={"overlapped": 1}, metrics={"RunsOverlapped": 1})


def _refuse_hollow_success(result: Result) -> Result:
    """0 of N is a failure whatever the job thinks of it."""
    if result.outcome in (Outcome.OK, Outcome.DEGRADED) and result.rows_in > 0 and result.rows_out == 0:
        text = result.error or f"0 of {result.rows_in} rows came through"
        return replace(result, outcome=Outcome.FAILED, error=text)
    return result


def _close_record(
    connection: Connection, url: str, run: Run, result: Result, versions: Mapping[str, str], log: Log
) -> Result:
    """Writes the run's end; over a fresh connection where the job's own is broken or left in mid-statement."""
    try:
        finished_at = log.now()
        if store.idle(connection):
            ledger.finish(connection, run, result, finished_at=finished_at, parameter_versions=versions)
            # a session that only disconnects keeps its lock for a moment, in which the next run would stand back
            connection.execute("select pg_advisory_unlock_all()")
        else:
            connection.close()
            with store.connect(url, role=run.service) as fresh:
                ledger.finish(fresh, run, result, finished_at=finished_at, parameter_versions=versions)
    except (psycopg.Error, PipelineError) as error:
        log.error("the run's record could not be closed", error=_one_line(error))
        return result if result.outcome is Outcome.FAILED else _failure(error, log)
    return result


def _failure(error: BaseException, log: Log) -> Result:
    """The result of an exception: known ones by their own text, others with the place where they rose.

    The error kept is the first of a chain inside a database transaction: later ones only say that it was aborted."""
    first = _first_database_error(error)
    text = _one_line(first)
    code = _code(first)
    where = [] if isinstance(error, PipelineError) else frames(error.__traceback__)
    log.error("run failed", error=text, error_code=code, **({"trace": where} if where else {}))
    return Result(outcome=Outcome.FAILED, error=text, error_code=code)


def _first_database_error(error: BaseException) -> BaseException:
    found = error
    while isinstance(found, psycopg.errors.InFailedSqlTransaction) and found.__context__ is not None:
        found = found.__context__
    return found


def _code(error: BaseException) -> str | None:
    """The cause code of SPEC §6 that the error itself proves, if any."""
    if isinstance(error, PipelineError):
        return error.code
    schema = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.CheckViolation)
    codes: list[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = [
        (psycopg.errors.InsufficientPrivilege, "db_permission"),
        (schema, "db_schema"),
        ((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected), "db_locked"),
        (psycopg.errors.TooManyConnections, "db_connections"),
        (psycopg.OperationalError, "db_unreachable"),
        (MemoryError, "task_oom"),
        (Exception, "task_crash"),
    ]
    return next((code for kinds, code in codes if isinstance(error, kinds)), None)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def _stoppable(deadline_seconds: float, log: Log) -> Iterator[None]:
    """Within it, SIGTERM and the deadline raise in the main thread; a run that heeds neither is ended for good.

    Both handlers fire once: what they interrupted then has time to roll back and write its record."""

    def terminate(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        last_resorts.append(_end_for_good(STOP_SECONDS, log))
        raise Terminated("stopped by SIGTERM; the next run takes over what was not done")

    def expire(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        last_resorts.append(_end_for_good(GRACE_SECONDS, log))
        raise DeadlineExceeded(f"still going after its deadline of {deadline_seconds:g} s")

    last_resorts: list[threading.Timer] = []
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, deadline_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        for timer in last_resorts:
            timer.cancel()  # a Lambda's process lives on, and its next run must not be ended for this one


def _end_for_good(seconds: float, log: Log) -> threading.Timer:
    """Ends the process unless it ends by itself, or the timer is cancelled, within `seconds`."""

    def end() -> None:
        with suppress(Exception):
            log.error("run did not end when told to; the process ends here")
        os._exit(Outcome.FAILED.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
