"""The client's side of aws-chunked bodies."""

import hashlib
from collections.abc import Mapping, Sequence

from anabranch.s3.chunked import ChunkSigning


def chunked(
    chunks: Sequence[bytes],
    signing: ChunkSigning | None = None,
    trailers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the body of chunks; the last, empty one is added."""
    previous = signing.seed if signing else b""
    parts = []
    for chunk in [*chunks, b""]:
        extension = b""
        if signing:
            previous = signing.sign_chunk(previous, hashlib.sha256(chunk).hexdigest())
            extension = b";chunk-signature=" + previous
        parts.append(b"%x%s\r\n" % (len(chunk), extension))
        parts.append(chunk + b"\r\n" if chunk else b"")
    lines = [f"{name}:{value}".encode() for name, value in (trailers or {}).items()]
    if signing and trailers is not None:
        signature = signing.sign_trailer(previous, b"".join(line + b"\n" for line in lines))
        lines.append(b"x-amz-trailer-signature:" + signature)
    return b"".join([*parts, *(line + b"\r\n" for line in lines), b"\r\n"])
