"""AlarmRule: the grammar of composite alarms, and what a rule says of other alarms' states."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ops.local.alarms.definition import State
from pipeline.errors import PipelineError

CHILDREN_MOST = 100
ELEMENTS_MOST = 500
TOKENS = re.compile(r'\s*(?:(?P<string>"[^"]*"|\'[^\']*\')|(?P<sign>[()])|(?P<word>[^\s()"\']+)|(?P<stray>["\']))')


class RuleInvalid(PipelineError):
    """An AlarmRule that CloudWatch would not take; the text says where."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """One mention of an alarm; `wanted` is false below an odd number of NOTs."""

    name: str
    state: State
    wanted: bool


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that was read; `children` in the order in which they are written."""

    text: str
    children: tuple[Child, ...]
    holds: Callable[[Mapping[str, State]], bool]


def alarm_name(reference: str) -> str:
    """The name in an alarm's name or ARN."""
    return reference.split(":", 6)[6] if reference.startswith("arn:") and reference.count(":") >= 6 else reference


@lru_cache(maxsize=1024)
def parse(text: str) -> Rule:
    """Reads ALARM(x), OK(x), INSUFFICIENT_DATA(x), AND, OR, NOT, TRUE, FALSE and parentheses. Raises RuleInvalid.

    NOT binds more strongly than AND, AND more than OR. An alarm that does not exist is in no state.
    """
    parser = _Parser(text)
    holds = parser.either()
    if parser.next:
        raise parser.wrong("AND, OR or the end")
    if parser.elements > ELEMENTS_MOST or len(parser.children) > CHILDREN_MOST:
        raise RuleInvalid(
            f"the rule has {len(parser.children)} alarms and {parser.elements} elements; at most {CHILDREN_MOST} and "
            f"{ELEMENTS_MOST} are allowed: ask groups of alarms by composite alarms of their own"
        )
    return Rule(text=text, children=tuple(parser.children), holds=holds)


Holds = Callable[[Mapping[str, State]], bool]


class _Parser:
    """Recursive descent; one method per level of binding."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.children: list[Child] = []
        self.elements = 0
        self._negations = 0
        self._tokens = [
            (match[match.lastgroup or 0], match.start(match.lastgroup or 0)) for match in TOKENS.finditer(text)
        ]
        self._index = 0

    @property
    def next(self) -> str:
        """The coming token; empty at the end."""
        return self._tokens[self._index][0] if self._index < len(self._tokens) else ""

    def either(self) -> Holds:
        """… OR …"""
        parts = [self._both()]
        while self.next.upper() == "OR":
            self._index += 1
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda states: any(part(states) for part in parts)

    def _both(self) -> Holds:
        parts = [self._one()]
        while self.next.upper() == "AND":
            self._index += 1
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda states: all(part(states) for part in parts)

    def _one(self) -> Holds:
        word = self.next.upper()
        if word == "NOT":
            return self._negation()
        if word == "(":
            self.elements += 1
            self._index += 1
            inner = self.either()
            self._expect(")")
            return inner
        if word in {"TRUE", "FALSE"}:
            self.elements += 1
            self._index += 1
            return lambda states: word == "TRUE"
        if word in set(State):
            return self._child(State(word))
        raise self.wrong("ALARM(…), OK(…), INSUFFICIENT_DATA(…), NOT, TRUE, FALSE or a parenthesis")

    def _negation(self) -> Holds:
        self._index += 1
        self._negations += 1
        inner = self._one()
        self._negations -= 1
        return lambda states: not inner(states)

    def _child(self, state: State) -> Holds:
        self._index += 1
        self._expect("(")
        reference = self.next.strip("\"'")
        if not reference or reference in "()":
            raise self.wrong("an alarm's name or ARN")
        self._index += 1
        self._expect(")")
        name = alarm_name(reference)
        self.elements += 1
        self.children.append(Child(name=name, state=state, wanted=self._negations % 2 == 0))
        return lambda states: states.get(name) == state

    def _expect(self, sign: str) -> None:
        if self.next != sign:
            raise self.wrong(repr(sign))
        self._index += 1

    def wrong(self, wanted: str) -> RuleInvalid:
        """What stands where `wanted` should."""
        at = self._tokens[self._index][1] if self._index < len(self._tokens) else len(self.text)
        found = repr(self.next) if self.next else "the end"
        return RuleInvalid(f"AlarmRule {self.text!r:.200}, column {at + 1}: found {found} where {wanted} should stand")
