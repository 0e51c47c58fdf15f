"""If-Match and If-None-Match, as RFC 9110 section 13 and S3 judge them."""

from dataclasses import dataclass

from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Kind, NotModified, PreconditionFailed

ANY = "*"


@dataclass(frozen=True, slots=True)
class Precondition:
    """ETags without quotes, or `("*",)`; None when the header was not sent."""

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None

    def check(self, entry: Entry | None, *, is_read: bool = False) -> None:
        """Raise PreconditionFailed, or NotModified for If-None-Match on a read."""
        if self.if_match is not None and not _matches(self.if_match, entry):
            raise PreconditionFailed(Kind.PRECONDITION, "If-Match does not hold")
        if self.if_none_match is not None and _matches(self.if_none_match, entry):
            if is_read:
                raise NotModified(Kind.NOT_MODIFIED, "the object has not changed")
            raise PreconditionFailed(Kind.PRECONDITION, "If-None-Match does not hold")


def _matches(etags: tuple[str, ...], entry: Entry | None) -> bool:
    return entry is not None and (ANY in etags or entry.checksum in etags)


def parse_etags(text: str) -> tuple[str, ...]:
    """Return the ETags of a header's value, quoted or not, strong or weak."""
    found = []
    for part in text.split(","):
        etag = part.strip()
        if etag.startswith("W/"):
            etag = etag[2:]
        found.append(etag.strip('"'))
    return tuple(found)
