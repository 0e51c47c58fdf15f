"""Entries and commits: their bytes and what makes them the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.commits import (
    Commit,
    commit_id_of,
    decode_commit,
    encode_commit,
    new_commit,
    parse_commit_metadata,
    parse_message,
)
from anabranch.kernel.entries import (
    Entry,
    decode_entry,
    decode_metadata,
    encode_entry,
    encode_metadata,
    encode_tombstone,
    parse_metadata,
)
from anabranch.kernel.errors import Corrupted, InvalidInput, NotModified, PreconditionFailed
from anabranch.kernel.ids import Address, MetarangeId
from anabranch.kernel.preconditions import Precondition, parse_etags

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
METADATA = st.dictionaries(TEXT, TEXT, max_size=3).map(parse_metadata)
ENTRIES = st.builds(
    Entry,
    TEXT.map(Address),
    TEXT,
    st.integers(0, 2**62),
    st.integers(-(2**50), 2**62),
    TEXT,
    METADATA,
    TEXT,
)
PLAIN = Entry(Address("a" * 32), "d41d8cd98f00b204e9800998ecf8427e", 0, 1)


@given(ENTRIES)
def test_an_entry_comes_back_from_its_bytes(entry: Entry) -> None:
    found = decode_entry(encode_entry(entry))
    assert found == entry
    assert found is not None
    assert found.identity == entry.identity


@given(ENTRIES, st.data())
def test_damaged_bytes_are_refused(entry: Entry, data: st.DataObject) -> None:
    encoded = encode_entry(entry)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(Corrupted):
        decode_entry(encoded[:cut] if cut else b"\x07")


def test_a_tombstone_is_no_entry() -> None:
    assert decode_entry(encode_tombstone()) is None


def test_identity_is_of_content_not_of_place_and_time() -> None:
    assert PLAIN.is_same_as(replace(PLAIN, address=Address("b" * 32), mtime_us=2))
    assert not PLAIN.is_same_as(replace(PLAIN, size_bytes=1, identity=b""))
    assert not PLAIN.is_same_as(replace(PLAIN, checksum="x", identity=b""))
    assert not PLAIN.is_same_as(replace(PLAIN, content_type="x", identity=b""))
    assert not PLAIN.is_same_as(replace(PLAIN, metadata=(("k", "v"),), identity=b""))


def test_second_checksums_count_when_both_have_one_of_a_kind() -> None:
    one = replace(PLAIN, checksum2="sha256:AAAA")
    assert one.is_same_as(PLAIN)
    assert PLAIN.is_same_as(one)
    assert one.is_same_as(replace(PLAIN, checksum2="crc32:BBBB"))
    assert not one.is_same_as(replace(PLAIN, checksum2="sha256:BBBB"))


@given(METADATA)
def test_metadata_comes_back_from_its_text(metadata: tuple[tuple[str, str], ...]) -> None:
    assert decode_metadata(encode_metadata(metadata)) == metadata


def test_metadata_has_a_limit() -> None:
    assert parse_metadata({"k": "v" * (limits.USER_METADATA_BYTES_MAX - 1)})
    with pytest.raises(InvalidInput):
        parse_metadata({"k": "v" * limits.USER_METADATA_BYTES_MAX})
    with pytest.raises(InvalidInput):
        parse_metadata({"k": "\ud800"})


def _commit(parents: list[Commit]) -> Commit:
    return new_commit(
        metarange=MetarangeId("ab" * 32),
        parents=parents,
        committer="docker",
        message="été\n",
        metadata=(("a", "1"), ("b", "")),
        created_us=1_663_316_414_000_000,
    )


def test_a_commit_comes_back_from_its_bytes_and_counts_generations() -> None:
    root = _commit([])
    child = _commit([root])
    merge = _commit([root, child])
    assert [one.generation for one in (root, child, merge)] == [1, 2, 3]
    for commit in (root, child, merge):
        data = encode_commit(commit)
        assert commit_id_of(data) == commit.id
        assert decode_commit(commit.id, data) == commit


def test_a_damaged_commit_is_refused() -> None:
    commit = _commit([])
    data = bytearray(encode_commit(commit))
    data[20] ^= 1
    with pytest.raises(Corrupted):
        decode_commit(commit.id, bytes(data))


def test_messages_and_commit_metadata_have_limits() -> None:
    assert parse_message("m" * limits.MESSAGE_BYTES_MAX)
    with pytest.raises(InvalidInput):
        parse_message("m" * (limits.MESSAGE_BYTES_MAX + 1))
    pairs = {str(number): "" for number in range(limits.METADATA_PAIRS_MAX)}
    assert len(parse_commit_metadata(pairs)) == limits.METADATA_PAIRS_MAX
    with pytest.raises(InvalidInput):
        parse_commit_metadata({**pairs, "more": ""})
    with pytest.raises(InvalidInput):
        parse_commit_metadata({"k": "v" * limits.METADATA_BYTES_MAX})


def test_preconditions_judge_etags() -> None:
    etag = PLAIN.checksum
    Precondition(if_match=(etag,)).check(PLAIN)
    Precondition(if_match=("*",)).check(PLAIN)
    Precondition(if_none_match=("*",)).check(None)
    Precondition(if_none_match=("other",)).check(PLAIN)
    with pytest.raises(PreconditionFailed):
        Precondition(if_match=("other",)).check(PLAIN)
    with pytest.raises(PreconditionFailed):
        Precondition(if_match=("*",)).check(None)
    with pytest.raises(PreconditionFailed):
        Precondition(if_none_match=("*",)).check(PLAIN)
    with pytest.raises(NotModified):
        Precondition(if_none_match=(etag,)).check(PLAIN, is_read=True)
    assert parse_etags('"a", W/"b",c') == ("a", "b", "c")
