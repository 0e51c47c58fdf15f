"""s3cmd (Debian's) against a real server, http and https."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.clients.conftest import Gateway
from tests.clients.examples import example
from tests.clients.programs import MIB, Program, debian_program, run, version_in
from tests.support.recording import check_capture

ROOT = "s3://example3/main/s3cmd"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class S3cmd(Program):
    """The program, and what it lists."""

    def names(self, url: str) -> list[str]:
        return [line.split(maxsplit=3)[-1] for line in self.must("ls", url).splitlines()]


@pytest.fixture(scope="module")
def s3cmd(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3cmd]:
    program = debian_program("s3cmd", "s3cmd")
    folder = tmp_path_factory.mktemp("s3cmd")
    with gateway.tape() as tape:
        config = folder / "s3cfg"
        text = example("s3cmd").replace("127.0.0.1:8000", tape.url.split("/")[-1])
        if gateway.ca_file:
            text = text.replace("use_https = False", "use_https = True")
        config.write_text(text)
        options = ["--config", str(config), "--no-progress"]
        if gateway.ca_file:
            options += ["--ca-certs", str(gateway.ca_file)]
        yield S3cmd(program, tape, folder, options)


def test_write_overwrite_and_read(s3cmd: S3cmd) -> None:
    name = f"{ROOT}/w/a b+é=.txt"
    with s3cmd.tape.step("write"):
        s3cmd.must("put", s3cmd.file("a", b"first"), name)
    with s3cmd.tape.step("overwrite"):
        s3cmd.must("put", s3cmd.file("a", b"second"), name)
    with s3cmd.tape.step("read"):
        s3cmd.must("get", name, s3cmd.folder / "back")
    assert (s3cmd.folder / "back").read_bytes() == b"second"


def test_a_range(s3cmd: S3cmd, gateway: Gateway) -> None:
    gateway.put("main/s3cmd/range", b"0123456789")
    half = s3cmd.file("half", b"01234")
    with s3cmd.tape.step("go on with a download"):
        s3cmd.must("get", "--continue", f"{ROOT}/range", half)
    assert half.read_bytes() == b"0123456789"


def test_list(s3cmd: S3cmd, gateway: Gateway) -> None:
    gateway.put("main/s3cmd/list/x", b"listed")
    gateway.put("main/s3cmd/list/sub/y", b"listed")
    with s3cmd.tape.step("list"):
        found = s3cmd.names(f"{ROOT}/list/")
    assert sorted(one.split()[-1] for one in found) == [f"{ROOT}/list/sub/", f"{ROOT}/list/x"]
    with s3cmd.tape.step("list all"):
        shown = s3cmd.must("ls", "--recursive", "--list-md5", f"{ROOT}/list/").splitlines()
    md5 = hashlib.md5(b"listed").hexdigest()
    assert [line.split()[2:] for line in shown] == [
        ["6", md5, f"{ROOT}/list/sub/y"],
        ["6", md5, f"{ROOT}/list/x"],
    ]
    with s3cmd.tape.step("list buckets"):
        assert "s3://example3" in s3cmd.must("ls")
    with s3cmd.tape.step("info"):
        info = s3cmd.must("info", f"{ROOT}/list/x")
    assert f"MD5 sum:   {md5}" in info


def test_copy_and_move(s3cmd: S3cmd, gateway: Gateway) -> None:
    gateway.put("main/s3cmd/move/a", b"moved")
    with s3cmd.tape.step("copy"):
        s3cmd.must("cp", f"{ROOT}/move/a", f"{ROOT}/move/b")
    with s3cmd.tape.step("move"):
        s3cmd.must("mv", f"{ROOT}/move/b", f"{ROOT}/move/c")
    assert gateway.names("main/s3cmd/move/") == ["main/s3cmd/move/a", "main/s3cmd/move/c"]
    assert gateway.get("main/s3cmd/move/c") == b"moved"


def test_multipart(s3cmd: S3cmd) -> None:
    data = hashlib.shake_128(b"s3cmd").digest(6 * MIB)
    with s3cmd.tape.step("multipart"):
        s3cmd.must("put", "--multipart-chunk-size-mb=5", s3cmd.file("large", data), f"{ROOT}/large")
    with s3cmd.tape.step("read what came in parts"):
        # It compares with the MD5 that it put among the metadata.
        s3cmd.must("get", f"{ROOT}/large", s3cmd.folder / "large-back")
    assert (s3cmd.folder / "large-back").read_bytes() == data


def test_sync_and_delete(s3cmd: S3cmd, gateway: Gateway) -> None:
    for number in range(3):
        s3cmd.file(f"tree/{number}", b"%d" % number)
    with s3cmd.tape.step("sync"):
        s3cmd.must("sync", f"{s3cmd.folder}/tree/", f"{ROOT}/tree/")
    (s3cmd.folder / "tree" / "1").unlink()
    with s3cmd.tape.step("sync with a delete"):
        s3cmd.must("sync", "--delete-removed", f"{s3cmd.folder}/tree/", f"{ROOT}/tree/")
    assert gateway.names("main/s3cmd/tree/") == ["main/s3cmd/tree/0", "main/s3cmd/tree/2"]
    with s3cmd.tape.step("delete"):
        s3cmd.must("del", f"{ROOT}/tree/0")
    assert gateway.names("main/s3cmd/tree/") == ["main/s3cmd/tree/2"]
    with s3cmd.tape.step("delete recursively"):
        s3cmd.must("del", "--recursive", "--force", f"{ROOT}/tree/")
    assert s3cmd.names(f"{ROOT}/tree/") == []


def test_failures(s3cmd: S3cmd) -> None:
    with s3cmd.tape.step("unknown branch"):
        done = s3cmd.run("put", s3cmd.file("f", b"f"), "s3://example3/nowhere/f")
    assert done.code != 0
    assert "404 (NoSuchKey): no branch 'nowhere' in 'example3'" in done.said
    with s3cmd.tape.step("wrong secret"):
        done = s3cmd.run("--secret_key=wrong", "ls", ROOT)
    assert done.code != 0
    assert "403 (SignatureDoesNotMatch)" in done.said


def test_what_is_sent_was_recorded(s3cmd: S3cmd) -> None:
    check_capture(s3cmd.tape, "s3cmd", version_in(run(s3cmd.program, "--version").out))
