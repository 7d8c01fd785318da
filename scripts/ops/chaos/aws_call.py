"""Any call of boto3 as a scenario's step: checked against botocore's models before anything starts, then made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, UnknownServiceError
from botocore.validate import ParamValidator

from ops.chaos import placeholders
from ops.document import Mistake, Place, remedy, shown
from pipeline.catalog import Catalog
from pipeline.errors import PipelineError

# An operation whose name begins so changes nothing.
READING = ("get_", "list_", "describe_", "head_", "search_", "simulate_", "lookup_", "filter_", "batch_get_")
TEXT_SHOWN = 60
_KINDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "dict": "a mapping"}
_KINDS |= {"list": "a list", "tuple": "a list", "Decimal": "a number"}


class CallRefused(PipelineError):
    """AWS did not do what a step asked, or did what it was expected to refuse."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A reading call whose answer, or the part of it that `select` names, the call's own params are laid over."""

    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    select: str | None = None


@dataclass(frozen=True, kw_only=True)
class AwsCall:
    """One call; `operation` in snake_case, `params` with placeholders as written."""

    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    region: str | None = None
    base: Base | None = None
    expect_error: str | None = None

    @property
    def breaks(self) -> bool:
        return not self.operation.startswith(READING)

    @property
    def text(self) -> str:
        names = (f"{name}={value}" for name, value in self.params.items() if isinstance(value, str | int | float))
        shown = " ".join(f"{name:.{TEXT_SHOWN}}" for name in names)
        return f"aws {self.service} {self.operation} {shown}".rstrip()


def parse(raw: Mapping[str, Any], catalog: Catalog) -> AwsCall:
    """A call as a scenario writes it. Raises Mistake for a service, operation or parameter that does not exist."""
    service = raw["service"]
    operation = _operation(service, raw["operation"], ("operation",))
    params, base = raw.get("params", {}), raw.get("base")
    _check_params(service, operation, params, catalog, ("params",), whole=base is None)
    if base:
        base_operation = _operation(service, base["operation"], ("base", "operation"))
        _check_params(service, base_operation, base.get("params", {}), catalog, ("base", "params"), whole=True)
        _check_select(base.get("select"))
    return AwsCall(
        service=service,
        operation=operation,
        params=params,
        region=raw.get("region"),
        base=Base(operation=base_operation, params=base.get("params", {}), select=base.get("select")) if base else None,
        expect_error=raw.get("expect_error"),
    )


# ── against the models ───────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def _model(service: str) -> Any:
    try:
        return _session().get_service_model(service)
    except UnknownServiceError:
        known = _session().get_available_services()
        raise Mistake(f"boto3 has no service {service!r}; {remedy(service, known)}", "service") from None


@cache
def _operations(service: str) -> Mapping[str, str]:
    """Operation by snake_case name."""
    return {xform_name(name): name for name in _model(service).operation_names}


def _operation(service: str, written: str, place: Place) -> str:
    """The operation in snake_case."""
    known = _operations(service)
    name = written if written in known else xform_name(written)
    if name not in known:
        raise Mistake(f"{service} has no operation {written!r}; {remedy(name, known)}", *place)
    return name


def _input(service: str, operation: str) -> Any:
    """The shape of an operation's parameters; None where it takes none."""
    return _model(service).operation_model(_operations(service)[operation]).input_shape


def _check_params(
    service: str, operation: str, params: Mapping[str, Any], catalog: Catalog, place: Place, *, whole: bool
) -> None:
    """Raises Mistake where the parameters do not fit; unless `whole`, some may be missing."""
    try:
        placeholders.check(params, catalog)
        shape = _input(service, operation)
        if shape is None:
            if params:
                raise Mistake(f"{operation} takes no parameters", next(iter(params)))
            return
        _validate(fitted(placeholders.sampled(params), shape), shape, whole=whole)
    except Mistake as mistake:
        raise Mistake(str(mistake), *place, *mistake.place) from mistake


def fitted(value: Any, shape: Any) -> Any:
    """The value as the shape wants it: mappings as JSON where it is a text, and numbers as texts."""
    if shape.type_name == "structure" and isinstance(value, Mapping) and not getattr(shape, "is_document_type", False):
        members = shape.members
        return {name: fitted(item, members[name]) if name in members else item for name, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [fitted(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {name: fitted(item, shape.value) for name, item in value.items()}
    if shape.type_name in ("string", "blob") and isinstance(value, Mapping | list):
        return json.dumps(value)
    if shape.type_name == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _validate(params: Mapping[str, Any], shape: Any, *, whole: bool) -> None:
    # The report in words loses where each error is; `_errors` holds (kind, path, more) of each.
    # A misspelt name is told before the right one that is missing for it.
    errors = ParamValidator().validate(params, shape)._errors
    for kind, path, more in sorted(errors, key=lambda error: error[0] != "unknown field"):
        if kind != "missing required field" or whole:
            raise Mistake(_complaint(kind, path, more), *_place(path), *_unknown(kind, more))
    for place, text in _wrong_values(params, shape, ()):
        raise Mistake(text, *place)


def _complaint(kind: str, path: str, more: Mapping[str, Any]) -> str:
    where = path.lstrip(".") or "params"
    if kind == "unknown field":
        name = more["unknown_param"]
        return f"{where} has no parameter {name!r}; {remedy(name, more['valid_names'])}"
    if kind == "missing required field":
        return f"{where} lacks {more['required_name']!r}, which AWS requires"
    if kind == "invalid type":
        wanted = " or ".join(dict.fromkeys(_kind(str(name)) for name in more["valid_types"]))
        return f"{where} is {shown(more['param'])}, AWS wants {wanted}"
    return f"{where}: {kind} ({', '.join(f'{name} {value}' for name, value in more.items())})"


def _kind(python_type: str) -> str:
    """A Python type, as botocore spells it, in a scenario's words."""
    name = python_type.split("'")[1] if "'" in python_type else python_type
    return _KINDS.get(name.rpartition(".")[2], name)


def _unknown(kind: str, more: Mapping[str, Any]) -> tuple[str, ...]:
    return (more["unknown_param"],) if kind == "unknown field" else ()


def _place(path: str) -> Place:
    """The place of botocore's `.Target.Subnets[0]`."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(index) if index else name for index, name in found)


def _wrong_values(value: Any, shape: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Texts that are not among those that AWS knows for them."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, item in value.items():
            if name in shape.members:
                yield from _wrong_values(item, shape.members[name], (*place, name))
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _wrong_values(item, shape.member, (*place, index))
    elif shape.type_name == "string" and shape.enum and value not in (*shape.enum, placeholders.SAMPLE):
        yield place, f"{value!r} is none of AWS's values; {remedy(str(value), shape.enum)}"


def _check_select(expression: str | None) -> None:
    if expression is None:
        return
    try:
        jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        first = str(error).splitlines()[0]
        raise Mistake(
            f"{expression!r} is no JMESPath ({first}); write MetricAlarms[0], say", "base", "select"
        ) from error


# ── the call itself ──────────────────────────────────────────────────────────────────────────────────────────────────


def perform(call: AwsCall, client: Callable[[str, str | None], Any], fill: Callable[[Any], Any]) -> str:
    """Makes the call; returns what is worth telling. Raises CallRefused with AWS's words."""
    try:
        connected = client(call.service, call.region)
        params = fill(call.params)
        shape = _input(call.service, call.operation)
        if call.base:
            params = merged(_base(call.base, connected, fill, shape), params)
        answer = getattr(connected, call.operation)(**fitted(params, shape) if shape is not None else {})
    except ClientError as error:
        return _refused(call, error)
    except BotoCoreError as error:
        raise CallRefused(f"{call.text}: {' '.join(str(error).split())}") from error
    if call.expect_error:
        raise CallRefused(f"{call.text}: was to be refused with {call.expect_error} and was done")
    return _told(answer)


def _base(base: Base, client: Any, fill: Callable[[Any], Any], shape: Any) -> dict[str, Any]:
    """What is there now, less what the changing operation does not take."""
    answer = getattr(client, base.operation)(**fill(base.params))
    found = jmespath.search(base.select, answer) if base.select else answer
    if not isinstance(found, Mapping):
        raise CallRefused(
            f"{base.operation}: its answer has no mapping at {base.select or 'its top'}; select another part"
        )
    return {name: value for name, value in found.items() if name in shape.members and value is not None}


def merged(base: Any, change: Any) -> Any:
    """`change` laid over `base`: mappings key by key (null takes one away), lists of as many mappings item by item."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        keys = [*base, *(key for key in change if key not in base)]
        laid = {
            key: merged(base[key], change[key]) if key in base and key in change else change.get(key, base.get(key))
            for key in keys
        }
        return {key: value for key, value in laid.items() if not (key in change and value is None)}
    if isinstance(base, list) and isinstance(change, list) and len(base) == len(change):
        return [merged(old, new) for old, new in zip(base, change, strict=True)]
    return change


def _refused(call: AwsCall, error: ClientError) -> str:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if call.expect_error == code:
        return f"refused with {code}, as expected"
    wanted = f" (expected {call.expect_error})" if call.expect_error else ""
    raise CallRefused(f"{call.text}: AWS refused it: {code}: {message}{wanted}") from error


def _told(answer: Mapping[str, Any]) -> str:
    """The answer's own texts, cut short."""
    found = {
        name: value for name, value in answer.items() if name != "ResponseMetadata" and isinstance(value, str | int)
    }
    return ", ".join(f"{name} {value!s:.80}" for name, value in list(found.items())[:3])
