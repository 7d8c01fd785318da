"""The copies that journals leave in the environment's bucket, so that they outlive the operator's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.runbook.voice import Voice

FOLDER = "runbooks/journals"


class Records:
    """Best effort: a bucket that cannot be written to is said once and stops nothing."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self.bucket = s3, bucket
        self._told = False

    def copy(self, journal: Path, voice: Voice) -> None:
        """The journal as it is now."""
        try:
            self._s3.put_object(Bucket=self.bucket, Key=f"{FOLDER}/{journal.name}", Body=journal.read_bytes())
        except (ClientError, BotoCoreError, OSError) as error:
            if not self._told:
                voice.detail(f"the journal could not be copied to s3://{self.bucket} ({error}); it is on this disk")
                self._told = True
