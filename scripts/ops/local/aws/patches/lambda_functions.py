"""Lambda: what a function's configuration reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import LambdaFunction

from ops.local.aws.patches.tools import around, kept

AT_CREATION = ("DeadLetterConfig", "LoggingConfig")
IN_UPDATES = (*AT_CREATION, "KMSKeyArn", "TracingConfig", "Architectures")


def configuration_is_kept() -> None:
    """DeadLetterConfig and LoggingConfig, and later changes of key, tracing and architecture; moto drops them."""

    @around(LambdaFunction, "__init__")
    def born(original: Any, self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        original(self, account_id, spec, *args, **kwargs)
        kept(self, "configuration").update({key: spec[key] for key in AT_CREATION if key in spec})

    @around(LambdaFunction, "get_configuration")
    def get_configuration(original: Any, self: Any, on_create: bool = False) -> dict[str, Any]:
        return {**original(self, on_create), **kept(self, "configuration")}

    @around(LambdaFunction, "update_configuration")
    def update_configuration(original: Any, self: Any, updates: dict[str, Any]) -> Any:
        kept(self, "configuration").update({key: updates[key] for key in IN_UPDATES if key in updates})
        return original(self, updates)


def image_settings_only_where_given() -> None:
    """A function whose image needs no overrides has no ImageConfigResponse; moto reports an empty one."""

    @around(LambdaFunction, "get_configuration")
    def get_configuration(original: Any, self: Any, on_create: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = original(self, on_create)
        if not any(found.get("ImageConfigResponse", {}).get("ImageConfig", {}).values()):
            found.pop("ImageConfigResponse", None)
        return found


def images_keep_their_digest() -> None:
    """A function of an image named by digest resolves to just that; moto invents another digest."""

    @around(LambdaFunction, "get_code")
    def get_code(original: Any, self: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(self)
        if "@sha256:" in found.get("Code", {}).get("ImageUri", ""):
            found["Code"]["ResolvedImageUri"] = found["Code"]["ImageUri"]
        return found


def changes_have_a_time() -> None:
    """A change of code or configuration moves LastModified; moto's stays, in a form that is not AWS's.

    Of an image CodeSha256 is the digest.
    """

    @around(LambdaFunction, "update_configuration")
    def update_configuration(original: Any, self: Any, updates: dict[str, Any]) -> Any:
        self.last_modified = _now()
        return original(self, updates)

    @around(LambdaFunction, "update_function_code")
    def update_function_code(original: Any, self: Any, updates: dict[str, Any]) -> Any:
        self.last_modified = _now()
        return original(self, updates)

    @around(LambdaFunction, "_set_function_code")
    def set_function_code(original: Any, self: Any, code: dict[str, Any]) -> None:
        original(self, code)
        _name_digest(self, code)

    @around(LambdaFunction, "__init__")
    def born(original: Any, self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        original(self, account_id, spec, *args, **kwargs)
        self.last_modified = _now()
        _name_digest(self, spec.get("Code") or {})


def _name_digest(function: Any, code: dict[str, Any]) -> None:
    digest = code.get("ImageUri", "").partition("@sha256:")[2]
    function.code_sha_256 = digest or function.code_sha_256


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def concurrency_of_zero() -> None:
    """A reserved concurrency of 0 (nothing may run) is reported; moto takes it for none."""

    @around(LambdaFunction, "get_code")
    def get_code(original: Any, self: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(self)
        if self.reserved_concurrency is not None:
            found["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved_concurrency}
        return found
