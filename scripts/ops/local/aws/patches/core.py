"""What is wrong with moto in every service."""

from __future__ import annotations

import traceback
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from ops.local.aws.patches.tools import around


def faults_answer_501() -> None:
    """AWS knows all its actions; moto answers 500 to one that it lacks or stumbles over, which SDKs retry.

    Terraform retries for nine minutes. 501 is not retried, and its text names the action and the fault.
    """

    @around(BaseResponse, "call_action")
    def call_action(original: Any, self: BaseResponse) -> Any:
        try:
            return original(self)
        except NotImplementedError as error:
            return _not_implemented(self, str(error))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            traceback.print_exc()  # into the server's log
            return _not_implemented(self, f"moto failed in {self._get_action()}: {type(error).__name__}: {error}")


def _not_implemented(response: BaseResponse, fault: str) -> Any:
    """An error in the words of the service's protocol, so that a client shows its text."""
    # moto finds the service of an error by the module of its class
    home = {"__module__": type(response).__module__, "code": "NotImplemented"}
    error = type("NotImplemented", (ServiceException,), home)(f"{response.service_name}: {fault}")
    _, headers, body = response.serialized(ActionResult(error))
    return 501, {**headers, "status": "501"}, body
