"""Hashes of bytes that come in any pieces."""

import hashlib

import pytest

from anabranch.kernel.digests import feed


@pytest.mark.parametrize("kind", [bytes, memoryview, bytearray])
@pytest.mark.parametrize("size_bytes", [0, 1, 2_047, 2_048, 4_095, 8_192, 8_193, 100_000])
def test_a_hash_does_not_depend_on_pieces(kind: type, size_bytes: int) -> None:
    data = bytes(range(251)) * (size_bytes // 251 + 1)
    data = data[:size_bytes]
    digest = hashlib.md5(b"before", usedforsecurity=False)
    feed(digest, kind(data))
    assert digest.digest() == hashlib.md5(b"before" + data).digest()
