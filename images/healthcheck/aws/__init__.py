"""The live AWS as parts of a snapshot, all read at once; a part that cannot be read says why and spoils no other.

| part | from | calls |
|---|---|---|
| `Intent` | what Terraform wrote of the last apply | 1 |
| `Triggers` | Scheduler, EventBridge | a page, a new or changed schedule, a rule |
| `Roles` | IAM, with all policies | a page |
| `Definitions` | ECS: clusters, revisions of our families | a page, a new revision |
| `Tasks` | running and lately stopped ones | a page |
| `Functions`, `Images` | Lambda, ECR | a Lambda, a repository |
| `Parameters` | the parameter store without values, KMS | a page, a key |
| `Network` | EC2 | a page of each kind |
| `Alarms`, `Topics`, `Letters`, `LogGroups` | CloudWatch, SNS, SQS, Logs | a page |

`Trail` (CloudTrail) is no part of every check: it is asked for what the findings have to do with (docs/decisions/0014).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from healthcheck.aws import (
    alarms,
    definitions,
    functions,
    images,
    intent,
    letters,
    logs,
    network,
    parameters,
    roles,
    tasks,
    topics,
    triggers,
)
from healthcheck.aws.alarms import Alarm, Alarms
from healthcheck.aws.clients import Clients
from healthcheck.aws.definitions import Definition, Definitions
from healthcheck.aws.functions import Function, Functions
from healthcheck.aws.images import Image, Images
from healthcheck.aws.intent import Intent
from healthcheck.aws.letters import Letter, Letters
from healthcheck.aws.logs import LogGroups
from healthcheck.aws.memory import Memory
from healthcheck.aws.parameters import Key, Parameter, Parameters
from healthcheck.aws.roles import Role, Roles
from healthcheck.aws.tasks import Task, Tasks
from healthcheck.aws.topics import Subscription, Topics
from healthcheck.aws.trail import Event, Trail
from healthcheck.aws.triggers import Rule, Schedule, Target, Triggers
from healthcheck.place import Place
from healthcheck.reach import Network
from healthcheck.snapshot import Scope, Unreadable

__all__ = [
    "PARTS",
    "Alarm",
    "Alarms",
    "Clients",
    "Definition",
    "Definitions",
    "Event",
    "Function",
    "Functions",
    "Image",
    "Images",
    "Intent",
    "Key",
    "Letter",
    "Letters",
    "LogGroups",
    "Memory",
    "Network",
    "Parameter",
    "Parameters",
    "Place",
    "Role",
    "Roles",
    "Rule",
    "Schedule",
    "Subscription",
    "Target",
    "Task",
    "Tasks",
    "Topics",
    "Trail",
    "Triggers",
    "read",
]

# What is not read by then is unknown: the Lambda has ten seconds, for all that it does.
SECONDS = 8.0

PARTS = (
    Intent,
    Triggers,
    Definitions,
    Roles,
    Tasks,
    Functions,
    Images,
    Parameters,
    Network,
    Alarms,
    Topics,
    Letters,
    LogGroups,
)


def read(clients: Clients, scope: Scope, memory: Memory, *, seconds: float = SECONDS) -> dict[type, object]:
    """Every part by its class, Unreadable where it could not be read within `seconds`."""
    place = scope.place
    assert place, "a run that knows of no AWS does not read it"
    ends = time.monotonic() + seconds
    pool = ThreadPoolExecutor(len(PARTS), "part")
    try:
        started = {kind: pool.submit(reader) for kind, reader in _readers(clients, scope, place, memory).items()}
        named = (started[Triggers], started[Tasks])
        started[Definitions] = pool.submit(_definitions, clients, scope, place, memory, *named)
        return {kind: _outcome(started[kind], ends, seconds) for kind in PARTS}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _readers(clients: Clients, scope: Scope, place: Place, memory: Memory) -> Mapping[type, Callable[[], Any]]:
    catalog, now = scope.catalog, scope.now
    return {
        Triggers: lambda: triggers.read(clients, place, memory),
        Intent: lambda: intent.read(clients, place, memory),
        Roles: lambda: roles.read(clients, place, memory),
        Tasks: lambda: tasks.read(clients, place, memory, now),
        Functions: lambda: functions.read(clients, place, memory, catalog),
        Images: lambda: images.read(clients, place, memory, catalog),
        Parameters: lambda: parameters.read(clients, place, memory, catalog),
        Network: lambda: network.read(clients, place, memory),
        Alarms: lambda: alarms.read(clients, place, memory),
        Topics: lambda: topics.read(clients, place, memory),
        Letters: lambda: letters.read(clients, place, memory, catalog, now),
        LogGroups: lambda: logs.read(clients, place, memory),
    }


def _definitions(
    clients: Clients,
    scope: Scope,
    place: Place,
    memory: Memory,
    of_triggers: Future[Triggers],
    of_tasks: Future[Tasks],
) -> Definitions:
    """After what names revisions; without it where that cannot be read."""
    schedules = () if of_triggers.exception() else of_triggers.result().schedules
    ended = () if of_tasks.exception() else of_tasks.result().stopped
    named = [schedule.target.definition for schedule in schedules if schedule.target.definition]
    # what a failing revision took the place of may have failed alike
    named += [
        f"{task.family}:{number}" for task in ended if task.failed for number in (task.revision, task.revision - 1)
    ]
    return definitions.read(clients, place, memory, scope.catalog, [name for name in named if not name.endswith(":0")])


def _outcome(future: Future[Any], ends: float, seconds: float) -> object:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return future.result(max(0.0, ends - time.monotonic()))
    except (TookTooLong, TimeoutError):
        return Unreadable(reason=f"not read within {seconds:g} s", code=None)
    except (ClientError, BotoCoreError, OSError, ValueError, KeyError) as error:
        return Unreadable(reason=" ".join(f"{type(error).__name__}: {error}".split())[:300], code=None)
