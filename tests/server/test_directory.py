"""The data directory: format, lock, key, endpoints."""

import json
import os
import stat
from pathlib import Path

import pytest

from anabranch.directory import FORMAT_VERSION, Directory
from anabranch.kernel.errors import Corrupted, InvalidInput, Kind, NotSupported, Unavailable


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "data")


def test_a_fresh_directory_names_its_format(directory: Directory) -> None:
    directory.prepare()
    assert json.loads(directory.format.read_bytes()) == {"format": FORMAT_VERSION}
    directory.prepare()
    directory.check_format()


def test_a_newer_format_is_refused(directory: Directory) -> None:
    directory.prepare()
    directory.format.write_text(json.dumps({"format": FORMAT_VERSION + 1}))
    with pytest.raises(NotSupported) as caught:
        directory.prepare()
    assert caught.value.kind is Kind.DATA_FORMAT


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense"])
def test_a_damaged_format_is_told(directory: Directory, text: str) -> None:
    directory.prepare()
    directory.format.write_text(text)
    with pytest.raises(Corrupted):
        directory.check_format()


def test_a_directory_with_other_things_is_left_alone(directory: Directory) -> None:
    directory.path.mkdir()
    (directory.path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput):
        directory.prepare()
    assert sorted(os.listdir(directory.path)) == ["thesis.txt"]


def test_the_lock_is_one_servers(directory: Directory) -> None:
    assert not directory.is_locked()
    first = directory.acquire_lock()
    assert directory.is_locked()
    with pytest.raises(Unavailable, match=str(os.getpid())):
        directory.acquire_lock(wait_s=0)
    os.close(first)
    assert not directory.is_locked()
    os.close(directory.acquire_lock(wait_s=0))


def test_the_key_is_made_once_and_private(directory: Directory) -> None:
    directory.prepare()
    key = directory.load_key()
    assert len(key) == 32
    assert directory.load_key() == key
    assert stat.S_IMODE(directory.key.stat().st_mode) == 0o600
    assert sorted(path.name for path in directory.path.iterdir()) == [
        "blocks",
        "format",
        "server.key",
    ]


def test_a_key_that_others_read_is_refused(directory: Directory) -> None:
    directory.prepare()
    directory.load_key()
    directory.key.chmod(0o640)
    with pytest.raises(Corrupted):
        directory.load_key()


@pytest.mark.parametrize("text", ["", "xyz", "00"])
def test_a_damaged_key_is_refused(directory: Directory, text: str) -> None:
    directory.prepare()
    directory.load_key()
    directory.key.write_text(text)
    with pytest.raises(Corrupted):
        directory.load_key()


def test_endpoints_are_there_whole_or_not_at_all(directory: Directory) -> None:
    directory.prepare()
    assert directory.find_endpoints() is None
    directory.write_endpoints({"pid": 1})
    assert directory.find_endpoints() == {"pid": 1}
    directory.remove_endpoints()
    directory.remove_endpoints()
    assert directory.find_endpoints() is None
