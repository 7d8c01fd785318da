"""Forked runs make their clients of AWS from descriptions that were read before the fork."""

from __future__ import annotations

import subprocess
import sys

from ops.local.plane.containers import LAMBDA_FOLDER

# In a process of its own, since what is kept is kept for good.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import boto3
import sdk_data
from botocore.loaders import JSONFileLoader

def clients():
    session = boto3.session.Session(region_name="us-west-2", aws_access_key_id="none", aws_secret_access_key="none")
    return [session.client(service) for service in sdk_data.SERVICES]

def told():
    return [(c.meta.endpoint_url, sorted(c.meta.service_model.operation_names)) for c in clients()]

before = told()
sdk_data.keep()
def refuse(loader, path, opened): raise SystemExit(f"{path} was read again")
JSONFileLoader._load_file = refuse
assert told() == before == told()
try:
    boto3.client("glacier", region_name="us-west-2")
except SystemExit as read:
    print(read)
"""


def test_clients_are_made_from_what_was_read_once_and_are_the_same() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(LAMBDA_FOLDER)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "glacier" in ended.stdout  # which nobody had asked for is still read
