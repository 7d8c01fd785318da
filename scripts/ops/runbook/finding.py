"""What a check saw, and how much an act would touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Whether a step is done, and in words what was seen."""

    holds: bool
    saw: str

    @classmethod
    def yes(cls, saw: str) -> Self:
        return cls(holds=True, saw=saw)

    @classmethod
    def no(cls, saw: str) -> Self:
        return cls(holds=False, saw=saw)


@dataclass(frozen=True, kw_only=True)
class Blast:
    """How many things an act touches, and beyond how many it has to be told to by --force."""

    what: str
    count: int
    limit: int

    @property
    def too_wide(self) -> bool:
        return self.count > self.limit
