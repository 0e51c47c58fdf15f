"""pandas: frames by their URL through s3fs, and through pyarrow's file system."""

import io

import pandas as pd
from pyarrow import fs

from tests.clients.stores.tour import MIB, Tour, begin

ROWS = 3_000
SMALL = {"id": [1, 2, 3], "name": ["a", "é", "c"]}


def through_s3fs(tour: Tour) -> None:
    """Write, overwrite, read by columns, in parts; text and Parquet."""
    stored = tour.place.run_example("pandas")["options"]
    root = f"s3://{tour.place.root}"
    small = pd.DataFrame(SMALL)
    small.head(1).to_csv(f"{root}/t/é +.csv", index=False, storage_options=stored)
    small.to_csv(f"{root}/t/é +.csv", index=False, storage_options=stored)
    tour.holds("t/é +.csv", small.to_csv(index=False).encode())
    assert pd.read_csv(f"{root}/t/é +.csv", storage_options=stored).equals(small)
    small.to_parquet(f"{root}/t/one.parquet", storage_options=stored)
    tour.holds("t/one.parquet", parquet(small))
    names = pd.read_parquet(f"{root}/t/one.parquet", columns=["name"], storage_options=stored)
    assert names.equals(small[["name"]])
    small.to_json(f"{root}/t/one.json", orient="records", lines=True, storage_options=stored)
    tour.holds("t/one.json", small.to_json(orient="records", lines=True).encode())
    large = pd.DataFrame({"n": range(6_000), "text": [f"{n:01000}" for n in range(6_000)]})
    in_parts = {**stored, "default_block_size": 5 * MIB}
    large.to_csv(f"{root}/large.csv", index=False, storage_options=in_parts)
    tour.holds("large.csv", large.to_csv(index=False).encode())
    pieces = pd.read_csv(f"{root}/large.csv", chunksize=2_500, storage_options=stored)
    assert sum(len(one) for one in pieces) == len(large)


def parquet(frame: pd.DataFrame) -> bytes:
    """Return a frame as the file that pandas makes of it."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def through_arrow(tour: Tour) -> None:
    """Partitions written and read by their names; folders deleted."""
    place = tour.place
    arrow = place.run_example("pyarrow")["lake"]
    frame = pd.DataFrame({"n": range(ROWS), "p": [f"v{n % 3}" for n in range(ROWS)]})
    for folder in ("by", "gone"):
        frame.to_parquet(f"{place.root}/{folder}", partition_cols=["p"], filesystem=arrow)
    arrow.delete_dir(f"{place.root}/gone")
    part = pd.read_parquet(f"{place.root}/by", filesystem=arrow, filters=[("p", "==", "v1")])
    assert sorted(part["n"]) == list(range(1, ROWS, 3))
    for one in arrow.get_file_info(fs.FileSelector(f"{place.root}/by", recursive=True)):
        path = one.path.removeprefix(f"{place.root}/")
        if one.type == fs.FileType.File:
            with arrow.open_input_stream(one.path) as stream:
                tour.holds(path, stream.read())
        else:
            tour.holds(f"{path}/", b"")  # the marker of a folder that pyarrow made
    tour.holds("by/", b"")
    assert len([path for path in tour.objects if path.startswith("by/p=v")]) == 6


def refusals(tour: Tour) -> None:
    """A tag cannot be written, what is not there cannot be read, a wrong key opens nothing."""
    place = tour.place
    stored = place.run_example("pandas")["options"]
    wrong = place.run_example("pandas", secret_key="wrong")["options"]
    small = pd.DataFrame(SMALL)
    with tour.refused("tag", OSError):
        small.to_csv(f"s3://{place.repository}/{place.tag}/x.csv", storage_options=stored)
    with tour.refused("absent", FileNotFoundError):
        pd.read_csv(f"s3://{place.root}/never.csv", storage_options=stored)
    with tour.refused("key", PermissionError):
        pd.read_csv(f"s3://{place.root}/t/é +.csv", storage_options=wrong)


def main() -> None:
    """Take the tour."""
    tour = begin()
    for part in (through_s3fs, through_arrow, refusals):
        part(tour)
    tour.end("pandas", "s3fs", "pyarrow")


if __name__ == "__main__":
    main()
