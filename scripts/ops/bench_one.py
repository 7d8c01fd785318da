"""Runs one benchmark file and prints what its run() returns as one line of JSON; `ops.bench` starts it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    path = Path(sys.argv[1])
    sys.path.insert(0, str(path.parents[1]))  # what benchmarks share with tests
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    print(json.dumps(module.run(), default=float))
