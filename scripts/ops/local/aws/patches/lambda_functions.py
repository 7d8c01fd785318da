"""Lambda: what a function's configuration reports."""

from __future__ import annotations

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


def concurrency_of_zero() -> None:
    """A reserved concurrency of 0 (nothing may run) is reported; moto takes it for none."""

    @around(LambdaFunction, "get_code")
    def get_code(original: Any, self: Any) -> dict[str, Any]:
        found: dict[str, Any] = original(self)
        if self.reserved_concurrency is not None:
            found["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved_concurrency}
        return found
