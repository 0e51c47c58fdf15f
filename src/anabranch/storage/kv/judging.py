"""How a batch of requests is judged: the one spelling of the rule for every adapter.

An adapter reads the versions of all condition keys under its write lock, lets `judge` decide, and
writes the changes that come out. Requests are judged in order, and each sees the writes of the
accepted ones before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, LimitExceeded
from anabranch.storage.kv.base import Condition, Request, Scan, Verdict, Versioned

OUTCOME_PREFIX = b"outcome/"
"""Keys of the writer's own, one a request in stores that can lose an answer; see `outcomes`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a batch does: `changes` holds the last state of each written key, None when deleted."""

    verdicts: list[Verdict]
    changes: dict[bytes, Versioned | None]
    sequence: int


def condition_keys(requests: Sequence[Request]) -> list[bytes]:
    """Return each key that a condition of the batch names, once, in key order."""
    return sorted({condition.key for request in requests for condition in request.conditions})


def judge(requests: Sequence[Request], versions: Mapping[bytes, int], sequence: int) -> Judgement:
    """Judge requests in order; `versions` has every present condition key.

    `sequence` is the last version given to anything in the store's life; each accepted request
    that writes takes the next.
    """
    changes: dict[bytes, Versioned | None] = {}
    verdicts: list[Verdict] = []
    for request in requests:
        failed = _first_failed(request.conditions, versions, changes)
        if failed is not None:
            verdicts.append(Verdict(False, failed=failed))
            continue
        if not request.writes:
            verdicts.append(Verdict(True))
            continue
        sequence += 1
        for key, value in request.writes:
            changes[key] = None if value is None else Versioned(value, sequence)
        verdicts.append(Verdict(True, sequence))
    return Judgement(verdicts, changes, sequence)


def _first_failed(
    conditions: Sequence[Condition],
    versions: Mapping[bytes, int],
    changes: Mapping[bytes, Versioned | None],
) -> Condition | None:
    for condition in conditions:
        key = condition.key
        if key in changes:
            changed = changes[key]
            version = 0 if changed is None else changed.version
        else:
            version = versions.get(key, 0)
        if version != condition.version:
            return condition
    return None


def check_requests(requests: Sequence[Request]) -> None:
    """Raise LimitExceeded when a request writes too much, or too large a key or value."""
    for request in requests:
        writes = request.writes
        if len(writes) > limits.KV_WRITES_MAX:
            own = sum(not write.key.startswith(OUTCOME_PREFIX) for write in writes)
            if own > limits.KV_WRITES_MAX:
                raise LimitExceeded(
                    Kind.TOO_MANY,
                    f"{own} writes in one transaction; at most {limits.KV_WRITES_MAX}",
                )
        for key, value in writes:
            if len(key) > limits.KV_KEY_BYTES_MAX:
                raise LimitExceeded(
                    Kind.TOO_LARGE,
                    f"a key of {len(key)} bytes; at most {limits.KV_KEY_BYTES_MAX}",
                )
            if value is not None and len(value) > limits.KV_VALUE_BYTES_MAX:
                raise LimitExceeded(
                    Kind.TOO_LARGE,
                    f"a value of {len(value)} bytes; at most {limits.KV_VALUE_BYTES_MAX}",
                )


def check_scans(scans: Sequence[Scan]) -> None:
    """Raise LimitExceeded when a scan asks for more rows than one answer may hold."""
    for scan in scans:
        if scan.limit > limits.SCAN_ROWS_MAX:
            raise LimitExceeded(
                Kind.TOO_MANY, f"a scan of {scan.limit} rows; at most {limits.SCAN_ROWS_MAX}"
            )
