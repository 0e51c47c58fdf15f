"""fs upload and fs download against a real server: what moves, what stays, what is gone on with."""

import hashlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anabranch.client.answers import ObjectStats
from anabranch.client.checksums import part_bytes
from anabranch.client.downloads import WantedObject
from anabranch.client.multipart import Multipart
from anabranch.client.transport import Transport
from anabranch.kernel import limits
from tests.cli.commands import SCRIPT, Commands, lines

FILES = {
    "a.csv": b"a" * 10,
    "empty": b"",
    "sub/b c.csv": b"b" * (limits.WINDOW_BYTES + 1),
    "sub/deep/é.json": b"{}",
    "sub.csv": b"between",
    ".hidden": b"x",
}
LARGE_BYTES = limits.TRANSFER_MULTIPART_BYTES + limits.MIB + 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with FILES, a link to a file, and what is left out."""
    root = tmp_path / "source"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "link.csv").symlink_to("a.csv")
    (root / "folder").symlink_to("sub")
    (root / "nothing").symlink_to("none")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that goes in parts."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    block = os.urandom(limits.MIB)
    with path.open("wb") as file:
        for number in range(LARGE_BYTES // limits.MIB):
            file.write(number.to_bytes(4, "big") + block[4:])
        file.write(b"the end")
    return path


def tree(root: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def actions(commands: Commands, *args: str) -> dict[str, str]:
    """Run a transfer; return what it did with each path."""
    return {one["path"]: one["action"] for one in commands.json("fs", *args)}


def test_a_folder_goes_there_and_back(commands: Commands, folder: Path, tmp_path: Path) -> None:
    commands("repo", "create", "transfers")
    upload = ("fs", "upload", "-r", str(folder), "transfers/main/in")
    said = commands(*upload)
    assert said.stdout == lines("Uploaded 7 files (1.0 MiB) to lake://transfers/main/in/")
    assert said.stderr == lines(
        "3 left out, as links to folders or to nothing and special files are: folder, nothing, pipe"
    )
    found = {one["path"]: one for one in commands.json("fs", "ls", "-r", "transfers/main/")}
    assert set(found) == {f"in/{path}" for path in (*FILES, "link.csv")}
    assert found["in/sub/deep/é.json"]["content_type"] == "application/json"
    for path, data in FILES.items():
        assert found[f"in/{path}"]["checksum"] == hashlib.md5(data).hexdigest()
    download = ("fs", "download", "-r", "lake://transfers/main/in/", f"{tmp_path}/copy")
    assert commands(*download).stdout == lines(f"Downloaded 7 files (1.0 MiB) to {tmp_path}/copy")
    assert tree(tmp_path / "copy") == {**FILES, "link.csv": FILES["a.csv"]}


def test_what_is_the_same_is_left_out(commands: Commands, folder: Path, tmp_path: Path) -> None:
    commands("repo", "create", "transfers-again")
    upload = ("upload", "-r", str(folder), "transfers-again/main/", "--parallel", "2")
    assert set(actions(commands, *upload).values()) == {"sent"}
    (folder / "a.csv").write_bytes(b"A" * 10)
    (folder / "new").write_bytes(b"new")
    again = actions(commands, *upload)
    assert {path for path, action in again.items() if action == "sent"} == {
        *("a.csv", "link.csv", "new"),
    }
    said = commands("fs", *upload).stdout
    assert said == lines("Uploaded 0 files (0 B) to lake://transfers-again/main/, 8 unchanged")
    download = ("download", "-r", "transfers-again/main", str(tmp_path / "copy"))
    assert set(actions(commands, *download).values()) == {"received"}
    (tmp_path / "copy" / "sub.csv").write_bytes(b"damaged")
    (tmp_path / "copy" / "new").unlink()
    again = actions(commands, *download)
    assert {path for path, action in again.items() if action == "received"} == {"sub.csv", "new"}
    assert (tmp_path / "copy" / "sub.csv").read_bytes() == b"between"


def test_one_file_and_its_names(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"1,2\n")
    (sent,) = commands.json("fs", "upload", str(file), "example3/main/one/", "--meta", "k=v")
    md5 = hashlib.md5(b"1,2\n").hexdigest()
    assert sent == {
        "action": "sent",
        "path": "one/a.csv",
        "file": str(file),
        "size_bytes": 4,
        "checksum": md5,
        "is_verified": True,
    }
    upload = ("upload", str(file), "lake://example3/main/one/b.txt")
    assert actions(commands, *upload, "--content-type", "x/y") == {"one/b.txt": "sent"}
    assert actions(commands, *upload) == {"one/b.txt": "skipped"}
    assert actions(commands, *upload, "--meta", "a=b") == {"one/b.txt": "sent"}
    (stats,) = commands.json("fs", "stat", "example3/main/one/b.txt")
    assert stats["metadata"] == {"a": "b"}
    commands("fs", "download", "example3/main/one/b.txt", str(tmp_path))
    commands("fs", "download", "example3/main/one/b.txt", f"{tmp_path}/new/c.txt")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "new" / "c.txt").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.txt", "new"]


def test_an_upload_beside_many_objects_looks_for_its_own(
    commands: Commands, tmp_path: Path
) -> None:
    commands("repo", "create", "beside")
    for name in ("a", "b", "z"):
        commands.put(f"beside/main/{name}", name)
        (tmp_path / name).write_text(name)
    (tmp_path / "m").write_text("m")
    found = actions(commands, "upload", "-r", str(tmp_path), "beside/main/")
    assert found == {"a": "skipped", "b": "skipped", "m": "sent", "z": "skipped"}


def part_of(commands: Commands, path: str, file: Path) -> Path:
    """Return where a download collects the bytes of an object of example3."""
    (stats,) = commands.json("fs", "stat", f"example3/main/{path}")
    return WantedObject(msgspec.convert(stats, ObjectStats), file).part


def test_a_download_goes_on_where_it_ended(commands: Commands, tmp_path: Path) -> None:
    data = os.urandom(3 * limits.WINDOW_BYTES)
    commands.put("example3/main/resumed", data)
    target = tmp_path / "resumed"
    part = part_of(commands, "resumed", target)
    part.write_bytes(data[: limits.WINDOW_BYTES + 5])
    download = ("download", "example3/main/resumed", str(target))
    assert actions(commands, *download) == {"resumed": "resumed"}
    assert target.read_bytes() == data
    assert os.listdir(tmp_path) == ["resumed"]
    target.unlink()
    part.write_bytes(data)
    assert actions(commands, *download) == {"resumed": "resumed"}
    assert target.read_bytes() == data


def test_a_download_goes_on_with_the_same_object_alone(commands: Commands, tmp_path: Path) -> None:
    commands.put("example3/main/moved", b"first" * 100)
    target = tmp_path / "moved"
    part_of(commands, "moved", target).write_bytes(b"first" * 10)
    commands.put("example3/main/moved", b"other" * 100)
    download = ("download", "example3/main/moved", str(target))
    assert actions(commands, *download) == {"moved": "received"}
    assert target.read_bytes() == b"other" * 100


def test_a_damaged_part_is_fetched_anew(commands: Commands, tmp_path: Path) -> None:
    commands.put("example3/main/damaged", b"good" * 100)
    target = tmp_path / "damaged"
    part_of(commands, "damaged", target).write_bytes(b"evil" * 10)
    download = ("download", "example3/main/damaged", str(target))
    assert actions(commands, *download) == {"damaged": "received"}
    assert target.read_bytes() == b"good" * 100
    assert os.listdir(tmp_path) == ["damaged"]


@pytest.mark.parametrize("checksum_of", ["one part", "parts of unknown sizes"])
def test_a_damaged_part_is_fetched_anew_whatever_the_checksum(
    commands: Commands, tmp_path: Path, checksum_of: str
) -> None:
    path = f"damaged {checksum_of}"
    sizes = [400] if checksum_of == "one part" else [5 * limits.MIB + 1, 400]
    multipart = Multipart(Transport(commands.server_place()), "example3", "main", path)
    upload_id = multipart.create("", {})
    for number, size in enumerate(sizes, 1):
        multipart.send_part(upload_id, number, [b"g" * size], size)
    md5s = [hashlib.md5(b"g" * size).hexdigest() for size in sizes]
    multipart.complete(upload_id, md5s)
    target = tmp_path / "target"
    part_of(commands, path, target).write_bytes(b"evil" * 10)
    (done,) = commands.json("fs", "download", f"example3/main/{path}", str(target))
    assert (done["action"], done["is_verified"]) == ("received", checksum_of == "one part")
    assert target.read_bytes() == b"g" * sum(sizes)
    target.unlink()
    said = commands("fs", "download", f"example3/main/{path}", str(target)).stdout
    assert ("1 checked by size alone" in said) is (checksum_of != "one part")


def test_a_folder_to_download_to_ends_with_a_slash(commands: Commands, tmp_path: Path) -> None:
    commands.put("example3/main/named/a.csv", "x")
    commands("fs", "download", "example3/main/named/a.csv", f"{tmp_path}/new/")
    assert (tmp_path / "new" / "a.csv").read_text() == "x"


def test_names_too_long_are_told(commands: Commands, tmp_path: Path) -> None:
    commands.put("example3/main/short", "x")
    long = f"{tmp_path}/{'x' * 300}"
    for args in (("download", "example3/main/short", long), ("upload", long, "example3/main/")):
        assert "File name too long" in commands("fs", *args, code=1).stderr


def test_transfers_refuse(commands: Commands, folder: Path, tmp_path: Path) -> None:
    commands("repo", "create", "refusing")
    upload = ("fs", "upload", str(folder))
    assert "--recursive" in commands(*upload, "refusing/main/", code=2).stderr
    commands(*upload, "-r", "refusing/none/", code=4)
    commands(*upload, "-r", "refusing/main~1/", code=2)
    commands("tag", "create", "refusing/v1", "main")
    commands(*upload, "-r", "refusing/v1/", code=4)
    commands("fs", "upload", str(folder / "none"), "refusing/main/", code=4)
    commands("fs", "upload", str(folder / "pipe"), "refusing/main/", code=2)
    commands(*upload, "-r", "refusing/main/", "--parallel", "0", code=2)
    assert commands.json("fs", "ls", "-r", "refusing/main/") == []
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    refused = commands(*upload, "-r", "refusing/main/", code=2).stderr
    assert "UTF-8" in refused
    assert f"{folder}/\\udcff" in refused
    download = ("fs", "download", "-r")
    commands(*download, "refusing/main/none", str(tmp_path / "out"), code=4)
    assert "--recursive" in commands("fs", "download", "refusing/main/", "x", code=2).stderr
    commands("fs", "download", "refusing/main/none", str(tmp_path / "out"), code=4)


@pytest.mark.parametrize("path", ["in/../../evil", "in//evil", "in/./evil"])
def test_no_object_leaves_its_folder(commands: Commands, tmp_path: Path, path: str) -> None:
    name = f"leaving-{len(path)}-{path.count('/')}"
    commands("repo", "create", name)
    commands.put(f"{name}/main/{path}")
    refused = commands(
        "fs", "download", "-r", f"{name}/main/in/", str(tmp_path / "a" / "b"), code=2
    )
    assert "cannot be a file" in refused.stderr
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


def test_folders_and_files_of_one_name(commands: Commands, tmp_path: Path) -> None:
    commands("repo", "create", "clashing")
    commands.put("clashing/main/in/x", "file")
    commands.put("clashing/main/in/x/y", "below")
    refused = commands("fs", "download", "-r", "clashing/main/in", str(tmp_path), code=2)
    assert "something else has a name" in refused.stderr
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "z").mkdir()
    commands.put("clashing/main/z", "file")
    commands("fs", "download", "clashing/main/z", f"{tmp_path}/taken", code=2)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.slow
def test_a_large_file_goes_in_parts(commands: Commands, large: Path, tmp_path: Path) -> None:
    place = "example3/main/large.bin"
    (sent,) = commands.json("fs", "upload", str(large), place)
    count = -(-LARGE_BYTES // part_bytes(LARGE_BYTES))
    assert (sent["action"], sent["checksum"][32:]) == ("sent", f"-{count}")
    assert actions(commands, "upload", str(large), place) == {"large.bin": "skipped"}
    (got,) = commands.json("fs", "download", place, str(tmp_path))
    assert (got["action"], got["is_verified"]) == ("received", True)
    assert (tmp_path / "large.bin").read_bytes() == large.read_bytes()
    assert actions(commands, "download", place, str(tmp_path)) == {"large.bin": "skipped"}
    commands("branch", "create", "example3/with/slash")
    (whole,) = commands.json("fs", "upload", str(large), "example3/with%2Fslash/large.bin")
    assert len(whole["checksum"]) == 32


def begun(commands: Commands, large: Path, path: str) -> tuple[Multipart, str]:
    """Return an upload as an interruption leaves it: part 2 is there, and a part 1 of other bytes.

    Its content type and metadata are what no option asks for.
    """
    multipart = Multipart(Transport(commands.server_place()), "example3", "main", path)
    upload_id = multipart.create("", {})
    step = part_bytes(LARGE_BYTES)
    multipart.send_part(upload_id, 1, [b"x" * step], step)
    with large.open("rb") as file:
        file.seek(step)
        multipart.send_part(upload_id, 2, [file.read(step)], step)
    return multipart, upload_id


@pytest.mark.slow
def test_parts_that_are_there_are_not_sent_again(commands: Commands, large: Path) -> None:
    multipart, upload_id = begun(commands, large, "parts with ü/é.bin")
    assert multipart.find() == [upload_id]
    assert set(multipart.parts(upload_id)) == {1, 2}
    place = "example3/main/parts with ü/é.bin"
    commands("fs", "stat", place, code=4)
    (done,) = commands.json("fs", "upload", str(large), place)
    assert done["action"] == "resumed"
    assert multipart.find() == []
    assert commands("fs", "cat", place).stdout_bytes == large.read_bytes()


@pytest.mark.slow
def test_an_upload_begun_with_other_options_is_not_gone_on_with(
    commands: Commands, large: Path
) -> None:
    begun(commands, large, "options.bin")
    place = "example3/main/options.bin"
    upload = ("fs", "upload", str(large), place, "--meta", "k=vé")
    (done,) = commands.json(*upload)
    assert done["action"] == "sent"
    (stats,) = commands.json("fs", "stat", place)
    assert stats["metadata"] == {"k": "vé"}


def started(commands: Commands, *args: str) -> "subprocess.Popen[bytes]":
    """Start a command as a process of its own."""
    kept: dict[str, Any] = {
        name: value for name, value in commands.environment.items() if value is not None
    }
    return subprocess.Popen(
        [SCRIPT, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **kept},
    )


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_and_says_how_to_go_on(
    commands: Commands, large: Path, tmp_path: Path
) -> None:
    commands("repo", "create", "stopped")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    # So many that they are still on their way when the signal comes, on a busy machine too.
    names = {f"l{number:02}" for number in range(16)}
    for name in names:
        (folder / name).symlink_to(large)
    args = ("fs", "upload", "-r", str(folder), "stopped/main/", "-p", "2", "--json")
    with started(commands, *args) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"path": "a"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert b"run the same command again" in process.stderr.read()
        assert process.wait(timeout=30) == 130
    there = commands.json("fs", "ls", "-r", "stopped/main/")
    assert {one["size_bytes"] for one in there} <= {1, LARGE_BYTES}
    found = actions(commands, *args[1:-1])
    assert set(found) == {"a"} | names
    assert found["a"] == "skipped"
    assert len(commands.json("fs", "ls", "-r", "stopped/main/")) == 1 + len(names)
