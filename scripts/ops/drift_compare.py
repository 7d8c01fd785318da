"""Two values of a resource compared by structure: which dotted path differs, down into JSON documents and policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]

# What names an element of a list, so that a path says `Statement[RunOwnTasks]` and not `Statement[2]`.
NAMES = ("Sid", "sid", "name", "Name", "id", "Id", "key", "target_id", "rule_name", "rulePriority")
# One or many: IAM takes a string or a list here, in any order.
ONE_OR_MANY = ("Action", "NotAction", "Resource", "NotResource", "AWS", "Service", "Federated")

TAGS = (("tags",), ("tags_all",))


class Unknown:
    """A value that only an apply can tell."""

    def __repr__(self) -> str:
        return "(known after apply)"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that Terraform calls sensitive: it can be compared and is never shown."""

    value: Any

    def __repr__(self) -> str:
        return "(sensitive)"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where two values differ; a missing side is None."""

    path: Path
    before: Any
    after: Any

    @property
    def attribute(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)

    def touches(self, other: Difference) -> bool:
        """Whether one of the two places lies within the other."""
        shared = min(len(self.path), len(other.path))
        return self.path[:shared] == other.path[:shared]


def marked(value: Any, marks: Any, mark: Any) -> Any:
    """`value` with `mark(part)` in the place of every part that `marks` (Terraform's parallel structure) says."""
    if marks is True:
        return mark(value)
    if isinstance(marks, dict) and isinstance(value, dict | None):
        base = value or {}
        found = {key: marked(base.get(key), marks[key], mark) for key in marks if _any(marks[key])}
        return {**base, **found} if found else value
    if isinstance(marks, list) and isinstance(value, list):
        return [marked(part, marks[i] if i < len(marks) else False, mark) for i, part in enumerate(value)]
    return value


def _any(marks: Any) -> bool:
    if isinstance(marks, dict | list):
        return any(map(_any, marks.values() if isinstance(marks, dict) else marks))
    return marks is True


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[Difference]:
    """Every place where two values differ, as deep as it can be named. Null, empty text and empty list are the same."""
    before, after = _opened(before), _opened(after)
    if path in TAGS:
        before, after = before or {}, after or {}  # so that a tag is named even where there was none
    if before == after or (_blank(before) and _blank(after)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from differences(before.get(key), after.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    else:
        yield Difference(path=path, before=_unwrapped(before), after=_unwrapped(after))


def _lists(before: list[Any], after: list[Any], path: Path) -> Iterator[Difference]:
    left = [part for part in before if part not in after]
    right = [part for part in after if part not in before]
    name = _common_name(before, after)
    if name and path:
        for key in dict.fromkeys(part[name] for part in [*left, *right]):
            one, other = (next((p for p in side if p[name] == key), None) for side in (before, after))
            yield from differences(one, other, (*path[:-1], f"{path[-1]}[{key}]"))
    elif len(left) == len(right) == 1 and isinstance(left[0], dict) and isinstance(right[0], dict):
        yield from differences(left[0], right[0], path)  # a block, which Terraform writes as a list of one
    elif path and _one_sided(left, right) and not _lone_block(before, after):
        for part in [*left, *right]:
            where = (*path[:-1], f"{path[-1]}[{_label(part, before, after)}]")
            yield Difference(path=where, before=part if left else None, after=part if right else None)
    elif left or right or before != after:
        yield Difference(path=path, before=_unwrapped(before), after=_unwrapped(after))


def _one_sided(left: list[Any], right: list[Any]) -> bool:
    return not (left and right) and all(isinstance(part, dict) for part in [*left, *right])


def _lone_block(before: list[Any], after: list[Any]) -> bool:
    """Whether there is a single block without a name, on one side alone."""
    parts = [*before, *after]
    return len(parts) == 1 and not any(name in parts[0] for name in NAMES)


def _label(part: dict[str, Any], before: list[Any], after: list[Any]) -> str:
    """What to call an element that only one side has: by its name, else by its position."""
    named = next((str(part[name]) for name in NAMES if part.get(name)), None)
    return named or str((before if part in before else after).index(part))


def _common_name(before: list[Any], after: list[Any]) -> str | None:
    """The key that tells the elements of both lists apart, if there is one."""
    for name in NAMES:
        if all(_tells_apart(side, name) for side in (before, after)) and _same_kind(before, after, name):
            return name
    return None


def _same_kind(before: list[Any], after: list[Any], name: str) -> bool:
    """Whether the name names: one block each with different names is one block that was changed."""
    single = len(before) == len(after) == 1
    return not single or name == "Sid" or before[0][name] == after[0][name]


def _tells_apart(side: list[Any], name: str) -> bool:
    keys = [part.get(name) if isinstance(part, dict) else None for part in side]
    return all(isinstance(key, str | int) and key != "" for key in keys) and len(set(keys)) == len(keys)


def _blank(value: Any) -> bool:
    """What Terraform's provider writes for "not set", now so, now otherwise."""
    return value is None or value in ("", [], {}) or (isinstance(value, list) and value == [None])


def _unwrapped(value: Any) -> Any:
    """A block without the list around it."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return None if _blank(value) else value


def _opened(value: Any) -> Any:
    """A JSON document as what it says; an IAM policy with its lists in order."""
    if not (isinstance(value, str) and value[:1] in ("{", "[")):
        return value
    try:
        document = json.loads(value)
    except ValueError:
        return value
    if isinstance(document, dict) and "Statement" in document:
        statements = document["Statement"]
        document["Statement"] = [
            _ordered(statement) for statement in (statements if isinstance(statements, list) else [statements])
        ]
    return document


def _ordered(part: Any) -> Any:
    """A part of a policy with `"x"` written as `["x"]`, and lists sorted, since AWS keeps neither."""
    if isinstance(part, dict):
        return {key: _many(value) if key in ONE_OR_MANY else _ordered(value) for key, value in part.items()}
    if isinstance(part, list):
        return sorted(map(_ordered, part), key=str)
    return part


def _many(value: Any) -> Any:
    return _ordered([value]) if isinstance(value, str) else _ordered(value)
