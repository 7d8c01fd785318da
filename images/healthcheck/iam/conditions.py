"""Condition operators, as the IAM user guide tabulates them.

Logic ("Conditions with multiple context keys or values"): all operators and all keys must hold (AND), the values of one
key are alternatives (OR), those of a negated operator are exclusions (NOR). A key that the request does not have makes
an operator false and a negated one true; `…IfExists` is then always true, `ForAllValues:` true, `ForAnyValue:` false.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

from healthcheck.iam.context import Context
from healthcheck.iam.patterns import arn_matches, matches, replaced

Quantifier = Literal["", "forallvalues", "foranyvalue"]

# (value in the policy, value in the request, variables) -> equal?
Comparison = Callable[[str, str, Context | None], bool]


def _text(wanted: str, value: str, variables: Context | None) -> bool:
    return replaced(wanted, variables) == value


def _text_ignoring_case(wanted: str, value: str, variables: Context | None) -> bool:
    filled = replaced(wanted, variables)
    return filled is not None and filled.lower() == value.lower()


def _like(wanted: str, value: str, variables: Context | None) -> bool:
    return matches(wanted, value, variables=variables)


def _arn(wanted: str, value: str, variables: Context | None) -> bool:
    return arn_matches(wanted, value, variables=variables)


def _literal(wanted: str, value: str, _: Context | None) -> bool:
    return wanted == value


def _address(wanted: str, value: str, _: Context | None) -> bool:
    try:
        network, address = ipaddress.ip_network(wanted, strict=False), ipaddress.ip_address(value)
    except ValueError:
        return False
    return address.version == network.version and address in network


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _instant(text: str) -> Decimal | None:
    """Seconds since 1970 of an ISO 8601 date or time (UTC unless it says otherwise) or of an epoch number."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and len(text) != len("2020"):
        return Decimal(text)
    padded = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        read = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return Decimal(str((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()))


def _ordered(read: Callable[[str], Decimal | None], holds: Callable[[Decimal, Decimal], bool]) -> Comparison:
    def compare(wanted: str, value: str, _: Context | None) -> bool:
        left, right = read(value), read(wanted)
        return left is not None and right is not None and holds(left, right)

    return compare


def _orders(prefix: str, read: Callable[[str], Decimal | None]) -> dict[str, tuple[Comparison, bool]]:
    equal = _ordered(read, lambda left, right: left == right)
    return {
        f"{prefix}equals": (equal, False),
        f"{prefix}notequals": (equal, True),
        f"{prefix}lessthan": (_ordered(read, lambda left, right: left < right), False),
        f"{prefix}lessthanequals": (_ordered(read, lambda left, right: left <= right), False),
        f"{prefix}greaterthan": (_ordered(read, lambda left, right: left > right), False),
        f"{prefix}greaterthanequals": (_ordered(read, lambda left, right: left >= right), False),
    }


# Operator in lower case -> comparison, negated?
OPERATORS: dict[str, tuple[Comparison, bool]] = {
    "stringequals": (_text, False),
    "stringnotequals": (_text, True),
    "stringequalsignorecase": (_text_ignoring_case, False),
    "stringnotequalsignorecase": (_text_ignoring_case, True),
    "stringlike": (_like, False),
    "stringnotlike": (_like, True),
    "arnequals": (_arn, False),
    "arnlike": (_arn, False),
    "arnnotequals": (_arn, True),
    "arnnotlike": (_arn, True),
    "bool": (_text_ignoring_case, False),
    "binaryequals": (_literal, False),
    "ipaddress": (_address, False),
    "notipaddress": (_address, True),
    **_orders("numeric", _number),
    **_orders("date", _instant),
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One line of a Condition block: an operator, one key and the values it may (or, negated, may not) have."""

    operator: str
    key: str
    values: tuple[str, ...]
    base: str
    quantifier: Quantifier = ""
    if_exists: bool = False

    def __str__(self) -> str:
        return f"{self.operator} {self.key} {' | '.join(self.values)}"


def condition(operator: str, key: str, values: tuple[str, ...]) -> Condition:
    """Read an operator such as `ForAllValues:StringLikeIfExists`; ValueError for one that IAM does not know."""
    quantifier, colon, rest = operator.lower().rpartition(":")
    base = rest.removesuffix("ifexists")
    exists = base != rest
    known = base in OPERATORS or (base == "null" and not exists)
    if not known or (colon and quantifier not in ("forallvalues", "foranyvalue")):
        raise ValueError(f"Invalid Condition type : {operator}.")
    named: Quantifier = "forallvalues" if quantifier == "forallvalues" else "foranyvalue" if colon else ""
    return Condition(operator=operator, key=key, values=values, base=base, quantifier=named, if_exists=exists)


def holds(test: Condition, context: Context, variables: Context | None) -> bool:
    """Whether the condition is true of the request."""
    values = context.values(test.key)
    if test.base == "null":
        return any((wanted.lower() == "true") == (not values) for wanted in test.values)
    if test.quantifier:
        # To the set operators an empty text is a null data set (user guide, "Set operators for multivalued keys").
        values = tuple(value for value in values if value != "")
    compare, negated = OPERATORS[test.base]
    if negated and any(replaced(wanted, variables) is None for wanted in test.values):
        # A variable without a value invalidates the statement; negation must not turn that into a match.
        return False
    if not values:
        return test.if_exists or test.quantifier == "forallvalues" or (negated and not test.quantifier)
    hits = [any(compare(wanted, value, variables) for wanted in test.values) for value in values]
    if test.quantifier == "forallvalues":
        return all(hit != negated for hit in hits)
    if test.quantifier == "foranyvalue":
        return any(hit != negated for hit in hits)
    return any(hits) != negated
