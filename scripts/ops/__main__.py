"""`python -m ops VERB …` runs a module of this package as a command; Ctrl-C ends it without a traceback."""

from __future__ import annotations

import runpy
import sys

INTERRUPTED = 130  # as a shell says it


def main() -> None:
    """Runs the module named by the first argument with the others, as `python -m ops.<module>` would."""
    module = f"ops.{sys.argv.pop(1)}"
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
