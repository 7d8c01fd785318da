"""What a request says about itself: condition keys, whose names know no case, and their values as IAM compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

Value = str | bool | int | float | datetime


def as_text(value: Value) -> str:
    """A value as it stands in a request: booleans in lower case, times in ISO 8601 with Z."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


@dataclass(frozen=True)
class Context:
    """Condition keys (in lower case) with all their values; a key with no value is the same as no key."""

    values_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Mapping[str, Value | Iterable[Value]]) -> Context:
        """From `{"aws:SourceAccount": "123456789012", "aws:TagKeys": ["a", "b"]}`."""
        read = {}
        for key, value in keys.items():
            many = [value] if isinstance(value, Value) else list(value)
            if many:
                read[key.lower()] = tuple(as_text(one) for one in many)
        return cls(read)

    def values(self, key: str) -> tuple[str, ...]:
        """All values of the key; empty when the request does not have it."""
        return self.values_of.get(key.lower(), ())

    def single(self, key: str) -> str | None:
        """The key's value if it has exactly one: only such keys may stand in a policy variable."""
        values = self.values(key)
        return values[0] if len(values) == 1 else None

    def over(self, other: Context) -> Context:
        """Both, where this one wins."""
        return Context({**other.values_of, **self.values_of})
