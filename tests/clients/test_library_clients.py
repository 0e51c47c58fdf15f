"""Python libraries that read and write objects, each in an environment of its own, on a server.

A tour (`stores/`) does through one library what its users do, on a branch of its own; what it says
of that is then compared with what the branch holds, seen through REST and boto3: these objects with
these bytes, no marker, temporary object or open upload beside them.
"""

import hashlib
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from anabranch.client.answers import ObjectStats
from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport, parse_endpoint
from tests.clients.conftest import Gateway
from tests.clients.examples import example
from tests.support.environments import BUILD_TIMEOUT_S, ROOT, environment
from tests.support.recording import check_capture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_TIMEOUT_S)]

PROGRAMS = Path(__file__).with_name("stores")
REPOSITORY = "example3"
TAG = "fixed"
TOUR_TIMEOUT_S = 120.0

TOURS = {
    "arrow_tour": ("clients", "pyarrow"),
    "obstore_tour": ("clients", "obstore"),
    "polars_tour": ("clients", "polars"),
    "s3fs_tour": ("s3fs", "s3fs"),
    "pandas_tour": ("s3fs", "pandas"),
}
"""The environment of each program, and the library that it is about."""

MANY = {
    r"l/(?:a|b)/\d{4}": "l/<folder>/<number>",
    r"(?:<Object><Key>\w+/l/<folder>/<number></Key></Object>)+": "<objects>",
}
"""Names of which a tour has hundreds."""

IN_PARTS = {
    "arrow_tour": {"f/large": 2},
    "obstore_tour": {"large": 3, "written": 3},
    "polars_tour": {"large.parquet": 2},
    "s3fs_tour": {"large": 2, "copied": 2, "piped": 3},
    "pandas_tour": {"large.csv": 2},
}
"""The objects that go up in parts because of their size, and how many parts that is."""

NO_BRANCH = ("ErrWriteToProtectedBranch", "is not a branch, so nothing can be written")
WRONG_KEY = "The request signature we calculated does not match the signature you provided"
REFUSALS = {
    "arrow_tour": {
        "tag": ("OSError", "HTTP status 403", *NO_BRANCH),
        "absent": ("FileNotFoundError", "Path does not exist 'example3/"),
        "key": ("OSError", "SIGNATURE_DOES_NOT_MATCH", WRONG_KEY),
    },
    "obstore_tour": {
        "exists": ("AlreadyExistsError", "If-None-Match does not hold"),
        "changed": ("PreconditionError", "If-Match does not hold"),
        "tag": ("PermissionDeniedError", "403 Forbidden", *NO_BRANCH),
        "absent": ("FileNotFoundError", "NoSuchKey", "no object"),
        "key": ("PermissionDeniedError", "403 Forbidden"),  # a HEAD has no body to tell more
    },
    "polars_tour": {
        "tag": ("PermissionError", "403 Forbidden", *NO_BRANCH),
        "absent": ("FileNotFoundError", "NoSuchKey", "no object"),
        "key": ("PermissionError", "SignatureDoesNotMatch", WRONG_KEY),
    },
    "s3fs_tour": {
        "exists": ("OSError", "If-None-Match does not hold"),
        "tag": ("OSError", *NO_BRANCH),
        "absent": ("FileNotFoundError", "/never"),
        "key": ("PermissionError", WRONG_KEY),
    },
    "pandas_tour": {
        "tag": ("OSError", *NO_BRANCH),
        "absent": ("FileNotFoundError", "/never.csv"),
        "key": ("PermissionError", "Forbidden"),
    },
}
"""What each kind of refusal tells the user of a library, in pieces."""


@dataclass(frozen=True)
class Lake:
    """One server, seen from outside the libraries under test."""

    gateway: Gateway
    client: Client
    s3: Any

    def examples(self, url: str, branch: str) -> dict[str, str]:
        """Return the documentation's examples, by library, for a branch at `url`."""
        told = {library: example(library) for _, library in TOURS.values()}
        changed = {
            "http://127.0.0.1:8000": url,
            "127.0.0.1:8000": url.partition("://")[2],
            'prefix="main"': f'prefix="{branch}"',
        }
        if self.gateway.ca_file:
            trust = f'tls_ca_file_path="{self.gateway.ca_file}"'
            changed['scheme="http"'] = f'scheme="https", {trust}'
        for old, new in changed.items():
            told = {library: text.replace(old, new) for library, text in told.items()}
        return told

    def take(self, tour: str, url: str) -> dict[str, Any]:
        """Run a tour by `url` on a fresh branch named like it; return what it printed."""
        self.client.create_branch(REPOSITORY, tour, "main")
        place = {
            "secret_key": self.gateway.server.secret_key,
            "repository": REPOSITORY,
            "branch": tour,
            "tag": TAG,
            "examples": self.examples(url, tour),
        }
        variables = {"ANABRANCH_PLACE": json.dumps(place), "PYTHONPATH": str(ROOT)}
        if self.gateway.ca_file:
            # Where libraries in Rust, and botocore, look for authorities to trust.
            names = ("SSL_CERT_FILE", "AWS_CA_BUNDLE")
            variables |= dict.fromkeys(names, str(self.gateway.ca_file))
        result = environment(TOURS[tour][0]).run(
            PROGRAMS / f"{tour}.py", env=variables, timeout_s=TOUR_TIMEOUT_S
        )
        shown = f"{result.stdout}\n{result.stderr}\n{self.gateway.server.read_log()}"
        assert (result.returncode, result.stderr) == (0, ""), shown
        told: dict[str, Any] = json.loads(result.stdout)
        return told

    def listed(self, branch: str) -> list[ObjectStats]:
        """Return all objects of a branch."""
        pages = self.client.objects(REPOSITORY, branch, prefix="", delimiter="")
        return [one for page in pages for one in page]

    def digest(self, branch: str, path: str) -> tuple[int, str]:
        """Return size and MD5 of an object's bytes."""
        state, size_bytes = hashlib.md5(), 0
        with self.client.read(REPOSITORY, branch, path) as download:
            for window in download.data:
                state.update(window)
                size_bytes += len(window)
        return size_bytes, state.hexdigest()


@pytest.fixture(scope="module")
def lake(gateway: Gateway) -> Iterator[Lake]:
    server, ca_file = gateway.server, gateway.ca_file
    trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
    scheme, host, port = parse_endpoint(server.api_url)
    keys = (server.access_key, server.secret_key)
    transport = Transport(Server(scheme, host, port, *keys, source="the test", tls=trust))
    s3 = boto3.client(
        "s3",
        endpoint_url=server.api_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        verify=str(ca_file) if ca_file else None,
        config=Config(s3={"addressing_style": "path"}),
    )
    with closing(transport), closing(s3):
        client = Client(transport)
        client.create_tag(REPOSITORY, TAG, "main@")
        yield Lake(gateway, client, s3)


@pytest.mark.parametrize("tour", TOURS)
def test_tour_of_a_library(lake: Lake, tour: str) -> None:
    with lake.gateway.tape(**MANY) as tape, tape.step("tour"):
        told = lake.take(tour, tape.url)
    check_refusals(told["refusals"], REFUSALS[tour])
    wanted = {path: (size, digest) for path, (size, digest) in told["objects"].items()}
    changes = [one for page in lake.client.uncommitted(REPOSITORY, tour) for one in page]
    assert {(one.type, one.path) for one in changes} == {("added", path) for path in wanted}
    listed = {one.path: one for one in lake.listed(tour)}
    assert listed.keys() == {one.path for one in lake.listed("main@")} | wanted.keys()
    assert {path: lake.digest(tour, path) for path in wanted} == wanted
    parts = {path: listed[path].checksum for path in IN_PARTS[tour]}
    counts = {path: int(str(found).partition("-")[2]) for path, found in parts.items()}
    assert counts == IN_PARTS[tour]
    open_still = lake.s3.list_multipart_uploads(Bucket=REPOSITORY, Prefix=f"{tour}/")
    assert "Uploads" not in open_still
    library = TOURS[tour][1]
    check_capture(tape, library, told["versions"][library])


def check_refusals(said: dict[str, str], wanted: dict[str, tuple[str, ...]]) -> None:
    """Want each refusal to hold its pieces, the first of them at its start."""
    assert said.keys() == wanted.keys()
    for name, (kind, *pieces) in wanted.items():
        assert said[name].startswith(f"{kind}: "), said[name]
        missing = [piece for piece in pieces if piece not in said[name]]
        assert not missing, said[name]
