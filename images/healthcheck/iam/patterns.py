"""The wildcard language of policies: `*` and `?`, and `${variables}` taken from the request.

Rules from the IAM user guide (elements: Resource, Variables and tags; condition operators: ARN):
- `*` is any run of characters and `?` exactly one. In an ARN's first five segments both stay within their segment,
  except that a `*` which ends a segment "can expand to match beyond the colon boundaries".
- `${key}` is replaced by the request's value, `${key, 'default'}` by the default where the key is missing, `${*}`,
  `${?}` and `${$}` by the character itself. A replaced value is literal: wildcards in it mean nothing.
- A variable without a value and without a default matches nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from healthcheck.iam.context import Context

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"\s*([^,\s]+)\s*,\s*'(.*)'\s*")

# Colons before the part of an ARN that names the resource: arn:partition:service:region:account:resource.
_ARN_COLONS = 5


def matches(
    pattern: str, text: str, *, variables: Context | None = None, arn: bool = False, fold: bool = False
) -> bool:
    """Whether the whole text fits the pattern.

    `variables` is None for policies older than version 2012-10-17, where `${…}` is ordinary text. `arn` keeps wildcards
    within segments; `fold` ignores case.
    """
    if "${" not in pattern or variables is None:
        return _compiled(pattern, arn, fold).fullmatch(text) is not None
    expression = _expression_with_variables(pattern, variables, arn)
    return expression is not None and re.fullmatch(expression, text, _flags(fold)) is not None


def arn_matches(pattern: str, text: str, *, variables: Context | None = None) -> bool:
    """ArnEquals and ArnLike: each of the six components is compared on its own, so both must have six."""
    patterns, parts = pattern.split(":", _ARN_COLONS), text.split(":", _ARN_COLONS)
    if len(parts) != _ARN_COLONS + 1 or parts[0] != "arn":
        return False
    return len(patterns) == len(parts) and all(
        matches(one, part, variables=variables) for one, part in zip(patterns, parts, strict=True)
    )


def replaced(text: str, variables: Context | None) -> str | None:
    """The text with its variables filled in, for operators that know no wildcards; None when one has no value."""
    if variables is None:
        return text
    filled, at = "", 0
    for found in _VARIABLE.finditer(text):
        value = _value(found.group(1), variables)
        if value is None:
            return None
        filled += text[at : found.start()] + value
        at = found.end()
    return filled + text[at:]


def _value(name: str, variables: Context) -> str | None:
    if name in ("*", "?", "$"):
        return name
    default = _DEFAULT.fullmatch(name)
    if default:
        value = variables.single(default.group(1))
        return default.group(2) if value is None else value
    return variables.single(name.strip())


def _flags(fold: bool) -> int:
    return re.DOTALL | (re.IGNORECASE if fold else 0)


@lru_cache(maxsize=4096)
def _compiled(pattern: str, arn: bool, fold: bool) -> re.Pattern[str]:
    return re.compile(_expression(pattern, arn, 0, True), _flags(fold))


def _expression_with_variables(pattern: str, variables: Context, arn: bool) -> str | None:
    expression, at = "", 0
    for found in _VARIABLE.finditer(pattern):
        value = _value(found.group(1), variables)
        if value is None:
            return None
        expression += _expression(pattern[at : found.start()], arn, pattern[:at].count(":"), False) + re.escape(value)
        at = found.end()
    return expression + _expression(pattern[at:], arn, pattern[:at].count(":"), True)


def _expression(pattern: str, arn: bool, colons: int, last: bool) -> str:
    """A piece of a pattern as a regular expression; `colons` stand before it, `last` says that nothing follows it."""
    expression = ""
    for index, sign in enumerate(pattern):
        colons += sign == ":"
        free = not arn or colons >= _ARN_COLONS
        if sign == "*":
            ends_segment = pattern[index + 1 : index + 2] == ":" or (last and index + 1 == len(pattern))
            expression += ".*" if free or ends_segment else "[^:]*"
        elif sign == "?":
            expression += "." if free else "[^:]"
        else:
            expression += re.escape(sign)
    return expression
