"""KV values of the lake to bytes and back. Each starts with its format version.

docs/formats/records.md lists the fields in their order.
"""

from threading import Lock
from typing import Any, TypeVar

import msgspec

from anabranch.kernel.commits import Commit, decode_commit, encode_commit
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import (
    BranchId,
    CommitId,
    IncarnationId,
    MetarangeId,
    Namespace,
    RepositoryId,
    Token,
)
from anabranch.lake.values import BranchRecord, Repository, Sealed

T = TypeVar("T")

_VERSION = 1
_VERSION_BYTES = bytes([_VERSION])
_EXPIRED = 1


class _RepositoryRow(msgspec.Struct, array_like=True):
    incarnation: str
    namespace: str
    default_branch: str
    created_us: int
    is_read_only: bool


class _BranchRow(msgspec.Struct, array_like=True):
    head: str
    metarange: str
    token: str
    sealed: list[tuple[str, int]]
    is_hidden: bool


_encoder = msgspec.msgpack.Encoder()


def encode_record(value: Any) -> bytes:
    """Return a record's bytes: the format version, then MessagePack."""
    return _VERSION_BYTES + _encoder.encode(value)


_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_building = Lock()


def _decoder_of(form: type[T]) -> msgspec.msgpack.Decoder[T]:
    """Return the decoder of a form. msgspec dies when two threads look into a type at once."""
    found = _decoders.get(form)
    if found is None:
        with _building:
            found = _decoders.get(form)
            if found is None:
                found = _decoders[form] = msgspec.msgpack.Decoder(form)
    return found


def decode_record(data: bytes, form: type[T]) -> T:
    """Return a record of type `form`; raise Corrupted when the bytes are not one."""
    if not data or data[0] != _VERSION:
        raise Corrupted(Kind.RECORD_FORMAT, "record has an unknown format version")
    try:
        return _decoder_of(form).decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise Corrupted(Kind.RECORD_FORMAT, f"record does not decode: {error}") from error


def encode_repository(value: Repository) -> bytes:
    """Return the record of a repository."""
    return encode_record(
        _RepositoryRow(
            value.incarnation,
            value.namespace,
            value.default_branch,
            value.created_us,
            value.is_read_only,
        )
    )


def decode_repository(repository_id: RepositoryId, data: bytes, version: int) -> Repository:
    """Return a repository of its record."""
    row = decode_record(data, _RepositoryRow)
    return Repository(
        repository_id,
        IncarnationId(row.incarnation),
        Namespace(row.namespace),
        BranchId(row.default_branch),
        row.created_us,
        row.is_read_only,
        version,
    )


def encode_branch(value: BranchRecord) -> bytes:
    """Return the record of a branch."""
    return encode_record(
        _BranchRow(
            value.head,
            value.metarange,
            value.token,
            [(one.token, one.rows) for one in value.sealed],
            value.is_hidden,
        )
    )


def decode_branch(data: bytes) -> BranchRecord:
    """Return a branch of its record."""
    row = decode_record(data, _BranchRow)
    return BranchRecord(
        CommitId(row.head),
        MetarangeId(row.metarange),
        Token(row.token),
        tuple(Sealed(Token(token), rows) for token, rows in row.sealed),
        row.is_hidden,
    )


def encode_commit_record(value: Commit, *, is_expired: bool = False) -> bytes:
    """Return the record of a commit: flags, then its canonical bytes."""
    return bytes([_VERSION, _EXPIRED if is_expired else 0]) + encode_commit(value)


def decode_commit_record(commit_id: CommitId, data: bytes) -> tuple[Commit, bool]:
    """Return a commit and whether its data is expired."""
    if len(data) < 2 or data[0] != _VERSION:
        raise Corrupted(Kind.RECORD_FORMAT, f"commit {commit_id} has an unknown record format")
    return decode_commit(commit_id, data[2:]), bool(data[1] & _EXPIRED)
