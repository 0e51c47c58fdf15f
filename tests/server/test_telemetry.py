"""Logs and metrics: no secret in either."""

import json
import logging

import pytest

from anabranch.telemetry import configure_logs, logger, redact_query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Signature=abc&a=1", "X-Amz-Signature=***&a=1"),
        ("a=1&Signature=x%2Fy", "a=1&Signature=***"),
        ("x-amz-security-token=t", "x-amz-security-token=***"),
        ("password=p&token=t", "password=***&token=***"),
        ("prefix=a&marker=b", "prefix=a&marker=b"),
    ],
)
def test_queries_lose_their_secrets(query: str, expected: str) -> None:
    assert redact_query(query) == expected


@pytest.mark.parametrize("name", ["authorization", "secret_key", "Password", "session_token"])
def test_named_secrets_are_hidden(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format="json", process="p")
    logger("x").info("event", **{name: "hidden-value"})
    written = capsys.readouterr().err
    assert "hidden-value" not in written
    assert json.loads(written)["process"] == "p"


def test_levels_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", format="json", process="p")
    logger("x").info("quiet")
    logger("x").warning("loud")
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").warning("from a library")
    lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["loud", "from a library"]


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format="console", process="p")
    logger("x").info("event", secret="hidden-value")
    written = capsys.readouterr().err
    assert "event" in written
    assert "hidden-value" not in written
