"""Resolves the dependencies and writes the lock files: for the checkout and for each image, all with hashes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
# What the images' base brings (images/base/Dockerfile); a checkout works with any Python from 3.11 on.
IMAGE_PYTHON = "3.13"
COMMON = ("--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet")


def compile_lock(source: Path, target: Path, *options: str) -> None:
    """Runs uv's resolver; it keeps the versions that `target` already names unless told otherwise."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *COMMON, *options, str(source), "-o", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@click.command()
@click.option("--upgrade", is_flag=True, help="Take newer versions where there are any.")
def main(upgrade: bool) -> None:
    """Write requirements.lock and images/*/requirements.txt."""
    options = ("--upgrade",) if upgrade else ()
    compile_lock(
        ROOT / "pyproject.toml", LOCK, "--universal", "--python-version", "3.11", "--extra", "dev",
        "--no-annotate", *options,
    )  # fmt: skip
    for source in sorted((ROOT / "images").glob("*/requirements.in")):
        target = source.with_suffix(".txt")
        # the base image's packages are there already: an image adds only its own
        compile_lock(
            source, target, "--python-version", IMAGE_PYTHON, "--python-platform", "linux", "-c", str(LOCK),
            "--no-annotate",
        )  # fmt: skip
        click.echo(f"{target.relative_to(ROOT)}: {target.read_text().count('==')} packages")


if __name__ == "__main__":
    main()
