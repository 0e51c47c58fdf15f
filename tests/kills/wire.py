"""Requests to a server that may die at any moment, on the standard library alone.

A request that was not sent is tried again; one that was sent and not answered is `Lost`.
"""

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

ANSWER_TIMEOUT_S = 60.0
"""An answer that takes longer is a failure, not a lost one: what it was may still happen."""
RESTART_TIMEOUT_S = 90.0
"""How long nobody may answer at all; a start takes seconds on a busy machine."""
_RETRY_S = 0.03
_REUSES_MAX = 16  # new connections are dealt out anew, so that a client meets both workers
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Lost(Exception):
    """The answer was lost: the request was done or not."""


class Stopped(Exception):
    """The client was told to stop while nobody answered."""


@dataclass(frozen=True, slots=True)
class Key:
    """An access key, and the port where it counts."""

    host: str
    port: int
    key_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def etag(self) -> str:
        """The ETag without its quotes."""
        return self.headers.get("etag", "").strip('"')

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def xml(self) -> ElementTree.Element:
        """The body as XML, its namespace left out."""
        return ElementTree.fromstring(self.body.replace(b" xmlns=", b" x="))

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Connection:
    """One kept-alive connection, made again when it ends. Not for several threads."""

    def __init__(self, host: str, port: int, stopping: threading.Event) -> None:
        self._host = host
        self._port = port
        self._stopping = stopping
        self._http: http.client.HTTPConnection | None = None
        self._uses = 0
        self.refused = 0

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request once; raise Lost when it was sent and no whole answer came."""
        connection = self._connected()
        self._uses += 1
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
            data = response.read()
        except TimeoutError:
            raise AssertionError(f"{method} {target}: no answer in {ANSWER_TIMEOUT_S} s") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(f"{method} {target}: {error!r}") from error
        if response.will_close or self._uses >= _REUSES_MAX:
            self.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, data)

    def close(self) -> None:
        """End the connection; the next request makes another."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._http is not None:
            return self._http
        deadline_s = time.monotonic() + RESTART_TIMEOUT_S
        while True:
            made = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_TIMEOUT_S)
            try:
                made.connect()
            except OSError as error:
                made.close()
                self.refused += 1
                if time.monotonic() > deadline_s:
                    raise AssertionError(f"nobody answers: {error}") from None
                if self._stopping.wait(_RETRY_S):
                    raise Stopped from None
                continue
            self._http = made
            self._uses = 0
            return made


class S3:
    """S3 requests to one bucket, signed by Signature Version 4."""

    def __init__(self, key: Key, bucket: str, stopping: threading.Event) -> None:
        self.bucket = bucket
        self._key = key
        self._connection = Connection(key.host, key.port, stopping)

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request for `path` in the bucket; empty means the bucket. Raises Lost."""
        resource = "/" + quote(f"{self.bucket}/{path}" if path else self.bucket, safe="/~")
        pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in (query or {}).items())
        asked = "&".join(f"{k}={v}" for k, v in pairs)
        signed = self._signed(method, resource, asked, body, headers or {})
        return self._connection.send(
            method, f"{resource}?{asked}" if asked else resource, signed, body
        )

    def close(self) -> None:
        """End the connection; a further request makes another."""
        self._connection.close()

    def list(self, prefix: str, *, page: int = 1_000) -> dict[str, str]:
        """Return key -> ETag of all pages. Raises Lost, and AssertionError for other answers."""
        found: dict[str, str] = {}
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(page)}
        while True:
            answer = self.send("GET", "", query)
            assert answer.status == 200, f"listing {prefix!r} answered {answer}"
            root = answer.xml
            for one in root.findall("Contents"):
                found[one.findtext("Key") or ""] = (one.findtext("ETag") or "").strip('"')
            if root.findtext("IsTruncated") != "true":
                return found
            query["continuation-token"] = root.findtext("NextContinuationToken") or ""

    def _signed(
        self, method: str, path: str, query: str, body: bytes, added: Mapping[str, str]
    ) -> dict[str, str]:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        payload = hashlib.sha256(body).hexdigest() if len(body) < 1 << 16 else "UNSIGNED-PAYLOAD"
        headers = {
            "host": f"{self._key.host}:{self._key.port}",
            "x-amz-content-sha256": payload,
            "x-amz-date": now,
            **added,
        }
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        step = b"AWS4" + self._key.secret.encode()
        for part in (*scope.split("/"), text):
            step = hmac.digest(step, part.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._key.key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={step.hex()}"
        )
        return headers


class Rest:
    """REST requests below `/api/v1`."""

    def __init__(self, key: Key, stopping: threading.Event) -> None:
        self._connection = Connection(key.host, key.port, stopping)
        told = base64.b64encode(f"{key.key_id}:{key.secret}".encode()).decode()
        self._headers = {"authorization": f"Basic {told}", "content-type": "application/json"}

    def close(self) -> None:
        """End the connection; a further request makes another."""
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, JSON in and out. Raises Lost."""
        asked = "&".join(f"{k}={quote(v, safe='')}" for k, v in (query or {}).items())
        target = f"/api/v1/{path}" + (f"?{asked}" if asked else "")
        data = b"" if body is None else json.dumps(body).encode()
        return self._connection.send(method, target, self._headers, data)
