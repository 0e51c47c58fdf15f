"""The AWS command line, as PyPI has it (1.x) and as Debian has it (2.x), http and https."""

import hashlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.conftest import Gateway
from tests.clients.examples import example
from tests.clients.programs import (
    MIB,
    Done,
    Program,
    Session,
    debian_program,
    find_python,
    run,
    version_in,
)
from tests.support.environments import environment
from tests.support.recording import check_capture

RUNNER = Path(__file__).parent / "sessions" / "program.py"
ROOT = "s3://example3/main/awscli"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Aws(Program):
    """One version of the program, in one interpreter for all commands."""

    session: Session
    env: dict[str, str]

    def run(self, *args: str | Path) -> Done:
        """Run a command to its end."""
        return self.session.ask(*self.options, *args)


def exported(script: str) -> dict[str, str]:
    """Return the variables that the lines of a shell script set."""
    lines = [line for line in script.splitlines() if line.startswith("export ")]
    pairs = [word.partition("=") for line in lines for word in line.split()[1:]]
    return {name: value for name, _, value in pairs}


@pytest.fixture(scope="module", params=["pypi", "debian"])
def aws(
    request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Aws]:
    if request.param == "pypi":
        python = environment("clients").python
        program = python.with_name("aws")
    else:
        python, program = find_python(), debian_program("aws", "awscli")
    folder = tmp_path_factory.mktemp("awscli")
    env = exported(example("AWS command line"))
    assert env["AWS_SECRET_ACCESS_KEY"] == gateway.server.secret_key
    if gateway.ca_file:
        env["AWS_CA_BUNDLE"] = str(gateway.ca_file)
    with gateway.tape() as tape:
        env["AWS_ENDPOINT_URL"] = tape.url
        session = Session(python, RUNNER, str(program), env=env, cwd=folder)
        try:
            # Debian's does not know the variable.
            options = [] if request.param == "pypi" else ["--endpoint-url", tape.url]
            yield Aws(program, tape, folder, options, session, env)
        finally:
            session.close()


def test_write_overwrite_and_read(aws: Aws) -> None:
    with aws.tape.step("write"):
        aws.must("s3", "cp", aws.file("a", b"first"), f"{ROOT}/w/a b+é=.txt")
    with aws.tape.step("overwrite"):
        aws.must("s3", "cp", aws.file("a", b"second"), f"{ROOT}/w/a b+é=.txt")
    with aws.tape.step("read"):
        aws.must("s3", "cp", f"{ROOT}/w/a b+é=.txt", aws.folder / "back")
    assert (aws.folder / "back").read_bytes() == b"second"


def test_a_range(aws: Aws, gateway: Gateway) -> None:
    data = bytes(range(256))
    gateway.put("main/awscli/range", data)
    part = aws.folder / "part"
    options = ["--bucket", "example3", "--key", "main/awscli/range", "--range", "bytes=16-31"]
    with aws.tape.step("range"):
        got = json.loads(aws.must("s3api", "get-object", *options, part))
    assert (got["ContentRange"], got["ETag"]) == (
        "bytes 16-31/256",
        f'"{hashlib.md5(data).hexdigest()}"',
    )
    assert part.read_bytes() == data[16:32]


def test_list(aws: Aws, gateway: Gateway) -> None:
    for name in ("list/x", "list/sub/y"):
        gateway.put(f"main/awscli/{name}", name.encode())
    with aws.tape.step("list"):
        shown = aws.must("s3", "ls", f"{ROOT}/list/").split("\n")
    assert shown[0].split() == ["PRE", "sub/"]
    assert shown[1].split()[2:] == ["6", "x"]
    with aws.tape.step("list all"):
        shown = aws.must("s3", "ls", "--recursive", "--summarize", f"{ROOT}/list/").split("\n")
    assert [line.split()[3] for line in shown[:2]] == [
        "main/awscli/list/sub/y",
        "main/awscli/list/x",
    ]
    with aws.tape.step("list buckets"):
        assert "example3" in aws.must("s3", "ls")


def test_copy_move_and_delete(aws: Aws, gateway: Gateway) -> None:
    gateway.put("main/awscli/move/a", b"moved")
    with aws.tape.step("copy"):
        aws.must("s3", "cp", f"{ROOT}/move/a", f"{ROOT}/move/b")
    with aws.tape.step("move"):
        aws.must("s3", "mv", f"{ROOT}/move/b", f"{ROOT}/move/c")
    assert gateway.names("main/awscli/move/") == ["main/awscli/move/a", "main/awscli/move/c"]
    assert gateway.get("main/awscli/move/c") == b"moved"
    with aws.tape.step("delete"):
        aws.must("s3", "rm", f"{ROOT}/move/a")
        aws.must("s3", "rm", f"{ROOT}/move/c")
    listed = aws.run("s3", "ls", f"{ROOT}/move/")
    assert (listed.code, listed.out) == (1, "")


def test_multipart(aws: Aws, gateway: Gateway) -> None:
    data = hashlib.shake_128(b"awscli").digest(9 * MIB)
    source = aws.file("large", data)
    with aws.tape.step("multipart"):
        aws.must("s3", "cp", source, f"{ROOT}/large", "--no-progress")
    parts = [hashlib.md5(data[: 8 * MIB]).digest(), hashlib.md5(data[8 * MIB :]).digest()]
    assert gateway.etag("main/awscli/large") == f"{hashlib.md5(b''.join(parts)).hexdigest()}-2"
    with aws.tape.step("read in ranges"):
        aws.must("s3", "cp", f"{ROOT}/large", aws.folder / "large-back", "--no-progress")
    assert (aws.folder / "large-back").read_bytes() == data
    with aws.tape.step("move in parts"):
        aws.must("s3", "mv", f"{ROOT}/large", f"{ROOT}/larger", "--no-progress")
    assert gateway.names("main/awscli/large") == ["main/awscli/larger"]
    assert gateway.get("main/awscli/larger") == data


def test_sync_and_delete_recursively(aws: Aws, gateway: Gateway) -> None:
    for number in range(3):
        aws.file(f"tree/{number}", b"%d" % number)
    with aws.tape.step("sync"):
        assert aws.must("s3", "sync", aws.folder / "tree", f"{ROOT}/tree").count("upload:") == 3
    with aws.tape.step("sync again"):
        assert "upload:" not in aws.must("s3", "sync", aws.folder / "tree", f"{ROOT}/tree")
    with aws.tape.step("delete recursively"):
        assert aws.must("s3", "rm", "--recursive", f"{ROOT}/tree").count("delete:") == 3
    assert gateway.names("main/awscli/tree") == []


def test_presign(aws: Aws, gateway: Gateway) -> None:
    if gateway.ca_file:
        pytest.skip("a presigned URL is the same over https")
    gateway.put("main/awscli/presigned", b"for a friend")
    url = aws.must("s3", "presign", f"{ROOT}/presigned").strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"for a friend"


def test_failures(aws: Aws) -> None:
    # As a user runs it: a process of its own.
    source = aws.file("f", b"f")
    with aws.tape.step("unknown branch"):
        done = run(
            aws.program, *aws.options, "s3", "cp", source, "s3://example3/nowhere/f", env=aws.env
        )
    assert done.code == 1
    assert "upload failed:" in done.said
    assert (
        "An error occurred (NoSuchKey) when calling the PutObject operation: "
        "no branch 'nowhere' in 'example3'"
    ) in done.said


def test_what_is_sent_was_recorded(aws: Aws) -> None:
    version = version_in(run(aws.program, "--version", env=aws.env).out)
    check_capture(aws.tape, "awscli", version)
