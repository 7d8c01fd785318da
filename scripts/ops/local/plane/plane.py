"""One virtual minute of the account, from the triggers that fire in it to the alarms that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from ops.local.aws import LocalAws
from ops.local.plane.alerting import Alerting
from ops.local.plane.by_hand import ByHand
from ops.local.plane.containers import Containers
from ops.local.plane.deployed import Deployed, Role
from ops.local.plane.fargate import Fargate
from ops.local.plane.functions import Functions
from ops.local.plane.invocation import EndedTask, Minute, Refusal
from ops.local.plane.network import Network, Placement
from ops.local.plane.permissions import Denied, Permissions
from ops.local.plane.recorder import Recorder
from ops.local.plane.run_task import RunTask, RunTasks
from ops.local.plane.tasks import Tasks
from ops.local.plane.triggers import Call, Triggers, overrides_of
from ops.local.schedules import Schedule


class Plane:
    """Within `with`; `tick` once a virtual minute. It knows the emulator, and nothing of the catalogue.

    `environment` is what this machine adds to every run (where the exchange is, that it is local). `containers` stay
    the caller's.
    """

    def __init__(
        self,
        aws: LocalAws,
        *,
        environment: Mapping[str, str],
        containers: Containers,
        seed: int = 1,
    ) -> None:
        self.deployed = Deployed(aws)
        self.recorder = Recorder(self.deployed)
        permissions = Permissions(self.deployed)
        network = Network(self.deployed)
        fargate = Fargate(self.deployed, permissions, network)
        self.permissions = permissions
        self.run_tasks = RunTasks(self.deployed, permissions, network)
        self.tasks = Tasks(self.deployed, fargate, self.recorder, containers, environment)
        self.by_hand = ByHand(self.deployed, self.tasks)
        self.functions = Functions(self.deployed, permissions, self.recorder, containers, environment)
        self.triggers = Triggers(self.deployed, permissions, self.recorder, self._deliver, seed=seed)
        self.alerting = Alerting(self.deployed, permissions, self.recorder)
        self._now = self.deployed.now
        self._ended: list[EndedTask] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops what runs."""
        self.tasks.stop_all()
        self.recorder.close()

    def tick(self, at: datetime, *, alarms: bool = True) -> Minute:
        """Plays the minute that begins at `at` (aware, whole): the emulator's clock must stand there already."""
        self._now = at
        self.deployed.refresh(at)
        self._ended = [*self.tasks.follow_up(at), *self.by_hand.tick(at)]
        invocations = self.triggers.tick(at)
        self._count_dead_letters(at)
        self.recorder.flush()
        transitions = self.alerting.tick(at) if alarms else []
        self.recorder.flush()
        return Minute(at=at, invocations=invocations, ended=self._ended, transitions=transitions)

    # ── targets ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, call: Call) -> Refusal | None:
        """Invokes the target in the name of the trigger's role; what it then runs, runs to its end."""
        role = self._role(call)
        if isinstance(role, Denied):
            return Refusal(code=role.code, message=role.message)
        service = call.target.arn.split(":")[2] if call.target.arn.count(":") >= 5 else ""
        if service == "ecs":
            return self._run_task(call, role)
        if service == "lambda":
            return self._invoke(call, role)
        return Refusal(code="UnsupportedTarget", message=f"{call.target.arn}: only ECS and Lambda targets run here")

    def _role(self, call: Call) -> Role | Denied | None:
        """The role that the trigger takes; None where a rule names none and the target's own policy decides."""
        if not call.target.role_arn and not isinstance(call.by, Schedule):
            return None
        return self.permissions.assume(call.target.role_arn, call.service, call.source_arn)

    def _run_task(self, call: Call, role: Role | None) -> Refusal | None:
        if role is None:
            return Refusal(code="NO_PERMISSIONS", message=f"{call.by.arn}: an ECS target needs a role")
        parameters = call.target.described.get("EcsParameters") or {}
        placement = Placement.of(parameters.get("NetworkConfiguration") or {})
        request = RunTask(
            role=role,
            cluster=call.target.arn,
            definition=parameters.get("TaskDefinitionArn", ""),
            placement=placement,
            overrides=overrides_of(call.payload),
            started_by=_started_by(call),
            launch_type=parameters.get("LaunchType", "FARGATE"),
            tags_propagated=bool(parameters.get("PropagateTags") or parameters.get("EnableECSManagedTags")),
            count=int(parameters.get("TaskCount", 1)),
        )
        made = self.run_tasks.run(request)
        if isinstance(made, Refusal):
            return made
        self._ended += [ended for task in made if (ended := self.tasks.play(task, self._now))]
        return None

    def _invoke(self, call: Call, role: Role | None) -> Refusal | None:
        refused = self.functions.refused(role, call.target.arn)
        if refused is None:
            self.recorder.flush()  # the function looks at the account: it must see what has ended before
            self._ended += self.functions.invoke(call.target.arn, call.payload, self._now)
        return refused

    def _count_dead_letters(self, at: datetime) -> None:
        """What SQS publishes of each queue that somebody uses."""
        self.recorder.flush()
        for name, visible in self.deployed.queue_lengths().items():
            self.recorder.count("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": name}, at, visible)


def _started_by(call: Call) -> str:
    """As AWS marks a task: by which schedule or rule it was started."""
    kind = "chronos-schedule" if isinstance(call.by, Schedule) else "events-rule"
    return f"{kind}/{call.by.name}"[:128]
