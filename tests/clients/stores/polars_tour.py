"""polars: frames read, scanned and written by their URL."""

import io

import polars as pl

from tests.clients.stores.tour import Tour, begin

ROWS = 20_000
LARGE = 2_100_000  # rows; a part is of 32 MiB
SMALL = {"id": [1, 2, 3], "name": ["a", "é", None]}


class Lake:
    """Where the frames are, as polars wants it told."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.options: dict[str, str] = tour.place.run_example("polars")["options"]

    def url(self, path: str) -> str:
        return f"s3://{self.tour.place.root}/{path}"

    def holds_local(self, path: str, frame: pl.DataFrame) -> None:
        """The branch holds the very bytes that polars writes of `frame` anywhere."""
        self.tour.holds(path, parquet(frame))


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as the file that polars makes of it."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def files(lake: Lake) -> None:
    """Write, overwrite, read whole, by columns and by rows, in all formats."""
    small = pl.DataFrame(SMALL)
    small.head(1).write_parquet(lake.url("t/one.parquet"), storage_options=lake.options)
    small.write_parquet(lake.url("t/one.parquet"), storage_options=lake.options)
    lake.holds_local("t/one.parquet", small)
    assert pl.read_parquet(lake.url("t/one.parquet"), storage_options=lake.options).equals(small)
    small.write_csv(lake.url("t/é +.csv"), storage_options=lake.options)
    lake.tour.holds("t/é +.csv", small.write_csv().encode())
    assert pl.read_csv(lake.url("t/é +.csv"), storage_options=lake.options).equals(small)
    small.lazy().sink_ndjson(lake.url("t/one.ndjson"), storage_options=lake.options)
    lake.tour.holds("t/one.ndjson", small.write_ndjson().encode())
    scanned = pl.scan_ndjson(lake.url("t/one.ndjson"), storage_options=lake.options)
    assert scanned.collect().equals(small)


def parts(lake: Lake) -> None:
    """A file larger than a part of an upload; a scan then reads only ranges of it."""
    numbers = pl.int_range(LARGE, eager=True).alias("n")
    large = pl.DataFrame([numbers, numbers.hash(1).alias("a"), numbers.hash(2).alias("b")])
    large.write_parquet(lake.url("large.parquet"), storage_options=lake.options)
    lake.holds_local("large.parquet", large)
    scan = pl.scan_parquet(lake.url("large.parquet"), storage_options=lake.options)
    few = scan.filter(pl.col("n") >= LARGE - 3).select("a").collect()
    assert few.equals(large.tail(3).select("a"))
    assert scan.select(pl.len()).collect().item() == LARGE


def folders(lake: Lake) -> None:
    """Partitions are written at once, found by a pattern, and read by their names."""
    frame = pl.DataFrame({"n": range(ROWS), "p": [f"v {n % 3}" for n in range(ROWS)]})
    target = pl.PartitionBy(lake.url("by"), key="p", include_key=False)
    frame.lazy().sink_parquet(target, storage_options=lake.options)
    found = pl.scan_parquet(lake.url("by/"), storage_options=lake.options, hive_partitioning=True)
    assert found.filter(pl.col("p") == "v 1").select(pl.len()).collect().item() == ROWS // 3 + 1
    assert found.select(pl.col("n").sum()).collect().item() == ROWS * (ROWS - 1) // 2
    matched = pl.scan_parquet(
        lake.url("by/p=*/*.parquet"), storage_options=lake.options, include_file_paths="file"
    )
    names = matched.select(pl.col("file").unique().sort()).collect()["file"].to_list()
    assert len(names) == 3
    for name in names:
        path = name.partition(f"/{lake.tour.place.root}/")[2]
        rows = pl.read_parquet(name, storage_options=lake.options, hive_partitioning=False)
        lake.holds_local(path, rows)


def refusals(lake: Lake) -> None:
    """A tag cannot be written, what is not there cannot be read, a wrong key opens nothing."""
    place = lake.tour.place
    frame = pl.DataFrame(SMALL)
    with lake.tour.refused("tag", OSError):
        frame.write_parquet(
            f"s3://{place.repository}/{place.tag}/x.parquet", storage_options=lake.options
        )
    with lake.tour.refused("absent", FileNotFoundError):
        pl.read_parquet(lake.url("never.parquet"), storage_options=lake.options)
    wrong = place.run_example("polars", secret_key="wrong")["options"]
    with lake.tour.refused("key", OSError):
        pl.read_parquet(lake.url("t/one.parquet"), storage_options=wrong)


def main() -> None:
    """Take the tour."""
    lake = Lake(begin())
    for part in (files, parts, folders, refusals):
        part(lake)
    lake.tour.end("polars")


if __name__ == "__main__":
    main()
