"""pyarrow's S3FileSystem and obstore against a real server: other forms than boto3's."""

import datetime
import urllib.request
from collections.abc import Iterator

import obstore
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store
from pyarrow import fs

from tests.support.server import RunningServer, start_server

MIB = 1024 * 1024

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server(tmp_path_factory.mktemp("stores") / "data") as made:
        yield made


@pytest.fixture
def arrow(server: RunningServer) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=server.access_key,
        secret_key=server.secret_key,
        endpoint_override=server.api_url.removeprefix("http://"),
        scheme="http",
        region="us-east-1",
    )


@pytest.fixture
def store(server: RunningServer) -> S3Store:
    return S3Store(
        "example3",
        prefix="main",
        endpoint=server.api_url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )


def test_arrow_files(arrow: fs.S3FileSystem) -> None:
    data = bytes(range(256)) * (25 * 4096)
    for name, body in (("small", data[:80_000]), ("large", data), ("empty", b"")):
        path = f"example3/main/arrow/{name}"
        with arrow.open_output_stream(path) as stream:
            stream.write(body)
        with arrow.open_input_file(path) as file:
            assert file.read() == body
    found = arrow.get_file_info(["example3/main/arrow/large", "example3/main", "example3/main/no"])
    assert [one.type for one in found] == [
        fs.FileType.File,
        fs.FileType.Directory,
        fs.FileType.NotFound,
    ]
    arrow.move("example3/main/arrow/small", "example3/main/arrow/moved")
    assert arrow.get_file_info("example3/main/arrow/moved").size == 80_000


def test_arrow_datasets(arrow: fs.S3FileSystem) -> None:
    table = pa.table({"a": list(range(1000)), "p": [number % 3 for number in range(1000)]})
    root = "example3/main/data/set"
    ds.write_dataset(
        table,
        root,
        filesystem=arrow,
        format="parquet",
        partitioning=["p"],
        partitioning_flavor="hive",
    )
    read = ds.dataset(root, filesystem=arrow, partitioning="hive").to_table()
    assert sorted(read["a"].to_pylist()) == list(range(1000))
    arrow.delete_dir(root)
    assert arrow.get_file_info(root).type == fs.FileType.NotFound
    assert arrow.get_file_info("example3/main/data").type == fs.FileType.Directory


def test_arrow_directories(arrow: fs.S3FileSystem) -> None:
    arrow.create_dir("example3/main/made/of/dirs", recursive=True)
    selector = fs.FileSelector("example3/main/made", recursive=True)
    assert [one.path for one in arrow.get_file_info(selector)] == [
        "example3/main/made/of",
        "example3/main/made/of/dirs",
    ]


def test_obstore(store: S3Store) -> None:
    obstore.put(store, "o b/a+b=é.txt", b"hello")
    assert bytes(obstore.get(store, "o b/a+b=é.txt").bytes()) == b"hello"
    # A space of a prefix travels as a plus.
    listed = obstore.list(store, "o b/").collect()
    assert [one["path"] for one in listed] == ["o b/a+b=é.txt"]
    obstore.put(store, "new", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "new", b"2", mode="create")
    data = b"0123456789" * (2 * MIB)
    obstore.put(store, "large", data, use_multipart=True, chunk_size=6 * MIB)
    assert bytes(obstore.get(store, "large").bytes()) == data
    assert bytes(obstore.get_range(store, "large", start=15, length=4)) == b"5678"
    obstore.rename(store, "new", "renamed")
    assert obstore.head(store, "renamed")["size"] == 1
    obstore.delete(store, ["renamed", "large", "never"])
    assert [one["path"] for one in obstore.list(store, "large").collect()] == []
    url = obstore.sign(store, "GET", "o b/a+b=é.txt", datetime.timedelta(seconds=60))
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"hello"
