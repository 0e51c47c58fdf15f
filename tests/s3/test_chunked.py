"""aws-chunked bodies: any split of the stream gives the same, any flipped byte is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind
from anabranch.s3.chunked import ChunkedDecoder, ChunkSigning
from anabranch.s3.errors import Refused
from tests.support.chunks import chunked
from tests.support.reference_sigv4 import signing_key

SCOPE = b"20130524/us-east-1/s3/aws4_request"
SIGNING = ChunkSigning(
    signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SCOPE),
    b"20130524T000000Z",
    SCOPE,
    b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
TRAILER = {"x-amz-checksum-crc32c": "sOO8/Q=="}
CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
FORMS = st.sampled_from([(SIGNING, None), (SIGNING, TRAILER), (None, None), (None, TRAILER)])
Form = tuple[ChunkSigning | None, dict[str, str] | None]


def decode(data: bytes, form: Form, cuts: list[int] | None = None) -> tuple[bytes, dict[str, str]]:
    signing, trailer = form
    decoder = ChunkedDecoder(signing, has_trailer=trailer is not None)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    payload = b"".join(
        bytes(piece)
        for start, end in itertools.pairwise(places)
        for piece in decoder.feed(memoryview(data)[start:end])
    )
    decoder.close()
    assert decoder.size_bytes == len(payload)
    return payload, decoder.trailers


def test_the_published_example_of_aws() -> None:
    signatures = [
        b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    sizes = [65_536, 1_024, 0]
    body = b"".join(
        b"%x;chunk-signature=%s\r\n%s\r\n" % (size, signature, b"a" * size)
        for size, signature in zip(sizes, signatures, strict=True)
    )
    assert len(body) == 66_824
    assert decode(body, (SIGNING, None)) == (b"a" * 66_560, {})


@given(CHUNKS, FORMS, st.lists(st.integers(0, 1000), max_size=8))
def test_any_split_of_the_stream_gives_the_same_payload(
    chunks: list[bytes], form: Form, cuts: list[int]
) -> None:
    body = chunked(chunks, *form)
    assert decode(body, form, cuts) == (b"".join(chunks), form[1] or {})


def test_one_byte_at_a_time_gives_the_same_payload() -> None:
    body = chunked([b"abc", b"d"], SIGNING, TRAILER)
    assert decode(body, (SIGNING, TRAILER), list(range(len(body)))) == (b"abcd", TRAILER)


@given(CHUNKS, FORMS, st.data())
def test_any_flipped_bit_is_refused_or_means_the_same(
    chunks: list[bytes], form: Form, data: st.DataObject
) -> None:
    body = bytearray(chunked(chunks, *form))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        payload, trailers = decode(bytes(body), form)
    except AnabranchError:
        return
    # The case of a digit or of a name may change; without signatures payload and trailer are
    # guarded by the checksum in the trailer, which is not this decoder's.
    if form[0] is not None:
        assert (payload, trailers) == (b"".join(chunks), form[1] or {})
    else:
        assert len(payload) <= len(body)


@given(CHUNKS, FORMS, st.data())
def test_a_cut_or_lengthened_body_is_refused(
    chunks: list[bytes], form: Form, data: st.DataObject
) -> None:
    body = chunked(chunks, *form)
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(AnabranchError) as caught:
        decode(body[:end], form)
    assert caught.value.kind is Kind.TRUNCATED
    with pytest.raises(AnabranchError):
        decode(body + b"x", form)


@given(st.binary(max_size=200), FORMS)
def test_noise_is_refused_in_the_words_of_s3(noise: bytes, form: Form) -> None:
    with pytest.raises(InvalidInput):
        decode(noise, form)


def test_chunks_that_change_places_are_refused() -> None:
    body = chunked([b"first", b"other"], SIGNING)
    size = len(body) - len(chunked([b"other"], SIGNING))
    swapped = body[size : 2 * size] + body[:size] + body[2 * size :]
    assert sorted(swapped) == sorted(body)
    with pytest.raises(Refused) as caught:
        decode(swapped, (SIGNING, None))
    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_chunk_of_the_largest_size_is_taken_and_one_more_byte_is_not() -> None:
    header = b"%x;chunk-signature=" + b"0" * 64 + b"\r\n"
    decoder = ChunkedDecoder(SIGNING, has_trailer=False)
    assert list(decoder.feed(header % limits.CHUNK_BYTES_MAX)) == []
    with pytest.raises(Refused, match="at most"):
        list(ChunkedDecoder(SIGNING, has_trailer=False).feed(header % (limits.CHUNK_BYTES_MAX + 1)))


def test_a_chunk_header_of_the_largest_size_is_taken_and_one_more_byte_is_not() -> None:
    def header(size: int) -> bytes:
        return b"1;" + b"x" * (size - 2) + b"\r\na\r\n0\r\n\r\n"

    size_max = limits.CHUNK_HEADER_BYTES_MAX
    for cuts in ([], [1], [size_max], [size_max - 5, size_max + 1]):
        assert decode(header(size_max), (None, None), cuts)[0] == b"a"
        with pytest.raises(Refused, match="too long"):
            decode(header(size_max + 1), (None, None), cuts)


def test_a_header_without_end_is_refused_before_it_fills_the_memory() -> None:
    decoder = ChunkedDecoder(None, has_trailer=False)
    pieces = itertools.repeat(b"1" + b";" * 1000, 10)
    with pytest.raises(Refused, match="too long"):
        list(itertools.chain.from_iterable(map(decoder.feed, pieces)))


@pytest.mark.parametrize(
    "trailer",
    [
        b"no colon\r\n\r\n",
        b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        b"".join(b"a%d:b\r\n" % one for one in range(limits.TRAILERS_MAX + 1)) + b"\r\n",
    ],
)
def test_malformed_trailers_are_refused(trailer: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode(b"0\r\n" + trailer, (None, TRAILER))
    assert caught.value.code == "MalformedTrailerError"


def test_as_many_trailers_as_allowed_are_taken() -> None:
    many = {f"x-{number}": "v" for number in range(limits.TRAILERS_MAX)}
    assert decode(chunked([], None, many), (None, many)) == (b"", many)


def test_a_trailer_that_was_not_announced_is_refused() -> None:
    with pytest.raises(Refused):
        decode(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", (None, None))


def test_a_trailer_s_value_may_end_in_a_line_feed_of_its_own() -> None:
    # minio-go writes it so.
    body = b"0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n"
    assert decode(body, (None, TRAILER)) == (b"", TRAILER)


def test_a_signed_trailer_without_its_signature_is_refused() -> None:
    body = chunked([b"a"], SIGNING, TRAILER)
    at = body.index(b"x-amz-trailer-signature")
    with pytest.raises(Refused) as caught:
        decode(body[:at] + b"\r\n", (SIGNING, TRAILER))
    assert caught.value.code == "SignatureDoesNotMatch"


def test_the_body_of_an_empty_object_has_86_bytes() -> None:
    # aws-sdk-java 1.11.1026 and 2.35.4
    assert len(chunked([], SIGNING)) == 86
