"""One runbook at a time in an environment: a lock in S3 with a lease that its holder renews.

The lock is one small object, written only on condition that it is still as it was read (If-None-Match, If-Match). Who
dies keeps it until its lease is over, or until somebody on the same machine sees that the process is gone.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from ops.runbook.errors import Failed, Refused

KEY = "runbooks/lock.json"
# Long enough to live through a slow answer of S3, short enough to wait for in an emergency.
SECONDS = 90.0
CONFLICT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
Say = Callable[[str], None]


class LockLost(Failed):
    """The lock is another's now, or could not be renewed in time."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds the lock: which run, by whom, in which process of which machine, since when and until when."""

    run: str
    runbook: str
    by: str
    machine: str
    pid: int
    process_began: float
    since: str
    until: str
    held: bool = True

    @property
    def expired(self) -> bool:
        return datetime.now(UTC) >= datetime.fromisoformat(self.until)

    @property
    def gone(self) -> bool:
        """Whether its process ran on this very machine, and does not any more."""
        if self.machine != this_machine():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_began) > 1
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        since = datetime.fromisoformat(self.since)
        return f"{self.by} with {self.runbook} (pid {self.pid}) since {since:%Y-%m-%d %H:%M:%S} UTC"


class Permit:
    """Proof that the lock is held. Only Lease makes one."""

    def __init__(self, require: Callable[[], None]) -> None:
        self._require = require

    def require(self) -> None:
        """Raises LockLost where the lock is not held any more."""
        self._require()


class Lease:
    """The lock of one environment; within `with` it is ours and is renewed. Raises Refused where another holds it."""

    def __init__(self, s3: Any, bucket: str, *, run: str, runbook: str, say: Say, seconds: float = SECONDS) -> None:
        self._s3, self._bucket, self._say, self._seconds = s3, bucket, say, seconds
        self._mine = _holder(run, runbook, seconds)
        self._etag = ""
        self._lost = ""
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_ended, name="lease", daemon=True)

    def __enter__(self) -> Permit:
        self._take()
        self._renewer.start()
        return Permit(self.require)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewer.join()
        self._give_back()

    def require(self) -> None:
        """Raises LockLost where it is not ours any more."""
        if not self._lost and self._mine.expired:
            self._lost = f"it could not be renewed within {self._seconds:.0f} s"
        if self._lost:
            raise LockLost(f"the lock is lost: {self._lost}; nothing more was done. See who works, then --resume")

    def _take(self) -> None:
        found = find(self._s3, self._bucket)
        if found is None:
            condition = {"IfNoneMatch": "*"}
        else:
            holder, etag = found
            self._judge(holder)
            condition = {"IfMatch": etag}
        try:
            self._etag = self._put(self._mine, **condition)
        except (ClientError, BotoCoreError) as error:
            if _code(error) not in CONFLICT:
                raise Refused(f"the lock cannot be written to s3://{self._bucket}/{KEY}: {error}") from error
            if other := self._another():
                raise Refused(f"somebody was quicker: {other}") from error

    def _another(self) -> Holder | None:
        """Who has it after a conflict; None where that is us: S3 did as it was asked, and its answer was lost."""
        found = find(self._s3, self._bucket)
        if found is None or _same_process(found[0], self._mine):
            self._etag = found[1] if found else ""
            return None
        return found[0]

    def _judge(self, holder: Holder) -> None:
        """Whether a lock that is there may be taken over; says so aloud."""
        if not holder.held:
            return
        if holder.expired:
            self._say(f"taking over the lock of {holder}: its lease ended at {holder.until[11:19]} UTC")
        elif holder.gone:
            self._say(f"taking over the lock of {holder}: that process is gone from this machine")
        else:
            raise Refused(
                f"another runbook is at work here: {holder}; wait until it has ended. Should it have died on another "
                f"machine, its lease ends at {holder.until[11:19]} UTC"
            )

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._seconds / 3) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        renewed = replace(self._mine, until=_in(self._seconds))
        try:
            self._etag = self._put(renewed, IfMatch=self._etag)
            self._mine = renewed
        except ClientError as error:
            if _code(error) in CONFLICT:
                other = self._another()
                self._lost = f"it was taken by {other}" if other else ""
        except BotoCoreError:
            pass  # until the lease is over it is still ours, and the next try may succeed

    def _give_back(self) -> None:
        if self._lost:
            return
        try:
            self._put(replace(self._mine, held=False), IfMatch=self._etag)
        except (ClientError, BotoCoreError) as error:
            self._say(f"the lock could not be given back ({error}); it ends by itself at {self._mine.until[11:19]} UTC")

    def _put(self, holder: Holder, **condition: str) -> str:
        return _put(self._s3, self._bucket, holder, **condition)


def give_back_of_the_dead(s3: Any, bucket: str, run: str) -> None:
    """Gives back the lock that a process of this run held when it died; anybody else's stays as it is."""
    found = find(s3, bucket)
    if found is None:
        return
    holder, etag = found
    if holder.run == run and holder.held and (holder.gone or holder.expired):
        try:
            _put(s3, bucket, replace(holder, held=False), IfMatch=etag)
        except ClientError as error:
            if _code(error) not in CONFLICT:
                raise


def find(s3: Any, bucket: str) -> tuple[Holder, str] | None:
    """The last holder and the lock's ETag; None where nobody ever held it. Raises Refused where it cannot be read."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=KEY)
        return Holder(**json.loads(answer["Body"].read())), str(answer["ETag"])
    except ClientError as error:
        if _code(error) == "NoSuchKey":
            return None
        raise Refused(f"the lock cannot be read from s3://{bucket}/{KEY}: {error}") from error
    except (BotoCoreError, ValueError, TypeError) as error:
        raise Refused(f"the lock cannot be read from s3://{bucket}/{KEY}: {error}") from error


def _put(s3: Any, bucket: str, holder: Holder, **condition: str) -> str:
    body = json.dumps(asdict(holder)).encode()
    answer = s3.put_object(Bucket=bucket, Key=KEY, Body=body, ContentType="application/json", **condition)
    return str(answer["ETag"])


def this_machine() -> str:
    """This machine since its last start, and the process numbers that are seen here (a container has its own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _holder(run: str, runbook: str, seconds: float) -> Holder:
    process = psutil.Process()
    return Holder(
        run=run,
        runbook=runbook,
        by=f"{_user()}@{socket.gethostname()}",
        machine=this_machine(),
        pid=process.pid,
        process_began=process.create_time(),
        since=_in(0),
        until=_in(seconds),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _same_process(one: Holder, other: Holder) -> bool:
    return (one.machine, one.pid, one.process_began) == (other.machine, other.pid, other.process_began)


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
