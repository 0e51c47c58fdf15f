"""Two servers that the suites of S3 clients share, one of them with TLS, and tapes before them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.boto3_session import REPOSITORY, Boto
from tests.support.certificates import make_certificate
from tests.support.recording import Tape, recording
from tests.support.server import RunningServer, start_server


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running server and what a client must trust to speak to it: None over plain HTTP.

    The clients share the repository `example3`: each writes below a folder of its own name.
    """

    scheme: str
    server: RunningServer
    tls: tuple[Path, Path] | None

    @property
    def ca_file(self) -> Path | None:
        """The certificate that signed the server's and the tapes'."""
        return self.tls[0] if self.tls else None

    def put(self, key: str, data: bytes) -> None:
        """Write an object by another client than the one under test."""
        self._s3.put_object(Bucket=REPOSITORY, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        found: bytes = self._s3.get_object(Bucket=REPOSITORY, Key=key)["Body"].read()
        return found

    def etag(self, key: str) -> str:
        """Return an object's ETag without its quotes."""
        return str(self._s3.head_object(Bucket=REPOSITORY, Key=key)["ETag"]).strip('"')

    def names(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, at most a thousand."""
        listed = self._s3.list_objects_v2(Bucket=REPOSITORY, Prefix=prefix)
        return [one["Key"] for one in listed.get("Contents", [])]

    @property
    def _s3(self) -> Any:
        ca_file = str(self.ca_file) if self.ca_file else None
        server = self.server
        boto = Boto(
            server, server.api_url, server.access_key, server.secret_key, REPOSITORY, "", ca_file
        )
        return boto.client()

    @contextlib.contextmanager
    def tape(self, **replaced: str) -> Iterator[Tape]:
        """Record what is sent to the server through the tape's URL, over the same scheme."""
        with recording(
            self.server.api_url, tls=self.tls, ca_file=self.ca_file, replaced=replaced
        ) as tape:
            yield tape


@pytest.fixture(scope="session")
def plain_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The server that speaks plain HTTP."""
    with start_server(tmp_path_factory.mktemp("plain") / "data") as server:
        yield Gateway("http", server, None)


@pytest.fixture(scope="session")
def tls_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The server that speaks TLS."""
    folder = tmp_path_factory.mktemp("tls")
    tls = make_certificate(folder)
    options = ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
    with start_server(folder / "data", *options) as server:
        yield Gateway("https", server, tls)


@pytest.fixture(scope="module", params=["http", "https"])
def gateway(request: pytest.FixtureRequest) -> Gateway:
    """One of the two servers; a test that asks for it runs once with each."""
    name = "plain_gateway" if request.param == "http" else "tls_gateway"
    found: Gateway = request.getfixturevalue(name)
    return found
