"""Files of a directory read natively, against what Python's own calls find."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Entry
from anabranch.kernel.ids import Address
from anabranch.kernel.ranges import entry_at
from anabranch.lake.local_files import checksum_of
from anabranch.native.files import Files
from anabranch.native.ranges import Entries

_BASE = "local:///srv/d/"
_FEW = settings(max_examples=40, deadline=None)

_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=9)
_files = st.dictionaries(_names, st.tuples(st.integers(0, 2**40), st.integers(-(2**50), 2**50)))
_on_disk = st.dictionaries(
    # Names that are the beginnings of others, with letters below and above a slash.
    st.text("a-.0é\n", min_size=1, max_size=4).filter(lambda name: name not in (".", "..")),
    st.tuples(st.booleans(), st.integers(0, 2**20), st.integers(0, 2**60)),
    max_size=12,
)


def listed(directory: Path) -> list[tuple[str, int, int]]:
    """Return (name, size, mtime in microseconds), directories with a slash and without the rest."""
    found = []
    for name in os.listdir(directory):
        status = (directory / name).lstat()
        if stat.S_ISDIR(status.st_mode):
            found.append((f"{name}/", 0, 0))
        elif stat.S_ISREG(status.st_mode):
            found.append((name, status.st_size, status.st_mtime_ns // 1_000))
    return sorted(found, key=lambda item: item[0].encode())


def read(directory: Path) -> Files:
    """Return what the native library finds in a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Files.in_directory(descriptor)
    finally:
        os.close(descriptor)


def check_rows(found: Entries, files: list[tuple[str, int, int]]) -> None:
    """Require the rows that Python makes of the same files."""
    assert found.paths == [f"to/{name}" for name, _, _ in files]
    assert not found.has_tombstones
    for row, (name, size_bytes, mtime_us) in enumerate(files):
        uri = _BASE + name
        checksum = checksum_of(uri, size_bytes, mtime_us)
        expected = Entry(Address(uri), checksum, size_bytes, mtime_us, DEFAULT_CONTENT_TYPE)
        assert entry_at(found, row) == expected


@given(_files)
def test_rows_of_files_are_those_of_their_entries(files: dict[str, tuple[int, int]]) -> None:
    names = sorted(files, key=str.encode)
    items = [(name, *files[name]) for name in names]
    found = Files(names, [size for _, size, _ in items], [time for _, _, time in items])
    assert found.next_directory(0) == len(found) == len(names)
    check_rows(found.rows(0, len(found), "to/", _BASE, DEFAULT_CONTENT_TYPE), items)
    half = len(names) // 2
    check_rows(found.rows(half, len(found), "to/", _BASE, DEFAULT_CONTENT_TYPE), items[half:])


@_FEW
@given(_on_disk)
def test_a_directory_is_read_as_python_reads_it(items: dict[str, tuple[bool, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, (is_directory, size_bytes, mtime_ns) in items.items():
            if is_directory:
                (place / name).mkdir()
            else:
                (place / name).touch()
                os.truncate(place / name, size_bytes)
                os.utime(place / name, ns=(0, mtime_ns))
        found, expected = read(place), listed(place)
    assert (found.link, found.misnamed) == (None, None)
    assert [found.name(index) for index in range(len(found))] == [name for name, _, _ in expected]
    start = 0
    while start < len(found):
        end = found.next_directory(start)
        rows = found.rows(start, end, "to/", _BASE, DEFAULT_CONTENT_TYPE)
        check_rows(rows, expected[start:end])
        assert end == len(found) or expected[end][0].endswith("/")
        start = end + 1


def test_more_names_than_one_read_takes(tmp_path: Path) -> None:
    for number in range(3_000):
        (tmp_path / f"{'long' * 20}-{number * 7_919 % 3_000:04}").touch()
    found = read(tmp_path)
    rows = found.rows(0, len(found), "to/", _BASE, DEFAULT_CONTENT_TYPE)
    check_rows(rows, listed(tmp_path))


def test_times_before_1970_are_rounded_down(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    os.utime(tmp_path / "old", ns=(0, -1_500_000_001))
    found = read(tmp_path).rows(0, 1, "to/", _BASE, DEFAULT_CONTENT_TYPE)
    check_rows(found, [("old", 0, -1_500_001)])


def test_special_files_are_left_out_and_the_first_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("link-b", "link-a", "link-c"):
            (tmp_path / name).symlink_to(tmp_path / "file")
        found = read(tmp_path)
    assert [found.name(index) for index in range(len(found))] == ["file"]
    assert found.link == "link-a"


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    for name in (b"b\xff", b"a\xfe", b"good"):
        (tmp_path / os.fsdecode(name)).touch()
    found = read(tmp_path)
    assert found.misnamed == b"a\xfe"
    assert len(found) == 1


def test_what_is_no_directory_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(NotADirectoryError) as refused:
            Files.in_directory(descriptor)
    finally:
        os.close(descriptor)
    assert refused.value.strerror
    with pytest.raises(ValueError, match="not an open directory"):
        Files.in_directory(-1)


@pytest.mark.parametrize(
    ("names", "sizes"), [(["b", "a"], [0, 0]), (["a", "a"], [0, 0]), (["a/"], [0]), (["a"], [])]
)
def test_other_names_are_refused(names: list[str], sizes: list[int]) -> None:
    with pytest.raises(ValueError):
        Files(names, sizes, sizes)


def test_a_run_holds_files_alone(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    found = read(tmp_path)
    for start, stop in ((0, 2), (1, 2), (1, 0), (0, 3)):
        with pytest.raises(ValueError, match="run of files"):
            found.rows(start, stop, "", _BASE, DEFAULT_CONTENT_TYPE)
    with pytest.raises(IndexError):
        found.name(2)
