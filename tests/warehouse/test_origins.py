"""Origins: what a path with wildcards finds, what its files hold, and what may not be read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AnabranchError,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from anabranch.storage.kv.base import Request
from anabranch.warehouse.origins.base import Roots
from anabranch.warehouse.origins.opening import Origins
from anabranch.warehouse.origins.patterns import expand
from tests.support.lakes import TestLake, open_lake

Answer = tuple[int, dict[str, str], bytes]


def found(origins: Origins, url: str, base: str = "", **options: str) -> dict[str, bytes]:
    return {
        file.url: b"".join(file.read())
        for file in origins.walk(base, url, {k.replace("_", "."): v for k, v in options.items()})
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a.csv", "b.csv", "c.txt", "day=1/x.csv", "day=2/x.csv", "day=2/deep/y.csv"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def of_folder(opened: TestLake, folder: Path) -> Origins:
    return Origins(opened.lake, [f"local://{folder}"])


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["a.csv", "b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[ab].*", ["a.csv", "b.csv"]),
        ("[^a].csv", ["b.csv"]),
        ("[b-z].*", ["b.csv", "c.txt"]),
        ("{a,c}.{csv,txt}", ["a.csv", "c.txt"]),
        ("day=*/x.csv", ["day=1/x.csv", "day=2/x.csv"]),
        ("day=*/*", ["day=1/x.csv", "day=2/x.csv"]),
        ("{day=1/x,b}.csv", ["b.csv", "day=1/x.csv"]),
        ("*/*/*.csv", ["day=2/deep/y.csv"]),
        ("day=1", []),
        ("day=*", []),
        ("day=1/", []),
        ("nothing", []),
        ("nothing/*", []),
        (r"\[a].csv", []),
    ],
)
def test_wildcards(opened: TestLake, folder: Path, pattern: str, names: list[str]) -> None:
    files = found(of_folder(opened, folder), f"file://{folder}/{pattern}")
    assert sorted(files) == [f"file://{folder}/{name}" for name in names]
    assert sorted(files.values()) == sorted(name.encode() for name in names)


def test_a_base_is_taken_literally(opened: TestLake, folder: Path) -> None:
    (folder / "[ab]").mkdir()
    (folder / "[ab]" / "1.csv").write_text("one")
    origins = of_folder(opened, folder)
    assert list(found(origins, "*.csv", f"local://{folder}/[ab]/").values()) == [b"one"]


@pytest.mark.parametrize("pattern", ["{a", "[a", "[]", "[z-a]", "{a,{b}"])
def test_patterns_that_cannot_be(opened: TestLake, folder: Path, pattern: str) -> None:
    with pytest.raises(InvalidInput):
        found(of_folder(opened, folder), f"file://{folder}/{pattern}")


def test_choices_are_bounded() -> None:
    assert len(expand("{0,1}" * 9)) == 512
    with pytest.raises(LimitExceeded):
        expand("{0,1}" * 10)
    with pytest.raises(LimitExceeded):
        expand("{" * (limits.LOAD_BRACES_MAX + 1))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "file:///etc/*",
        "file://{folder}/../other/secret",
        "file://{folder}/link",
        "file://{folder}/inner/secret",
        "local:///proc/self/environ",
    ],
)
def test_files_outside_the_roots_are_not_read(opened: TestLake, folder: Path, url: str) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "secret").write_text("secret")
    (folder / "link").symlink_to(other / "secret")
    (folder / "inner").symlink_to(other)
    with pytest.raises((Forbidden, InvalidInput)):
        found(of_folder(opened, folder), url.format(folder=folder))


def test_wildcards_pass_over_links(opened: TestLake, folder: Path) -> None:
    (folder / "z.csv").symlink_to("/etc/hostname")
    assert len(found(of_folder(opened, folder), f"file://{folder}/*.csv")) == 2


def test_objects_of_the_lake(opened: TestLake) -> None:
    opened.put("in/a.csv", b"1")
    opened.put("in/deep/b.csv", b"2")
    origins = Origins(opened.lake)
    assert found(origins, "lakefs://animals/main/in/*.csv") == {
        "lakefs://animals/main/in/a.csv": b"1"
    }
    assert found(origins, "s3://animals/main/in/*/*.csv") == {
        "s3://animals/main/in/deep/b.csv": b"2"
    }
    with pytest.raises(NotFound):
        found(origins, "lakefs://animals/nowhere/x")


def test_raw_objects_but_no_data_of_repositories(opened: TestLake) -> None:
    opened.kv.apply([Request((), opened.blocks.bucket_creation("raw")[1])])
    for key in ("in/a.csv", "in/b.csv", "in/deep/1", "in/deep/2", "in.csv"):
        body = opened.lake.bodies.open_at(f"s3://raw/{key}")
        body.write(key.encode())
        placed = body.place()
        opened.blocks.flush(placed.windows)
        opened.kv.apply([Request((), placed.writes)])
    origins = Origins(opened.lake)
    assert sorted(found(origins, "s3://raw/in/*")) == ["s3://raw/in/a.csv", "s3://raw/in/b.csv"]
    assert sorted(found(origins, "s3://raw/*/*/*")) == ["s3://raw/in/deep/1", "s3://raw/in/deep/2"]
    stat = opened.put("secret")
    with pytest.raises(Forbidden):
        found(origins, stat.physical_address)
    with pytest.raises(Forbidden):
        found(origins, "s3://data/animals/*")


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, Answer]

    def do_GET(self) -> None:
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[int]:
    handler = type("Handler", (_Handler,), {"answers": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_http_reads_configured_places_alone(opened: TestLake) -> None:
    answers: dict[str, Answer] = {"/open/a.csv": (200, {}, b"rows"), "/b.csv": (200, {}, b"no")}
    with serving(answers) as port:
        base = f"http://127.0.0.1:{port}"
        origins = Origins(opened.lake, [f"{base}/open/"])
        assert found(origins, f"{base}/open/a.csv") == {f"{base}/open/a.csv": b"rows"}
        assert found(origins, f"{base}/open/none.csv") == {}
        answers["/open/moved"] = (302, {"Location": "/open/a.csv"}, b"")
        assert list(found(origins, f"{base}/open/moved").values()) == [b"rows"]
        for location in ("/b.csv", "http://169.254.169.254/", "/open/../b.csv", "file:///etc/x"):
            answers["/open/out"] = (302, {"Location": location}, b"")
            with pytest.raises((Forbidden, InvalidInput)):
                found(origins, f"{base}/open/out")
        answers["/open/loop"] = (302, {"Location": "/open/loop"}, b"")
        answers["/open/short"] = (200, {"Content-Length": "9"}, b"rows")
        answers["/open/bad"] = (500, {}, b"")
        for name in ("loop", "short", "bad"):
            with pytest.raises(Unavailable):
                found(origins, f"{base}/open/{name}")
        with pytest.raises(InvalidInput, match="wildcards"):
            found(origins, f"{base}/open/*.csv")
        for url in (f"{base}/b.csv", f"{base}/openly/a.csv", "http://localhost/open/a.csv"):
            with pytest.raises(Forbidden):
                found(origins, url)


def test_s3_endpoints_must_be_configured(opened: TestLake) -> None:
    origins = Origins(opened.lake, ["http://127.0.0.1:1/allowed/"])
    with pytest.raises(Forbidden):
        found(origins, "s3://bucket/a.csv", s3_endpoint="http://169.254.169.254")
    with pytest.raises(Forbidden):
        found(origins, "s3://other/a.csv", s3_endpoint="http://127.0.0.1:1")


def test_s3_of_another_server(opened: TestLake) -> None:
    listing = (
        b'<?xml version="1.0"?><ListBucketResult><Name>in</Name><Prefix>d/</Prefix>'
        b"<IsTruncated>false</IsTruncated><Contents><Key>d/a.csv</Key><Size>4</Size>"
        b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        b"</Contents><CommonPrefixes><Prefix>d/x/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    headers = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"e"'}
    answers: dict[str, Answer] = {
        "/in/d/a.csv": (200, headers, b"rows"),
        "/in?list-type=2&prefix=d%2F&delimiter=%2F": (200, {}, listing),
        "/in?delimiter=%2F&list-type=2&prefix=d%2F": (200, {}, listing),
    }
    with serving(answers) as port:
        endpoint = f"http://127.0.0.1:{port}"
        origins = Origins(opened.lake, [f"{endpoint}/in/"])
        wanted = {"s3://in/d/a.csv": b"rows"}
        assert found(origins, "s3://in/d/a.csv", s3_endpoint=endpoint) == wanted
        assert found(origins, "s3://in/d/*.csv", s3_endpoint=endpoint) == wanted
        assert found(origins, "s3://in/d/b.csv", s3_endpoint=endpoint) == {}


class _NameNode(_Handler):
    files: dict[str, bytes]
    data_node: str

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        path = parts.path.removeprefix("/webhdfs/v1")
        body = self._answer(path, query["op"][0], query.get("user.name", [""])[0])
        if body is None:
            return
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, operation: str, user: str) -> bytes | None:
        assert user == "reader"
        if operation == "OPEN" and path in self.files:
            if self.data_node:
                self.send_response(307)
                self.send_header("Location", f"{self.data_node}{path}?op=OPEN")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            return self.files[path]
        if operation == "GETFILESTATUS" and path in self.files:
            status = {"type": "FILE", "length": len(self.files[path]), "pathSuffix": ""}
            return json.dumps({"FileStatus": status}).encode()
        below = sorted(name for name in self.files if name.startswith(f"{path}/"))
        if operation == "LISTSTATUS" and below:
            statuses = [
                {
                    "type": "FILE",
                    "length": len(self.files[name]),
                    "pathSuffix": name[len(path) + 1 :],
                }
                for name in below
            ]
            return json.dumps({"FileStatuses": {"FileStatus": statuses}}).encode()
        return b""


def test_hdfs_follows_one_redirect_to_a_configured_host(opened: TestLake) -> None:
    files = {"/in/a.csv": b"1", "/in/b.csv": b"2"}
    data: dict[str, Answer] = {f"{name}?op=OPEN": (200, {}, body) for name, body in files.items()}
    with serving(data) as data_port:
        _NameNode.files, _NameNode.data_node = files, ""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _NameNode)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"webhdfs://reader@127.0.0.1:{server.server_port}"
            origins = Origins(
                opened.lake,
                [
                    f"webhdfs://127.0.0.1:{server.server_port}/in",
                    f"webhdfs://127.0.0.1:{data_port}/",
                ],
            )
            both = {f"{base}/in/a.csv": b"1", f"{base}/in/b.csv": b"2"}
            assert found(origins, "in/*.csv", f"{base}/") == both
            _NameNode.data_node = f"http://127.0.0.1:{data_port}"
            assert found(origins, "in/{a,b}.csv", f"{base}/") == both
            assert found(origins, "in", f"{base}/") == {}
            for elsewhere in ("http://127.0.0.1:1", "http://169.254.169.254", "ftp://127.0.0.1"):
                _NameNode.data_node = elsewhere
                with pytest.raises(Forbidden):
                    found(origins, "in/a.csv", f"{base}/")
            with pytest.raises(Forbidden):
                found(origins, "other/a.csv", f"{base}/")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.mark.parametrize(
    "url",
    ["a.csv", "/etc/passwd", "gopher://x/y", "hdfs://host/x", "s3://", "file://host/x", "*://a/b"],
)
def test_urls_that_nothing_reads(opened: TestLake, url: str) -> None:
    with pytest.raises(AnabranchError):
        found(Origins(opened.lake, ["local:///srv"]), url)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://host/a/b", True),
        ("https://HOST:443/a/b", True),
        ("https://host./a/b", True),
        ("https://host/a", True),
        ("http://host/a/b", False),
        ("https://host/ab", False),
        ("https://host:444/a/b", False),
        ("https://host@evil/a/b", False),
        ("https://evil/https://host/a/", False),
    ],
)
def test_roots(url: str, is_allowed: bool) -> None:
    assert Roots(["https://host/a/"]).allows(url) is is_allowed


@pytest.mark.parametrize(
    "url", ["https://host/a/../b", "https://host/a/%2e%2E/b", "https://host\\@evil/a", "https:///a"]
)
def test_urls_that_two_readers_take_differently(url: str) -> None:
    with pytest.raises(InvalidInput):
        Roots(["https://host/a/"]).allows(url)
