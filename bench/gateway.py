"""The gateway's native kernels beside their references in Python: signatures and listings.

    python bench/gateway.py [--rounds N]

Each figure is the best of many rounds, in microseconds for one request or one page of 1,000 keys:
neighbours on the machine disturb the best one least.
"""

import argparse
import hashlib
import hmac
import time
from collections.abc import Callable

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.native.wire import (
    SignatureClaim,
    SigningKeys,
    listing_contents,
    signature_claim,
)
from tests.support import reference_listing, reference_sigv4

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # AWS's published example
DATE = b"20260101T000000Z"
SCOPE = b"20260101/us-east-1/s3/aws4_request"
PATH = b"/example/main/data/part-00000-7f1c2c1e-0f6c-4a39-9f43-c000.snappy.parquet"
CALLS = 200
ROWS = 1_000


def best_us(call: Callable[[], object], rounds: int, calls: int) -> float:
    """Return the shortest time of one call."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - start)
    return best / calls * 1e6


def signed_headers() -> list[tuple[bytes, bytes]]:
    """Return the headers of a GET as boto3 sends them, signed."""
    empty = hashlib.sha256().hexdigest().encode()
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"x-amz-content-sha256", empty),
        (b"x-amz-date", DATE),
    ]
    names = b";".join(name for name, _ in headers)
    lines = b"".join(name + b":" + value + b"\n" for name, value in headers)
    canonical = b"\n".join((b"GET", PATH, b"", lines, names, empty))
    text = reference_sigv4.string_to_sign(DATE, SCOPE, canonical)
    key = reference_sigv4.signing_key(SECRET, SCOPE)
    signature = hmac.digest(key, text, "sha256").hex().encode()
    credential = b"AKIAIOSFODNN7EXAMPLE/" + SCOPE
    authorization = (
        b"AWS4-HMAC-SHA256 Credential=%b, SignedHeaders=%b, Signature=%b"
        % (credential, names, signature)
    )  # fmt: skip
    agent = b"Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11.7"
    more = [(b"accept-encoding", b"identity"), (b"user-agent", agent)]
    return [*more, *headers, (b"authorization", authorization)]


def signatures(rounds: int) -> None:
    """Print what verifying one request takes."""
    headers, keys = signed_headers(), SigningKeys(limits.SIGNING_KEYS_CACHED_MAX)

    def natively() -> bool:
        claim = signature_claim(headers, b"", limits.PRESIGN_S_MAX)
        assert isinstance(claim, SignatureClaim)
        return claim.is_signed_by(keys, SECRET, "GET", PATH)

    def in_python() -> str | None:
        return reference_sigv4.judge("GET", PATH, b"", headers, SECRET)

    assert natively()
    assert in_python() is None
    compare("verify a signature", natively, in_python, rounds, CALLS)


def listings(rounds: int) -> None:
    """Print what the XML of one page takes."""
    rows = [
        (f"data/d{row // 100:03}/part-{row:05}.parquet", "0" * 32, row, row * 7_000_000, "")
        for row in range(ROWS)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    kinds = (pa.string(), pa.string(), pa.int64(), pa.timestamp("us"), pa.string())
    batch = pa.record_batch(
        [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)],
        ["path", "checksum", "size_bytes", "mtime", "checksum2"],
    )

    def natively() -> bytes:
        return listing_contents(batch, "main/", b"", False)

    def in_python() -> bytes:
        return reference_listing.contents(rows, "main/", "", is_coded=False).encode()

    assert natively() == in_python()
    compare("XML of a page of 1,000 keys", natively, in_python, rounds, 2)


def compare(
    title: str,
    natively: Callable[[], object],
    in_python: Callable[[], object],
    rounds: int,
    calls: int,
) -> None:
    """Print both times and their ratio."""
    ours, theirs = best_us(natively, rounds, calls), best_us(in_python, rounds, calls)
    print(f"{title:32} native {ours:9.1f} us   Python {theirs:9.1f} us   {theirs / ours:5.1f}x")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    signatures(rounds)
    listings(rounds)


if __name__ == "__main__":
    main()
