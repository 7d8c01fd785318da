"""Processes of runbooks whose imports are done already: real ones, which can be killed, in a tenth of the time."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_server = multiprocessing.get_context("forkserver")


def preload(*modules: str) -> None:
    """Has the modules imported once, by the process from which all others are forked; before the first `Child`."""
    _server.set_forkserver_preload(list(modules))


class Child:
    """`python -m MODULE ARGUMENTS` for a module of a runbook, with exactly this environment; output goes to a file."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], output: Path, stdin: str = ""
    ) -> None:
        self.output = output
        given = output.with_suffix(".stdin")
        given.write_text(stdin)
        asked = (module, list(arguments), dict(environment), str(output), str(given))
        self._process: ForkServerProcess = _server.Process(target=_run, args=asked)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def kill(self) -> None:
        """As `kill -9`."""
        self._process.kill()
        self._process.join()


def _run(module: str, arguments: list[str], environment: dict[str, str], output: str, given: str) -> None:
    from ops.runbook import command

    for descriptor, path, mode in ((0, given, os.O_RDONLY), (1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        os.dup2(os.open(path, mode, 0o600), descriptor)
    os.dup2(1, 2)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    command.main(importlib.import_module(module).RUNBOOK)
