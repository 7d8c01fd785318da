"""The time that operators' commands go by: the wall clock's, or a virtual one's that the local AWS keeps."""

from __future__ import annotations

import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.errors import PipelineError

URL = "OPS_CLOCK_URL"  # the local AWS's, in the environment of a command that is to live in its time
ANSWER_SECONDS = 60  # longer than its page waits


class ClockGone(PipelineError):
    """Whoever keeps the virtual time does not answer any more."""


class ClockStands(PipelineError):
    """Nobody moves the virtual time any more."""


def now(environ: Mapping[str, str] = os.environ) -> datetime:
    """The time, in UTC. Raises ClockGone."""
    told = _ask(environ, "clock")["now"] if environ.get(URL) else None
    return datetime.fromisoformat(told) if told else datetime.now(UTC)


def sleep(seconds: float, environ: Mapping[str, str] = os.environ, *, still_seconds: float = math.inf) -> None:
    """Sleeps that long. Raises ClockGone; ClockStands where the time has not moved for `still_seconds` of the wall.

    A virtual time moves in steps, so the sleep counts from the last of them and not from a little later; who sleeps as
    long as a step is then woken by the next.
    """
    told = _ask(environ, "clock")["set"] if environ.get(URL) else None
    if told:
        sleep_until(datetime.fromisoformat(told) + timedelta(seconds=seconds), environ, still_seconds=still_seconds)
    else:
        time.sleep(seconds)


def sleep_until(at: datetime, environ: Mapping[str, str] = os.environ, *, still_seconds: float = math.inf) -> None:
    """Sleeps until then; returns at once where it is past. Raises ClockGone, ClockStands."""
    last, moved = None, time.monotonic()
    while environ.get(URL):
        answer = _ask(environ, "clock/wait", until=at.isoformat())
        if answer["reached"]:
            return
        if answer["set"] is None:  # nobody has begun to keep a virtual time
            break
        if answer["set"] != last:
            last, moved = answer["set"], time.monotonic()
        elif time.monotonic() - moved > still_seconds:
            raise ClockStands(f"the virtual time has stood at {last} for {still_seconds:g} s; nobody plays it any more")
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


def _ask(environ: Mapping[str, str], page: str, **asked: Any) -> dict[str, Any]:
    url = f"{environ[URL].rstrip('/')}/local-aws/{page}"
    past_proxies = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with past_proxies.open(url, json.dumps(asked).encode() if asked else None, ANSWER_SECONDS) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise ClockGone(f"{URL}: {url} does not answer: {error}; unset it to go by the wall clock") from error
