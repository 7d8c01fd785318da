"""Builds where no registry can be reached: as root on Debian, on a Python image made from Debian's own packages.

Ordinary builds do not need this; the tests and CI do where there is neither a Docker engine nor a registry.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ops.images_build import BASE_IMAGE
from ops.images_engine import Engine, EngineFailed, NoEngine
from ops.images_lock import ROOT
from pipeline.errors import PipelineError

PACKAGES = ROOT / ".ci" / "packages"
SETTINGS = ROOT / ".local" / "containers" / "containers.conf"
RELEASE = "trixie"  # Debian 13, whose python3 is the 3.13 of the ordinary base
MIRROR = "http://deb.debian.org/debian"
# libstdc++6 comes with apt in the official image, and numpy needs it
INCLUDED = ("python3", "python3-pip-whl", "libstdc++6", "passwd", "ca-certificates", "tzdata")
RECIPE_LABEL = "ops-pipeline.base-recipe"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRATCH_BYTES = 600 * 2**20
# What makes the official image of it: pip for the system's Python, which Debian forbids (PEP 668), the name `python`,
# and no .pyc files.
AS_OFFICIAL = """set -e
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
wheel=$(echo /usr/share/python-wheels/pip-*.whl)
python3 "$wheel/pip" install --quiet --no-index --no-compile --root-user-action ignore "$wheel"
rm -rf /usr/share/python-wheels
ln -s /usr/bin/python3 /usr/local/bin/python
find /usr -name __pycache__ -prune -exec rm -rf {} +
"""
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class CannotPrepare(PipelineError):
    """This machine is not one where it can be done; the text says why."""


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environ`, with the settings of an earlier `prepare` where there was one: the engine needs them here."""
    if SETTINGS.is_file() and "CONTAINERS_CONF" not in environ:
        return {**environ, "CONTAINERS_CONF": str(SETTINGS)}
    return dict(environ)


def possible() -> bool:
    """Whether `prepare` can be tried."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def prepare(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Installs what is missing (seconds where nothing is) and writes the engine's settings; the environment for it."""
    if not possible():
        raise CannotPrepare("a base image can be made from Debian's packages only as root on Debian or Ubuntu")
    ended = subprocess.run([str(PACKAGES)], env=dict(environ), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CannotPrepare(f"{PACKAGES.relative_to(ROOT)}: exit code {ended.returncode}\n{ended.stderr.strip()}")
    SETTINGS.parent.mkdir(parents=True, exist_ok=True)
    SETTINGS.write_text(settings(environ), encoding="utf-8")
    return {**environ, "CONTAINERS_CONF": str(SETTINGS)}


def settings(environ: Mapping[str, str]) -> str:
    """A containers.conf for a machine that is itself a container: no cgroup manager, no network of its own.

    Where the shell names a CA bundle (TLS that is signed anew on its way) builds and runs see that one.
    """
    bundle = next((environ[name] for name in CA_VARIABLES if Path(environ.get(name, "")).is_file()), None)
    volumes = f'volumes = ["{Path(bundle).resolve()}:{CA_BUNDLE}:ro"]\n' if bundle else ""
    return (
        "[containers]\n"
        'netns = "host"\n'
        'default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]\n'
        f"{volumes}"
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        '[network]\nnetwork_backend = "netavark"\n'
    )


def make_base(engine: Engine, name: str = BASE_IMAGE) -> bool:
    """Makes the image that builds start from, under the official one's name; False where that or ours is there."""
    there = engine.find(name)
    if there and there.labels.get(RECIPE_LABEL, _recipe()) == _recipe():
        return False
    if engine.name == "docker":
        raise NoEngine("--base-from-debian is for podman; docker pulls its base")
    with tempfile.TemporaryDirectory(dir=_roomy(), prefix="ops-base-") as scratch:
        archive = Path(scratch) / "base.tar"
        _bootstrap(archive, engine.environ)
        _import(engine, archive, name)
    return True


def _import(engine: Engine, archive: Path, name: str) -> None:
    """An archive of a root folder as an image."""
    podman = Engine(name="podman", version="", environ=engine.environ)  # buildah cannot; both have one store
    changes = (f"--change=ENV PATH={PATH}", f"--change=LABEL {RECIPE_LABEL}={_recipe()}")
    podman.call("import", "--quiet", *changes, str(archive), name)


def _recipe() -> str:
    """Changes with what the base is made of."""
    return hashlib.sha256(f"{RELEASE} {INCLUDED} {AS_OFFICIAL} {PATH}".encode()).hexdigest()[:12]


def _bootstrap(archive: Path, environ: Mapping[str, str]) -> None:
    command = [
        "mmdebstrap",
        "--variant=essential",
        f"--include={','.join(INCLUDED)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("man", "locale", "doc")),
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook=chroot \"$1\" sh -c '{AS_OFFICIAL}'",
        RELEASE,
        str(archive),
        MIRROR,
    ]
    folders = {**environ, "TMPDIR": str(archive.parent), "SOURCE_DATE_EPOCH": "0"}
    ended = subprocess.run(command, env=folders, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise EngineFailed(f"mmdebstrap: exit code {ended.returncode}\n{ended.stderr.strip()[-2000:]}")


def _roomy() -> str | None:
    """A folder in memory where there is room: unpacking packages is thousands of small writes, flushed one by one."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > SCRATCH_BYTES:
        return str(memory)
    return None
