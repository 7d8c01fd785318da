"""What was described once and cannot have changed since, so that it need not be asked again.

A task definition's revision never changes but for its status, which the list tells. A schedule that is changed gets
another LastModificationDate, which the list tells too. So only what is new or changed is described.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from healthcheck.aws.clients import Clients

Described = Mapping[str, Any]


@dataclass(kw_only=True)
class Memory:
    """Descriptions by kind and key. A warm Lambda keeps it from one check to the next; it only ever holds what is."""

    kept: dict[str, dict[Hashable, Described]] = field(default_factory=dict)

    def described(
        self, kind: str, keys: Iterable[Hashable], describe: Callable[[Any], Described | None], clients: Clients
    ) -> dict[Hashable, Described]:
        """The description of each key, those that are not known yet asked at once; without those that do not exist."""
        wanted = list(dict.fromkeys(keys))
        known = self.kept.get(kind, {})
        new = [key for key in wanted if key not in known]
        answers = dict(zip(new, clients.each(describe, new), strict=True))
        have = {key: known.get(key) or answers.get(key) for key in wanted}
        self.kept[kind] = {key: value for key, value in have.items() if value is not None}
        return dict(self.kept[kind])
