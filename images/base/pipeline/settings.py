"""Parameters as typed values: strict, so that a malformed one stops the run instead of becoming a default."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipeline.catalog import Parameter, Service
from pipeline.errors import ConfigInvalid

# A list of symbols that is not one has a cause code of its own.
WRONG_LIST = "ticker_config"
SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,5}(\.[A-Z]{1,2})?")


@dataclass(frozen=True)
class Secret:
    """A value that never shows itself: repr, str and logs read ***; `reveal()` gives it."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, kw_only=True)
class Values:
    """A service's parameters as texts, by parameter name; each getter parses one and names it when it is wrong.

    Where a parameter may be missing, its getter raises ConfigInvalid."""

    texts: Mapping[str, str]
    declared: Mapping[str, Parameter]

    def text(self, name: str) -> str:
        if name not in self.texts:
            raise ConfigInvalid(f"missing or blank: {self._where(name)}", code="parameter_missing")
        return self.texts[name]

    def secret(self, name: str) -> Secret:
        return Secret(self.text(name))

    def symbols(self, name: str) -> tuple[str, ...]:
        """Comma-separated symbols, in their order."""
        return parse_symbols(self.text(name), where=self._where(name))

    def urls(self, name: str) -> tuple[str, ...]:
        """A JSON array of http(s) addresses, at least one, none twice."""
        return parse_urls(self.text(name), where=self._where(name))

    def json_object(self, name: str, keys: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
        """A JSON object with exactly these keys, each of the type (or one of the types) given."""
        return parse_object(self.text(name), keys, where=self._where(name))

    def fingerprints(self) -> dict[str, str]:
        """A short content version of each value, so that a run's record tells which values it ran with."""
        return {name: fingerprint(text) for name, text in sorted(self.texts.items())}

    def _where(self, name: str) -> str:
        return f"parameter {name} ({self.declared[name].env})"


def fingerprint(text: str) -> str:
    """The first 12 hex digits of the sha256: tells two values apart without telling the value."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read(environment: Mapping[str, str], service: Service, *, require_all: bool = True) -> Values:
    """The service's parameters from the environment. Raises ConfigInvalid naming all that are missing, unless the
    service can do without."""
    declared = {parameter.name: parameter for parameter in service.environment}
    missing = [p for p in declared.values() if not environment.get(p.env, "").strip()]
    if missing and require_all:
        names = ", ".join(f"{p.name} ({p.env})" for p in missing)
        raise ConfigInvalid(
            f"missing or blank: {names}; store the parameter under the project's path and run again",
            code=_code_of_blank(*missing) if all(p.env in environment for p in missing) else ConfigInvalid.code,
        )
    texts = {name: environment[p.env] for name, p in declared.items() if p not in missing}
    return Values(texts=texts, declared=declared)


def _code_of_blank(*parameters: Parameter) -> str:
    """A list of symbols that names none is a wrong list; one that was never stored lets no task start."""
    return WRONG_LIST if all(parameter.kind == "symbols" for parameter in parameters) else ConfigInvalid.code


def parse_symbols(text: str, *, where: str = "tickers") -> tuple[str, ...]:
    """Symbols from 'AAPL,MSFT'. Raises ConfigInvalid on a blank item, lower case, a duplicate or no symbol at all."""
    items = text.strip().split(",")
    symbols = tuple(item.strip() for item in items)
    if blank := [str(i) for i, symbol in enumerate(symbols, start=1) if not symbol]:
        raise ConfigInvalid(
            f"{where}: item {', '.join(blank)} of {len(symbols)} is blank (a stray comma?)", code=WRONG_LIST
        )
    if wrong := [symbol for symbol in symbols if not SYMBOL.fullmatch(symbol)]:
        raise ConfigInvalid(
            f"{where}: {', '.join(map(repr, wrong))} is no symbol; write them like AAPL,BRK.B", code=WRONG_LIST
        )
    if twice := sorted(symbol for symbol, times in Counter(symbols).items() if times > 1):
        raise ConfigInvalid(f"{where}: {', '.join(twice)} more than once", code=WRONG_LIST)
    return symbols


def parse_urls(text: str, *, where: str = "rss_feeds") -> tuple[str, ...]:
    """Addresses from a JSON array. Raises ConfigInvalid on anything but distinct http(s) addresses."""
    items = _json(text, where)
    if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
        raise ConfigInvalid(f"{where}: expected a JSON array of at least one address, found {_shown(items)}")
    for item in items:
        parts = urlsplit(item)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigInvalid(f"{where}: {item!r} is not an http(s) address")
    if twice := sorted(item for item, times in Counter(items).items() if times > 1):
        raise ConfigInvalid(f"{where}: {', '.join(twice)} more than once")
    return tuple(items)


def parse_object(text: str, keys: Mapping[str, type | tuple[type, ...]], *, where: str) -> dict[str, Any]:
    """A JSON object with exactly `keys`; a bool is no number. Raises ConfigInvalid naming the key."""
    value = _json(text, where)
    if not isinstance(value, dict):
        raise ConfigInvalid(f"{where}: expected a JSON object, found {_shown(value)}")
    if unknown := sorted(value.keys() - keys.keys()):
        raise ConfigInvalid(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(keys)}")
    if missing := [key for key in keys if key not in value]:
        raise ConfigInvalid(f"{where}: missing key {', '.join(missing)}")
    for key, kind in keys.items():
        if not isinstance(value[key], kind) or (isinstance(value[key], bool) and kind is not bool):
            raise ConfigInvalid(f"{where}: {key} is {_shown(value[key])}, expected {_type_name(kind)}")
    return value


def require_usable(parameter: Parameter, text: str) -> None:
    """Raises ConfigInvalid where the text cannot be a value of the parameter, as far as its kind and its initial value
    tell: an array of texts, or an object with just the initial one's keys and their types."""
    where = f"parameter {parameter.name} ({parameter.env})"
    if not text.strip():
        raise ConfigInvalid(f"missing or blank: {where}", code=_code_of_blank(parameter))
    if parameter.kind == "symbols":
        parse_symbols(text, where=where)
    elif parameter.kind == "json":
        initial = json.loads(parameter.initial or "null")
        if isinstance(initial, dict):
            parse_object(text, {key: _alike(value) for key, value in initial.items()}, where=where)
        elif not isinstance(found := _json(text, where), list) or not found:
            raise ConfigInvalid(f"{where}: expected a JSON array of at least one item, found {_shown(found)}")


def _alike(value: Any) -> type | tuple[type, ...]:
    return (int, float) if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except ValueError as error:
        raise ConfigInvalid(f"{where}: not JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _type_name(kind: type | tuple[type, ...]) -> str:
    return " or ".join(k.__name__ for k in kind) if isinstance(kind, tuple) else kind.__name__
