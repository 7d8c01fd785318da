"""The local AWS as a process: found, kept, ended, and never gone in silence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from ops.local.aws import LocalAws, LocalAwsFailed, server, snapshot

COMMAND = [sys.executable, "-m", "ops.local.aws"]


def wait_gone(pid: int) -> None:
    """Until the process is gone; fails after ten seconds."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} still runs")


def command(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """scripts/local-aws, without the set-up."""
    return subprocess.run(
        [*COMMAND, "--state-dir", str(state_dir), *arguments], capture_output=True, text=True, check=False
    )


def test_the_listener_is_on_loopback_and_its_own(mended_aws: LocalAws) -> None:
    running = mended_aws.load()
    listeners = [each for each in psutil.Process(running.pid).net_connections("tcp") if each.status == "LISTEN"]
    assert [(each.laddr.ip, each.laddr.port) for each in listeners] == [("127.0.0.1", running.port)]


def test_two_state_folders_are_two_clouds(mended_aws: LocalAws, plain_aws: LocalAws) -> None:
    mended_aws.client("sqs").create_queue(QueueName="only-here")
    assert plain_aws.client("sqs").list_queues(QueueNamePrefix="only-here").get("QueueUrls", []) == []


def test_what_was_saved_is_there_again_and_can_be_worked_with(tmp_path: Path) -> None:
    aws = LocalAws(tmp_path)
    with aws:
        aws.client("ssm").put_parameter(Name="/ops-pipeline/tickers", Value="AAPL", Type="String")
        key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
        secret = aws.client("kms").encrypt(KeyId=key, Plaintext=b"hush")["CiphertextBlob"]
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="state", Key="terraform.tfstate", Body=b"{}" * 10)
        s3.put_object(Bucket="state", Key="terraform.tfstate.tflock", Body=b"somebody of that time")
        assert aws.save()["bytes"] > 1000
        aws.client("ssm").put_parameter(Name="/ops-pipeline/late", Value="lost", Type="String")
    with aws:
        assert aws.load().restored.startswith("restored the state of 20")
        ssm = aws.client("ssm")
        assert ssm.get_parameter(Name="/ops-pipeline/tickers")["Parameter"]["Value"] == "AAPL"
        assert ssm.get_parameters(Names=["/ops-pipeline/late"])["InvalidParameters"] == ["/ops-pipeline/late"]
        ssm.put_parameter(Name="/ops-pipeline/new", Value="a name that no snapshot knew", Type="String")
        assert aws.client("kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"hush"
        assert aws.client("s3").get_object(Bucket="state", Key="terraform.tfstate")["Body"].read() == b"{}" * 10
        assert [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket="state")["Contents"]] == [
            "terraform.tfstate"
        ]


def test_it_goes_back_to_what_was_saved_while_it_runs(tmp_path: Path) -> None:
    with LocalAws(tmp_path) as aws:
        ssm, before = aws.client("ssm"), aws.load()
        ssm.put_parameter(Name="/ops-pipeline/tickers", Value="AAPL", Type="String")
        aws.save()
        ssm.put_parameter(Name="/ops-pipeline/tickers", Value="TSLA", Type="String", Overwrite=True)
        ssm.put_parameter(Name="/ops-pipeline/late", Value="lost", Type="String")
        aws.restore()
        assert ssm.get_parameter(Name="/ops-pipeline/tickers")["Parameter"]["Value"] == "AAPL"
        assert ssm.get_parameters(Names=["/ops-pipeline/late"])["InvalidParameters"] == ["/ops-pipeline/late"]
        assert aws.load() == before


@pytest.mark.parametrize(
    ("damage", "told"),
    [("cut", "damaged"), ("moto", "saved with moto 5.0.0"), ("patches", "patches"), ("???", "no snapshot")],
)
def test_a_snapshot_that_does_not_fit_is_left_aside_and_said_so(
    mended_aws: LocalAws, tmp_path: Path, damage: str, told: str
) -> None:
    mended_aws.save()
    line, _, data = mended_aws.snapshot_path.read_bytes().partition(b"\n")
    header = json.loads(line)
    data = data[:-10] if damage == "cut" else data
    header |= {damage: "5.0.0"} if damage in header else {}
    damaged = tmp_path / "moto.snapshot"
    damaged.write_bytes(b"???" if damage == "???" else json.dumps(header).encode() + b"\n" + data)
    said = server.restore(damaged)
    assert said.startswith("empty: moto.snapshot was left aside")
    assert told in said


def test_the_snapshot_survives_a_save_that_fails(mended_aws: LocalAws) -> None:
    mended_aws.save()
    before = mended_aws.snapshot_path.read_bytes()
    in_the_way = mended_aws.snapshot_path.with_name(f"moto.snapshot.{mended_aws.load().pid}.new")
    in_the_way.mkdir()  # the place that a save writes to
    with pytest.raises(LocalAwsFailed, match="the last snapshot stands"):
        mended_aws.save()
    assert mended_aws.snapshot_path.read_bytes() == before
    in_the_way.rmdir()


def test_any_change_of_a_patch_makes_older_snapshots_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot.patches_digest()
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "one.py").write_text("pass\n")
    (tmp_path / "snapshot.py").write_text("")
    monkeypatch.setattr(snapshot, "PACKAGE", tmp_path)
    assert snapshot.patches_digest() != before


def test_a_killed_server_is_told_with_its_log_and_started_again(tmp_path: Path) -> None:
    aws = LocalAws(tmp_path)
    running = aws.up()
    os.kill(running.pid, signal.SIGKILL)
    aws._process.wait()  # type: ignore[union-attr]
    with pytest.raises(LocalAwsFailed, match=f"died; its log ends:\npid {running.pid}"):
        aws.load()
    assert command(tmp_path, "status").returncode == 3
    again = aws.up()
    assert again.pid != running.pid
    assert os.getpgid(again.pid) == again.pid
    assert aws.down()
    wait_gone(again.pid)
    assert not aws.down()


def test_a_record_whose_process_number_is_another_ones_is_stale(tmp_path: Path) -> None:
    record = {"pid": os.getpid(), "created": 1.0, "port": 1, "restored": ""}
    (tmp_path / "state.json").write_text(json.dumps(record))
    assert LocalAws(tmp_path).find() is None
    (tmp_path / "state.json").write_text("{")
    assert LocalAws(tmp_path).find() is None


def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from ops.local.aws import LocalAws\n"
        "with LocalAws(Path(sys.argv[1])) as aws: print(aws.load().pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_gone(pid)


def test_it_ends_when_its_folder_is_cleaned_away(tmp_path: Path) -> None:
    aws = LocalAws(tmp_path)
    running = aws.up()
    time.sleep(2)  # it looks twice a second, and must have seen its record first
    aws.state_path.unlink()
    assert aws._process
    aws._process.wait(10)
    wait_gone(running.pid)


def test_the_command_leads_a_shell_there(tmp_path: Path) -> None:
    assert "not up" in command(tmp_path, "env").stderr
    assert command(tmp_path, "up").returncode == 0
    try:
        shell = f'export AWS_PROFILE=mine AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1; eval "$({" ".join(COMMAND)} '
        shell += f'--state-dir {tmp_path} env)"; {sys.executable} -c '
        shell += '\'import boto3; print(boto3.client("sqs").create_queue(QueueName="q")["QueueUrl"])\''
        told = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        assert told.stdout.startswith(f"http://127.0.0.1:{LocalAws(tmp_path).load().port}/"), told.stderr
        assert "already up" in command(tmp_path, "up").stdout
        assert "saved" in command(tmp_path, "save").stdout
        assert "restored" not in command(tmp_path, "status").stdout
    finally:
        assert "the next up starts from what was saved" in command(tmp_path, "down").stdout


def test_an_attempt_after_a_lost_answer_gets_that_answer_and_another_call_does_not(mended_aws: LocalAws) -> None:
    ssm = mended_aws.client("ssm")
    invocation = {"id": str(uuid.uuid4())}
    ssm.meta.events.register(
        "before-send.ssm.PutParameter",
        lambda request, **_: request.headers.__setitem__("amz-sdk-invocation-id", invocation["id"]),
    )
    name = f"/lost/{uuid.uuid4()}"
    assert [ssm.put_parameter(Name=name, Value="a", Type="String")["Version"] for _ in range(2)] == [1, 1]
    invocation["id"] = str(uuid.uuid4())
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(Name=name, Value="a", Type="String")
