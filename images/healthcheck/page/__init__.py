"""The status page: what a healthcheck saw, as one file that needs nothing else, and tells its own age.

`read` the parts that no check needs, `build` the view of a snapshot with them, `render` it.
"""

from __future__ import annotations

from healthcheck.page.document import render
from healthcheck.page.recent import read
from healthcheck.page.view import View, build

__all__ = ["View", "build", "read", "render"]
