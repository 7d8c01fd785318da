"""Makes, once an account, the bucket and the key that Terraform's state lies in: terraform/bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ops import terraform_cli, terraform_process
from ops.terraform_process import Ended
from ops.terraform_workspace import ROOT, TERRAFORM, TerraformFailed, Workspace

MODULE = TERRAFORM / "bootstrap"


def bootstrap(workspace: Workspace) -> bool:
    """Whether the bucket had to be made; one that is there is left as it is.

    Its own state is the one that lies on disk, below `workspace.work`. Raises TerraformFailed.
    """
    if workspace.aws:
        workspace.aws.up()
    if _is_there(workspace):
        return False
    folder = _begin(workspace)
    _run(workspace, folder, "apply", "-auto-approve", *_where(workspace))
    if not _is_there(workspace):
        raise TerraformFailed(f"terraform made no bucket {workspace.state_bucket}; its state lies in {folder}")
    return True


def complete(workspace: Workspace, there: Mapping[str, str]) -> None:
    """Makes what is missing of bucket and key; `there` is what is there already, address → id to import it by."""
    folder = _begin(workspace)
    known = _run(workspace, folder, "state", "list").stdout.split() if (folder / "terraform.tfstate").exists() else []
    for address, identity in there.items():
        if address not in known:
            _run(workspace, folder, "import", *_where(workspace), address, identity)
    _run(workspace, folder, "apply", "-auto-approve", *_where(workspace))


def _begin(workspace: Workspace) -> Path:
    folder = workspace.work / "bootstrap"
    folder.mkdir(exist_ok=True)
    terraform_cli.version(workspace.command, workspace.process_environ())
    _run(workspace, folder, "init", "-reconfigure", f"-backend-config=path={folder / 'terraform.tfstate'}")
    return folder


def _where(workspace: Workspace) -> list[str]:
    return [f"-var=region={workspace.region}"]


def elsewhere(workspace: Workspace) -> list[str]:
    """The state buckets of regions in which the account's environment was built again."""
    return [name for name in _buckets(workspace) if name.startswith(f"{workspace.state_bucket}-")]


def _is_there(workspace: Workspace) -> bool:
    return workspace.state_bucket in _buckets(workspace)


def _buckets(workspace: Workspace) -> list[str]:
    # The clients' module needs what only operators' commands load.
    from ops.drift import clients_of

    pages = clients_of(workspace)("s3").get_paginator("list_buckets").paginate()
    return [str(bucket["Name"]) for page in pages for bucket in page.get("Buckets", [])]


def _run(workspace: Workspace, folder: Path, *arguments: str) -> Ended:
    environ = {**workspace.process_environ(), "TF_DATA_DIR": str(folder / "data")}
    command = [*workspace.command, f"-chdir={MODULE}", *arguments, "-no-color"]
    ended = terraform_process.run(command, environ, ROOT, quiet=not workspace.shown)
    if ended.code != 0:
        raise TerraformFailed(
            f"terraform {arguments[0]} in {MODULE.relative_to(ROOT)} failed (exit code {ended.code})"
            + ("" if workspace.shown else f":\n{ended.stderr.strip()}")
        )
    return ended
