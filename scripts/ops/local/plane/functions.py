"""Lambda: asynchronous invocations as the service makes them: role, image, timeout, memory, retries, dead letters.

Sources: Lambda developer guide, "Error handling for asynchronous invocation", "Lambda function metrics", "Log format".
"""

from __future__ import annotations

import json
import signal
import tempfile
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.local.aws import roles
from ops.local.plane.containers import Containers, exists, lambda_handler
from ops.local.plane.deployed import Deployed, Role
from ops.local.plane.fargate import package_of, split_image
from ops.local.plane.invocation import EndedTask, Refusal
from ops.local.plane.permissions import Denied, Permissions
from ops.local.plane.recorder import Recorder

LAMBDA = "lambda.amazonaws.com"
MIB = 2**20


class Functions:
    """Invokes functions. `environment` is what this machine's network adds to a function's own."""

    def __init__(
        self,
        deployed: Deployed,
        permissions: Permissions,
        recorder: Recorder,
        containers: Containers,
        environment: Mapping[str, str],
    ) -> None:
        self.deployed, self.permissions = deployed, permissions
        self.recorder, self.containers = recorder, containers
        self.environment = dict(environment)

    def refused(self, role: Role | None, arn: str) -> Refusal | None:
        """Why Lambda would not take the invocation; None where it does. A rule without a role is not asked for one."""
        if role:
            denied = self.permissions.may(role, "lambda:InvokeFunction", arn, session="scheduler")
            if denied:
                return Refusal(code=denied.code, message=denied.message)
        function = self.deployed.function(arn)
        if (
            function is None
            or function["Configuration"]["FunctionArn"].split(":function:")[0] != arn.split(":function:")[0]
        ):
            return Refusal(code="ResourceNotFoundException", message=f"Function not found: {arn}")
        return self._unusable(function["Configuration"], function.get("Code", {}))

    def _unusable(self, function: Mapping[str, Any], code: Mapping[str, Any]) -> Refusal | None:
        role = self.permissions.assume(function["Role"], LAMBDA, function["FunctionArn"])
        if isinstance(role, Denied):
            message = "The role defined for the function cannot be assumed by Lambda."
            return Refusal(code="AccessDeniedException", message=message)
        image = code.get("ImageUri", "")
        repository, reference = split_image(image)
        if not self.deployed.has_image(repository, reference):
            message = f"Lambda does not have permission to access the ECR image, or it does not exist: {image}"
            return Refusal(code="ImageAccessDenied", message=message)
        if not exists(package_of(image)):
            message = f"{image}: this machine runs only images that are built from this checkout's images/"
            return Refusal(code="InvalidImage", message=message)
        return None

    def invoke(self, arn: str, payload: str, now: datetime) -> list[EndedTask]:
        """An accepted asynchronous invocation: attempts until one succeeds, and a dead letter where none does."""
        function = self.deployed.function(arn)
        assert function is not None
        request = str(uuid.uuid4())
        attempts = 1 + self._retries(arn)
        ended = []
        for _ in range(attempts):
            run = self._run(function["Configuration"], function["Code"]["ImageUri"], payload, request, now)
            ended.append(run)
            if not run.stopped_reason:
                return ended
        self._leave_dead_letter(function["Configuration"], payload, request, ended[-1])
        return ended

    def _retries(self, arn: str) -> int:
        def read() -> int:
            client = self.deployed.client("lambda")
            try:
                found = client.get_function_event_invoke_config(FunctionName=arn)
            except client.exceptions.ResourceNotFoundException:
                return 2  # AWS's default
            return int(found.get("MaximumRetryAttempts", 2))

        return self.deployed.kept("lambda", ("retries", arn), read)

    def _run(self, function: Mapping[str, Any], image: str, payload: str, request: str, now: datetime) -> EndedTask:
        package = package_of(image)
        with tempfile.NamedTemporaryFile(prefix="lambda-", suffix=".json") as answer:
            environment = self._environment(function, payload, request, now) | {
                "_HANDLER": lambda_handler(package),
                "LAMBDA_ANSWER": answer.name,
            }
            run = self.containers.start_module("lambda_bootstrap", environment)
            error = self._wait(run, int(function.get("Timeout", 3)), now, request)
            answered = Path(answer.name).read_text(encoding="utf-8")
        told = json.loads(answered) if answered and not error else {}
        error = error or _in_words(told.get("error")) or ("" if told else "Runtime exited without providing a reason")
        peak = run.peak_rss_mb or 0.0
        self._tell(function, run.output, request, error, peak, now)
        return EndedTask(
            at=now,
            service=package,
            task_arn=request,
            definition=function["FunctionName"],
            stop_code="",
            stopped_reason=error,
            exit_code=1 if error else 0,
            output=run.output,
        )

    def _environment(self, function: Mapping[str, Any], payload: str, request: str, now: datetime) -> dict[str, str]:
        own = (function.get("Environment") or {}).get("Variables") or {}
        arn = function["FunctionArn"]
        return {
            **self.environment,
            **roles.session(self.deployed.aws.url, function["Role"], arn.split(":")[3]),
            **own,
            "AWS_LAMBDA_FUNCTION_NAME": function["FunctionName"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.get("MemorySize", 128)),
            "LAMBDA_EVENT": payload or "{}",
            "LAMBDA_REQUEST_ID": request,
            "LAMBDA_FUNCTION_ARN": arn,
            "VIRTUAL_NOW": now.isoformat(),
        }

    def _wait(self, run: Any, timeout: int, now: datetime, request: str) -> str:
        """Lambda's words where the run took longer than the function may; empty where it ended by itself."""
        try:
            run.wait(timeout)
            return ""
        except TimeoutError:
            run.kill(signal.SIGKILL)
            run.wait()
            return f"{now:%Y-%m-%dT%H:%M:%S.000Z} {request} Task timed out after {timeout:.2f} seconds"

    def _tell(
        self, function: Mapping[str, Any], output: str, request: str, error: str, peak_mb: float, now: datetime
    ) -> None:
        name, memory = function["FunctionName"], function.get("MemorySize", 128)
        for metric, value in (("Invocations", 1), ("Errors", 1 if error else 0)):
            self.recorder.count("AWS/Lambda", metric, {"FunctionName": name}, now, value)
        group = (function.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        report = f"REPORT RequestId: {request} Memory Size: {memory} MB Max Memory Used: {peak_mb:.0f} MB"
        timed_out = error if "timed out" in error else ""
        lines = [
            f"START RequestId: {request} Version: $LATEST",
            *output.splitlines(),
            timed_out,
            f"END RequestId: {request}",
        ]
        stream = f"{now:%Y/%m/%d}/[$LATEST]{request.replace('-', '')}"
        self.recorder.log(group, stream, "\n".join([line for line in lines if line] + [report]), now)

    def _leave_dead_letter(self, function: Mapping[str, Any], payload: str, request: str, run: EndedTask) -> None:
        """The event to the function's queue, in the name of its role."""
        queue = (function.get("DeadLetterConfig") or {}).get("TargetArn", "")
        role = self.deployed.role(function["Role"])
        found = self.deployed.queue_policy(queue) if ":sqs:" in queue else None
        if not found or not role or self.permissions.may(role, "sqs:SendMessage", queue, resource_policy=found[1]):
            self.recorder.count("AWS/Lambda", "DeadLetterErrors", {"FunctionName": function["FunctionName"]}, run.at)
            return
        texts = {"RequestID": request, "ErrorCode": "200", "ErrorMessage": run.stopped_reason[:1024]}
        attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
        self.recorder.later(
            self.deployed.client("sqs").send_message,
            QueueUrl=found[0],
            MessageBody=payload or "{}",
            MessageAttributes=attributes,
        )


def _in_words(error: Mapping[str, str] | None) -> str:
    return f"{error['errorType']}: {error['errorMessage']}" if error else ""
