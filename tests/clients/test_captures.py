"""What is kept of what clients send: well named, without secrets, and known to the gateway."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from anabranch.s3.app import HANDLERS
from tests.support.recording import CAPTURES, action_of_target
from tests.support.server import ACCESS_KEY, SECRET_KEY

FILES = sorted(CAPTURES.glob("*.json"))

REFUSED = {"GetBucketPolicy", "GetBucketCors", "PutObjectAcl"}
"""Actions that clients ask for in passing and go on without: the answer is NotImplemented."""


def requests(path: Path) -> list[dict[str, Any]]:
    schemes = json.loads(path.read_text())["schemes"]
    return [one for steps in schemes.values() for found in steps.values() for one in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_for_client_and_version(path: Path) -> None:
    kept = json.loads(path.read_text())
    assert path.stem == f"{kept['client']}-{kept['version']}"
    assert kept["schemes"].keys() <= {"http", "https"}
    assert requests(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_gateway_knows_every_action(path: Path) -> None:
    for one in requests(path):
        is_copy = any(header.startswith("x-amz-copy-source:") for header in one["headers"])
        action = action_of_target(one["method"], one["target"], is_copy=is_copy)
        assert action == one["action"]
        assert action in (HANDLERS.keys() | REFUSED), one
        assert (one["status"] == 501) == (action in REFUSED), one


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_request_failed_in_the_server(path: Path) -> None:
    assert [one for one in requests(path) if one["status"] in (None, 500, 503)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_secret_is_kept(path: Path) -> None:
    text = path.read_text()
    assert ACCESS_KEY not in text
    assert SECRET_KEY not in text
    assert not re.search(r"\b[0-9a-f]{32,64}\b", text)
    assert not re.search(r"[Ss]ignature=(?!<signature>)[^\s]", text)
