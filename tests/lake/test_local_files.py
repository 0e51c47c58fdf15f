"""What local files an import may read, and what it may not although it lies under a root."""

from pathlib import Path

import pytest

from anabranch.kernel.errors import Forbidden, Kind
from anabranch.lake.local_files import LocalFiles


def files_of(root: Path, own: Path) -> LocalFiles:
    """Return the files under a root, with the server's directory."""
    return LocalFiles([f"local://{root}"], own=own)


def walked(files: LocalFiles, place: Path) -> list[str]:
    """Return the paths of all files below a directory."""
    runs = files.walk(f"local://{place}/")
    return [path for run in runs for path in run.rows("").paths]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a server's directory with a key in it, beside other files."""
    directory = tmp_path / "root" / "server"
    (directory / "blocks").mkdir(parents=True)
    (directory / "server.key").write_bytes(b"secret")
    (directory / "blocks" / "b").write_bytes(b"secret")
    (tmp_path / "root" / "data").mkdir()
    (tmp_path / "root" / "data" / "a").write_bytes(b"1")
    return directory


def test_files_beside_the_servers_directory_are_read(own: Path) -> None:
    files = files_of(own.parent, own)
    assert walked(files, own.parent / "data") == ["a"]
    assert files.find(f"local://{own.parent}/data/a") is not None


@pytest.mark.parametrize("path", ["server.key", "blocks/b"])
def test_a_file_of_the_server_is_not_read(own: Path, path: str) -> None:
    with pytest.raises(Forbidden) as refused:
        files_of(own.parent, own).find(f"local://{own}/{path}")
    assert refused.value.kind is Kind.IMPORT_SOURCE


def test_a_walk_does_not_enter_the_servers_directory(own: Path) -> None:
    files = files_of(own.parent, own)
    for place in (own.parent, own, own / "blocks"):
        with pytest.raises(Forbidden):
            walked(files, place)


def test_another_name_of_a_root_does_not_lead_into_the_servers_directory(
    own: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(own.parent)
    files = files_of(link, own)
    assert walked(files, link / "data") == ["a"]
    with pytest.raises(Forbidden):
        files.find(f"local://{link}/server/server.key")


@pytest.mark.parametrize("inside", [".", "blocks"])
def test_the_servers_directory_is_no_root(own: Path, tmp_path: Path, inside: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(own / inside)
    for root in ((own / inside).resolve(), link):
        with pytest.raises(Forbidden):
            walked(files_of(root, own), root)
