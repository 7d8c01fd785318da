"""The columns, constraints, indexes, triggers and functions that the migrations make, to compare a live database with.

`expected_schema.txt` holds them one a line, as the statement healthcheck/schema prints them; the test that keeps the
file true to the migrations says how to write it anew. A recorded migration proves what was run once, not what stands.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("expected_schema.txt")


@cache
def expected() -> frozenset[str]:
    """The lines of the file."""
    return frozenset(FILE.read_text(encoding="utf-8").splitlines())


def compare(live: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the database lacks, and what it has instead on the tables that we know, each sorted.

    Objects of a newer migration show up as the second kind alone; they are no fault, a deployment migrates first."""
    return tuple(sorted(expected() - set(live))), tuple(sorted(set(live) - expected()))
