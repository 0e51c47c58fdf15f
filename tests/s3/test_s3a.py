"""What Spark sends over s3a for one overwrite, in its two generations, request by request.

Taken from hadoop-aws 3.3.2 with aws-sdk-java 1.11.1026 and hadoop-aws 3.5.0 with 2.35.4.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from anabranch.s3.chunked import ChunkSigning
from tests.support.chunks import chunked
from tests.support.reference_sigv4 import signing_key
from tests.support.s3 import SECRET, Answer, S3Kit, Sent, sign

TARGET = "main/demo/users"
ATTEMPT = f"{TARGET}/_temporary/0/_temporary/attempt_1/part-0.snappy.parquet"
TASK = f"{TARGET}/_temporary/0/task_1/part-0.snappy.parquet"
PART = f"{TARGET}/part-0.snappy.parquet"
CHUNK = 128 * 1024
DATA = bytes(range(256)) * 1200


@dataclass
class S3a:
    """One generation of the connector."""

    kit: S3Kit
    is_v2: bool

    def _headers(self) -> dict[str, str]:
        if self.is_v2:
            return {
                "amz-sdk-invocation-id": "9c6d",
                "amz-sdk-request": "attempt=1; max=6",
                "referer": "https://audit.example.org/hadoop/1/op_create/?op=op_create&p1=x&pr=root",
                "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            }
        return {
            "amz-sdk-invocation-id": "9c6d",
            "amz-sdk-request": "ttl=20221116T100000Z;attempt=1;max=21",
            "amz-sdk-retry": "0/0/500",
            "content-type": "application/octet-stream",
            "user-agent": "Hadoop 3.3.2, aws-sdk-java/1.11.1026 Linux/5  OpenJDK",
        }

    def send(self, method: str, path: str, query: str = "", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = Sent(method, quote(path), query, self._headers() | named)
        return self.kit.send(sign(sent, region="us-east-2" if self.is_v2 else "us-east-1"))

    def head(self, key: str) -> Answer:
        return self.send("HEAD", f"/example/{key}")

    def list(self, prefix: str, max_keys: int = 2, delimiter: str = "%2F") -> list[str]:
        query = f"list-type=2&max-keys={max_keys}&prefix={quote(prefix, safe='')}"
        query += f"&delimiter={delimiter}" if delimiter else ""
        query += "" if self.is_v2 else "&fetch-owner=false"
        answer = self.send("GET", "/example" if self.is_v2 else "/example/", query)
        assert answer.status == 200
        return answer.texts("Contents/Key") + answer.texts("CommonPrefixes/Prefix")

    def exists(self, key: str) -> bool:
        return self.head(key).status == 200 or bool(self.list(f"{key}/"))

    def put(self, key: str, data: bytes = b"") -> str:
        """Put an object or a marker in signed chunks; return its ETag."""
        region = b"us-east-2" if self.is_v2 else b"us-east-1"
        md5 = hashlib.md5(data)
        kind = "application/x-directory" if key.endswith("/") else "application/octet-stream"
        headers = self._headers() | {
            "content-type": kind,
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "x-amz-decoded-content-length": str(len(data)),
        }
        if self.is_v2:
            headers["content-encoding"] = "aws-chunked"
        else:
            headers["content-md5"] = base64.b64encode(md5.digest()).decode()
        sent = sign(Sent("PUT", f"/example/{quote(key)}", headers=headers), region=region.decode())
        date = sent.headers["x-amz-date"].encode()
        scope = date[:8] + b"/" + region + b"/s3/aws4_request"
        seed = sent.headers["authorization"].rpartition("=")[2].encode()
        signing = ChunkSigning(signing_key(SECRET, scope), date, scope, seed)
        sent.body = chunked([data[at : at + CHUNK] for at in range(0, len(data), CHUNK)], signing)
        sent.headers["expect"] = "100-continue"
        answer = self.kit.send(sent)
        assert answer.status == 200, answer.body
        # Both compare the ETag with the MD5 of what they sent.
        assert answer.headers["etag"] == f'"{md5.hexdigest()}"'
        if not self.is_v2:
            parts = key.rstrip("/").split("/")[:-1]
            markers = ["/".join(parts[: end + 1]) + "/" for end in range(len(parts))]
            self.delete_many(markers[::-1])
        return md5.hexdigest()

    def copy(self, source: str, target: str, etag: str) -> None:
        if self.is_v2:
            headers = {"x-amz-copy-source": f"example/{quote(source)}"}
            headers["x-amz-copy-source-if-match"] = f'"{etag}"'
        else:
            headers = {"x-amz-copy-source": f"/example/{quote(source)}"}
            headers["x-amz-copy-source-if-match"] = etag
            headers["content-md5"] = base64.b64encode(bytes.fromhex(etag)).decode()
            headers["last-modified"] = "Wed Nov 16 10:00:00 UTC 2022"
        headers["x-amz-metadata-directive"] = "REPLACE"
        answer = self.send("PUT", f"/example/{target}", **headers)
        assert answer.status == 200, answer.body
        assert answer.text("ETag") == f'"{etag}"'

    def delete(self, key: str) -> None:
        assert self.send("DELETE", f"/example/{key}").status == 204

    def delete_many(self, keys: Sequence[str]) -> None:
        objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        quiet = "<Quiet>true</Quiet>"
        if self.is_v2:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>'
                '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"{objects}{quiet}</Delete>"
            )
        else:
            body = f"<Delete>{quiet}{objects}</Delete>"
        md5 = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
        headers = self._headers() | {"content-md5": md5, "content-type": "application/xml"}
        headers.pop("x-amz-content-sha256", None)
        sent = Sent("POST", "/example/", "delete", headers, body.encode())
        answer = self.kit.send(sign(sent))
        assert answer.status == 200
        assert list(answer.root) == []

    def read(self, key: str) -> bytes:
        etag = self.head(key).headers["etag"]
        sent = {"range": f"bytes=0-{len(DATA) - 1}"}
        sent["if-match"] = etag if self.is_v2 else etag.strip('"')
        if not self.is_v2:
            sent["content-length"] = "0"
        answer = self.send("GET", f"/example/{key}", **sent)
        assert answer.status == 206
        return answer.body


@pytest.fixture(params=[False, True], ids=["v1", "v2"])
def s3a(kit: S3Kit, request: pytest.FixtureRequest) -> S3a:
    return S3a(kit, request.param)


def make_directory(s3a: S3a, key: str) -> None:
    parts = key.rstrip("/").split("/")
    for end in range(len(parts), 0, -1):
        ancestor = "/".join(parts[:end])
        s3a.list(f"{ancestor}/")
        assert s3a.head(ancestor).status == 404
    s3a.put(f"{key}/")


def overwrite(s3a: S3a, data: bytes) -> None:
    if s3a.exists(TARGET):
        s3a.delete_many(s3a.list(f"{TARGET}/", 5000, ""))
        s3a.put("main/demo/")
    make_directory(s3a, f"{TARGET}/_temporary/0")
    etag = s3a.put(ATTEMPT, data)
    assert s3a.head(ATTEMPT).headers["content-length"] == str(len(data))
    assert s3a.list(ATTEMPT.rpartition("/")[0] + "/")
    s3a.copy(ATTEMPT, TASK, etag)
    s3a.delete_many([ATTEMPT])
    s3a.put(f"{TARGET}/_temporary/0/_temporary/")
    s3a.copy(TASK, PART, etag)
    s3a.delete(TASK)
    s3a.put(TASK.rpartition("/")[0] + "/")
    s3a.delete_many(s3a.list(f"{TARGET}/_temporary/", 5000, ""))
    s3a.put(f"{TARGET}/_SUCCESS")


def test_an_overwrite_leaves_the_part_and_the_mark_of_success(s3a: S3a) -> None:
    overwrite(s3a, DATA)
    assert s3a.list(f"{TARGET}/", 5000, "") == [f"{TARGET}/_SUCCESS", PART]
    assert s3a.read(PART) == DATA
    assert s3a.head(f"{TARGET}/_spark_metadata").status == 404
    # Five bodies were sent: what the raw store holds besides `dummy`. Copies added nothing.
    assert len(s3a.kit.blocks("example")) == 1 + 5


def test_an_overwrite_of_what_is_there(s3a: S3a) -> None:
    overwrite(s3a, b"old" * 1000)
    s3a.kit.lake.commit()
    overwrite(s3a, DATA)
    assert s3a.list(f"{TARGET}/", 5000, "") == [f"{TARGET}/_SUCCESS", PART]
    assert s3a.read(PART) == DATA
    changed = s3a.kit.lake.uncommitted()
    assert ("changed", PART.removeprefix("main/")) in changed
    assert not [path for _, path in changed if path.endswith("_SUCCESS")]


def test_probes_of_a_branch(s3a: S3a) -> None:
    assert s3a.head("main").status == 404
    assert s3a.list("main/") == []
    assert s3a.list("ma") == ["main/"]
    s3a.put("main/x", b"1")
    assert s3a.list("main/") == ["main/x"]
    assert not s3a.exists("nobody")
