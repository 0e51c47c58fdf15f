"""pyarrow: S3FileSystem as files and folders, and datasets on it."""

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from tests.clients.stores.tour import MIB, Tour, begin, body

ROWS = 3_000


def files(tour: Tour, arrow: fs.S3FileSystem) -> None:
    """Write, overwrite, read by ranges, in parts, copy, move, delete."""
    root = tour.place.root
    large = body(11 * MIB)  # its parts are of 10 MiB
    for path, data in (("f/one", body(80_000, 1)), ("f/one", body(70_000, 2)), ("f/large", large)):
        with arrow.open_output_stream(f"{root}/{path}") as stream:
            stream.write(data)
        with arrow.open_input_stream(f"{root}/{path}") as stream:
            assert stream.read() == data
        tour.holds(path, data)
    with arrow.open_input_file(f"{root}/f/large") as file:
        assert file.size() == len(large)
        assert file.read_at(1000, 10 * MIB - 500) == large[10 * MIB - 500 :][:1000]
        file.seek(-7, 2)
        assert file.read() == large[-7:]
    arrow.copy_file(f"{root}/f/one", f"{root}/f/two words é+%")
    tour.holds("f/two words é+%", body(70_000, 2))
    arrow.move(f"{root}/f/one", f"{root}/f/moved")
    tour.lost("f/one")
    tour.holds("f/moved", body(70_000, 2))
    arrow.copy_file(f"{root}/f/moved", f"{root}/f/gone")
    arrow.delete_file(f"{root}/f/gone")
    tour.holds("f/", b"")  # what is deleted might have been all that its folder held
    listed = arrow.get_file_info(fs.FileSelector(f"{root}/f"))
    assert sorted((one.base_name, one.size) for one in listed) == [
        ("large", len(large)),
        ("moved", 70_000),
        ("two words é+%", 70_000),
    ]
    kinds = arrow.get_file_info([f"{root}/f/moved", f"{root}/f", f"{root}/none"])
    wanted = [fs.FileType.File, fs.FileType.Directory, fs.FileType.NotFound]
    assert [one.type for one in kinds] == wanted


def folders(tour: Tour, arrow: fs.S3FileSystem) -> None:
    """Folders are markers: they are made, listed, emptied and deleted with what is in them."""
    root = tour.place.root
    arrow.create_dir(f"{root}/d/e/f", recursive=True)
    for name in ("d/e/f/a", "d/e/b", "d/c"):
        with arrow.open_output_stream(f"{root}/{name}") as stream:
            stream.write(name.encode())
    found = arrow.get_file_info(fs.FileSelector(f"{root}/d", recursive=True))
    assert sorted(one.path.removeprefix(f"{root}/") for one in found) == [
        *("d/c", "d/e", "d/e/b", "d/e/f", "d/e/f/a")
    ]
    arrow.delete_dir(f"{root}/d/e")
    assert arrow.get_file_info(f"{root}/d/e").type == fs.FileType.NotFound
    tour.holds("d/c", b"d/c")
    tour.holds("d/", b"")
    arrow.create_dir(f"{root}/emptied/x", recursive=True)
    arrow.delete_dir_contents(f"{root}/emptied")
    assert arrow.get_file_info(f"{root}/emptied").type == fs.FileType.Directory
    tour.holds("emptied/", b"")


def datasets(tour: Tour, arrow: fs.S3FileSystem) -> None:
    """A partitioned data set is written, read by partition, replaced in part, and deleted."""
    root = f"{tour.place.root}/data set"
    columns = {"n": list(range(ROWS)), "p": [f"v {n % 3}" for n in range(ROWS)]}
    options = {
        "filesystem": arrow,
        "format": "parquet",
        "partitioning": ["p"],
        "partitioning_flavor": "hive",
        "existing_data_behavior": "delete_matching",
    }
    for name in ("kept", "dropped"):
        ds.write_dataset(pa.table(columns), f"{root}/{name}", **options)
    arrow.delete_dir(f"{root}/dropped")
    fresh = pa.table({"n": [-1, -2], "p": ["v 1", "v 1"]})
    ds.write_dataset(fresh, f"{root}/kept", basename_template="fresh-{i}.parquet", **options)
    read = ds.dataset(f"{root}/kept", filesystem=arrow, partitioning="hive")
    assert read.count_rows() == ROWS - ROWS // 3 + 2
    assert sorted(read.to_table(filter=ds.field("p") == "v 1")["n"].to_pylist()) == [-2, -1]
    assert sorted(read.to_table(filter=ds.field("p") == "v 2")["n"].to_pylist()) == list(
        range(2, ROWS, 3)
    )
    names = sorted(one.removeprefix(f"{tour.place.root}/") for one in read.files)
    assert len(names) == 3
    assert names[1].endswith("/p=v%201/fresh-0.parquet")
    for name in names:
        with arrow.open_input_stream(f"{tour.place.root}/{name}") as stream:
            tour.holds(name, stream.read())
    # Folders that are made for a data set stay; `create_dir=False` makes none.
    for folder in ("", "kept/", *(f"kept/p=v%20{number}/" for number in range(3))):
        tour.holds(f"data set/{folder}", b"")
    path = f"{tour.place.root}/{names[0]}"
    assert pq.read_table(path, filesystem=arrow, columns=["n"], partitioning=None).num_rows == 1000


def refusals(tour: Tour, arrow: fs.S3FileSystem) -> None:
    """A tag cannot be written, what is not there cannot be read, a wrong key opens nothing."""
    place = tour.place
    with tour.refused("tag", OSError):
        arrow.open_output_stream(f"{place.repository}/{place.tag}/x").close()
    with tour.refused("absent", FileNotFoundError):
        arrow.open_input_file(f"{place.root}/never")
    wrong = place.run_example("pyarrow", secret_key="wrong")["lake"]
    with tour.refused("key", OSError):
        wrong.get_file_info(fs.FileSelector(place.root))


def main() -> None:
    """Take the tour."""
    tour = begin()
    arrow = tour.place.run_example("pyarrow")["lake"]
    for part in (files, folders, datasets, refusals):
        part(tour, arrow)
    tour.end("pyarrow")


if __name__ == "__main__":
    main()
