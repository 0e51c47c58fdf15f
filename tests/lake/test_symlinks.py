"""Symlink files: which there are, what they name, what goes when objects go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import NotFound
from anabranch.kernel.ids import Ref
from anabranch.storage.blocks.base import split_address
from tests.support.lakes import REPOSITORY, TestLake, open_lake


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def texts(opened: TestLake, ref: str = "main") -> dict[str, list[str]]:
    """Return the lines of each symlink file of a ref, by its folder."""
    blocks = opened.lake.blocks
    base = f"{opened.repository.namespace}/_lakefs/symlinks/{REPOSITORY}/{ref}/"
    bucket, prefix = split_address(base)
    found = {}
    for block in blocks.list(bucket, prefix=prefix, after="", amount=1_000).items:
        folder = block.address[len(base) :]
        assert folder.rpartition("/")[2] == "symlink.txt"
        lines = blocks.read(block, 0, block.size_bytes).decode()
        assert lines.endswith("\n")
        found[folder.rpartition("/")[0]] = lines.splitlines()
    return found


def addresses(opened: TestLake, *paths: str, ref: str = "main") -> list[str]:
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref(ref))
    return [opened.lake.objects.stat(resolved, path).physical_address for path in paths]  # type: ignore[arg-type]  # a path


def test_each_folder_names_the_objects_right_inside_it(opened: TestLake) -> None:
    paths = ("top", "t/a.csv", "t/day=1/x", "t/day=1/y", "t/day=2/z", "t/e.csv", "t2/other", "t/")
    for path in paths:
        opened.put(path, path.encode())
    written = opened.lake.symlinks.create(REPOSITORY, Ref("main"), "t")
    assert written.location == f"{opened.repository.namespace}/_lakefs/symlinks"
    assert written.count == 3
    assert texts(opened) == {
        "t": addresses(opened, "t/a.csv", "t/e.csv"),
        "t/day=1": addresses(opened, "t/day=1/x", "t/day=1/y"),
        "t/day=2": addresses(opened, "t/day=2/z"),
    }
    assert opened.lake.symlinks.create(REPOSITORY, Ref("main")).count == 5
    assert texts(opened)[""] == addresses(opened, "top")
    # The lake itself does not show them.
    assert opened.paths() == sorted(paths)


def test_files_are_those_of_a_ref_and_follow_it(opened: TestLake) -> None:
    opened.put("t/a/1")
    opened.put("t/b/2")
    opened.commit()
    opened.lake.symlinks.create(REPOSITORY, Ref("main"), "t/")
    opened.branch("dev/x")
    opened.delete("t/a/1", branch="dev/x")
    opened.lake.symlinks.create(REPOSITORY, Ref("dev/x"), "t/")
    assert list(texts(opened, "dev/x")) == ["t/b"]
    assert list(texts(opened)) == ["t/a", "t/b"]
    opened.delete("t/b/2")
    opened.lake.symlinks.create(REPOSITORY, Ref("main"), "t/")
    assert list(texts(opened)) == ["t/a"]


def test_a_folder_of_many_objects(opened: TestLake) -> None:
    count = limits.SMALL_OBJECT_BYTES_MAX // 40
    stat = opened.put("source")
    target = opened.lake.objects.writable(REPOSITORY, "main")  # type: ignore[arg-type]  # a name
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref("main"))
    for number in range(count):
        make = opened.lake.objects.making_copy(
            target,
            f"many/{number:05}",  # type: ignore[arg-type]  # a path
            resolved,
            "source",  # type: ignore[arg-type]  # a path
        )
        opened.lake.writer.submit(make)
    opened.put("many/inner/x")
    opened.lake.symlinks.create(REPOSITORY, Ref("main"), "many")
    found = texts(opened)
    assert found["many"] == [stat.physical_address] * count
    assert len(found["many/inner"]) == 1


def test_what_is_not_there_is_said_and_the_old_files_stay(opened: TestLake) -> None:
    opened.put("t/a")
    opened.lake.symlinks.create(REPOSITORY, Ref("main"), "t")
    for ref, folder in (("main", "no"), ("nothing", "t"), ("main", "t/a")):
        with pytest.raises(NotFound):
            opened.lake.symlinks.create(REPOSITORY, Ref(ref), folder)
    assert list(texts(opened)) == ["t"]
