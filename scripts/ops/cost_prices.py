"""The price table: what a unit costs, since when we know, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import PipelineError

FILE = Path(__file__).with_name("prices.yaml")


class PriceMissing(PipelineError):
    """The table has no price for something that the plan has, or cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices in US dollars and assumptions by name."""

    region: str
    checked: date
    hours_per_month: float
    prices: Mapping[str, Mapping[str, Any]]
    assumptions: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, str]

    def usd(self, name: str) -> float:
        """The price of one unit. Raises PriceMissing."""
        if name not in self.prices:
            raise PriceMissing(f"no price for {name} in {FILE.name}; add it there with its source")
        return float(self.prices[name]["usd"])

    def assumed(self, name: str) -> float:
        """An assumption's value."""
        return float(self.assumptions[name]["value"])

    @property
    def minutes_per_month(self) -> float:
        """43,800 with AWS's month of 730 hours."""
        return self.hours_per_month * 60

    @property
    def unsure(self) -> dict[str, str]:
        """Which prices could not be read in AWS's own table, and why."""
        return {name: str(entry["unsure"]) for name, entry in self.prices.items() if "unsure" in entry}


def load(path: Path = FILE) -> Prices:
    """The table. Raises PriceMissing where it is no such table, or a price names no source."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = Prices(**raw)
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise PriceMissing(f"{path}: no price table: {' '.join(str(error).split())}") from error
    for name, entry in found.prices.items():
        if entry.get("source") not in found.sources:
            raise PriceMissing(f"{path}: prices.{name}: source {entry.get('source')!r} is not among the sources")
    return found
