"""Objects as files: what is read by ranges, and what is written when."""

import io
import random
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch import Branch, Repository
from anabranch.client.copies import Copied
from anabranch.client.files import ObjectReader, ObjectWriter, TextWriter
from anabranch.client.values import ObjectInfo
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, NotFound, PreconditionFailed, Unavailable

DATA = random.Random(5).randbytes(3 * limits.WINDOW_BYTES + 17)


@pytest.fixture
def main(repo: Repository) -> Branch:
    """The main branch of the test's own repository."""
    return repo.branch("main")


class Memory:
    """Bytes to read, and how often they were asked for; may give too few."""

    def __init__(self, data: bytes, *, missing: int = 0) -> None:
        self.data = data
        self.missing = missing
        self.asked: list[tuple[int, int]] = []

    def part(self, info: ObjectInfo, offset: int, size_bytes: int) -> bytes:
        """Return a range."""
        self.asked.append((offset, size_bytes))
        return self.data[offset : offset + size_bytes - self.missing]

    def rest(self, info: ObjectInfo, offset: int) -> "list[bytes]":
        """Return the rest in two windows."""
        self.asked.append((offset, -1))
        half = (offset + len(self.data)) // 2
        return [self.data[offset:half], self.data[half:]]


def reader(source: Memory) -> ObjectReader:
    """Return a raw reader of a source."""
    info = ObjectInfo("a/b", size_bytes=len(source.data), checksum="c")
    return ObjectReader(source, info)  # type: ignore[arg-type]  # a list does for an iterator


def test_a_reader_agrees_with_a_file_in_memory() -> None:
    data, rng = bytes(range(256)) * 40, random.Random(7)
    ours, theirs = io.BufferedReader(reader(Memory(data)), 100), io.BytesIO(data)
    for _ in range(500):
        choice = rng.randrange(4)
        if choice == 0:
            position = rng.randrange(len(data) + 50)
            assert ours.seek(position) == theirs.seek(position)
        elif choice == 1:
            back = rng.randrange(len(data))
            assert ours.seek(-back, io.SEEK_END) == theirs.seek(-back, io.SEEK_END)
        elif choice == 2:
            count = rng.randrange(300)
            assert ours.read(count) == theirs.read(count)
        else:
            assert ours.readline() == theirs.readline()
        assert ours.tell() == theirs.tell()
    assert ours.read() == theirs.read()


def test_reads_ask_for_what_they_need() -> None:
    source = Memory(b"x" * 1_000)
    with io.BufferedReader(reader(source), 100) as file:
        file.seek(-10, io.SEEK_END)
        assert file.read(5) == b"xxxxx"
        assert file.read(5) == b"xxxxx"
        assert file.read(5) == b""
        file.seek(0)
        file.read(500)
        file.read()
    assert source.asked == [(990, 10), (0, 500), (500, -1)]


def test_bytes_that_end_early_are_no_object() -> None:
    with pytest.raises(Unavailable):
        reader(Memory(b"12345", missing=1)).read(5)


def test_a_reader_refuses_what_no_reader_can() -> None:
    file = reader(Memory(b"123"))
    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        file.seek(0, 9)
    assert (file.name, file.mode, file.readable(), file.writable()) == ("a/b", "rb", True, False)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_reading(main: Branch) -> None:
    main.write_bytes("big", DATA)
    main.write_bytes("empty", b"")
    with main.open("big", "rb") as file:
        assert file.read(10) == DATA[:10]
        file.seek(-20, io.SEEK_END)
        assert file.read() == DATA[-20:]
        file.seek(5)
        assert file.read() == DATA[5:]
    with main.open("empty", "rb") as file:
        assert file.read() == b""
    copied = io.BytesIO()
    with main.open("big", "rb") as file:
        shutil.copyfileobj(file, copied)
    assert copied.getvalue() == DATA
    with pytest.raises(NotFound):
        main.open("nothing")
    with pytest.raises(InvalidInput):
        main.head().open("big", "wb")  # type: ignore[call-overload]  # commits are for reading
    with pytest.raises(InvalidInput):
        main.open("big", "ab")  # type: ignore[call-overload]  # nothing is appended to


def test_an_open_file_is_of_one_object(main: Branch) -> None:
    main.write_bytes("a", DATA)
    with main.open("a", "rb", buffering=10) as file:
        file.read(10)
        main.write_bytes("a", DATA[::-1])
        with pytest.raises(PreconditionFailed):
            file.read(10)
        with pytest.raises(PreconditionFailed):
            file.read()


def test_text(main: Branch) -> None:
    with main.open("t.txt", "w", encoding="latin-1", newline="\r\n", metadata={"k": "v"}) as file:
        file.write("ä\n")
        print("b", file=file)
    assert file.info is not None
    assert file.info.metadata == {"k": "v"}
    assert main.read_bytes("t.txt") == b"\xe4\r\nb\r\n"
    with main.open("t.txt", encoding="latin-1") as text:
        assert list(text) == ["ä\n", "b\n"]
    assert main.read_text("t.txt", "latin-1") == "ä\r\nb\r\n"


def test_what_text_files_refuse(main: Branch) -> None:
    with pytest.raises(LookupError):
        main.open("t", "w", encoding="none")
    with pytest.raises(ValueError, match="newline"):
        main.open("t", "w", newline="x")
    with pytest.raises(UnicodeEncodeError), main.open("t", "w", encoding="ascii") as file:
        file.write("ä")
    assert not main.exists("t")


def test_writing_becomes_visible_at_the_close(main: Branch) -> None:
    file = main.open("a", "wb", content_type="x/y")
    file.write(b"123456")
    file.seek(2)
    file.write(memoryview(b"XY"))
    file.flush()
    assert (file.tell(), file.writable(), file.readable()) == (4, True, False)
    assert not main.exists("a")
    file.truncate()
    file.close()
    file.close()
    assert file.info == main.stat("a")
    assert main.read_bytes("a") == b"12XY"
    assert main.stat("a").content_type == "x/y"
    with pytest.raises(ValueError, match="closed"):
        file.write(b"")


def test_large_files_go_through_a_temporary_file(main: Branch) -> None:
    count = limits.SPOOL_BYTES_MAX // len(DATA) + 1
    with main.open("large", "wb") as file:
        for _ in range(count):
            file.write(DATA)
    assert main.stat("large").size_bytes == count * len(DATA)
    assert main.read_bytes("large") == DATA * count


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_after_an_exception_nothing_is_written(main: Branch, mode: str) -> None:
    file: ObjectWriter | TextWriter = main.open("a", mode)  # type: ignore[call-overload]  # two
    file.write(b"half" if mode == "wb" else "half")  # type: ignore[arg-type]  # as the mode

    def fail() -> None:
        with file:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert file.closed
    file.abort()
    assert not main.exists("a")


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_that_nobody_closes_is_not_written(main: Branch, mode: str) -> None:
    kept = [main.open("a", mode)]  # type: ignore[call-overload]  # two
    with pytest.warns(ResourceWarning, match="never closed"):
        kept.clear()
    assert not main.exists("a")


def test_a_refused_write_is_told_at_the_close(main: Branch) -> None:
    info = main.write_bytes("a", b"1")
    with pytest.raises(PreconditionFailed), main.open("a", "wb", if_match="0" * 32) as file:
        file.write(b"2")
    assert file.closed
    with main.open("a", "w", if_match=info.checksum) as text:
        text.write("3")
    assert main.read_bytes("a") == b"3"


def test_exclusive_creation(main: Branch) -> None:
    with main.open("a", "xb") as file:
        file.write(b"1")
    with pytest.raises(PreconditionFailed):
        main.open("a", "x")
    text = main.open("b", "x")
    text.write("second")
    main.write_bytes("b", b"first")
    with pytest.raises(PreconditionFailed):
        text.close()
    assert main.read_bytes("b") == b"first"


def test_libraries_that_want_seekable_files(main: Branch) -> None:
    table = pa.table({"n": pa.array(range(10_000)), "s": ["x"] * 10_000})
    with main.open("t.parquet", "wb") as file:
        pq.write_table(table, file)
    with main.open("t.parquet", "rb") as stored:
        assert pq.read_table(stored).equals(table)
    with main.open("z.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside", "text")
    with main.open("z.zip", "rb") as stored, zipfile.ZipFile(stored) as archive:
        assert archive.read("inside") == b"text"


def test_folders(main: Branch, tmp_path: Path) -> None:
    files = {"a.txt": b"1", "deep/b.bin": DATA, "deep/er/ä": b""}
    for name, data in files.items():
        file = tmp_path / "from" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    sent = main.upload(tmp_path / "from", "in/here", metadata={"k": "v"})
    assert sent == Copied(moved=3, size_bytes=1 + len(DATA))
    assert [one.path for one in main.list()] == [f"in/here/{name}" for name in sorted(files)]
    assert main.stat("in/here/a.txt").content_type.startswith("text/plain")
    assert main.stat("in/here/a.txt").metadata == {"k": "v"}
    assert main.upload(str(tmp_path / "from"), "in/here/") == Copied(unchanged=3)
    received = main.head().download("", tmp_path / "nothing")
    assert received == Copied()
    assert main.download("in/here", tmp_path / "to") == sent
    assert {name: (tmp_path / "to" / name).read_bytes() for name in files} == files
    assert main.download("in/here", tmp_path / "to").unchanged == 3
    with pytest.raises(InvalidInput):
        main.upload(tmp_path / "from" / "a.txt")


@pytest.mark.parametrize("mode", ["a", "ab", "r+", "w+b", "U"])
def test_objects_are_not_changed_in_their_middle(main: Branch, mode: str) -> None:
    with pytest.raises(InvalidInput, match=r"written whole"):
        main.open("a", mode)  # type: ignore[call-overload]  # no such mode
