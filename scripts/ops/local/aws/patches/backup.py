"""AWS Backup: what a plan saves, and tags."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import unquote

from moto.backup import urls
from moto.backup.models import BackupBackend
from moto.backup.responses import BackupResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import EmptyResult
from moto.moto_api._internal import mock_random

from ops.local.aws.patches.tools import around, kept, method_of

SELECTIONS = "selections"


def selections() -> None:
    """CreateBackupSelection, GetBackupSelection, ListBackupSelections and DeleteBackupSelection, which moto lacks."""

    @method_of(BackupResponse)
    def create_backup_selection(self: Any) -> str:
        plan, _ = _plan_and_selection(self.path)
        identity = str(mock_random.uuid4())
        made = {"BackupPlanId": plan, "SelectionId": identity, "CreationDate": time.time()}
        selection = json.loads(self.body)["BackupSelection"]
        kept(self.backup_backend, SELECTIONS)[identity] = {**made, "BackupSelection": selection}
        return json.dumps(made)

    @method_of(BackupResponse)
    def get_backup_selection(self: Any) -> str:
        _, identity = _plan_and_selection(self.path)
        found = kept(self.backup_backend, SELECTIONS).get(identity or "")
        if not found:
            raise JsonRESTError("ResourceNotFoundException", "Cannot find Backup selection")
        return json.dumps(found)

    @method_of(BackupResponse)
    def list_backup_selections(self: Any) -> str:
        plan, _ = _plan_and_selection(self.path)
        found = [each for each in kept(self.backup_backend, SELECTIONS).values() if each["BackupPlanId"] == plan]
        rows = [
            {
                **{key: each[key] for key in ("BackupPlanId", "SelectionId", "CreationDate")},
                **{key: each["BackupSelection"][key] for key in ("SelectionName", "IamRoleArn")},
            }
            for each in found
        ]
        return json.dumps({"BackupSelectionsList": rows})

    @method_of(BackupResponse)
    def delete_backup_selection(self: Any) -> Any:
        kept(self.backup_backend, SELECTIONS).pop(_plan_and_selection(self.path)[1] or "", None)
        return EmptyResult()


def tags() -> None:
    """ListTags at `/tags/{arn}`; moto wants a slash after it, which the Go SDK does not send."""

    @method_of(BackupResponse)
    def list_tags(self: Any) -> str:
        arn = unquote(self.path.split("/tags/")[-1].rstrip("/"))
        return json.dumps({"Tags": self.backup_backend.list_tags(resource_arn=arn)})


def recovery_points() -> None:
    """ListRecoveryPointsByBackupVault, which Terraform asks before it deletes a vault; moto has no such page.

    Nothing here ever backs up, so that there are none.
    """

    @method_of(BackupResponse)
    def list_recovery_points_by_backup_vault(self: Any) -> str:
        return json.dumps({"RecoveryPoints": []})

    for end in ("recovery-points$", "recovery-points/$"):  # as the Go SDK and as botocore asks
        urls.url_paths["{0}/backup-vaults/(?P<name>[^/]+)/" + end] = BackupResponse.dispatch


def deleted_plans_are_gone() -> None:
    """A plan may be made again after it was deleted; moto keeps the deleted one and finds it the same."""

    @around(BackupBackend, "create_backup_plan")
    def create_backup_plan(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        for identity in [identity for identity, plan in self.plans.items() if plan.deletion_date]:
            del self.plans[identity]
        return original(self, *args, **kwargs)


def _plan_and_selection(path: str) -> tuple[str, str | None]:
    """Of `/backup/plans/{plan}/selections/{selection}`."""
    parts = path.split("/plans/")[-1].strip("/").split("/")
    return parts[0], parts[2] if len(parts) > 2 else None
