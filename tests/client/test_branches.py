"""What the Python client does to branches: writing, committing, merging, taking back."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import anabranch
from anabranch import Branch, Lake, MergeConflicted, Repository
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    Kind,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from tests.support.server import RunningServer


def copy_to(branch: Branch, paths: list[str]) -> None:
    """Copy `src` to paths, by as many threads as make the server's writes one."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda path: branch.copy("src", path), paths))


def test_connect_takes_what_is_missing_from_the_environment(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_DATA", str(running.data))
    monkeypatch.setenv("ANABRANCH_ACCESS_KEY", running.access_key)
    monkeypatch.setenv("ANABRANCH_SECRET_KEY", running.secret_key)
    with anabranch.connect() as lake:
        assert lake.url == running.api_url
        assert "example3" in [repo.name for repo in lake.repositories()]
    with anabranch.connect(running.api_url, data=None) as lake:
        assert lake.repository("example3").exists()


def test_connect_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("ENDPOINT", "DATA", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"ANABRANCH_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Unauthenticated, match="pass access_key and secret_key"):
        anabranch.connect("http://127.0.0.1:1")
    with pytest.raises(InvalidInput, match="pass url or data"):
        anabranch.connect()


def test_a_wrong_secret_is_refused(running: RunningServer) -> None:
    with (
        anabranch.connect(running.api_url, running.access_key, "wrong") as lake,
        pytest.raises(Unauthenticated),
    ):
        lake.repository("example3").info()


def test_repositories(lake: Lake) -> None:
    repo = lake.repository("facade-one")
    assert not repo.exists()
    with pytest.raises(NotFound) as caught:
        repo.info()
    assert caught.value.kind is Kind.REPOSITORY_NOT_FOUND
    assert repo.create(default_branch="trunk") == lake.repository("facade-one")
    assert repo.create(exist_ok=True).info().default_branch == "trunk"
    with pytest.raises(AlreadyExists):
        repo.create()
    assert [one.name for one in lake.repositories("facade-")] == ["facade-one"]
    assert str(repo) == "facade-one"
    repo.delete()
    assert not repo.exists()
    with pytest.raises(InvalidInput):
        lake.repository("No Name")


def test_branches_and_tags(repo: Repository) -> None:
    main = repo.branch("main")
    dev = repo.branch("dev").create(main)
    repo.branch("hidden").create("main", hidden=True)
    assert [one.name for one in repo.branches()] == ["dev", "main"]
    assert [one.name for one in repo.branches(with_hidden=True)] == ["dev", "hidden", "main"]
    assert list(repo.branches("de")) == [dev]
    assert dev.create("main", exist_ok=True).head() == main.head()
    with pytest.raises(AlreadyExists):
        dev.create("main")
    tag = repo.tag("v1").create(main.head())
    assert tag.head().id == main.head().id
    assert [one.name for one in repo.tags()] == ["v1"]
    tag.delete()
    dev.delete()
    assert list(repo.tags()) == []
    with pytest.raises(NotFound):
        dev.head()
    with pytest.raises(InvalidInput):
        repo.branch("main~1")


def test_commit_log_and_refs(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("a", "1")
    assert [(one.kind, one.path, one.size_bytes) for one in main.uncommitted()] == [
        ("added", "a", 1)
    ]
    first = main.commit("first", {"by": "test"})
    main.write_text("b", "2")
    second = main.commit("second")
    with pytest.raises(Conflict) as caught:
        main.commit("third")
    assert caught.value.kind is Kind.NO_CHANGES
    assert main.commit("empty", allow_empty=True).parents == (second.id,)
    log = main.log()
    assert [one.message for one in log] == ["empty", "second", "first", "Repository created"]
    assert [one.message for one in log.first(2)] == ["empty", "second"]
    assert [len(page) for page in log.pages(amount=3)] == [3, 1]
    assert [one.message for one in main.log(paths=("b",))] == ["second"]
    assert list(main.log(since=datetime.now(UTC) + timedelta(days=1))) == []
    found = repo.commit(first.id[:12])
    assert (found, found.metadata) == (first, {"by": "test"})
    assert abs(found.time - datetime.now(UTC)) < timedelta(minutes=5)
    assert repo.ref("main~1").head() == second
    assert not first.exists("b")
    assert second.read_text("b") == "2"
    assert [one.path for one in second.changes()] == ["b"]


def test_diffs_and_merges(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("same", "1")
    main.write_text("gone", "1")
    main.commit("base")
    dev = repo.branch("dev").create(main)
    dev.write_text("same", "2")
    dev.write_text("new/x", "3")
    dev.delete_objects("gone")
    dev.commit("dev")
    main.write_text("main-only", "1")
    main.commit("main")
    changes = {(one.kind, one.path) for one in main.diff(dev)}
    assert changes == {("changed", "same"), ("added", "new/x"), ("removed", "gone")}
    assert [one.path for one in main.diff("dev", prefix="new/")] == ["new/x"]
    assert ("removed", "main-only") in {
        (one.kind, one.path) for one in main.diff(dev, two_dot=True)
    }
    merged = dev.merge_into(main, message="together", metadata={"k": "v"})
    assert (merged.added, merged.removed, merged.changed) == (1, 1, 1)
    assert {(one.kind, one.path) for one in merged.changes} == changes
    head = main.head()
    assert (head.id, head.message, len(head.parents)) == (merged.commit_id, "together", 2)
    with pytest.raises(Conflict) as caught:
        dev.merge_into(main)
    assert caught.value.kind is Kind.NO_CHANGES


def test_a_conflicting_merge_tells_all_conflicts(repo: Repository) -> None:
    main, paths = repo.branch("main"), [f"p{number:04}" for number in range(1_005)]
    dev = repo.branch("dev").create(main)
    for branch in (main, dev):
        branch.write_text("src", branch.name)
        copy_to(branch, paths)
        branch.delete_objects("src")
        branch.commit(branch.name)
    before = main.head()
    with pytest.raises(MergeConflicted) as caught:
        dev.merge_into(main)
    error = caught.value
    assert isinstance(error, Conflict)
    assert error.kind is Kind.MERGE_CONFLICT
    assert [one.path for one in error.conflicts] == paths
    assert {one.kind for one in error.conflicts} == {"both_added"}
    assert "1,005 paths" in str(error)
    assert main.head() == before
    assert dev.merge_into(main, strategy="source-wins").changed == 1_005
    assert main.read_text(paths[0]) == "dev"


def test_taking_back(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("a", "1")
    first = main.commit("first")
    main.write_text("a", "2")
    second = main.commit("second")
    dev = repo.branch("dev").create(first)
    assert dev.cherry_pick(second).message.startswith("second")
    assert dev.read_text("a") == "2"
    undone = main.revert(second, message="undo")
    assert undone.message == "undo"
    assert main.read_text("a") == "1"
    for path in ("a", "b/1", "b/2", "c"):
        main.write_text(path, "x")
    main.reset(path="a")
    main.reset(prefix="b/")
    assert [one.path for one in main.uncommitted()] == ["c"]
    main.reset()
    assert list(main.uncommitted()) == []
    main.hard_reset(first)
    assert main.head() == first
    with pytest.raises(InvalidInput):
        main.reset(path="a", prefix="b")


def test_objects(repo: Repository) -> None:
    main = repo.branch("main")
    info = main.write_bytes(
        "a/ä b.bin", b"12345", content_type="x/y", metadata={"k": "v", "umlaut": "ä"}
    )
    assert info == main.stat("a/ä b.bin")
    assert (info.size_bytes, info.content_type, info.checksum) == (
        5,
        "x/y",
        "827ccb0eea8a706c4c34a16891f84e7b",
    )
    assert dict(info.metadata) == {"k": "v", "umlaut": "ä"}
    main.set_metadata("a/ä b.bin", {"only": "this"})
    assert dict(main.stat("a/ä b.bin").metadata) == {"only": "this"}
    assert main.write_bytes("a/stream", (bytes([n]) for n in range(3))).size_bytes == 3
    assert main.copy("a/stream", "b/copy").path == "b/copy"
    main.commit("objects")
    main.delete_objects("a/stream")
    assert main.copy("a/stream", "back", source=main.head()).size_bytes == 3
    assert main.read_bytes("back") == b"\0\1\2"
    assert [(one.path, one.is_prefix) for one in main.list(delimiter="/")] == [
        ("a/", True),
        ("b/", True),
        ("back", False),
    ]
    assert [one.path for one in main.list("a/")] == ["a/ä b.bin"]
    assert main.exists("back")
    assert not main.exists("nothing")
    with pytest.raises(NotFound):
        repo.branch("nothing").exists("back")
    with pytest.raises(NotFound) as caught:
        main.read_bytes("nothing")
    assert caught.value.kind is Kind.OBJECT_NOT_FOUND


def test_conditions(repo: Repository) -> None:
    main = repo.branch("main")
    first = main.write_bytes("a", b"1", if_absent=True)
    with pytest.raises(PreconditionFailed):
        main.write_bytes("a", b"2", if_absent=True)
    second = main.write_bytes("a", b"2", if_match=first.checksum)
    with pytest.raises(PreconditionFailed):
        main.write_text("a", "3", if_match=first.checksum)
    assert main.stat("a") == second


def test_bulk_deletes(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_bytes("src", b"")
    count = limits.DELETE_PATHS_MAX + 1
    paths = [f"many/{number:04}" for number in range(count)]
    copy_to(main, paths)
    main.delete_objects(iter(paths))
    assert [one.path for one in main.list()] == ["src"]
    main.copy("src", "more/1")
    assert main.delete_prefix("more/") == 1
    with pytest.raises(InvalidInput):
        main.delete_objects(["src", "\0"])
    assert not main.exists("src")


def test_a_transaction_is_one_commit(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("a", "1")
    main.commit("before")
    with main.transaction("all at once", {"by": "tx"}) as tx:
        assert tx.read_text("a") == "1"
        tx.write_text("b", "2")
        tx.delete_objects("a")
        assert not main.exists("b")
    assert tx.merge is not None
    assert (tx.merge.added, tx.merge.removed) == (1, 1)
    head = main.head()
    assert (head.message, dict(head.metadata)) == ("all at once", {"by": "tx"})
    assert [one.message for one in main.log()][:2] == ["all at once", "before"]
    assert [one.name for one in repo.branches(with_hidden=True)] == ["main"]


def test_of_a_transaction_that_fails_nothing_is_left(repo: Repository) -> None:
    main = repo.branch("main")
    before = main.head()

    def fail() -> None:
        with main.transaction("fails") as tx:
            tx.write_text("a", "1")
            tx.commit("in the middle")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert main.head() == before
    assert [one.name for one in repo.branches(with_hidden=True)] == ["main"]


def test_of_a_transaction_that_conflicts_nothing_is_left(repo: Repository) -> None:
    main = repo.branch("main")

    def conflict() -> None:
        with main.transaction("late") as tx:
            tx.write_text("a", "theirs")
            main.write_text("a", "ours")
            main.commit("first")

    with pytest.raises(MergeConflicted) as caught:
        conflict()
    assert [one.path for one in caught.value.conflicts] == ["a"]
    assert main.read_text("a") == "ours"
    assert [one.name for one in repo.branches(with_hidden=True)] == ["main"]


def test_a_transaction_wants_a_clean_branch(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("a", "1")
    with pytest.raises(Conflict) as caught, main.transaction("dirty"):
        pytest.fail("it began")
    assert caught.value.kind is Kind.DIRTY_BRANCH
    assert [one.name for one in repo.branches(with_hidden=True)] == ["main"]


def test_a_transaction_without_changes_makes_no_commit(repo: Repository) -> None:
    main = repo.branch("main")
    before = main.head()
    with main.transaction("nothing") as tx:
        pass
    assert tx.merge is None
    assert main.head() == before


def test_a_hidden_branch_that_cannot_be_deleted_is_told(repo: Repository) -> None:
    main = repo.branch("main")

    def delete_first() -> None:
        with main.transaction("t") as tx:
            tx.delete()
            raise ZeroDivisionError

    with (
        pytest.warns(RuntimeWarning, match="hidden branch"),
        pytest.raises(ZeroDivisionError),
    ):
        delete_first()


def test_threads_share_a_branch(repo: Repository) -> None:
    main = repo.branch("main")

    def write(number: int) -> None:
        for at in range(10):
            main.write_text(f"{number}/{at}", f"{number}-{at}")
            assert main.read_text(f"{number}/{at}") == f"{number}-{at}"

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(list(main.list())) == 80


def test_what_is_of_another_repository_is_refused(lake: Lake, repo: Repository) -> None:
    other = lake.repository("example3").branch("main")
    with pytest.raises(InvalidInput, match="not in repository"):
        repo.branch("dev").create(other)


def test_the_names_of_the_package_are_those_of_its_stub() -> None:
    stub = Path(anabranch.__file__).with_suffix(".pyi").read_text()
    typed = set(re.findall(r"^from (\S+) import (\w+) as \2$", stub, re.MULTILINE))
    assert {(place, name) for name, place in vars(anabranch)["_PLACES"].items()} == typed
    assert all(getattr(anabranch, name).__module__ == place for place, name in typed)
    assert {name for _, name in typed} <= set(dir(anabranch))
    with pytest.raises(AttributeError):
        getattr(anabranch, "nothing")  # noqa: B009  # its types know no such name


def test_importing_the_package_loads_no_client() -> None:
    code = "import anabranch, sys; print(sorted(one for one in sys.modules if 'anabranch' in one))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['anabranch']\n"
