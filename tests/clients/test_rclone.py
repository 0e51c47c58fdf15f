"""rclone (Debian's) against a real server, http and https."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests.clients.conftest import Gateway
from tests.clients.examples import example
from tests.clients.programs import MIB, Program, debian_program, run, version_in
from tests.support.recording import check_capture

ROOT = "lake:example3/main/rclone"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def rclone(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    program = debian_program("rclone", "rclone")
    folder = tmp_path_factory.mktemp("rclone")
    with gateway.tape() as tape:
        config = folder / "rclone.conf"
        config.write_text(
            example("rclone")
            .replace("http://127.0.0.1:8000", tape.url)
            .replace("AKIAIOSFODNN7EXAMPLE", gateway.server.access_key)
        )
        options = ["--config", str(config), "--retries", "1", "--low-level-retries", "1"]
        if gateway.ca_file:
            options += ["--ca-cert", str(gateway.ca_file)]
        yield Program(program, tape, folder, options)


def test_write_overwrite_and_read(rclone: Program) -> None:
    name = f"{ROOT}/w/a b+é=.txt"
    with rclone.tape.step("write"):
        rclone.must("copyto", rclone.file("a", b"first"), name)
    with rclone.tape.step("overwrite"):
        rclone.must("copyto", rclone.file("a", b"second!"), name)
    with rclone.tape.step("read"):
        rclone.must("copyto", name, rclone.folder / "back")
    assert (rclone.folder / "back").read_bytes() == b"second!"


def test_a_range(rclone: Program, gateway: Gateway) -> None:
    gateway.put("main/rclone/range", b"0123456789")
    with rclone.tape.step("range"):
        assert rclone.must("cat", "--offset", "3", "--count", "4", f"{ROOT}/range") == "3456"
    with rclone.tape.step("range at the end"):
        assert rclone.must("cat", "--tail", "2", f"{ROOT}/range") == "89"


def test_list(rclone: Program, gateway: Gateway) -> None:
    gateway.put("main/rclone/list/sub/x", b"x")
    gateway.put("main/rclone/list/sub/y", b"yy")
    with rclone.tape.step("list"):
        assert rclone.must("lsf", f"{ROOT}/list") == "sub/\n"
    with rclone.tape.step("list all"):
        found = json.loads(rclone.must("lsjson", "-R", "--files-only", "--hash", f"{ROOT}/list"))
    assert [(one["Path"], one["Size"], one["Hashes"]["md5"]) for one in found] == [
        ("sub/x", 1, hashlib.md5(b"x").hexdigest()),
        ("sub/y", 2, hashlib.md5(b"yy").hexdigest()),
    ]
    with rclone.tape.step("list buckets"):
        assert "example3" in rclone.must("lsd", "lake:")


def test_copy_and_move(rclone: Program, gateway: Gateway) -> None:
    gateway.put("main/rclone/move/a", b"moved")
    with rclone.tape.step("copy"):
        rclone.must("copyto", f"{ROOT}/move/a", f"{ROOT}/move/b")
    with rclone.tape.step("move"):
        rclone.must("moveto", f"{ROOT}/move/b", f"{ROOT}/move/c")
    with rclone.tape.step("change the time"):
        # A copy onto itself, with other metadata.
        rclone.must("touch", "--timestamp", "2020-02-03T04:05:06", f"{ROOT}/move/c")
    assert rclone.must("lsf", "--format", "tp", f"{ROOT}/move").split("\n")[1:] == [
        "2020-02-03 04:05:06;c",
        "",
    ]
    assert gateway.names("main/rclone/move/") == ["main/rclone/move/a", "main/rclone/move/c"]
    assert gateway.get("main/rclone/move/c") == b"moved"


def test_the_root_of_a_repository(rclone: Program, gateway: Gateway) -> None:
    gateway.put("main/rclone/root", b"root")
    with rclone.tape.step("list branches"):
        assert "main/" in rclone.must("lsf", "lake:example3").split("\n")
    with rclone.tape.step("walk branches"):
        # One listing of all keys shows none of them; a walk from folder to folder does.
        assert rclone.must("lsf", "--recursive", "lake:example3") == ""
    walk = ["--recursive", "--disable", "ListR", "--max-depth", "2"]
    assert "main/rclone/" in rclone.must("lsf", *walk, "lake:example3").split("\n")


def test_multipart(rclone: Program, gateway: Gateway) -> None:
    data = hashlib.shake_128(b"rclone").digest(6 * MIB)
    source = rclone.file("large", data)
    small = ["--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi"]
    with rclone.tape.step("multipart"):
        rclone.must("copyto", *small, source, f"{ROOT}/large")
    with rclone.tape.step("compare"):
        # The MD5 of the whole, which no ETag of parts is, travels in the metadata.
        same = ["check", "--one-way", "--download", "--include", "/large"]
        rclone.must(*same, rclone.folder, ROOT)
        assert rclone.must("md5sum", f"{ROOT}/large").split()[0] == hashlib.md5(data).hexdigest()
    with rclone.tape.step("copy in parts"):
        rclone.must("copyto", *small, "--s3-copy-cutoff", "5Mi", f"{ROOT}/large", f"{ROOT}/larger")
    assert gateway.get("main/rclone/larger") == data


def test_sync_and_delete(rclone: Program, gateway: Gateway) -> None:
    for number in range(3):
        rclone.file(f"tree/{number}", b"%d" % number)
    with rclone.tape.step("sync"):
        rclone.must("sync", rclone.folder / "tree", f"{ROOT}/tree")
    (rclone.folder / "tree" / "1").unlink()
    with rclone.tape.step("sync with a delete"):
        rclone.must("sync", rclone.folder / "tree", f"{ROOT}/tree")
    assert gateway.names("main/rclone/tree/") == ["main/rclone/tree/0", "main/rclone/tree/2"]
    with rclone.tape.step("delete"):
        rclone.must("deletefile", f"{ROOT}/tree/0")
    assert gateway.names("main/rclone/tree/") == ["main/rclone/tree/2"]
    with rclone.tape.step("delete recursively"):
        rclone.must("purge", f"{ROOT}/tree")
    assert rclone.must("lsf", f"{ROOT}/tree") == ""


def test_failures(rclone: Program) -> None:
    source = rclone.file("f", b"f")
    with rclone.tape.step("unknown branch"):
        done = rclone.run("copyto", source, "lake:example3/nowhere/f")
    assert done.code != 0
    assert "NoSuchKey: no branch 'nowhere' in 'example3'" in done.said
    with rclone.tape.step("wrong secret"):
        done = rclone.run("--s3-secret-access-key", "wrong", "lsf", ROOT)
    assert done.code != 0
    assert "SignatureDoesNotMatch" in done.said


def test_what_is_sent_was_recorded(rclone: Program) -> None:
    check_capture(rclone.tape, "rclone", version_in(run(rclone.program, "version").out))
