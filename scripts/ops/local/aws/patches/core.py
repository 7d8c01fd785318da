"""What is wrong with moto in every service."""

from __future__ import annotations

import traceback
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from ops.local.aws.patches.tools import around

HOSTS = 1000  # names of buckets may be hosts too


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


def services_are_found_at_once() -> None:
    """Which service a host name means is looked up once; moto searches folders and patterns at every call."""

    @around(DomainDispatcherApplication, "get_backend_for_host")
    def get_backend_for_host(original: Any, self: Any, host: str | None) -> Any:
        known = self.__dict__.setdefault("ops_hosts", {})
        if host not in known:
            if len(known) >= HOSTS:
                known.clear()
            known[host] = original(self, host)
        return known[host]


def _not_implemented(response: BaseResponse, fault: str) -> Any:
    """An error in the words of the service's protocol, so that a client shows its text."""
    # moto finds the service of an error by the module of its class
    home = {"__module__": type(response).__module__, "code": "NotImplemented"}
    error = type("NotImplemented", (ServiceException,), home)(f"{response.service_name}: {fault}")
    _, headers, body = response.serialized(ActionResult(error))
    return 501, {**headers, "status": "501"}, body
