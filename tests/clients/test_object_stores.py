"""pyarrow's S3FileSystem and obstore against a real server: forms that their tours leave out."""

import datetime
import urllib.request
from collections.abc import Iterator

import obstore
import pytest
from obstore.store import S3Store
from pyarrow import fs

from tests.support.server import RunningServer, start_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server(tmp_path_factory.mktemp("stores") / "data") as made:
        yield made


def test_an_empty_file_of_arrow(server: RunningServer) -> None:
    arrow = fs.S3FileSystem(
        access_key=server.access_key,
        secret_key=server.secret_key,
        endpoint_override=server.api_url.removeprefix("http://"),
        scheme="http",
        region="us-east-1",
    )
    arrow.open_output_stream("example3/main/arrow/empty").close()
    with arrow.open_input_file("example3/main/arrow/empty") as file:
        assert file.read() == b""
    found = arrow.get_file_info(["example3/main/arrow/empty", "example3/main"])
    assert [one.type for one in found] == [fs.FileType.File, fs.FileType.Directory]


def test_spaces_and_presigned_addresses_of_obstore(server: RunningServer) -> None:
    store = S3Store(
        "example3",
        prefix="main",
        endpoint=server.api_url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    obstore.put(store, "o b/a+b=é.txt", b"hello")
    # A space of a prefix travels as a plus.
    listed = obstore.list(store, "o b/").collect()
    assert [one["path"] for one in listed] == ["o b/a+b=é.txt"]
    url = obstore.sign(store, "GET", "o b/a+b=é.txt", datetime.timedelta(seconds=60))
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"hello"
    obstore.delete(store, ["o b/a+b=é.txt", "never"])
    assert obstore.list(store, "o b/").collect() == []
