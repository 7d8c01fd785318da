"""What is inside an image: its Python distributions and Debian packages as a CycloneDX document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ops.images_build import Built, repository
from ops.images_engine import Engine

# Runs in the image. pip's metadata and dpkg's status are kept there, so that others' scanners see the same.
INVENTORY = r"""
import importlib.metadata, json, pathlib, re
status = pathlib.Path("/var/lib/dpkg/status")
text = status.read_text() if status.exists() else ""
print(json.dumps({
    "pypi": sorted(
        (re.sub(r"[-_.]+", "-", d.name).lower(), d.version) for d in importlib.metadata.distributions()
    ),
    "deb": sorted(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", text, re.M | re.S)),
}))
"""


def inventory(engine: Engine, reference: str) -> dict[str, dict[str, str]]:
    """Name → version of what is installed in the image, by kind: "pypi" and "deb"."""
    found: dict[str, list[tuple[str, str]]] = json.loads(engine.python(reference, INVENTORY))
    return {kind: dict(packages) for kind, packages in found.items()}


def document(built: Built, packages: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """CycloneDX 1.5. Without serial number and time: equal images give equal documents."""
    name = repository(built.source.name)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": name,
                "name": name,
                "version": built.source.tag,
                "properties": [{"name": "image-id", "value": f"sha256:{built.image.id}"}],
            }
        },
        "components": [
            _component(kind, package, version) for kind, found in packages.items() for package, version in found.items()
        ],
    }


def _component(kind: str, package: str, version: str) -> dict[str, str]:
    space = "deb/debian" if kind == "deb" else kind
    address = f"pkg:{space}/{package}@{quote(version, safe='')}"
    return {"type": "library", "bom-ref": address, "name": package, "version": version, "purl": address}


def write(engine: Engine, built: Built, folder: Path) -> Path:
    """Writes <folder>/<name>.cdx.json."""
    path = folder / f"{built.source.name}.cdx.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = document(built, inventory(engine, built.reference))
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
