"""s3fs: the lake as a file system of fsspec, over aiobotocore."""

import tempfile
from pathlib import Path
from typing import Any

from tests.clients.stores.tour import MIB, Tour, begin, body


def files(tour: Tour, lake: Any) -> None:
    """Write, overwrite, read whole and by ranges, append, touch, metadata."""
    root = tour.place.root
    lake.pipe_file(f"{root}/f/é b+%", body(10, 1))
    data = body(90_000, 2)
    with lake.open(f"{root}/f/é b+%", "wb") as file:
        file.write(data)
    assert lake.cat_file(f"{root}/f/é b+%") == data
    assert lake.cat_file(f"{root}/f/é b+%", start=100, end=200) == data[100:200]
    assert lake.tail(f"{root}/f/é b+%", 7) == data[-7:]
    with lake.open(f"{root}/f/é b+%", "rb", block_size=4096) as file:
        file.seek(50_000)
        assert file.read(10) == data[50_000:50_010]
    with lake.open(f"{root}/f/é b+%", "ab") as file:
        file.write(b"appended")
    tour.holds("f/é b+%", data + b"appended")
    lake.touch(f"{root}/f/empty")
    tour.holds("f/empty", b"")
    assert lake.info(f"{root}/f/é b+%")["size"] == 90_008
    assert lake.checksum(f"{root}/f/é b+%") == lake.checksum(f"{root}/f/é b+%")
    lake.setxattr(f"{root}/f/empty", origin="here")
    assert lake.metadata(f"{root}/f/empty") == {"origin": "here"}
    lake.pipe_file(f"{root}/f/created", b"1", mode="create")
    with tour.refused("exists", OSError):
        lake.pipe_file(f"{root}/f/created", b"2", mode="create")
    tour.holds("f/created", b"1")


def parts(tour: Tour, lake: Any) -> None:
    """Files in parts: written, appended to by a copy on the server, copied, fetched."""
    root = tour.place.root
    large = body(12 * MIB, 3)
    with lake.open(f"{root}/large", "wb", block_size=5 * MIB) as file:
        file.write(large)
    with lake.open(f"{root}/large", "ab", block_size=5 * MIB) as file:
        file.write(large[: 6 * MIB])
    tour.holds("large", large + large[: 6 * MIB])
    lake.copy(f"{root}/large", f"{root}/copied")
    tour.holds("copied", large + large[: 6 * MIB])
    starts = [0, 11 * MIB]
    ranges = lake.cat_ranges([f"{root}/large"] * 2, starts, [one + 100 for one in starts])
    assert ranges == [large[one : one + 100] for one in starts]
    lake.pipe_file(f"{root}/piped", large, chunksize=5 * MIB)
    tour.holds("piped", large)


def folders(tour: Tour, lake: Any) -> None:
    """Whole folders: up, down, listed, found by patterns, moved and deleted."""
    root = tour.place.root
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        for name in ("a/1.txt", "a/b/2.txt", "c/3.bin"):
            Path(source, name).parent.mkdir(parents=True, exist_ok=True)
            Path(source, name).write_bytes(name.encode())
        for target in ("l", "gone"):
            lake.put(f"{source}/", f"{root}/{target}/", recursive=True)
        lake.get(f"{root}/l/", f"{folder}/back/", recursive=True)
        assert Path(folder, "back", "a", "b", "2.txt").read_bytes() == b"a/b/2.txt"
    lake.makedirs(f"{root}/made/of/dirs", exist_ok=True)
    assert sorted(lake.ls(f"{root}/l", detail=False)) == [f"{root}/l/a", f"{root}/l/c"]
    assert lake.find(f"{root}/l") == [
        f"{root}/l/{one}" for one in ("a/1.txt", "a/b/2.txt", "c/3.bin")
    ]
    assert lake.glob(f"{root}/l/**/*.txt") == [f"{root}/l/a/1.txt", f"{root}/l/a/b/2.txt"]
    assert [one[0] for one in lake.walk(f"{root}/l")] == [
        f"{root}/l{one}" for one in ("", "/a", "/a/b", "/c")
    ]
    assert lake.du(f"{root}/l") == 7 + 9 + 7
    assert lake.isdir(f"{root}/l/a")
    assert not lake.exists(f"{root}/l/never")
    lake.mv(f"{root}/l/c/3.bin", f"{root}/l/moved.bin")
    lake.rm_file(f"{root}/l/a/1.txt")
    lake.rm(f"{root}/gone", recursive=True)
    assert not lake.exists(f"{root}/gone")
    tour.holds("l/a/b/2.txt", b"a/b/2.txt")
    tour.holds("l/moved.bin", b"c/3.bin")


def refusals(tour: Tour, lake: Any) -> None:
    """A tag cannot be written, what is not there cannot be read, a wrong key opens nothing."""
    place = tour.place
    with tour.refused("tag", OSError):
        lake.pipe_file(f"{place.repository}/{place.tag}/x", b"y")
    with tour.refused("absent", FileNotFoundError):
        lake.cat_file(f"{place.root}/never")
    wrong = place.run_example("s3fs", secret_key="wrong")["lake"]
    with tour.refused("key", PermissionError):
        wrong.ls(f"{place.root}/l")


def main() -> None:
    """Take the tour."""
    tour = begin()
    lake = tour.place.run_example("s3fs")["lake"]
    for part in (files, parts, folders, refusals):
        part(tour, lake)
    tour.end("s3fs", "aiobotocore")


if __name__ == "__main__":
    main()
