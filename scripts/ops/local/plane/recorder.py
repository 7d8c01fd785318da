"""What runs leave behind in CloudWatch: log lines, and the metrics among them; written beside the next run's work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.local.alarms.series import MetricInvalid, MetricStore, emf_data
from ops.local.plane.deployed import Deployed

EVENTS_PER_CALL = 1_000
DATA_PER_CALL = 500


class Recorder:
    """Keeps metrics in memory for the alarms, and writes logs and metrics to the emulator from a thread of its own."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.metrics = MetricStore()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._waiting: list[Future[None]] = []
        self._data: dict[str, list[dict[str, Any]]] = {}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def later(self, call: Any, **parameters: Any) -> None:
        """Makes an API call in the background, in the order of asking."""
        self._waiting.append(self._pool.submit(call, **parameters))

    def flush(self) -> None:
        """Returns when everything is written; raises what a write raised."""
        for namespace, data in self._data.items():
            for start in range(0, len(data), DATA_PER_CALL):
                chunk = data[start : start + DATA_PER_CALL]
                self.later(self.deployed.client("cloudwatch").put_metric_data, Namespace=namespace, MetricData=chunk)
        self._data = {}
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.result()

    def count(self, namespace: str, name: str, dimensions: Mapping[str, str], at: datetime, value: float = 1) -> None:
        """One datum of a metric that AWS itself publishes."""
        pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        self._measure(namespace, {"MetricName": name, "Dimensions": pairs, "Timestamp": at, "Values": [value]})

    def log(self, group: str, stream: str, output: str, at: datetime) -> None:
        """The lines of a run's output, and what EMF lines among them measure."""
        lines = output.splitlines()
        for line in lines:
            if '"_aws"' in line:
                self._read(line)
        if lines and self.deployed.log_group(group):
            self.later(self._put_lines, group=group, stream=stream, lines=lines, at=at)

    def _put_lines(self, *, group: str, stream: str, lines: Sequence[str], at: datetime) -> None:
        logs = self.deployed.client("logs")
        stamp = int(at.timestamp() * 1000)
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
        for start in range(0, len(lines), EVENTS_PER_CALL):
            events = [
                {"timestamp": stamp + number, "message": line or " "}
                for number, line in enumerate(lines[start : start + EVENTS_PER_CALL], start)
            ]
            try:
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":  # deleted meanwhile
                    raise

    def _read(self, line: str) -> None:
        """Measures what an EMF line holds; CloudWatch keeps a malformed one as text and measures nothing."""
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            for namespace, datum in emf_data(json.loads(line)):
                self._measure(namespace, datum)

    def _measure(self, namespace: str, datum: dict[str, Any]) -> None:
        with suppress(MetricInvalid):
            self.metrics.put_metric_data({"Namespace": namespace, "MetricData": [datum]}, datum["Timestamp"])
            self._data.setdefault(namespace, []).append(datum)
