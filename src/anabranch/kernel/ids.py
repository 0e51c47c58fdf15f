"""Typed ids and their grammars. Text becomes one of these types once, at the edge."""

import functools
import re
from typing import NewType

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

RepositoryId = NewType("RepositoryId", str)
"""Name of a repository as users write it."""
IncarnationId = NewType("IncarnationId", str)
"""32 hex digits given to a repository at creation: a name created again is another repository."""
BranchId = NewType("BranchId", str)
TagId = NewType("TagId", str)
CommitId = NewType("CommitId", str)
"""64 hex digits: BLAKE3-256 of the commit's canonical bytes."""
RangeId = NewType("RangeId", str)
"""64 hex digits: BLAKE3-256 of the range's logical columns."""
MetarangeId = NewType("MetarangeId", str)
"""64 hex digits; the empty string is the metarange of no entries."""
Token = NewType("Token", str)
"""32 hex digits: names one generation of a branch's staging rows."""
UploadId = NewType("UploadId", str)
"""32 hex digits."""
Ref = NewType("Ref", str)
"""Text of a ref expression, not yet resolved."""
Path = NewType("Path", str)
"""Name of an object inside a repository: UTF-8, 1 to 1,024 bytes, no NUL."""
Namespace = NewType("Namespace", str)
"""Storage namespace, without a trailing slash: `s3://bucket[/prefix]` or `local://...`."""
Address = NewType("Address", str)
"""Physical address: a full URI, or 32 hex digits relative to the repository's namespace."""

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]*")
_REF_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_HEX = re.compile(r"[0-9a-f]+")
_NAMESPACE = re.compile(r"(s3|local)://[A-Za-z0-9][A-Za-z0-9._-]*(/[^\x00-\x1f\x7f]*)?")


@functools.lru_cache(limits.REFS_PARSED_MAX)
def parse_repository_id(text: str) -> RepositoryId:
    """Return the name of a repository: lower-case letters, digits and `-`, 3 to 63 characters."""
    if not (
        limits.REPOSITORY_NAME_LENGTH_MIN <= len(text) <= limits.REPOSITORY_NAME_LENGTH_MAX
        and _REPOSITORY.fullmatch(text)
    ):
        raise InvalidInput(
            Kind.REPOSITORY_NAME,
            f"not a repository name: {text!r} (3 to 63 of a-z, 0-9 and -, not beginning with -)",
        )
    return RepositoryId(text)


def _is_ref_name(text: str, length_max: int) -> bool:
    if len(text) > length_max or not _REF_NAME.fullmatch(text):
        return False
    return not ("//" in text or ".." in text or text.endswith(("/", ".", ".lock")))


def parse_branch_id(text: str) -> BranchId:
    """Return the name of a branch.

    Letters, digits and `_ - . /`, beginning with a letter, digit or `_`; as in git no `..`, `//`,
    and no end in `/`, `.` or `.lock`.
    """
    if not _is_ref_name(text, limits.BRANCH_NAME_LENGTH_MAX):
        raise InvalidInput(Kind.BRANCH_NAME, f"not a branch name: {text!r}")
    return BranchId(text)


def parse_tag_id(text: str) -> TagId:
    """Return the name of a tag; the grammar is a branch's."""
    if not _is_ref_name(text, limits.TAG_NAME_LENGTH_MAX):
        raise InvalidInput(Kind.TAG_NAME, f"not a tag name: {text!r}")
    return TagId(text)


def is_hex(text: str, digits: int) -> bool:
    """Tell whether `text` is exactly so many lower-case hex digits."""
    return len(text) == digits and _HEX.fullmatch(text) is not None


def is_commit_prefix(text: str) -> bool:
    """Tell whether `text` could be a commit id or a prefix of one."""
    return limits.COMMIT_PREFIX_LENGTH_MIN <= len(text) <= 64 and _HEX.fullmatch(text) is not None


def parse_commit_id(text: str) -> CommitId:
    """Return a full commit id."""
    if not is_hex(text, 64):
        raise InvalidInput(Kind.COMMIT_ID, f"not a commit id: {text!r}")
    return CommitId(text)


def parse_path(text: str) -> Path:
    """Return the path of an object, kept exactly as sent.

    `..`, `//`, leading and trailing `/` are ordinary characters of a name.
    """
    if not text or "\x00" in text:
        raise InvalidInput(Kind.PATH, "a path is 1 to 1024 bytes of UTF-8 without NUL")
    try:
        size_bytes = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidInput(Kind.PATH, "a path must be valid UTF-8") from None
    if size_bytes > limits.PATH_BYTES_MAX:
        raise InvalidInput(
            Kind.PATH_LENGTH, f"a path is at most {limits.PATH_BYTES_MAX} bytes, not {size_bytes}"
        )
    return Path(text)


def parse_namespace(text: str) -> Namespace:
    """Return a storage namespace: `s3://...` or `local://...`, without trailing slashes."""
    stripped = text.rstrip("/")
    if (
        len(text) > limits.NAMESPACE_LENGTH_MAX
        or not _NAMESPACE.fullmatch(stripped)
        or any(
            part in ("", ".", "..", "_lakefs") for part in stripped.split("://", 1)[1].split("/")
        )
    ):
        raise InvalidInput(
            Kind.NAMESPACE, f"not a storage namespace: {text!r} (s3://bucket/prefix or local://...)"
        )
    return Namespace(stripped)
