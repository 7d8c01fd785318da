"""What Lambda calls: the run of `python -m healthcheck`, in a process that Lambda keeps for the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from healthcheck.__main__ import DEMANDS, run
from pipeline import task
from pipeline.errors import PipelineError
from pipeline.task import Outcome

# What the schedule sends along; everything else of an event is none of the run's business.
EVENT_FIELDS = ("EXECUTION_ID", "SCHEDULED_TIME", "SCHEDULE_ARN")
# Names of parameters in the parameter store by environment variable, as JSON.
PARAMETERS = "PARAMETERS"
NAMES_PER_CALL = 10  # GetParameters takes no more


class RunFailed(PipelineError):
    """Lambda counts an error only where one is raised."""


def handle(event: Mapping[str, Any], context: Any = None) -> dict[str, str]:
    """One run. Raises RunFailed where it failed."""
    environment = {**os.environ, **parameters(os.environ), **_from_event(event, context)}
    outcome = task.run_once(run, __package__, environment, DEMANDS)
    if outcome is Outcome.FAILED:
        raise RunFailed(f"run {environment.get('EXECUTION_ID', '')} failed; its log lines above tell why")
    return {"outcome": outcome}


def _from_event(event: Mapping[str, Any], context: Any) -> dict[str, str]:
    """The event's own fields; a call by hand has none, and Lambda's request stands for its execution."""
    request = getattr(context, "aws_request_id", None)
    given = {name: event[name] for name in EVENT_FIELDS if isinstance(event.get(name), str)}
    return ({"EXECUTION_ID": request} if request else {}) | given


def parameters(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of the parameters that PARAMETERS names, by environment variable; none where it is not set.

    ECS puts them into a task's environment, Lambda does not. They are read for every run, so that one rotated in
    between counts. One that does not exist or may not be read is left out: the watcher has to live to tell of it.
    """
    if not environment.get(PARAMETERS):
        return {}
    paths: dict[str, str] = json.loads(environment[PARAMETERS])
    ssm = _ssm(environment.get("AWS_ENDPOINT_URL"))
    values: dict[str, str] = {}
    for names in _tens(sorted(set(paths.values()))):
        values |= _stored(ssm, names)
    return {variable: values[name] for variable, name in paths.items() if name in values}


@cache
def _ssm(endpoint: str | None) -> Any:
    """Kept from one run of a warm Lambda to the next. boto3 finds the endpoint by itself; here it tells two apart."""
    import boto3  # here, since its 0.3 s are wasted where the environment has it all

    return boto3.session.Session().client("ssm")


def _stored(ssm: Any, names: list[str]) -> dict[str, str]:
    """The values by name. One refused name spoils the whole call, so each is then asked for by itself."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = ssm.get_parameters(Names=names, WithDecryption=True)
    except (ClientError, BotoCoreError) as error:
        if len(names) == 1:
            print(
                json.dumps({"level": "error", "message": "parameter not read", "name": names[0], "error": str(error)})
            )
            return {}
        return {name: value for each in names for name, value in _stored(ssm, [each]).items()}
    return {found["Name"]: found["Value"] for found in answer["Parameters"]}


def _tens(names: list[str]) -> list[list[str]]:
    return [names[i : i + NAMES_PER_CALL] for i in range(0, len(names), NAMES_PER_CALL)]
