"""The crew of transfers: bounded, stopped by the first error, patient with a busy server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.client.answers import ObjectStats
from anabranch.client.checksums import Stopped, is_same, join_md5s, md5_of, part_bytes
from anabranch.client.downloads import WantedObject, local_path
from anabranch.client.transfers import Crew, Meter
from anabranch.client.transport import Server
from anabranch.client.uploads import walk_files
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, NotFound, Unavailable

NOWHERE = Server("http", "127.0.0.1", 1, "key", "secret", "a test")


class Sums:
    """A watcher that adds up."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    def began(self, name: str, size_bytes: int) -> None:
        self.sums[name] = 0

    def advanced(self, name: str, size_bytes: int) -> None:
        self.sums[name] += size_bytes

    def ended(self, name: str) -> None:
        pass


def test_items_are_taken_as_threads_are_free() -> None:
    crew = Crew(NOWHERE, threads=2)
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = crew.run(items(), lambda number: number * 2)
    next(results)
    assert len(taken) <= 5
    assert sorted(results)[-1] == 198


def test_the_first_error_ends_all_and_is_raised() -> None:
    crew = Crew(NOWHERE, threads=4)
    both = threading.Barrier(2)

    def work(number: int) -> int:
        if number == 0:
            both.wait(10)
            raise NotFound(Kind.PATH, "gone")
        if number == 1:
            both.wait(10)
            assert crew.stop.wait(10)
            # What fails because of the end is not what ended it.
            raise Unavailable(Kind.BUSY, "cut off")
        return number

    with pytest.raises(NotFound, match="gone"):
        list(crew.run(range(1_000_000), work))


def test_an_error_of_helpers_is_the_error_of_the_crew() -> None:
    crew = Crew(NOWHERE, threads=2)

    def part(number: int) -> int:
        raise NotFound(Kind.PATH, "part is gone")

    def work(number: int) -> int:
        if number:
            assert crew.stop.wait(10)
            raise Stopped
        return sum(Crew(NOWHERE, threads=2, halt=crew.halt).run(range(3), part))

    with pytest.raises(NotFound, match="part is gone"):
        list(crew.run(range(2), work))


def test_leaving_the_results_stops_the_crew() -> None:
    crew = Crew(NOWHERE, threads=2)
    results = crew.run(range(1_000_000), lambda number: number)
    next(results)
    results.close()  # type: ignore[attr-defined]  # it is a generator
    assert crew.stop.is_set()


def test_a_busy_server_is_asked_again_and_a_refusal_is_not() -> None:
    crew = Crew(NOWHERE)
    calls: list[str] = []

    def busy() -> str:
        calls.append("busy")
        if len(calls) < 2:
            raise Unavailable(Kind.BUSY, "later")
        return "done"

    def refuse() -> str:
        calls.append("refused")
        raise InvalidInput(Kind.VALUE, "no")

    assert crew.attempt(busy) == "done"
    with pytest.raises(InvalidInput):
        crew.attempt(refuse)
    assert calls == ["busy", "busy", "refused"]
    crew.end()
    calls.clear()
    with pytest.raises(Stopped):
        crew.attempt(busy)


def test_a_failed_attempt_is_taken_back() -> None:
    sums = Sums()
    sums.began("a", 10)
    meter = Meter(sums, "a")

    def fail() -> None:
        with meter.attempt():
            meter.advance(3)
            raise Unavailable(Kind.BUSY, "later")

    meter.advance(1)
    with pytest.raises(Unavailable):
        fail()
    assert sums.sums == {"a": 1}
    with meter.attempt():
        meter.advance(9)
    assert sums.sums == {"a": 10}


@pytest.mark.parametrize(
    ("size_bytes", "mib"),
    [
        (0, 16),
        (limits.PARTS_MAX * 16 * limits.MIB, 16),
        (limits.PARTS_MAX * 16 * limits.MIB + 1, 17),
        (limits.OBJECT_BYTES_MAX, 525),
    ],
)
def test_parts_are_few_enough(size_bytes: int, mib: int) -> None:
    step = part_bytes(size_bytes)
    assert step == mib * limits.MIB
    assert -(-size_bytes // step) <= limits.PARTS_MAX


def test_checksums_of_each_form(tmp_path: Path) -> None:
    file = tmp_path / "f"
    data = bytes(range(256)) * 4096 * 11
    file.write_bytes(data)
    stop = threading.Event()
    size = len(data)
    whole = md5_of(file, 0, size, stop).hex()
    assert is_same(file, size, whole, stop) is True
    assert is_same(file, size, "0" * 32, stop) is False
    step = 5 * limits.MIB
    parts = [md5_of(file, at, min(step, size - at), stop) for at in range(0, size, step)]
    assert is_same(file, size, join_md5s(parts), stop) is True
    assert is_same(file, size, join_md5s([*parts[:-1], b"x" * 16]), stop) is None
    assert is_same(file, size, "etag-of-somebody", stop) is None
    with pytest.raises(InvalidInput, match="shorter"):
        md5_of(file, 0, size + 1, stop)
    stop.set()
    with pytest.raises(Stopped):
        md5_of(file, 0, size, stop)


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["a.csv", "a/z", "a/b/c", "a-b", "a0", "ä", "B"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name) if name != "a" else None
    found = [one.path for one in walk_files(tmp_path, "p/")]
    assert found == sorted((f"p/{name}" for name in names), key=str.encode)
    with pytest.raises(NotFound):
        list(walk_files(tmp_path / "none", ""))


@pytest.mark.parametrize("path", ["", "../a", "a/../b", "/a", "a//b", "./a", "a/", "a\0b"])
def test_what_cannot_be_a_file(path: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a file"):
        local_path(Path("folder"), path)


def test_a_part_is_of_one_object(tmp_path: Path) -> None:
    def part(size: int, checksum: str, name: str = "f") -> Path:
        stats = ObjectStats("f", "object", size, checksum)
        return WantedObject(stats, tmp_path / name).part

    assert part(1, "a") == part(1, "a")
    assert len({part(1, "a"), part(2, "a"), part(1, "b"), part(1, "a", "g")}) == 4
    assert len(part(1, "a", "é" * 120).name.encode()) <= 255
