"""Metric math as far as alarms use it: a parser, and what each operator and function does with missing points.

The rules are those of "Using metric math" in the CloudWatch user guide: arithmetic and comparison between two time
series take a point that only one of them has with 0 for the other; a division by zero drops the point; IF drops a point
whose condition is missing.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline.errors import PipelineError


class ExpressionInvalid(PipelineError):
    """An expression that cannot be read or evaluated; the text says where and what would do."""


class Series(NamedTuple):
    """One value or None per period; FILL leaves empty what does not `exist` (a metric without data for two weeks)."""

    values: list[float | None]
    exists: bool = True


Value = float | Series | list[Series] | str  # scalar, time series, array of them, or a keyword such as REPEAT


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What an expression may look at: the queries by id, which of them are metrics, and the periods."""

    series: Mapping[str, Value]
    metric_ids: Sequence[str]
    starts: Sequence[int]
    period_seconds: int


Evaluate = Callable[[Scope], Value]

TOKENS = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],]))"
)
KEYWORDS = ("REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MIN", "MAX", "SUM")
NOT_HERE = ("SEARCH", "ANOMALY_DETECTION_BAND", "INSIGHT_RULE_METRIC", "SERVICE_QUOTA", "DB_PERF_INSIGHTS", "LAMBDA")


@lru_cache(maxsize=1024)
def parse(text: str) -> Evaluate:
    """The expression as a function of its scope. Raises ExpressionInvalid with the position."""
    if text.lstrip().upper().startswith("SELECT"):
        raise ExpressionInvalid(
            f"{text!r} is a Metrics Insights query, which cannot be evaluated here; name the metrics"
        )
    parser = _Parser(text)
    evaluate = parser.expression(0)
    parser.end()
    return evaluate


@lru_cache(maxsize=1024)
def names_in(text: str) -> frozenset[str]:
    """The ids that an expression refers to (names that begin with a lower-case letter)."""
    return frozenset(match["name"] for match in TOKENS.finditer(text) if match["name"] and match["name"][0].islower())


# What binds how strongly; AND, OR and their signs are the loosest.
BINDING = {
    **dict.fromkeys(("OR", "||"), 1),
    **dict.fromkeys(("AND", "&&"), 2),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
    "^": 7,
}
UNARY = 6


class _Parser:
    """A precedence climber over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0

    def expression(self, least: int) -> Evaluate:
        """Operators that bind more strongly than `least`."""
        left = self._operand()
        while (binding := BINDING.get(self._next().text, 0)) > least:
            sign = self._take().text
            left = _operation(sign, left, self.expression(binding))
        return left

    def end(self) -> None:
        """Nothing may be left."""
        if self._next().kind != "end":
            raise self._wrong("an operator or the end")

    def _operand(self) -> Evaluate:
        token = self._take()
        if token.kind == "number":
            number = float(token.text)
            return lambda scope: number
        if token.kind == "string":
            return lambda scope: token.text[1:-1]
        if token.text == "-":
            inner = self.expression(UNARY)
            return lambda scope: _each(lambda value: -value, inner(scope))
        if token.text == "(":
            inner = self.expression(0)
            self._expect(")")
            return inner
        if token.text == "[":
            return _array(self._list("]"))
        if token.kind == "name":
            return self._named(token)
        self.index -= 1
        raise self._wrong("a number, an id, a function or a parenthesis")

    def _named(self, token: _Token) -> Evaluate:
        """A function's call, a keyword or an id."""
        name = token.text
        if self._next().text == "(":
            self._take()
            return self._call(name, self._list(")"))
        if name in KEYWORDS:
            return lambda scope: name
        if not name[0].islower():
            raise ExpressionInvalid(
                f"{name} in {self.text!r} is neither a function's call nor an id; ids begin in lower case"
            )
        text = self.text

        def look_up(scope: Scope) -> Value:
            try:
                return scope.series[name]
            except KeyError:
                known = ", ".join(sorted(scope.series)) or "none"
                raise ExpressionInvalid(f"{text!r} refers to {name!r}, which is no id; known: {known}") from None

        return look_up

    def _call(self, name: str, arguments: list[Evaluate]) -> Evaluate:
        """A function of known name and number of arguments."""
        if name in NOT_HERE:
            raise ExpressionInvalid(f"{name} in {self.text!r} cannot be evaluated here; name the metrics themselves")
        if name not in FUNCTIONS:
            raise ExpressionInvalid(f"{name} in {self.text!r} is no function; known: {', '.join(sorted(FUNCTIONS))}")
        function, least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ExpressionInvalid(f"{name} in {self.text!r} takes {wanted} arguments, not {len(arguments)}")
        return lambda scope: function(scope, *(argument(scope) for argument in arguments))

    def _list(self, closing: str) -> list[Evaluate]:
        """Expressions between commas, up to the closing sign."""
        found: list[Evaluate] = []
        while self._next().text != closing:
            found.append(self.expression(0))
            if self._next().text == ",":
                self._take()
            elif self._next().text != closing:
                raise self._wrong(f"',' or {closing!r}")
        self._take()
        return found

    def _next(self) -> _Token:
        return self.tokens[self.index]

    def _take(self) -> _Token:
        token = self.tokens[self.index]
        self.index += 1
        return token

    def _expect(self, text: str) -> None:
        if self._next().text != text:
            raise self._wrong(repr(text))
        self._take()

    def _wrong(self, wanted: str) -> ExpressionInvalid:
        token = self._next()
        found = repr(token.text) if token.text else "the end"
        return ExpressionInvalid(f"{self.text!r}, column {token.at + 1}: found {found} where {wanted} should stand")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    """The tokens and an end mark."""
    found, at = [], 0
    text_end = len(text.rstrip())
    while at < text_end:
        match = TOKENS.match(text, at)
        if not match or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionInvalid(f"{text!r}, column {at + 1}: {text[at]!r} means nothing in metric math")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*found, _Token("end", "", text_end)]


# --- operators -------------------------------------------------------------------------------------------------------


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _power(left: float, right: float) -> float | None:
    try:
        found = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return found if isinstance(found, float) and math.isfinite(found) else None


OPERATIONS: dict[str, Callable[[float, float], float | None]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "^": _power,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}
OPERATIONS["&&"], OPERATIONS["||"] = OPERATIONS["AND"], OPERATIONS["OR"]


def _operation(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    operation = OPERATIONS[sign]
    return lambda scope: _combine(sign, operation, left(scope), right(scope))


def _combine(sign: str, operation: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    """One operator over scalars, series and arrays, point by point."""
    if isinstance(left, Series):
        if isinstance(right, Series):
            return _pairwise(operation, left, right)
        if isinstance(right, float):
            return Series([None if value is None else operation(value, right) for value in left.values], left.exists)
    elif isinstance(left, float):
        if isinstance(right, Series):
            return Series([None if value is None else operation(left, value) for value in right.values], right.exists)
        if isinstance(right, float):
            found = operation(left, right)
            if found is None:
                raise ExpressionInvalid(f"{left} {sign} {right} has no value")
            return found
    return _combine_arrays(sign, operation, left, right)


def _pairwise(operation: Callable[[float, float], float | None], left: Series, right: Series) -> Series:
    """A point that only one series has meets 0 in the other; one that neither has stays missing."""
    return Series(
        [
            None if one is None and other is None else operation(one or 0.0, other or 0.0)
            for one, other in zip(left.values, right.values, strict=True)
        ],
        left.exists or right.exists,
    )


def _combine_arrays(sign: str, operation: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    """An array with a scalar or a series, on either side."""
    if isinstance(left, list) and isinstance(right, float | Series):
        return [_series(sign, _combine(sign, operation, each, right)) for each in left]
    if isinstance(right, list) and isinstance(left, float | Series):
        return [_series(sign, _combine(sign, operation, left, each)) for each in right]
    raise ExpressionInvalid(f"{sign} cannot join {_kind(left)} and {_kind(right)}")


def _array(items: list[Evaluate]) -> Evaluate:
    """[m1, METRICS("x")]: arrays within are laid flat."""

    def evaluate(scope: Scope) -> Value:
        found: list[Series] = []
        for item in items:
            found += _flat("[…]", item(scope))
        return found

    return evaluate


# --- functions -------------------------------------------------------------------------------------------------------


def _each(function: Callable[[float], float | None], value: Value) -> Value:
    """A function of one number over a scalar, a series or an array."""
    if isinstance(value, Series):
        return Series([None if point is None else function(point) for point in value.values], value.exists)
    if isinstance(value, list):
        return [_series("", _each(function, series)) for series in value]
    if isinstance(value, float):
        found = function(value)
        if found is not None:
            return found
    raise ExpressionInvalid(f"{_kind(value)} cannot be calculated with")


def _mapped(function: Callable[[float], float | None]) -> Callable[..., Value]:
    return lambda scope, value: _each(function, value)


def _reduced(
    name: str, function: Callable[[list[float]], float], *, missing_is_zero: bool = False
) -> Callable[..., Value]:
    """A series becomes a scalar, an array becomes a series (point by point, over those that have the point)."""

    def reduce(scope: Scope, value: Value) -> Value:
        if isinstance(value, Series):
            points = [point for point in value.values if point is not None]
            if missing_is_zero:
                points += [0.0] * (len(value.values) - len(points))
            return float(function(points)) if points else 0.0
        if not isinstance(value, list):
            raise ExpressionInvalid(f"{name} takes a time series or an array of them, not {_kind(value)}")
        found: list[float | None] = []
        for row in zip(*(series.values for series in value), strict=True):
            points = [point for point in row if point is not None]
            if points and missing_is_zero:
                points += [0.0] * (len(row) - len(points))
            found.append(float(function(points)) if points else None)
        return Series(found or [None] * len(scope.starts), any(series.exists for series in value))

    return reduce


def _fill(scope: Scope, value: Value, filler: Value) -> Value:
    """FILL(TS|TS[], S|TS|REPEAT|LINEAR). A metric that does not exist has nothing to fill."""
    if isinstance(value, list):
        return [_series("FILL", _fill(scope, series, filler)) for series in value]
    if not isinstance(value, Series):
        raise ExpressionInvalid(f"FILL takes a time series or an array of them first, not {_kind(value)}")
    if filler not in ("REPEAT", "LINEAR") and not isinstance(filler, float | Series):
        raise ExpressionInvalid(f"FILL takes a number, a time series, REPEAT or LINEAR second, not {_kind(filler)}")
    if not value.exists or None not in value.values:
        return value
    if filler == "REPEAT":
        return Series(_repeated(value.values))
    if filler == "LINEAR":
        return Series(_interpolated(value.values))
    if isinstance(filler, float):
        return Series([filler if point is None else point for point in value.values])
    other = _series("FILL", filler)
    return Series([b if a is None else a for a, b in zip(value.values, other.values, strict=True)])


def _repeated(values: Sequence[float | None]) -> list[float | None]:
    """Each missing point takes the last one before it; at the beginning there is none."""
    found: list[float | None] = []
    last: float | None = None
    for value in values:
        last = last if value is None else value
        found.append(last)
    return found


def _interpolated(values: Sequence[float | None]) -> list[float | None]:
    """Each gap becomes a straight line between its two ends; one at the edge has only one end and stays."""
    found = list(values)
    known = [index for index, value in enumerate(values) if value is not None]
    for left, right in pairwise(known):
        start, end = values[left], values[right]
        for index in range(left + 1, right):
            if start is not None and end is not None:
                found[index] = start + (end - start) * (index - left) / (right - left)
    return found


def _if(scope: Scope, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    """IF(condition, then[, otherwise]). A true point without `then` is 0; one without a condition is dropped."""
    if isinstance(condition, float):
        chosen = then if condition else otherwise
        return _as_series(scope, chosen) if chosen is not None else Series([None] * len(scope.starts))
    condition = _series("IF", condition)
    yes, no = _points(scope, then), _points(scope, otherwise)
    return Series(
        [
            None if asked is None else (found or 0.0) if asked else other
            for asked, found, other in zip(condition.values, yes, no, strict=True)
        ],
        condition.exists,
    )


def _points(scope: Scope, value: Value | None) -> Sequence[float | None]:
    return [None] * len(scope.starts) if value is None else _as_series(scope, value).values


def _as_series(scope: Scope, value: Value) -> Series:
    """A scalar stands at every point."""
    return Series([value] * len(scope.starts)) if isinstance(value, float) else _series("IF", value)


def _metrics(scope: Scope, part: Value = "") -> Value:
    """METRICS() or METRICS("part of an id"); expressions are not among them."""
    return [_series("METRICS", scope.series[name]) for name in scope.metric_ids if str(part) in name]


def _clock(read: Callable[[datetime], float]) -> Callable[..., Value]:
    """A function of the timestamps; its series has every point. DAY is 1 on Monday, 7 on Sunday; all in UTC."""

    @lru_cache(maxsize=64)  # all alarms of a tick look at the same few ranges
    def at(starts: tuple[int, ...]) -> Series:
        return Series([read(datetime.fromtimestamp(start, tz=UTC)) for start in starts])

    def clock(scope: Scope, value: Value) -> Value:
        _series("a date function", value)
        return at(tuple(scope.starts))

    return clock


def _differences(scope: Scope, value: Value, difference: Callable[[float, float, int], float | None]) -> Value:
    """A function of each point, the one before it that exists, and the seconds between."""
    if isinstance(value, list):
        return [_series("DIFF", _differences(scope, series, difference)) for series in value]
    found: list[float | None] = []
    before: tuple[int, float] | None = None
    series = _series("DIFF", value)
    for start, point in zip(scope.starts, series.values, strict=True):
        known = point is not None and before is not None
        found.append(difference(point, before[1], start - before[0]) if known else None)  # type: ignore[arg-type,index]
        before = before if point is None else (start, point)
    return Series(found, series.exists)


def _running_sum(scope: Scope, value: Value) -> Value:
    if isinstance(value, list):
        return [_series("RUNNING_SUM", _running_sum(scope, series)) for series in value]
    total, found = 0.0, list[float | None]()
    series = _series("RUNNING_SUM", value)
    for point in series.values:
        total += point or 0.0
        found.append(None if point is None else total)
    return Series(found, series.exists)


def _slice(scope: Scope, value: Value, start: Value, end: Value | None = None) -> Value:
    """SLICE(TS[], start[, end]), from 0, the end not included."""
    found = _flat("SLICE", value)[int(_scalar("SLICE", start)) :]
    return found if end is None else found[: int(_scalar("SLICE", end) - _scalar("SLICE", start))]


def _sort(scope: Scope, value: Value, by: Value, order: Value, limit: Value | None = None) -> Value:
    """SORT(TS[], AVG|MIN|MAX|SUM, ASC|DESC[, limit])."""
    if by not in {"AVG", "MIN", "MAX", "SUM"} or order not in {"ASC", "DESC"}:
        raise ExpressionInvalid("SORT takes an array, one of AVG, MIN, MAX, SUM, then ASC or DESC")
    function = FUNCTIONS[str(by)][0]
    found = sorted(_flat("SORT", value), key=lambda series: function(scope, series), reverse=order == "DESC")
    return found if limit is None else found[: int(_scalar("SORT", limit))]


def _scalar(name: str, value: Value) -> float:
    if isinstance(value, float):
        return value
    raise ExpressionInvalid(f"{name} takes a number here, not {_kind(value)}")


def _series(name: str, value: Value) -> Series:
    if isinstance(value, Series):
        return value
    raise ExpressionInvalid(f"{name} takes a time series here, not {_kind(value)}")


def _flat(name: str, value: Value) -> list[Series]:
    return value if isinstance(value, list) else [_series(name, value)]


def _kind(value: Value) -> str:
    names: dict[type, str] = {float: "a number", Series: "a time series", list: "an array of time series"}
    return names.get(type(value), f"the word {value}")


def _positive(function: Callable[[float], float]) -> Callable[[float], float | None]:
    """A logarithm, which drops what it has no value for."""
    return lambda value: function(value) if value > 0 else None


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "ABS": (_mapped(abs), 1, 1),
    "CEIL": (_mapped(lambda value: float(math.ceil(value))), 1, 1),
    "FLOOR": (_mapped(lambda value: float(math.floor(value))), 1, 1),
    "LOG": (_mapped(_positive(math.log)), 1, 1),
    "LOG10": (_mapped(_positive(math.log10)), 1, 1),
    "AVG": (_reduced("AVG", statistics.fmean, missing_is_zero=True), 1, 1),
    "MIN": (_reduced("MIN", min), 1, 1),
    "MAX": (_reduced("MAX", max), 1, 1),
    "SUM": (_reduced("SUM", math.fsum), 1, 1),
    "STDDEV": (_reduced("STDDEV", statistics.pstdev), 1, 1),
    "DATAPOINT_COUNT": (_reduced("DATAPOINT_COUNT", len), 1, 1),
    "DIFF": (lambda scope, value: _differences(scope, value, lambda new, old, seconds: new - old), 1, 1),
    "DIFF_TIME": (lambda scope, value: _differences(scope, value, lambda new, old, seconds: float(seconds)), 1, 1),
    "RATE": (lambda scope, value: _differences(scope, value, lambda new, old, seconds: (new - old) / seconds), 1, 1),
    "RUNNING_SUM": (_running_sum, 1, 1),
    "FILL": (_fill, 2, 2),
    "IF": (_if, 2, 3),
    "FIRST": (lambda scope, value: _flat("FIRST", value)[0], 1, 1),
    "LAST": (lambda scope, value: _flat("LAST", value)[-1], 1, 1),
    "METRICS": (_metrics, 0, 1),
    "METRIC_COUNT": (lambda scope, value: float(len(_flat("METRIC_COUNT", value))), 1, 1),
    "PERIOD": (lambda scope, value: float(scope.period_seconds), 1, 1),
    "REMOVE_EMPTY": (
        lambda scope, value: [
            series for series in _flat("REMOVE_EMPTY", value) if any(v is not None for v in series.values)
        ],
        1,
        1,
    ),
    "SLICE": (_slice, 2, 3),
    "SORT": (_sort, 3, 4),
    "TIME_SERIES": (lambda scope, value: Series([_scalar("TIME_SERIES", value)] * len(scope.starts)), 1, 1),
    "MINUTE": (_clock(lambda at: float(at.minute)), 1, 1),
    "HOUR": (_clock(lambda at: float(at.hour)), 1, 1),
    "DAY": (_clock(lambda at: float(at.isoweekday())), 1, 1),
    "DATE": (_clock(lambda at: float(at.day)), 1, 1),
    "MONTH": (_clock(lambda at: float(at.month)), 1, 1),
    "YEAR": (_clock(lambda at: float(at.year)), 1, 1),
    "EPOCH": (_clock(lambda at: at.timestamp()), 1, 1),
}
