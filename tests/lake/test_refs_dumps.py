"""Dump and restore of refs: what is there afterwards, what is refused, what a crash leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AlreadyExists,
    AnabranchError,
    Conflict,
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from anabranch.kernel.ids import BranchId, CommitId, Namespace, Ref, RepositoryId, TagId
from anabranch.lake import keyspace, records
from anabranch.lake.dumps import Dumps
from anabranch.lake.refs_files import MANIFEST, ListKind, RefLine, RefsDump, RefsFiles
from anabranch.lake.refs_tasks import RefsTasks
from anabranch.lake.restores import Restores
from anabranch.native.ranges import blake3
from anabranch.storage.kv.base import Prepared, Request, put
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_lake

OTHER = RepositoryId("restored")


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def fill(opened: TestLake) -> None:
    """Make two branches, a merge, a tag and something uncommitted."""
    opened.put("a/1", b"one", metadata=(("k", "v"),))
    opened.commit("first")
    opened.branch("dev")
    opened.put("b", b"two", branch="dev")
    opened.commit("über dev", branch="dev")
    opened.put("c", b"three")
    opened.commit("third")
    opened.merge("dev")
    opened.lake.tags.create(REPOSITORY, TagId("v1"), Ref("main~1"))
    opened.lake.branches.create(REPOSITORY, BranchId("hidden"), Ref("dev"), is_hidden=True)
    opened.put("uncommitted", b"x")


def seen(opened: TestLake) -> dict[str, Any]:
    """Return all that refs tell: branches, tags, logs, entries at commits."""
    lake, name = opened.lake, opened.repository_id
    branches = lake.branches.list(name, amount=1_000, with_hidden=True).items
    tags = lake.tags.list(name, amount=1_000).items
    found: dict[str, Any] = {"branches": branches, "tags": tags}
    for commit_id in [one.head for one in branches] + [one.commit_id for one in tags]:
        log = lake.commits.log(name, Ref(commit_id), amount=1_000).items
        found[commit_id] = log
        for commit in log:
            resolved = lake.resolve.resolve(name, Ref(commit.id))
            found[f"{commit.id}/"] = lake.listing.page(resolved, amount=1_000).items
    return found


def successor(opened: TestLake, name: RepositoryId = OTHER) -> TestLake:
    """Delete the repository and make a bare one on its namespace."""
    namespace = opened.repository.namespace
    opened.lake.repositories.delete(opened.repository_id)
    opened.lake.repositories.create(name, namespace, is_bare=True, committer="tests")
    return replace(opened, repository_id=name)


def refusal(bare: TestLake, dump: RefsDump) -> AnabranchError:
    with pytest.raises(AnabranchError) as caught:
        bare.lake.restores.restore(bare.repository_id, dump)
    return caught.value


def place(opened: TestLake, data: bytes) -> str:
    """Put a file where dumps lie, as a server that lies might; return its name."""
    name = blake3(data).hex()
    blocks = opened.lake.blocks
    placed = blocks.put(
        f"{opened.repository.namespace}/_lakefs/{name}", data, etag="", own_file=True
    )
    opened.lake.writer.submit(
        lambda: Prepared((), placed.writes, lambda _verdict: None, placed.windows)
    )
    return name


def listed(opened: TestLake, kind: str, data: bytes, count: int, /, **changed: Any) -> str:
    """Put a list of one part and return its id."""
    part = {"id": place(opened, data), "count": count, "size_bytes": len(data)}
    index = {"format": 1, "kind": kind, "parts": [part]} | changed
    return place(opened, msgspec.json.encode(index))


def part_of(opened: TestLake, list_id: str) -> bytes:
    """Return the bytes of a list's only part."""
    index = msgspec.json.decode(file(opened, list_id))
    (part,) = index["parts"]
    return file(opened, part["id"])


def file(opened: TestLake, name: str) -> bytes:
    block = opened.lake.blocks.get(f"{opened.repository.namespace}/_lakefs/{name}")
    return opened.lake.blocks.read(block, 0, block.size_bytes)


def test_a_restored_repository_is_as_it_was_but_for_what_was_uncommitted(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    assert msgspec.json.decode(file(opened, MANIFEST)) == msgspec.to_builtins(dump)
    bare = successor(opened)
    assert bare.lake.branches.list(OTHER, amount=10, with_hidden=True).items == ()
    bare.lake.restores.restore(OTHER, dump)
    assert seen(bare) == before
    assert bare.find("b") == b"two"
    assert bare.find("uncommitted") is None
    bare.put("more", b"more")
    bare.commit("after")
    assert bare.lake.dumps.dump(OTHER) != dump


def test_the_same_name_may_be_used_again(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened, REPOSITORY)
    bare.lake.restores.restore(REPOSITORY, dump)
    assert seen(bare) == before


def test_a_dump_of_the_same_refs_is_the_same(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    opened.put("d", b"four")
    assert opened.lake.dumps.dump(REPOSITORY) == dump
    opened.commit("moves")
    again = opened.lake.dumps.dump(REPOSITORY)
    assert again.tags_meta_range_id == dump.tags_meta_range_id
    assert again.commits_meta_range_id != dump.commits_meta_range_id


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "branch", "tag", "merge", "delete"]),
        st.sampled_from(["main", "dev", "x/y"]),
        st.sampled_from(["a", "dir/b", "ü"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_history_survives_dump_and_restore(steps: list[tuple[str, str, str]]) -> None:
    with open_lake() as opened:
        for number, (act, branch, path) in enumerate(steps):
            try:
                if act == "put":
                    opened.put(path, str(number).encode(), branch=branch)
                    opened.commit(f"step {number}", branch=branch)
                elif act == "branch":
                    opened.branch(branch)
                elif act == "tag":
                    opened.lake.tags.create(REPOSITORY, TagId(f"t{number}"), Ref(branch))
                elif act == "merge":
                    opened.merge(branch)
                else:
                    opened.lake.branches.delete(REPOSITORY, BranchId(branch))
            except (AlreadyExists, Conflict, NotFound, Forbidden, InvalidInput):
                continue
        before = seen(opened)
        dump = opened.lake.dumps.dump(REPOSITORY)
        bare = successor(opened)
        bare.lake.restores.restore(OTHER, dump)
        assert seen(bare) == before
        assert bare.lake.dumps.dump(OTHER) == dump


def files_of(opened: TestLake, **given: int) -> RefsFiles:
    return RefsFiles(opened.lake.blocks, opened.lake.writer, **given)


def dumps_of(opened: TestLake, files: RefsFiles) -> Dumps:
    return Dumps(opened.kv, opened.lake.states, files)


def restores_of(opened: TestLake, files: RefsFiles, **given: int) -> Restores:
    lake = opened.lake
    return Restores(
        opened.kv,
        lake.writer,
        lake.blocks,
        lake.states,
        lake.resolve,
        lake.staging,
        lake.committed,
        files,
        **given,
    )


def test_lists_of_many_parts(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    beats: list[int] = []
    dumps = dumps_of(opened, files_of(opened, part_bytes=300))
    dump = dumps.dump(REPOSITORY, beat=lambda: beats.append(1))
    index = msgspec.json.decode(file(opened, dump.commits_meta_range_id))
    assert len(index["parts"]) > 3
    assert len(beats) >= len(index["parts"])
    bare = successor(opened)
    bare.lake.restores.restore(OTHER, dump)
    assert seen(bare) == before
    enough = files_of(opened, part_bytes=300, parts_max=len(index["parts"]))
    assert dumps_of(bare, enough).dump(OTHER) == dump
    scarce = files_of(opened, part_bytes=300, parts_max=len(index["parts"]) - 1)
    with pytest.raises(LimitExceeded):
        dumps_of(bare, scarce).dump(OTHER)


def test_only_a_bare_repository_is_restored_into_and_once(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    assert refusal(opened, dump).kind is Kind.NOT_BARE
    bare = successor(opened)
    bare.lake.restores.restore(OTHER, dump)
    assert refusal(bare, dump).kind is Kind.NOT_BARE


def test_a_bare_repository_takes_over_deleted_ones_alone(opened: TestLake) -> None:
    create, namespace = opened.lake.repositories.create, opened.repository.namespace
    for used in (namespace, f"{namespace}/inside"):
        with pytest.raises(Conflict) as caught:
            create(OTHER, Namespace(used), is_bare=True, committer="tests")
        assert caught.value.kind is Kind.NAMESPACE_OVERLAP
    successor(opened)
    with pytest.raises(Conflict):
        create(RepositoryId("third"), namespace, is_bare=True, committer="tests")
    opened.lake.repositories.delete(OTHER)
    with pytest.raises(Conflict):
        create(RepositoryId("third"), namespace, committer="tests")
    create(RepositoryId("fresh"), Namespace("s3://fresh"), is_bare=True, committer="tests")
    with pytest.raises(NotFound):
        opened.lake.resolve.commit(RepositoryId("fresh"), Ref("main"))


def test_a_read_only_repository_only_by_force(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    namespace = opened.repository.namespace
    opened.lake.repositories.delete(REPOSITORY)
    opened.lake.repositories.create(
        OTHER, namespace, is_bare=True, is_read_only=True, committer="tests"
    )
    bare = replace(opened, repository_id=OTHER)
    assert refusal(bare, dump).kind is Kind.READ_ONLY_REPOSITORY
    bare.lake.restores.restore(OTHER, dump, is_forced=True)
    assert bare.find("b") == b"two"


def refuse_all(bare: TestLake, bad: dict[str, RefsDump]) -> None:
    for what, dump in bad.items():
        error = refusal(bare, dump)
        assert isinstance(error, InvalidInput), what
        assert error.kind is Kind.DUMP, what


def test_commits_that_are_none_are_refused_and_nothing_written(opened: TestLake) -> None:
    fill(opened)
    good = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    commits = part_of(bare, good.commits_meta_range_id)
    lines = commits.splitlines(keepends=True)
    count = len(lines)

    def commits_are(data: bytes, number: int = count, **changed: Any) -> RefsDump:
        list_id = listed(bare, "commits", data, number, **changed)
        return msgspec.structs.replace(good, commits_meta_range_id=list_id)

    first = msgspec.json.decode(lines[0])
    other = first | {"message": "forged"}
    bad: dict[str, RefsDump] = {
        "no json": msgspec.structs.replace(good, commits_meta_range_id=place(bare, b"PAR1")),
        "another format": commits_are(commits, format=2),
        "another kind": commits_are(commits, kind="tags"),
        "an unknown field": commits_are(commits, more=1),
        "a wrong count": commits_are(commits, count + 1),
        "a missing part": commits_are(
            commits, parts=[{"id": "0" * 64, "count": 1, "size_bytes": 1}]
        ),
        "a huge part": commits_are(
            commits, parts=[{"id": "0" * 64, "count": 1, "size_bytes": 1 << 40}]
        ),
        "a cut part": commits_are(commits[:-20]),
        "lines out of order": commits_are(b"".join(reversed(lines))),
        "a line twice": commits_are(lines[0] + commits, count + 1),
        "a missing parent": commits_are(b"".join(lines[1:]), count - 1),
        "a forged commit": commits_are(msgspec.json.encode(other) + b"\n" + b"".join(lines[1:])),
        "a hostile id": commits_are(msgspec.json.encode(first | {"id": "zz"}) + b"\n", 1),
        "hostile parents": commits_are(msgspec.json.encode(first | {"parents": ["x"]}) + b"\n", 1),
        "a number out of range": commits_are(
            msgspec.json.encode(first).replace(
                b'"generation":%d' % first["generation"], b'"generation":99999999999999999999'
            ),
            1,
        ),
        "deep json": commits_are(b"[" * 100_000, 1),
    }
    refuse_all(bare, bad)
    lost = msgspec.structs.replace(good, commits_meta_range_id="0" * 64)
    assert refusal(bare, lost).kind is Kind.DUMP_NOT_FOUND
    with pytest.raises(NotFound):
        bare.lake.commits.get(OTHER, CommitId(first["id"]))
    bare.lake.restores.restore(OTHER, good)


def test_refs_that_are_none_are_refused_and_nothing_written(opened: TestLake) -> None:
    fill(opened)
    good = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    branches = part_of(bare, good.branches_meta_range_id)

    def branches_are(changed: Callable[[int], dict[str, Any]]) -> RefsDump:
        rows = [
            msgspec.json.decode(line) | changed(number)
            for number, line in enumerate(branches.splitlines())
        ]
        data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        list_id = listed(bare, "branches", data, len(rows))
        return msgspec.structs.replace(good, branches_meta_range_id=list_id)

    hidden_tag = b'{"id":"t","commit_id":"%s","is_hidden":true}\n' % (b"0" * 64)
    bad = {
        "an id that is none": msgspec.structs.replace(good, tags_meta_range_id="../../x"),
        "lists swapped": RefsDump(
            good.tags_meta_range_id, good.commits_meta_range_id, good.branches_meta_range_id
        ),
        "a head that is missing": branches_are(lambda _: {"commit_id": "0" * 64}),
        "a head that is no id": branches_are(lambda _: {"commit_id": "main"}),
        "names twice": branches_are(lambda _: {"id": "same"}),
        "names out of order": branches_are(lambda number: {"id": "zyx"[number]}),
        "a hidden tag": msgspec.structs.replace(
            good, tags_meta_range_id=listed(bare, "tags", hidden_tag, 1)
        ),
    }
    refuse_all(bare, bad)
    error = refusal(bare, branches_are(lambda _: {"id": "a..b"}))
    assert error.kind is Kind.BRANCH_NAME
    assert bare.lake.branches.list(OTHER, amount=10, with_hidden=True).items == ()
    bare.lake.restores.restore(OTHER, good)


def test_entries_that_lie_elsewhere_are_refused(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    data = [file(opened, one) for one in msgspec.structs.astuple(dump)]
    parts = [part_of(opened, one) for one in msgspec.structs.astuple(dump)]
    opened.lake.repositories.create(OTHER, Namespace("s3://far"), is_bare=True, committer="tests")
    far = replace(opened, repository_id=OTHER)
    assert refusal(far, dump).kind is Kind.DUMP_NOT_FOUND
    for one in (*data, *parts):
        place(far, one)
    error = refusal(far, dump)
    assert error.kind is Kind.DUMP
    assert "entries" in error.message


def test_a_limit_of_commits(opened: TestLake) -> None:
    fill(opened)
    count = len(opened.lake.commits.log(REPOSITORY, Ref("main"), amount=100).items)
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    with pytest.raises(InvalidInput) as caught:
        restores_of(bare, files_of(bare), commits_max=count - 1).restore(OTHER, dump)
    assert caught.value.kind is Kind.DUMP
    restores_of(bare, files_of(bare), commits_max=count).restore(OTHER, dump)


class Died(Exception):
    """A process ended here."""


def dying(steps: int) -> Callable[[], None]:
    """Return a beat that ends the process after some steps."""
    left = [steps]

    def beat() -> None:
        if not left[0]:
            raise Died
        left[0] -= 1

    return beat


def test_a_restore_that_died_is_begun_again_at_any_step(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    restores = restores_of(bare, files_of(bare), portion=1)
    steps = 0
    while True:
        try:
            restores.restore(OTHER, dump, beat=dying(steps))
        except Died:
            steps += 1
            continue
        break
    assert seen(bare) == before
    assert steps > 10


def test_another_dump_cannot_go_on_where_one_died(opened: TestLake) -> None:
    fill(opened)
    first = opened.lake.dumps.dump(REPOSITORY)
    opened.commit("one more")
    second = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    with pytest.raises(Died):
        bare.lake.restores.restore(OTHER, first, beat=dying(5))
    assert refusal(bare, second).kind is Kind.NOT_BARE
    bare.lake.restores.restore(OTHER, first)


def test_two_restores_at_once_leave_one(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    calls = [0]

    def beat() -> None:
        calls[0] += 1
        if calls[0] == 5:  # after the first portion was written
            bare.lake.restores.restore(OTHER, dump)

    with pytest.raises(Conflict):
        bare.lake.restores.restore(OTHER, dump, beat=beat)
    assert seen(bare) == before


def test_expired_commits_stay_expired(opened: TestLake) -> None:
    fill(opened)
    tag = opened.lake.tags.get(REPOSITORY, TagId("v1"))
    commit = opened.lake.commits.get(REPOSITORY, tag.commit_id)
    key = keyspace.commit(opened.repository.incarnation, commit.id)
    value = records.encode_commit_record(commit, is_expired=True)
    opened.kv.apply([Request((), [put(key, value)])])
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    bare.lake.restores.restore(OTHER, dump)
    with pytest.raises(AnabranchError) as caught:
        bare.branch("again", "v1")
    assert caught.value.kind is Kind.EXPIRED


def test_tasks_run_are_watched_and_forgotten(opened: TestLake) -> None:
    fill(opened)
    before = seen(opened)
    tasks = opened.lake.refs_tasks
    task = tasks.start_dump(REPOSITORY)
    tasks.wait()
    status = tasks.status(REPOSITORY, task, is_restore=False)
    assert (status.is_done, status.error) == (True, "")
    assert status.dump == opened.lake.dumps.dump(REPOSITORY)
    for name, is_restore in ((task, True), ("nothing", False)):
        with pytest.raises(NotFound) as caught:
            tasks.status(REPOSITORY, name, is_restore=is_restore)
        assert caught.value.kind is Kind.TASK_NOT_FOUND
    with pytest.raises(InvalidInput):
        tasks.start_restore(REPOSITORY, status.dump)
    bare = successor(opened)
    task = tasks.start_restore(OTHER, status.dump)
    tasks.wait()
    done = tasks.status(OTHER, task, is_restore=True)
    assert (done.is_done, done.error, done.dump) == (True, "", None)
    assert seen(bare) == before
    day_us = limits.IMPORT_KEEP_S * 1_000_000
    assert tasks.sweep(now_us=done.updated_us + day_us) is None
    assert tasks.status(OTHER, task, is_restore=True) == done
    tasks.sweep(now_us=done.updated_us + day_us + 1)
    with pytest.raises(NotFound):
        tasks.status(OTHER, task, is_restore=True)


def test_a_task_that_fails_or_falls_silent_says_so(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    forged = msgspec.structs.replace(
        dump, commits_meta_range_id=listed(opened, "commits", b"{}\n", 1)
    )
    bare = successor(opened)
    tasks = bare.lake.refs_tasks
    task = tasks.start_restore(OTHER, forged)
    tasks.wait()
    status = tasks.status(OTHER, task, is_restore=True)
    assert status.is_done
    assert "not a dump" in status.error
    key = keyspace.refs_task(bare.repository.incarnation, "dead")
    now_us = bare.clock.now_ns() // 1_000
    row = records.encode_record((True, False, now_us, "", []))
    bare.kv.apply([Request((), [put(key, row)])])
    assert not tasks.status(OTHER, "dead", is_restore=True).is_done
    bare.clock.advance(limits.IMPORT_SILENT_S + 1)
    dead = tasks.status(OTHER, "dead", is_restore=True)
    assert dead.is_done
    assert "interrupted" in dead.error


def test_only_so_many_tasks_run(opened: TestLake) -> None:
    lake = opened.lake
    tasks = RefsTasks(
        opened.kv,
        lake.writer,
        lake.states,
        lake.dumps,
        lake.restores,
        opened.clock,
        lake.ids,
        running_max=0,
    )
    with pytest.raises(Unavailable):
        tasks.start_dump(REPOSITORY)


def test_main_is_the_default_branch_of_what_was_restored(opened: TestLake) -> None:
    fill(opened)
    dump = opened.lake.dumps.dump(REPOSITORY)
    bare = successor(opened)
    bare.lake.restores.restore(OTHER, dump)
    with pytest.raises(Forbidden):
        bare.lake.branches.delete(OTHER, MAIN)


def test_the_example_of_the_format_page_is_what_is_written(opened: TestLake) -> None:
    page = (FilePath(__file__).parents[2] / "docs" / "formats" / "refs-dump.md").read_text()
    (index,) = re.findall(r"```json index\n(.*?)```", page, re.DOTALL)
    (part,) = re.findall(r"```json part\n(.*?)```", page, re.DOTALL)
    line = msgspec.json.decode(part, type=RefLine)
    files, namespace = files_of(opened), opened.repository.namespace
    list_id = files.write(namespace, ListKind.TAGS, [line], lambda: None)
    assert f"`{list_id}`" in page
    assert file(opened, list_id).decode() == index
    assert part_of(opened, list_id).decode() == part
    assert list(files.read(namespace, ListKind.TAGS, list_id, RefLine)) == [[line]]
