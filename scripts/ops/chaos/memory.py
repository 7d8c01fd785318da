"""How much memory this process and all that it started take at this moment."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psutil

MB = 2**20


def family_mb() -> float:
    """Megabytes of this process and its descendants, shared pages counted once where the system tells (PSS)."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            info: Any = process.memory_full_info()
            total += getattr(info, "pss", 0) or info.rss
    return round(total / MB, 1)
