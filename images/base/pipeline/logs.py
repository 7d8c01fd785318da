"""Log lines as JSON on standard output, metrics among them in CloudWatch's Embedded Metric Format."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pipeline.clock import Clock

NAMESPACE = "OpsPipeline"
# Metric names end in their unit where they have one; CloudWatch wants it spelled.
_UNITS = {"Seconds": "Seconds", "Bytes": "Bytes", "Percent": "Percent"}


class Log:
    """Writes one JSON object a line; every line carries the service and the run's id."""

    def __init__(self, service: str, run_id: str, *, clock: Clock, stream: TextIO | None = None) -> None:
        self._fixed = {"service": service, "run_id": run_id}
        self._clock = clock
        self._stream = stream

    def now(self) -> datetime:
        """The present instant by this run's clock: virtual in a replay."""
        return self._clock()

    def info(self, message: str, **fields: Any) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write("error", message, fields)

    def metrics(self, values: Mapping[str, float | None]) -> None:
        """One EMF line under the dimension Service. A None or NaN is unknown: it is left out, never written as 0."""
        known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        if not known:
            return
        line = {
            "_aws": {
                "Timestamp": int(self.now().timestamp() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["Service"]],
                        "Metrics": [{"Name": name, "Unit": _unit(name)} for name in known],
                    }
                ],
            },
            "Service": self._fixed["service"],
            "run_id": self._fixed["run_id"],
            **known,
        }
        self._print(line)

    def _write(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        self._print({"time": self.now().isoformat(), "level": level, **self._fixed, "message": message, **fields})

    def _print(self, line: Mapping[str, Any]) -> None:
        print(json.dumps(line, default=str), file=self._stream or sys.stdout, flush=True)


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "Count")


def frames(trace: TracebackType | None) -> list[str]:
    """A traceback as 'file.py:line function', outermost first: enough to find the place, fit for one JSON line."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found
