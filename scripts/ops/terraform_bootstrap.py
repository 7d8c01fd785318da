"""Makes, once an account, the bucket and the key that Terraform's state lies in: terraform/bootstrap."""

from __future__ import annotations

from pathlib import Path

from ops import terraform_cli, terraform_process
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
    folder = workspace.work / "bootstrap"
    folder.mkdir(exist_ok=True)
    terraform_cli.version(workspace.command, workspace.process_environ())
    _run(workspace, folder, "init", "-reconfigure", f"-backend-config=path={folder / 'terraform.tfstate'}")
    _run(workspace, folder, "apply", "-auto-approve")
    if not _is_there(workspace):
        raise TerraformFailed(f"terraform made no bucket {workspace.state_bucket}; its state lies in {folder}")
    return True


def _is_there(workspace: Workspace) -> bool:
    # The clients' module needs what only operators' commands load.
    from ops.drift import clients_of

    pages = clients_of(workspace)("s3").get_paginator("list_buckets").paginate()
    return any(bucket["Name"] == workspace.state_bucket for page in pages for bucket in page.get("Buckets", []))


def _run(workspace: Workspace, folder: Path, *arguments: str) -> None:
    environ = {**workspace.process_environ(), "TF_DATA_DIR": str(folder / "data")}
    command = [*workspace.command, f"-chdir={MODULE}", *arguments, "-no-color"]
    ended = terraform_process.run(command, environ, ROOT, quiet=not workspace.shown)
    if ended.code != 0:
        raise TerraformFailed(
            f"terraform {arguments[0]} in {MODULE.relative_to(ROOT)} failed (exit code {ended.code})"
            + ("" if workspace.shown else f":\n{ended.stderr.strip()}")
        )
