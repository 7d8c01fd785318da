"""What a shell may carry must not lead a client past the local AWS."""

from __future__ import annotations

from ops.local.aws import environment

URL = "http://127.0.0.1:4000"


def test_a_shell_of_a_real_account_is_turned_whole() -> None:
    shell = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere",
        "AWS_CA_BUNDLE": "/missing.pem",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "PATH": "/bin",
    }
    turned = environment.merged(shell, URL)
    assert not turned.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"}
    assert (turned["AWS_ENDPOINT_URL"], turned["AWS_ACCESS_KEY_ID"], turned["PATH"]) == (URL, "local", "/bin")
    assert turned["AWS_EC2_METADATA_DISABLED"] == "true"


def test_the_lines_for_a_shell_unset_and_export_the_same() -> None:
    lines = environment.exports({"AWS_PROFILE": "production"}, URL).splitlines()
    assert lines[0] == "unset AWS_PROFILE"
    assert f"export AWS_ENDPOINT_URL={URL}" in lines


def test_loopback_goes_past_a_proxy_and_only_then() -> None:
    assert "NO_PROXY" not in environment.merged({}, URL)
    assert environment.merged({"HTTP_PROXY": "http://proxy:3128"}, URL)["NO_PROXY"] == "127.0.0.1"
    kept = environment.merged({"http_proxy": "http://proxy:3128", "no_proxy": "intern"}, URL)
    assert kept["no_proxy"] == "intern,127.0.0.1"
