"""A task's life: started, run as a process of this machine, followed to its end, told to ECS and CloudWatch."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.local.aws import roles
from ops.local.plane.containers import Container, Containers, Process, out_of_memory
from ops.local.plane.deployed import Deployed
from ops.local.plane.fargate import CannotStart, Fargate, package_of
from ops.local.plane.invocation import EndedTask
from ops.local.plane.recorder import Recorder
from ops.local.plane.run_task import Task

# A run has its own deadline of less than a minute; one that does not heed it goes on while the clock does.
PATIENCE_SECONDS = 90
GLANCE_SECONDS = 0.05
STOP_SECONDS = 30
# A task without a way out: its requests end at a port of this machine where nobody listens.
NO_ROUTE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}


class Tasks:
    """Plays tasks. `environment` is what this machine's network adds to a container's own: endpoints and the clock."""

    def __init__(
        self,
        deployed: Deployed,
        fargate: Fargate,
        recorder: Recorder,
        containers: Containers,
        environment: Mapping[str, str],
    ) -> None:
        self.deployed, self.fargate, self.recorder, self.containers = deployed, fargate, recorder, containers
        self.environment = dict(environment)
        self._going: list[tuple[Task, Process]] = []

    def play(self, task: Task, now: datetime) -> EndedTask | None:
        """Starts the task and follows it to its end; None where it goes on beyond PATIENCE_SECONDS."""
        try:
            environment = self.fargate.prepare(task)
        except CannotStart as reason:
            return self._stopped(task, now, "TaskFailedToStart", str(reason), None, "")
        container = task.container
        self._report(task, "RUNNING")
        process = self.containers.start(
            Container(
                name=container["name"],
                package=package_of(container["image"]),
                image=container["image"],
                environment={**self._machine(task), **environment, "VIRTUAL_NOW": now.isoformat()},
                entry_point=tuple(container.get("entryPoint") or ()),
                command=tuple(task.override.get("command") or container.get("command") or ()),
                memory_mib=min(
                    int(each) for each in (task.definition.get("memory"), container.get("memory"), 1 << 20) if each
                ),
            )
        )
        return self._follow(task, process, now, PATIENCE_SECONDS)

    def follow_up(self, now: datetime) -> list[EndedTask]:
        """The tasks that went on from earlier minutes and have ended since, or were asked to stop."""
        going, self._going = self._going, []
        ended = []
        for task, process in going:
            if self._asked_to_stop(task):
                process.kill(signal.SIGTERM)
            found = self._follow(task, process, now, GLANCE_SECONDS)
            if found:
                ended.append(found)
        return ended

    def _machine(self, task: Task) -> dict[str, str]:
        """What this machine adds: where things are, or that nothing is reached."""
        reached = self.fargate.network.reaches_internet(task.placement)
        return self.environment | self._credentials(task) | ({} if reached else NO_ROUTE)

    def _credentials(self, task: Task) -> dict[str, str]:
        """Those of the task's role, as Fargate hands them to its container; none without one."""
        arn = task.override.get("taskRoleArn") or task.definition.get("taskRoleArn")
        return roles.session(self.deployed.aws.url, arn, task.region) if arn else {}

    def _follow(self, task: Task, process: Process, now: datetime, patience: float) -> EndedTask | None:
        try:
            code = process.wait(patience)
        except TimeoutError:
            self._going.append((task, process))
            return None
        code = 128 - code if code < 0 else code  # a container that dies of a signal exits with 128 and its number
        self._log(task, process.output, now)
        reason = "OutOfMemoryError: Container killed due to memory usage" if out_of_memory(process) else ""
        return self._stopped(
            task, now, "EssentialContainerExited", "Essential container in task exited", code, process.output, reason
        )

    def stop_all(self) -> None:
        """SIGTERM to what still runs, SIGKILL after the stop timeout; as ECS stops tasks."""
        for _, process in self._going:
            process.kill(signal.SIGTERM)
        for task, process in self._going:
            try:
                process.wait(float(task.container.get("stopTimeout") or STOP_SECONDS))
            except TimeoutError:
                process.kill(signal.SIGKILL)
        self._going.clear()

    def _asked_to_stop(self, task: Task) -> bool:
        found = self.deployed.client("ecs").describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"]
        return any(each.get("desiredStatus") == "STOPPED" for each in found)

    def _report(self, task: Task, status: str, **fields: Any) -> None:
        self.recorder.later(
            self.deployed.aws.report_task, cluster=task.cluster, task_arn=task.arn, status=status, **fields
        )

    def _stopped(
        self, task: Task, now: datetime, code: str, reason: str, exit_code: int | None, output: str, container: str = ""
    ) -> EndedTask:
        told: dict[str, Any] = {"name": task.container["name"], "exitCode": exit_code, "reason": container}
        self._report(
            task,
            "STOPPED",
            stop_code=code,
            stopped_reason=reason,
            containers=[{key: value for key, value in told.items() if value not in (None, "")}],
        )
        return EndedTask(
            at=now,
            service=task.container["name"],
            task_arn=task.arn,
            definition=task.family,
            stop_code=code,
            stopped_reason=f"{reason} ({container})" if container else reason,
            exit_code=exit_code,
            output=output,
        )

    def _log(self, task: Task, output: str, now: datetime) -> None:
        group, stream = task.log_stream
        if group:
            self.recorder.log(group, stream, output, now)
