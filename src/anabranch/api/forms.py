"""Streaming reader of multipart/form-data: finds one part and yields its bytes as they come."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

_BOUNDARY_LENGTH_MAX = 70  # RFC 2046
_PARTS_MAX = 64  # parts before the wanted one: a form has a handful


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a form: its content type (empty when not given) and its bytes.

    Reading `data` to its end also reads the rest of the request.
    """

    content_type: str
    data: AsyncIterator[bytes]


def boundary_of(content_type: str | None) -> bytes | None:
    """Return the boundary of a form's content type; None when it is no form."""
    if content_type is None or _kind_of(content_type) != "multipart/form-data":
        return None
    _, parameters = _parse_header(content_type)
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= _BOUNDARY_LENGTH_MAX or not boundary.isascii():
        raise InvalidInput(Kind.BODY, "the multipart body has no valid boundary")
    return boundary.encode()


async def open_part(chunks: AsyncIterator[bytes], boundary: bytes, name: str) -> FormPart:
    """Return the first part called `name`; raise InvalidInput when the form has none."""
    reader = _Reader(chunks)
    # The first delimiter may stand at the very beginning, without its line break.
    reader.push(b"\r\n")
    delimiter = b"\r\n--" + boundary
    async for _ in reader.until(delimiter):
        pass
    for _ in range(_PARTS_MAX):
        if await reader.take(2) == b"--":
            break
        headers = await _read_headers(reader)
        kind, parameters = _parse_header(headers.get("content-disposition", ""))
        if kind == "form-data" and parameters.get("name") == name:
            return FormPart(headers.get("content-type", ""), _to_end(reader, delimiter))
        async for _ in reader.until(delimiter):
            pass
    raise InvalidInput(Kind.BODY, f"the multipart body has no part named {name!r}")


async def _to_end(reader: "_Reader", delimiter: bytes) -> AsyncIterator[bytes]:
    async for data in reader.until(delimiter):
        yield data
    await reader.drop_rest()


async def _read_headers(reader: "_Reader") -> dict[str, str]:
    found: dict[str, str] = {}
    # What follows a delimiter is "\r\n"; `take` has read it, and the headers end at an empty line.
    reader.push(b"\r\n")
    size_bytes = 0
    block = bytearray()
    async for data in reader.until(b"\r\n\r\n"):
        size_bytes += len(data)
        if size_bytes > limits.HEADER_BYTES_MAX:
            raise InvalidInput(Kind.BODY, "the headers of a part are too long")
        block += data
    for line in block.split(b"\r\n"):
        header, separator, value = line.partition(b":")
        if separator:
            found[header.strip().lower().decode("latin-1")] = value.strip().decode(
                "utf-8", "replace"
            )
    return found


class _Reader:
    """Cuts a stream at markers, holding little more than one chunk."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""

    def push(self, data: bytes) -> None:
        """Put bytes in front of what comes."""
        self._buffer = data + self._buffer

    async def take(self, count: int) -> bytes:
        """Return exactly so many bytes."""
        while len(self._buffer) < count:
            await self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    async def until(self, marker: bytes) -> AsyncIterator[bytes]:
        """Yield what comes before a marker, and skip the marker."""
        while True:
            at = self._buffer.find(marker)
            if at >= 0:
                data, self._buffer = self._buffer[:at], self._buffer[at + len(marker) :]
                if data:
                    yield data
                return
            # The marker may begin in what is here and end in what comes.
            kept = min(len(marker) - 1, len(self._buffer))
            data = self._buffer[: len(self._buffer) - kept]
            self._buffer = self._buffer[len(self._buffer) - kept :]
            if data:
                yield data
            await self._more()

    async def drop_rest(self) -> None:
        """Read the stream to its end, so that a body cut short is seen."""
        self._buffer = b""
        async for _ in self._chunks:
            pass

    async def _more(self) -> None:
        data = await anext(self._chunks, None)
        if data is None:
            raise InvalidInput(Kind.TRUNCATED, "the multipart body ends before its last boundary")
        self._buffer += data


def _kind_of(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _parse_header(text: str) -> tuple[str, dict[str, str]]:
    """Return the value of a header and its parameters, both without quotes."""
    message = Message()
    message["content-type"] = text.replace("\r", " ").replace("\n", " ")
    parameters = message.get_params(failobj=[], unquote=True)
    if not parameters:
        return "", {}
    return _kind_of(text), {name.lower(): str(value) for name, value in parameters[1:]}
