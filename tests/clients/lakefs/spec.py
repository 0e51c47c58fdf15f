"""A tour of `lakefs-spec` 0.15.1: the lake as an fsspec file system.

Usage: spec.py ENDPOINT KEY_ID SECRET SOURCE
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import lakefs
from lakefs.client import Client
from lakefs_spec import LakeFSFileSystem

REPOSITORY = "client-four"
ROOT = f"{REPOSITORY}/main"


def refused(kind: type[BaseException], function: Any, *args: Any, **kwargs: Any) -> None:
    """Want a call to fail in a certain way."""
    try:
        function(*args, **kwargs)
    except kind:
        return
    raise AssertionError(f"{function} did not fail")


def files(fs: Any, folder: Path) -> None:
    """Write, read, list, copy, move to and from the local disk, remove."""
    with fs.open(f"{ROOT}/dir/a.txt", "wb") as file:
        file.write(b"hello")
    with fs.open(f"{ROOT}/dir/a.txt", "rb") as file:
        assert file.read() == b"hello"
        file.seek(1)
        assert file.read(3) == b"ell"
    with fs.open(f"{ROOT}/dir/text.txt", "w") as file:
        file.write("grüße")
    assert fs.read_text(f"{ROOT}/dir/text.txt") == "grüße"
    assert fs.exists(f"{ROOT}/dir/a.txt")
    assert not fs.exists(f"{ROOT}/dir/missing")
    assert fs.info(f"{ROOT}/dir/a.txt")["size"] == 5
    assert fs.info(f"{ROOT}/dir/")["type"] == "directory"
    assert fs.checksum(f"{ROOT}/dir/a.txt") == "5d41402abc4b2a76b9719d911017c592"
    local = folder / "up.bin"
    local.write_bytes(bytes(range(256)) * 40_000)
    fs.put_file(str(local), f"{ROOT}/dir/sub/up.bin")
    fs.get_file(f"{ROOT}/dir/sub/up.bin", str(folder / "down.bin"))
    assert (folder / "down.bin").read_bytes() == local.read_bytes()
    fs.cp_file(f"{ROOT}/dir/a.txt", f"{ROOT}/dir/b.txt")
    assert fs.cat_file(f"{ROOT}/dir/b.txt") == b"hello"
    fs.touch(f"{ROOT}/dir/empty")
    assert fs.tail(f"{ROOT}/dir/a.txt", 2) == b"lo"
    assert fs.modified(f"{ROOT}/dir/a.txt")
    fs.dircache.clear()
    names = sorted(one["name"] for one in fs.ls(f"{ROOT}/dir/", detail=True))
    expected = ["a.txt", "b.txt", "empty", "sub/", "text.txt"]
    assert names == [f"{ROOT}/dir/{name}" for name in expected], names
    found = sorted(fs.find(f"{ROOT}/dir/"))
    assert f"{ROOT}/dir/sub/up.bin" in found
    assert sorted(fs.glob(f"{ROOT}/dir/*.txt")) == [
        f"{ROOT}/dir/{name}" for name in ("a.txt", "b.txt", "text.txt")
    ]
    assert fs.du(f"{ROOT}/dir/sub/") == 256 * 40_000
    fs.rm(f"{ROOT}/dir/b.txt")
    assert not fs.exists(f"{ROOT}/dir/b.txt")
    fs.rm(f"{ROOT}/dir/sub/", recursive=True)
    fs.dircache.clear()
    assert not any("sub" in name for name in fs.find(f"{ROOT}/dir/"))


def failures(fs: Any, endpoint: str) -> None:
    """Fail as a file system does."""
    refused(FileNotFoundError, fs.cat_file, f"{ROOT}/dir/missing")
    refused(FileNotFoundError, fs.info, f"{ROOT}/nowhere")
    refused(FileNotFoundError, fs.cat_file, "no-such-one/main/a")
    stranger = LakeFSFileSystem(
        host=endpoint, username="nobody", password="nothing", skip_instance_cache=True
    )
    refused(PermissionError, stranger.ls, f"{ROOT}/")


def transactions(fs: Any, branch: Any) -> None:
    """Write in a transaction: committed and merged at its end, or dropped."""
    with fs.transaction(REPOSITORY, "main") as transaction:
        path = f"{REPOSITORY}/{transaction.branch.id}/tx/one.txt"
        fs.write_text(path, "in a transaction")
        assert not branch.object("tx/one.txt").exists()
        made = transaction.commit("written in a transaction")
        transaction.tag(made, "tx-tag")
    assert branch.object("tx/one.txt").reader().read() == b"in a transaction"
    assert fs.read_text(f"{REPOSITORY}/tx-tag/tx/one.txt") == "in a transaction"
    assert "written in a transaction" in [one.message for one in branch.log(max_amount=3)]

    def failing() -> None:
        with fs.transaction(REPOSITORY, "main") as transaction:
            fs.write_text(f"{REPOSITORY}/{transaction.branch.id}/tx/two.txt", "never")
            raise KeyError("in the middle")

    refused(KeyError, failing)
    assert not branch.object("tx/two.txt").exists()


def main(endpoint: str, key_id: str, secret: str, _source: str) -> None:
    """Run the tour."""
    client = Client(host=endpoint, username=key_id, password=secret)
    repository = lakefs.Repository(REPOSITORY, client=client)
    repository.create(storage_namespace=f"s3://{REPOSITORY}")
    fs = LakeFSFileSystem(host=endpoint, username=key_id, password=secret)
    with tempfile.TemporaryDirectory() as folder:
        files(fs, Path(folder))
    repository.branch("main").commit("files")
    failures(fs, endpoint)
    transactions(fs, repository.branch("main"))
    repository.delete()
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
