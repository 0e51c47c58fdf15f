"""What a request leaves behind in a store that can lose an answer, and how it is read again.

Each request writes `outcome/<id>` in its own transaction, on condition that it is absent. After a
lost answer the writer puts "given up" there on the same condition. When that is accepted, the lost
transaction can no longer commit; when it is refused, what stands there is the answer. The rows are
of no use after OUTCOME_GRACE_S and are deleted by `expired_outcomes`.

A row is one byte for the state and eight for its time: microseconds since 1970, big-endian.
"""

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Request,
    Scan,
    Write,
    delete,
    is_absent,
    is_version,
    key_after_prefix,
    put,
)
from anabranch.storage.kv.judging import OUTCOME_PREFIX

_APPLIED = b"A"
_GIVEN_UP = b"G"
_ROW_BYTES = 9


def outcome_key(request_id: str) -> bytes:
    """Return the key under which a request's outcome stands."""
    return OUTCOME_PREFIX + request_id.encode()


def with_outcome(request: Request, request_id: str, now_us: int) -> Request:
    """Return the request that also writes that it was applied, once."""
    key = outcome_key(request_id)
    conditions: tuple[Condition, ...] = (*request.conditions, is_absent(key))
    writes: tuple[Write, ...] = (*request.writes, put(key, _row(_APPLIED, now_us)))
    return Request(conditions, writes)


def giving_up(request_id: str, now_us: int) -> Request:
    """Return the request that forbids the one with this id to be applied any more."""
    key = outcome_key(request_id)
    return Request((is_absent(key),), (put(key, _row(_GIVEN_UP, now_us)),))


def was_applied(value: bytes) -> bool:
    """Tell whether an outcome row says applied, and not given up."""
    if len(value) != _ROW_BYTES or value[:1] not in (_APPLIED, _GIVEN_UP):
        raise Corrupted(Kind.RECORD_FORMAT, "an outcome row is not what was written")
    return value[:1] == _APPLIED


def expired_outcomes(kv: KVStore, *, after: bytes = b"") -> tuple[list[Request], bytes | None]:
    """Return the deletions of one portion of old rows, and the `after` of the next portion."""
    start = after + b"\x00" if after else OUTCOME_PREFIX
    scan = Scan(start, key_after_prefix(OUTCOME_PREFIX), limits.PAGE_MAX)
    rows = kv.read((), (scan,)).scans[0]
    oldest_us = kv.now_us() - limits.OUTCOME_GRACE_S * 1_000_000
    requests = [
        Request((is_version(row.key, row.version),), (delete(row.key),))
        for row in rows
        if int.from_bytes(row.value[1:], "big") < oldest_us
    ]
    return requests, rows[-1].key if len(rows) == limits.PAGE_MAX else None


def _row(state: bytes, now_us: int) -> bytes:
    return state + now_us.to_bytes(8, "big")
