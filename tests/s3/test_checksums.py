"""Checksums: the native CRCs against their definition, and the texts around them."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.native import wire
from anabranch.s3 import checksums
from anabranch.s3.checksums import Checksum
from anabranch.s3.errors import Refused
from tests.support import reference_wire

CRCS = st.sampled_from(checksums.CRCS)


@given(CRCS, st.binary(max_size=600), st.integers(0, 600))
def test_crcs_agree_with_the_reference_in_one_go_and_in_pieces(
    name: str, data: bytes, cut: int
) -> None:
    expected = reference_wire.crc(name, data)
    first, second = data[:cut], data[cut:]
    assert wire.crc_update(name, 0, data) == expected
    carried = wire.crc_update(name, wire.crc_update(name, 0, first), memoryview(second))
    assert carried == expected
    joined = wire.crc_combine(
        name, wire.crc_update(name, 0, first), wire.crc_update(name, 0, second), len(second)
    )
    assert joined == expected


@pytest.mark.parametrize(
    "name, value",
    [("crc32", 0xCBF43926), ("crc32c", 0xE3069283), ("crc64nvme", 0xAE8B14860A799888)],
)
def test_crcs_have_the_catalogue_s_check_values(name: str, value: int) -> None:
    assert wire.crc_update(name, 0, b"123456789") == value
    assert reference_wire.crc(name, b"123456789") == value


def test_large_buffers_are_counted_like_small_ones() -> None:
    data = bytes(range(256)) * 4096
    assert wire.crc_update("crc32", 0, memoryview(data)) == zlib.crc32(data)


def test_an_unknown_crc_is_refused() -> None:
    with pytest.raises(ValueError, match="no such CRC"):
        wire.crc_update("crc8", 0, b"")


@pytest.mark.parametrize("name", sorted(checksums.SIZES))
def test_stored_text_comes_back(name: str) -> None:
    hasher = checksums.new_hasher(name)
    hasher.update(b"abc")
    one = Checksum(name, hasher.digest())
    assert checksums.parse_stored(one.stored()) == one
    assert checksums.parse_value(name, one.text()) == one
    many = checksums.composite(name, [one, one])
    assert many.type == "COMPOSITE"
    assert many.text().endswith("-2")
    assert checksums.parse_stored(many.stored()) == many


def test_sums_of_the_hash_algorithms_are_hashlib_s() -> None:
    for name in ("sha1", "sha256"):
        hasher = checksums.new_hasher(name)
        hasher.update(memoryview(b"abc"))
        assert hasher.digest() == hashlib.new(name, b"abc").digest()


def test_an_entry_without_a_checksum_of_s3_has_none() -> None:
    assert checksums.parse_stored("") is None
    assert checksums.parse_stored("blake3:AAAA") is None


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "AAAAAA=", "AAAAAAAA"])
def test_values_that_can_not_be_a_checksum_are_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        checksums.parse_value("crc32", text)
    assert caught.value.code == "InvalidRequest"


def test_two_checksum_headers_are_refused() -> None:
    headers = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}
    with pytest.raises(Refused):
        checksums.parse_headers(headers.get)


@pytest.mark.parametrize("text", ["x-amz-checksum-md5", "x-amz-meta-a", ""])
def test_trailers_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        checksums.parse_trailer(text)


@pytest.mark.parametrize("text", ["", "abc", base64.b64encode(b"15 bytes of md5").decode()])
def test_a_content_md5_of_another_length_is_an_invalid_digest(text: str) -> None:
    with pytest.raises(Refused) as caught:
        checksums.parse_md5(text)
    assert caught.value.code == "InvalidDigest"


@given(CRCS, st.lists(st.binary(max_size=50), min_size=1, max_size=6))
def test_the_full_object_crc_of_parts_is_that_of_the_joined_bytes(
    name: str, parts: list[bytes]
) -> None:
    values = [
        (Checksum(name, reference_wire.crc(name, part).to_bytes(checksums.SIZES[name])), len(part))
        for part in parts
    ]
    whole = int.from_bytes(checksums.full_object(name, values).value)
    assert whole == reference_wire.crc(name, b"".join(parts))
