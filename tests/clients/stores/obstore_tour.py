"""obstore: the Python face of object_store, which many Rust programs read objects by."""

from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
)
from obstore.store import S3Store

from tests.clients.stores.tour import MIB, Tour, begin, body


def objects(tour: Tour, store: S3Store) -> None:
    """Put, overwrite, get whole and by ranges, conditions."""
    obstore.put(store, "o/é b+%", body(1_000, 1), attributes={"Content-Type": "text/plain"})
    data = body(90_000, 2)
    obstore.put(store, "o/é b+%", data, attributes={"Content-Type": "text/csv", "k": "v"})
    tour.holds("o/é b+%", data)
    got = obstore.get(store, "o/é b+%")
    assert bytes(got.bytes()) == data
    assert got.attributes["Content-Type"] == "text/csv"
    assert got.attributes["k"] == "v"
    assert obstore.head(store, "o/é b+%")["size"] == 90_000
    assert bytes(obstore.get_range(store, "o/é b+%", start=10, end=20)) == data[10:20]
    ranges = obstore.get_ranges(store, "o/é b+%", starts=[0, 50_000], ends=[5, 50_005])
    assert [bytes(one) for one in ranges] == [data[:5], data[50_000:50_005]]
    tail = obstore.get(store, "o/é b+%", options={"range": {"suffix": 9}})
    assert bytes(tail.bytes()) == data[-9:]
    made = obstore.put(store, "o/created", b"1", mode="create")
    with tour.refused("exists", AlreadyExistsError):
        obstore.put(store, "o/created", b"2", mode="create")
    obstore.put(store, "o/created", b"3", mode={"e_tag": made["e_tag"]})
    with tour.refused("changed", PreconditionError):
        obstore.put(store, "o/created", b"4", mode={"e_tag": made["e_tag"]})
    tour.holds("o/created", b"3")


def parts(tour: Tour, store: S3Store) -> None:
    """Uploads in parts: at once, and by a writer that does not know the length."""
    large = body(12 * MIB, 3)
    obstore.put(store, "large", large, use_multipart=True)
    tour.holds("large", large)
    with obstore.open_writer(store, "written", buffer_size=5 * MIB) as writer:
        for start in range(0, len(large), MIB):
            writer.write(large[start : start + MIB])
    tour.holds("written", large)
    received = b"".join(bytes(one) for one in obstore.get(store, "written").stream(MIB))
    assert received == large


def folders(tour: Tour, store: S3Store) -> None:
    """List, copy, rename, delete one and all."""
    names = [f"l/{folder}/{number:04}" for folder in "ab" for number in range(600)]
    for name in names[:2] + names[-2:]:
        obstore.put(store, name, name.encode())
        tour.holds(name, name.encode())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: obstore.copy(store, names[0], name), names[2:-2]))
    listed = [one["path"] for page in obstore.list(store, "l") for one in page]
    assert listed == names
    level = obstore.list_with_delimiter(store, "l")
    assert (level["common_prefixes"], level["objects"]) == (["l/a", "l/b"], [])
    after = obstore.list(store, "l", offset=names[-3]).collect()
    assert [one["path"] for one in after] == names[-2:]
    obstore.delete(store, names[2:-2])
    obstore.delete(store, "never")
    obstore.rename(store, names[0], "renamed")
    tour.lost(names[0])
    tour.holds("renamed", names[0].encode())


def refusals(tour: Tour, store: S3Store) -> None:
    """A tag cannot be written, what is not there cannot be read, a wrong key opens nothing."""
    place = tour.place
    with tour.refused("tag", PermissionDeniedError):
        fixed = place.run_example("obstore", branch=place.tag)["store"]
        obstore.put(fixed, "x", b"y", use_multipart=False)
    with tour.refused("absent", FileNotFoundError):
        obstore.get(store, "never")
    wrong = place.run_example("obstore", secret_key="wrong")["store"]
    with tour.refused("key", BaseError):
        obstore.head(wrong, "large")


def main() -> None:
    """Take the tour."""
    tour = begin()
    store = tour.place.run_example("obstore")["store"]
    for part in (objects, parts, folders, refusals):
        part(tour, store)
    tour.end("obstore")


if __name__ == "__main__":
    main()
