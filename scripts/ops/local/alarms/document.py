"""YAML files that people write, checked against a schema; every complaint names file, line and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml

from pipeline.errors import PipelineError

Place = tuple[str | int, ...]
PLAIN = ("str", "int", "float", "bool", "null")


class DocumentInvalid(PipelineError):
    """A file that cannot be used as it is: `file:line: what is wrong; what would do`."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file holds, and on which line each part of it begins (from 1)."""

    path: Path
    content: Any
    lines: Mapping[Place, int]

    def line(self, *place: str | int) -> int:
        """The line of a part, or of the nearest part that holds it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def wrong(self, text: str, *place: str | int) -> DocumentInvalid:
        """An error at a part."""
        return DocumentInvalid(f"{self.path}:{self.line(*place)}: {text}")


def load(path: Path, schema: Path) -> Document:
    """Reads a YAML file and checks it. Raises DocumentInvalid, with all that the schema has against it."""
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise DocumentInvalid(f"{path}: {error.strerror}; give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DocumentInvalid(f"{path}:{line}: no YAML: {error.problem}; check indentation and quotes") from error
    if node is None:
        raise DocumentInvalid(f"{path}:1: the file is empty; see {schema.name} for what it may hold")
    document = Document(path=path, content=_content(path, node, (), lines), lines=lines)
    complaints = [f"{path}:{document.line(*place)}: {text}" for place, text in _complaints(document.content, schema)]
    if complaints:
        raise DocumentInvalid("\n".join(complaints))
    return document


def _content(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """A node as plain values; dates stay text. Keys are text and may stand only once."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_content(path, item, (*place, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                raise DocumentInvalid(f"{path}:{key.start_mark.line + 1}: {name!r} stands twice; remove one")
            found[name] = _content(path, value, (*place, name), lines)
            lines[(*place, name)] = key.start_mark.line + 1
        return found
    if node.tag.rsplit(":", 1)[-1] not in PLAIN:
        return node.value
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:
        return node.value


def _complaints(content: Any, schema: Path) -> Iterator[tuple[Place, str]]:
    """(place, text) of each part that the schema does not allow, in the file's order."""
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    for error in sorted(validator.iter_errors(content), key=lambda error: [str(part) for part in error.absolute_path]):
        # Where alternatives are allowed, the one that came nearest says more than "not valid under any".
        deepest = jsonschema.exceptions.best_match([error]) or error
        remedy = deepest.schema.get("description") if isinstance(deepest.schema, dict) else None
        yield tuple(deepest.absolute_path), f"{deepest.message:.300}{f'; {remedy}' if remedy else ''}"
