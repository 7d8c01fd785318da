"""`python -m ops VERB …` runs a module of this package as a command; Ctrl-C ends it without a traceback."""

from __future__ import annotations

import functools
import os
import runpy
import sys

import click

INTERRUPTED = 130  # as a shell says it


def main() -> None:
    """Runs the module named by the first argument with the others, as `python -m ops.<module>` would."""
    module = f"ops.{sys.argv.pop(1)}"
    if typed := os.environ.pop("OPS_COMMAND", None):
        _say(typed)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _say(typed: str) -> None:
    """Lets usage lines name the script that a person typed instead of the module behind it."""
    click.Command.main = functools.partialmethod(click.Command.main, prog_name=typed)  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
