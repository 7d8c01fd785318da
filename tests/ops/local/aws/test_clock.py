"""Virtual time in the local AWS, and commands that live in it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops import clock
from ops.local.aws import LocalAws

MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """One whose clock nobody has set yet."""
    with LocalAws(None) as found:
        yield found


def waiting(aws: LocalAws, count: int) -> None:
    """Until as many wait for a time; fails after ten seconds."""
    for _ in range(200):
        if aws.waiting() == count:
            return
        time.sleep(0.05)
    pytest.fail(f"{aws.waiting()} wait, not {count}")


def test_the_clock_is_the_walls_until_it_is_set_and_then_goes_on_from_there(aws: LocalAws) -> None:
    assert aws.now() is None
    aws.set_now(MORNING)
    first, second = aws.now(), aws.now()
    assert first and second
    assert MORNING <= first < second < MORNING + MINUTE


def test_what_aws_notes_has_the_virtual_time_forwards_and_backwards(aws: LocalAws) -> None:
    ssm = aws.client("ssm")
    for at in (MORNING, MORNING + timedelta(days=3650), MORNING - timedelta(days=3650)):
        aws.set_now(at)
        ssm.put_parameter(Name="/ops-pipeline/tickers", Value=at.isoformat(), Type="String", Overwrite=True)
        modified = ssm.get_parameter(Name="/ops-pipeline/tickers")["Parameter"]["LastModifiedDate"]
        assert timedelta() <= modified - at < MINUTE


def test_each_version_of_a_parameter_has_its_time(aws: LocalAws) -> None:
    ssm = aws.client("ssm")
    for minute in range(3):
        aws.set_now(MORNING + minute * MINUTE)
        ssm.put_parameter(Name="/key", Value=f"key {minute}", Type="SecureString", Overwrite=True)
    history = ssm.get_parameter_history(Name="/key", WithDecryption=True)["Parameters"]
    assert [(each["Version"], each["Value"], each["LastModifiedDate"].minute) for each in history] == [
        (1, "key 0", 30),
        (2, "key 1", 31),
        (3, "key 2", 32),
    ]
    assert ssm.get_parameter(Name="/key")["Parameter"]["Version"] == 3


def test_a_restored_emulator_starts_with_the_walls_clock(tmp_path: Path) -> None:
    aws = LocalAws(tmp_path)
    with aws:
        aws.set_now(MORNING)
        aws.client("ssm").put_parameter(Name="/ops-pipeline/tickers", Value="AAPL", Type="String")
        aws.save()
    with aws:
        assert aws.now() is None
        found = aws.client("ssm").get_parameter(Name="/ops-pipeline/tickers")["Parameter"]
        assert found["LastModifiedDate"] - MORNING < MINUTE
        assert aws.load().restored == f"restored the state of {aws.load().restored[-32:]}"


def test_whoever_waits_for_a_time_is_counted_and_woken_when_it_is_set(aws: LocalAws) -> None:
    aws.set_now(MORNING)
    environ = {clock.URL: aws.url}
    woken: list[datetime] = []

    def sleeper() -> None:
        clock.sleep_until(MORNING + 2 * MINUTE, environ)
        woken.append(clock.now(environ))

    thread = threading.Thread(target=sleeper)
    thread.start()
    waiting(aws, 1)
    aws.client("sqs").create_queue(QueueName="meanwhile")  # AWS answers while somebody waits
    aws.set_now(MORNING + MINUTE)
    assert (woken, aws.waiting()) == ([], 1)
    aws.set_now(MORNING + 2 * MINUTE)
    thread.join(10)
    assert [each >= MORNING + 2 * MINUTE for each in woken] == [True]
    assert aws.waiting() == 0


def test_a_command_that_sleeps_a_minute_is_woken_by_the_next_minute(aws: LocalAws) -> None:
    aws.set_now(MORNING)
    program = "from ops import clock; clock.sleep(60); print(clock.now().isoformat())"
    command = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), clock.URL: aws.url},
    )
    waiting(aws, 1)
    aws.set_now(MORNING + MINUTE)
    told, _ = command.communicate(timeout=10)
    assert MORNING + MINUTE <= datetime.fromisoformat(told.strip()) < MORNING + 2 * MINUTE


def test_a_time_that_is_past_is_not_waited_for(aws: LocalAws) -> None:
    aws.set_now(MORNING)
    clock.sleep_until(MORNING - MINUTE, {clock.URL: aws.url})
    assert aws.waiting() == 0


def test_without_a_virtual_time_commands_go_by_the_wall(aws: LocalAws) -> None:
    for environ in ({}, {clock.URL: aws.url}):
        before = datetime.now(UTC)
        clock.sleep(0.05, environ)
        clock.sleep_until(before + timedelta(seconds=0.1), environ)
        assert clock.now(environ) >= before + timedelta(seconds=0.1)


def test_a_clock_that_is_gone_is_named(aws: LocalAws) -> None:
    url = aws.url
    aws.down()
    with pytest.raises(clock.ClockGone, match=r"OPS_CLOCK_URL: .* does not answer.*unset it"):
        clock.now({clock.URL: url})


def test_a_long_poll_of_a_queue_ends_though_the_time_jumps(aws: LocalAws) -> None:
    aws.set_now(MORNING)
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    answers: list[dict[str, object]] = []
    poll = threading.Thread(target=lambda: answers.append(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=3)))
    poll.start()
    time.sleep(1.5)  # the call is under way
    aws.set_now(MORNING - timedelta(days=3650))
    poll.join(15)
    assert [answer.get("Messages") for answer in answers] == [None]
