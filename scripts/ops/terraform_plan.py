"""A reviewed plan as a value: which inputs it was made from, what it does, and whether it may still be applied."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
VARIABLE = "variable "  # how the input that is a variable's value begins
# A resource's actions, as a person says them.
WORDS = {
    ("create",): "create",
    ("update",): "change",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
}


class PlanRefused(PipelineError):
    """There is no plan that may be applied; the text says why and what to run."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What stands beside a plan file. `inputs` are hashes by name, `counts` resources by word; `first` says that it
    holds only what images are pushed to."""

    environment: str
    created_at: str
    destroy: bool
    first: bool
    plan_sha256: str
    inputs: dict[str, str]
    counts: dict[str, int]
    applyable: bool  # also where only outputs or refreshed values would change

    @property
    def summary(self) -> str:
        """One line for people, such as `3 to create, 1 to change`."""
        resources = ", ".join(f"{count} to {word}" for word, count in self.counts.items())
        return resources or ("no resource to change, only the state" if self.applyable else "no changes")


@dataclass(frozen=True, kw_only=True)
class PlanFiles:
    """Where one environment's plan lies."""

    folder: Path

    @property
    def plan(self) -> Path:
        """terraform's own file; it is what apply applies."""
        return self.folder / "plan.tfplan"

    @property
    def json(self) -> Path:
        """The same for programs (`terraform show -json`); it outlives the plan."""
        return self.folder / "plan.json"

    @property
    def record(self) -> Path:
        """Our record of both."""
        return self.folder / "plan.record.json"

    def forget(self) -> None:
        """Removes the plan, so that nothing can be applied; its JSON stays to be read."""
        self.plan.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def write_record(
    files: PlanFiles, environment: str, inputs: dict[str, str], now: datetime, *, destroy: bool, first: bool = False
) -> Record:
    """Writes down the plan that terraform has just made."""
    plan = json.loads(files.json.read_text(encoding="utf-8"))
    record = Record(
        environment=environment,
        created_at=now.isoformat(timespec="seconds"),
        destroy=destroy,
        first=first,
        plan_sha256=file_digest([files.plan]),
        inputs=inputs,
        counts=counts(plan),
        applyable=plan["applyable"],
    )
    files.record.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return record


def load_reviewed(files: PlanFiles, environment: str, inputs: dict[str, str]) -> Record:
    """The record of the plan that may be applied. Raises PlanRefused where there is none, or anything differs.

    A variable that only the plan was told need not be told again."""
    again = f"make plan ENV={environment}"
    try:
        record = Record(**json.loads(files.record.read_text(encoding="utf-8")))
        found = file_digest([files.plan])
    except (OSError, ValueError, TypeError) as error:
        raise PlanRefused(f"there is no plan for {environment} to apply; run: {again}") from error
    if record.destroy:
        raise PlanRefused(f"the plan made for {environment} at {record.created_at} is one of destruction; run: {again}")
    if found != record.plan_sha256:
        raise PlanRefused(f"{files.plan} is not the file that was reviewed at {record.created_at}; run: {again}")
    told = {name for name in record.inputs if name.startswith(VARIABLE)}  # which the plan file itself holds
    compared = (record.inputs.keys() - told) | inputs.keys()
    changed = sorted(name for name in compared if record.inputs.get(name) != inputs.get(name))
    if changed:
        raise PlanRefused(
            f"the plan of {record.created_at} is stale, changed since: {', '.join(changed)}; run: {again}"
        )
    return record


def inputs(terraform: Path, environment: str, files: Iterable[Path], extra: dict[str, str]) -> dict[str, str]:
    """What a plan depends on beside the state, as hashes: the code, the environment's settings, the named files."""
    settings = terraform / "environments"
    named = {path.name: file_digest([path]) for path in files}
    return {
        "terraform": file_digest(_code(terraform)),
        f"environments/{environment}": file_digest(sorted(settings.glob(f"{environment}.*"))),
        **named,
        **{name: hashlib.sha256(value.encode()).hexdigest() for name, value in extra.items()},
    }


def _code(terraform: Path) -> Iterator[Path]:
    """All that terraform reads but the environments' settings; sorted."""
    for path in sorted(terraform.rglob("*")):
        parts = path.relative_to(terraform).parts
        if path.is_file() and parts[0] not in {"environments", "bootstrap", "tests"} and ".terraform" not in parts:
            yield path


def file_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the files' names and bytes; a missing file counts as such."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b"missing"
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def changes(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(address, word) of every resource that the plan (as JSON) would touch."""
    for resource in plan.get("resource_changes", []):
        word = WORDS.get(tuple(resource["change"]["actions"]))
        if word and resource["mode"] == "managed":
            yield resource["address"], word


def counts(plan: dict[str, Any]) -> dict[str, int]:
    """Resources by word, in the order of WORDS."""
    found = Counter(word for _, word in changes(plan))
    return {word: found[word] for word in dict.fromkeys(WORDS.values()) if found[word]}
