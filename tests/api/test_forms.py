"""Forms are found and cut right however their bytes arrive."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.api.forms import boundary_of, open_part
from anabranch.kernel.errors import InvalidInput

BOUNDARY = b"xyz"


def form(*parts: tuple[bytes, bytes], preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    """Return the body of a form with named parts."""
    pieces = [preamble]
    for name, data in parts:
        disposition = b'Content-Disposition: form-data; name="%s"' % name
        pieces += [b"--xyz\r\n", disposition, b"\r\nContent-Type: text/csv\r\n\r\n", data, b"\r\n"]
    return b"".join([*pieces, b"--xyz--\r\n", epilogue])


async def read(chunks: list[bytes]) -> tuple[str, bytes]:
    """Return content type and bytes of the part `content`."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    part = await open_part(stream(), BOUNDARY, "content")
    return part.content_type, b"".join([data async for data in part.data])


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    """Return a body in pieces of given sizes, the last one with what is left."""
    chunks = []
    for size in sizes:
        chunks.append(body[:size])
        body = body[size:]
    return [*chunks, body]


@given(
    st.binary(max_size=200),
    st.lists(st.integers(0, 40), max_size=30),
    st.binary(max_size=20).filter(lambda data: b"--" not in data),
)
@example(b"\r\n--xy\r\n--", [1] * 30, b"")
@example(b"\r\n\r\n", [], b"")
def test_a_part_is_read_whole_in_any_pieces(data: bytes, sizes: list[int], more: bytes) -> None:
    if b"\r\n--xyz" in b"\r\n" + data:
        return
    body = form((b"other", more), (b"content", data), (b"last", more), epilogue=more)
    assert asyncio.run(read(cut(body, sizes))) == ("text/csv", data)


@given(st.integers(0, 90))
def test_a_form_cut_short_is_an_error(missing: int) -> None:
    body = form((b"content", b"some data"))
    cut_short = body[: len(body) - 4 - missing - len(b"--xyz")]
    with pytest.raises(InvalidInput):
        asyncio.run(read([cut_short]))


def test_a_form_without_the_part_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="content"):
        asyncio.run(read([form((b"other", b"data"))]))
    with pytest.raises(InvalidInput, match="content"):
        asyncio.run(read([form(*[(b"other", b"")] * 100, (b"content", b"data"))]))
    with pytest.raises(InvalidInput, match="headers"):
        asyncio.run(read([form((b"x" * 40_000, b"data"))]))


def test_a_preamble_is_skipped() -> None:
    body = form((b"content", b"data"), preamble=b"This is a form.\r\n")
    assert asyncio.run(read([body])) == ("text/csv", b"data")


@pytest.mark.parametrize(
    "content_type, expected",
    [
        (None, None),
        ("", None),
        ("text/plain; boundary=xyz", None),
        ("multipart/form-data; boundary=xyz", b"xyz"),
        ('Multipart/Form-Data; charset=utf-8; boundary="x y"', b"x y"),
    ],
)
def test_boundaries(content_type: str | None, expected: bytes | None) -> None:
    assert boundary_of(content_type) == expected


@pytest.mark.parametrize("boundary", ["", "x" * 71, "é"])
def test_bad_boundaries(boundary: str) -> None:
    with pytest.raises(InvalidInput, match="boundary"):
        boundary_of(f"multipart/form-data; boundary={boundary}")
    assert boundary_of(f"multipart/form-data; boundary={'x' * 70}") == b"x" * 70
