"""Objects by command: listings in pages, copies in every direction, removals."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anabranch.client.rest import Client
from anabranch.client.transport import Upload
from anabranch.kernel import limits
from tests.cli.commands import Commands, lines, masked

COUNT = limits.PAGE_MAX + 5


@pytest.fixture(scope="module")
def tree(commands: Commands) -> str:
    """A repository with a page and a bit of objects, an object beside, and one like a folder."""
    commands("repo", "create", "tree")
    local = threading.local()

    def client() -> Client:
        if not hasattr(local, "client"):
            local.client = commands.client()
        found: Client = local.client
        return found

    def write(path: str) -> None:
        client().write("tree", "main", path, Upload([b"x" * 10], 10))

    paths = [f"many/{number:04}" for number in range(COUNT)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [*paths, "many", "many-more", "other/a b.csv"]))
    return "tree"


def test_ls_rolls_up(commands: Commands, tree: str) -> None:
    assert masked(commands("fs", "ls", f"lake://{tree}/main").stdout) == lines(
        "<time>        10 B  many",
        "<time>        10 B  many-more",
        " " * 33 + "many/",
        " " * 33 + "other/",
    )
    assert commands("fs", "ls", f"{tree}/main/none").stdout == ""
    stats, *_, last = commands.json("fs", "ls", f"{tree}/main/")
    assert last == {"path": "other/", "path_type": "common_prefix"}
    assert stats["size_bytes"] == 10
    assert stats["checksum"] == hashlib.md5(b"x" * 10).hexdigest()


def test_ls_follows_all_pages(commands: Commands, tree: str) -> None:
    said = commands("fs", "ls", "-r", "--bytes", f"{tree}/main/many/").stdout.splitlines()
    assert len(said) == COUNT
    assert masked(said[-1]) == f"<time>               10  many/{COUNT - 1:04}"
    found = commands.json("fs", "ls", f"{tree}/main/many/")
    assert [one["path"] for one in found] == [f"many/{number:04}" for number in range(COUNT)]


def test_diff_follows_all_pages(commands: Commands, tree: str) -> None:
    assert len(commands.json("diff", f"{tree}/main", "--prefix", "many/")) == COUNT
    assert commands("diff", f"{tree}/main").stdout.splitlines()[-1] == f"{COUNT + 3:,} added"


def test_rm_of_a_tree_takes_it_and_no_more(commands: Commands, tree: str) -> None:
    (said,) = commands.json("fs", "rm", "-r", f"{tree}/main/many")
    assert said == {"deleted": f"lake://{tree}/main/many", "count": COUNT + 1}
    left = [one["path"] for one in commands.json("fs", "ls", "-r", f"{tree}/main/")]
    assert left == ["many-more", "other/a b.csv"]
    assert "--yes" in commands("fs", "rm", "-r", f"{tree}/main/", code=2).stderr
    assert commands("fs", "rm", "-r", f"{tree}/main/", "--yes").stdout == lines(
        f"Removed 2 objects of lake://{tree}/main/"
    )
    commands("fs", "rm", "-r", f"{tree}/main/other", code=4)


def test_rm_of_one(commands: Commands) -> None:
    commands.put("example3/main/gone", "x")
    assert commands("fs", "rm", "example3/main/gone").stdout == lines(
        "Removed lake://example3/main/gone"
    )
    assert commands("fs", "rm", "example3/main/gone", code=4).stderr == lines(
        "error: no object 'gone'",
        f"  asked: GET {commands.server.api_url}"
        "/api/v1/repositories/example3/refs/main/objects/stat?path=gone",
        "  try: `anabranch fs ls example3/main/` shows what there is",
    )
    commands("fs", "rm", "example3/main/", code=2)


def test_stat_and_cat(commands: Commands) -> None:
    commands(
        "fs",
        "cp",
        "-",
        "lake://example3/main/s/é.bin",
        "--meta",
        "from=mé",
        input=b"\x00\xff" * 600,
    )
    assert masked(commands("fs", "stat", "example3/main/s/é.bin").stdout) == lines(
        "Path      s/é.bin",
        "Size      1.2 KiB (1,200 bytes)",
        "Type      application/octet-stream",
        "Checksum  <id 1>",
        "Modified  <time> UTC",
        "Address   s3://example3/<id 2>",
        "Metadata  from = mé",
    )
    (found,) = commands.json("fs", "stat", "example3/main/s/é.bin")
    assert found["metadata"] == {"from": "mé"}
    assert commands("fs", "cat", "example3/main/s/é.bin").stdout_bytes == b"\x00\xff" * 600
    commands("fs", "cat", "example3/main@/s/é.bin", code=4)
    commands("fs", "cat", "example3/main", code=2)


@pytest.mark.parametrize("size_bytes", [0, 5, limits.WINDOW_BYTES, 3 * limits.WINDOW_BYTES + 7])
def test_cp_there_and_back(commands: Commands, tmp_path: Path, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    source = tmp_path / "in.csv"
    source.write_bytes(data)
    place = f"lake://example3/main/cp/{size_bytes}/"
    said = commands("fs", "cp", str(source), place).stdout
    assert said.startswith(f"Copied {source} to {place}in.csv (")
    assert commands.json("fs", "stat", f"{place}in.csv")[0]["content_type"] == "text/csv"
    (found,) = commands.json("fs", "cp", f"{place}in.csv", f"{tmp_path}/out")
    assert found == {"path": f"{tmp_path}/out", "size_bytes": size_bytes}
    assert (tmp_path / "out").read_bytes() == data
    assert commands("fs", "cp", f"{place}in.csv", "-").stdout_bytes == data
    (piped,) = [one for one in commands.json("fs", "ls", place) if one["path_type"] == "object"]
    assert piped["checksum"] == hashlib.md5(data).hexdigest()


def test_cp_of_unknown_size(commands: Commands) -> None:
    data = os.urandom(2 * limits.WINDOW_BYTES + 1)
    commands("fs", "cp", "-", "lake://example3/main/stream.bin", input=data)
    assert commands("fs", "cat", "example3/main/stream.bin").stdout_bytes == data
    commands("fs", "cp", "-", "lake://example3/main/", input=data, code=2)


def test_cp_gives_names(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    commands("fs", "cp", f"{tmp_path}/a.txt", "lake://example3/main", "--content-type", "x/y")
    commands("fs", "cp", "lakefs://example3/main/a.txt", f"{tmp_path}/")
    folder = tmp_path / "folder"
    folder.mkdir()
    commands("fs", "cp", "lake://example3/main/a.txt", str(folder))
    assert (folder / "a.txt").read_text() == "text"
    assert sorted(os.listdir(folder)) == ["a.txt"]
    commands("fs", "cp", "lake://example3/main/a.txt", "lake://example3/main/names/")
    (copy,) = commands.json("fs", "stat", "example3/main/names/a.txt")
    (origin,) = commands.json("fs", "stat", "example3/main/a.txt")
    assert copy["physical_address"] == origin["physical_address"]
    assert copy["content_type"] == "x/y"


def test_cp_between_repositories_keeps_type_and_metadata(
    commands: Commands, tmp_path: Path
) -> None:
    commands("repo", "create", "elsewhere")
    data = os.urandom(limits.WINDOW_BYTES + 1)
    source = tmp_path / "a.json"
    source.write_bytes(data)
    commands("fs", "cp", str(source), "lake://example3/main/a.json", "--meta", "k=v")
    commands("fs", "cp", "lake://example3/main/a.json", "lake://elsewhere/main/b/")
    (found,) = commands.json("fs", "stat", "elsewhere/main/b/a.json")
    assert (found["content_type"], found["metadata"]) == ("application/json", {"k": "v"})
    assert found["checksum"] == hashlib.md5(data).hexdigest()


def test_cp_writes_through_links(commands: Commands, tmp_path: Path) -> None:
    commands.put("example3/main/linked", "new")
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    commands("fs", "cp", "lake://example3/main/linked", f"{tmp_path}/link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    commands("fs", "cp", "lake://example3/main/linked", "/dev/null")


def test_cp_refuses(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    place = "lake://example3/main/refused"
    assert "neither side" in commands("fs", "cp", "a", "b", code=2).stderr
    assert "no file or folder" in commands("fs", "cp", f"{file}-none", place, code=4).stderr
    assert "folders are not copied" in commands("fs", "cp", str(tmp_path), place, code=2).stderr
    commands("fs", "cp", str(file), place, "--meta", "a b=c", code=2)
    commands("fs", "cp", str(file), place, "--meta", "a=b\nc", code=2)
    commands("fs", "cp", str(file), place, "--content-type", "é", code=2)
    commands("fs", "cp", str(file), "lake://example3/nowhere/x", code=4)
    commands("fs", "cp", str(file), "lake://none/main/x", code=4)
    assert "not UTF-8" in commands("fs", "cp", str(file), f"{place}\udcff", code=2).stderr
    commands("fs", "cp", place, str(tmp_path / "out"), code=4)
    commands("tag", "create", "example3/fixed", "main")
    assert (
        "not a branch" in commands("fs", "cp", str(file), "lake://example3/fixed/x", code=3).stderr
    )
    commands.put("example3/main/there")
    there = "lake://example3/main/there"
    refused = commands("fs", "cp", there, f"{tmp_path}/no/such/file", code=4)
    assert f"no folder '{tmp_path}/no/such'" in refused.stderr
    commands("fs", "cp", there, f"{file}/x", code=1)
    commands("fs", "cp", there, place, "--meta", "a=b", code=2)
    assert sorted(os.listdir(tmp_path)) == ["f"]
