"""A tour of `lakefs` 0.16, the high-level client: readers, writers, transactions, imports.

Usage: high_level.py ENDPOINT KEY_ID SECRET SOURCE
"""

import sys
from datetime import timedelta
from typing import Any

import lakefs
from lakefs.client import Client
from lakefs.exceptions import (
    BadRequestException,
    ConflictException,
    ForbiddenException,
    ImportManagerException,
    LakeFSException,
    NotAuthorizedException,
    NotFoundException,
    ObjectExistsException,
    ObjectNotFoundException,
    TransactionException,
)

REPOSITORY = "client-three"


def refused(kind: type[BaseException], function: Any, *args: Any, **kwargs: Any) -> None:
    """Want a call to fail in a certain way."""
    try:
        function(*args, **kwargs)
    except kind:
        return
    raise AssertionError(f"{function} did not fail")


def objects(branch: Any) -> None:
    """Upload, write and read in pieces, as text and as bytes."""
    uploaded = branch.object("a.txt").upload(
        b"hello", content_type="text/plain", metadata={"colour": "blue"}
    )
    info = uploaded.stat()
    assert (info.size_bytes, info.content_type) == (5, "text/plain")
    assert info.metadata == {"colour": "blue"}
    assert uploaded.exists()
    assert not branch.object("missing").exists()
    refused(ObjectNotFoundException, branch.object("missing").stat)
    refused(ObjectNotFoundException, branch.object("missing").reader().read)
    with branch.object("b/lines.txt").writer(mode="w", pre_sign=False) as file:
        for number in range(3):
            file.write(f"line {number}\n")
    with branch.object("b/lines.txt").reader(mode="r") as file:
        assert file.readline() == "line 0\n"
        assert file.read(4) == "line"
        file.seek(0)
        assert len(file.read().splitlines()) == 3
    with branch.object("b/big.bin").writer(mode="wb") as file:
        for number in range(5):
            file.write(bytes([number]) * 1_000_000)
    with branch.object("b/big.bin").reader(mode="rb") as file:
        file.seek(4_999_999)
        assert file.read(10) == b"\x04"
        assert file.tell() == 5_000_000
    refused(ObjectExistsException, branch.object("a.txt").upload, b"again", mode="xb")
    branch.object("new.txt").upload(b"1", mode="xb")
    copied = branch.object("a.txt").copy(branch.id, "copied.txt")
    assert copied.reader().read() == b"hello"
    assert copied.stat().physical_address == info.physical_address
    listed = [one.path for one in branch.objects(delimiter="/")]
    assert listed == ["a.txt", "b/", "copied.txt", "new.txt"]
    assert [one.path for one in branch.objects(prefix="b/")] == ["b/big.bin", "b/lines.txt"]
    assert [one.path for one in branch.objects(max_amount=1)] == ["a.txt"]
    copied.delete()
    branch.delete_objects(["new.txt", "never-there"])
    assert [one.path for one in branch.objects()] == ["a.txt", "b/big.bin", "b/lines.txt"]


def history(repository: Any, branch: Any) -> None:
    """Commit, log, diff, merge, revert, cherry-pick, reset, tag."""
    assert {one.path for one in branch.uncommitted()} == {"a.txt", "b/big.bin", "b/lines.txt"}
    first = branch.commit("first", metadata={"k": "v"})
    assert first.get_commit().metadata == {"k": "v"}
    assert branch.head.id == first.id
    assert list(branch.uncommitted()) == []
    refused(BadRequestException, branch.commit, "nothing")
    dev = repository.branch("dev").create(branch)
    refused(ConflictException, repository.branch("dev").create, branch)
    repository.branch("dev").create(branch, exist_ok=True)
    dev.object("on-dev").upload(b"1")
    dev.commit("on dev")
    assert [(one.type, one.path) for one in branch.diff(dev)] == [("added", "on-dev")]
    merged = dev.merge_into(branch)
    assert branch.get_commit().id == merged
    assert [one.message for one in branch.log(max_amount=2)][1] in ("on dev", "first")
    refused(BadRequestException, dev.merge_into, branch)
    reverted = branch.revert(None, parent_number=1, reference_id=merged)
    assert reverted.message.startswith("Revert")
    assert not branch.object("on-dev").exists()
    dev.object("picked").upload(b"2")
    dev.commit("picked")
    assert branch.cherry_pick(dev.head).message == "picked"
    branch.object("forgotten").upload(b"3")
    branch.reset_changes()
    assert not branch.object("forgotten").exists()
    tag = repository.tag("v1").create(branch)
    refused(ConflictException, repository.tag("v1").create, branch)
    assert tag.get_commit().id == branch.head.id
    assert tag.object("picked").reader().read() == b"2"
    assert [one.id for one in repository.tags()] == ["v1"]
    tag.delete()
    refused(NotFoundException, tag.get_commit)


def transactions(repository: Any, branch: Any) -> None:
    """See a transaction whole or not at all."""
    with branch.transact(commit_message="all at once") as transaction:
        transaction.object("t/1").upload(b"1")
        transaction.object("t/2").upload(b"2")
        assert not branch.object("t/1").exists()
    assert [one.path for one in branch.objects(prefix="t/")] == ["t/1", "t/2"]
    assert "all at once" in [one.message for one in branch.log(max_amount=3)]

    def failing() -> None:
        with branch.transact(commit_message="never") as transaction:
            transaction.object("t/3").upload(b"3")
            raise KeyError("in the middle")

    refused(KeyError, failing)
    assert not branch.object("t/3").exists()

    def conflicting() -> None:
        with branch.transact(commit_message="late") as transaction:
            transaction.object("t/1").upload(b"theirs")
            branch.object("t/1").upload(b"ours")
            branch.commit("meanwhile")

    refused(TransactionException, conflicting)
    assert branch.object("t/1").reader().read() == b"ours"
    left = [one.id for one in repository.branches() if one.id.startswith("tx-")]
    assert left == [], left


def imports(branch: Any, source: str) -> None:
    """Import without copying."""
    job = branch.import_data(commit_message="imported").prefix(source, "in/")
    status = job.run(poll_interval=timedelta(milliseconds=20))
    assert (status.completed, status.ingested_objects) == (True, 2)
    assert status.commit.message == "imported"
    assert branch.object("in/one.txt").reader().read() == b"one"
    refused(ConflictException, job.cancel)
    wrong = branch.import_data(commit_message="m").prefix("local:///etc/", "etc/")
    refused((ForbiddenException, ImportManagerException), wrong.run)  # type: ignore[arg-type]  # any


def repositories(client: Any) -> Any:
    """Create repositories, tolerate one that is there, read one that may not be changed."""
    repository = lakefs.Repository(REPOSITORY, client=client)
    repository.create(storage_namespace=f"s3://{REPOSITORY}")
    repository.create(storage_namespace=f"s3://{REPOSITORY}", exist_ok=True)
    refused(ConflictException, repository.create, storage_namespace=f"s3://{REPOSITORY}")
    assert repository.properties.default_branch == "main"
    assert repository.metadata == {}
    assert REPOSITORY in [one.id for one in lakefs.repositories(client=client)]
    frozen = lakefs.Repository("client-frozen", client=client)
    frozen.create(storage_namespace="s3://client-frozen")
    frozen.delete()
    refused(NotFoundException, lambda: frozen.metadata)
    return repository


def main(endpoint: str, key_id: str, secret: str, source: str) -> None:
    """Run the tour."""
    client = Client(host=endpoint, username=key_id, password=secret)
    assert client.version
    assert client.storage_config_by_id().pre_sign_support is False
    repository = repositories(client)
    branch = repository.branch("main")
    objects(branch)
    history(repository, branch)
    transactions(repository, branch)
    imports(branch, source)
    stranger = Client(host=endpoint, username="nobody", password="nothing")
    refused(NotAuthorizedException, lambda: list(lakefs.repositories(client=stranger)))
    refused(LakeFSException, repository.branch("missing").get_commit)
    repository.delete()
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
