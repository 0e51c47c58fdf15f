"""Physical addresses given out for linking, and which keys of the raw store are a repository's.

A reference to bytes that exist is made only from a live entry, or from an address issued here:
bound to a path, usable once, and only until it expires (docs/protocol.md 3.5).
"""

from collections.abc import Callable

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.entries import Entry, Metadata
from anabranch.kernel.errors import Conflict, Forbidden, InvalidInput, Kind, NotFound
from anabranch.kernel.ids import Address, IncarnationId, Namespace, Path, RepositoryId, is_hex
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import keyspace, records
from anabranch.lake.bodies import Bodies, Existing
from anabranch.lake.objects import Objects
from anabranch.lake.repositories import DUMMY, namespaces_above
from anabranch.lake.values import Stat, Target, relative_address
from anabranch.storage.blocks.base import Block, BlockStore
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Scan,
    Versioned,
    Writer,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    key_after_prefix,
    put,
)

_ADDRESS_DIGITS = 32
_COMMITTED = "_lakefs/"
_SWEEP_PORTION = 1_000


class _IssuedRow(msgspec.Struct, array_like=True):
    branch: str
    path: str
    expires_us: int
    is_used: bool


class Addresses:
    """Issue, guard and link physical addresses."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        blocks: BlockStore,
        bodies: Bodies,
        objects: Objects,
        clock: Clock,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._blocks = blocks
        self._bodies = bodies
        self._objects = objects
        self._clock = clock

    def making_issue(self, target: Target, path: Path) -> Callable[[], Prepared[str]]:
        """Return the step that issues an address."""
        repository = target.repository
        address = self._bodies.fresh_address(repository)
        expires_us = self._now_us() + limits.ISSUED_ADDRESS_S * 1_000_000
        record = records.encode_record(_IssuedRow(target.branch, path, expires_us, False))

        def make() -> Prepared[str]:
            row = self._kv.read([keyspace.repository(repository.id)]).values[0]
            if row is None or _incarnation(repository.id, row) != repository.incarnation:
                raise NotFound(
                    Kind.REPOSITORY_NOT_FOUND, f"repository {repository.id!r} was replaced"
                )
            is_there = is_version(keyspace.repository(repository.id), row.version)
            key = keyspace.issued_address(
                repository.incarnation, relative_address(repository.namespace, address)
            )
            return Prepared([is_there, is_absent(key)], [put(key, record)], lambda _v: address)

        return make

    def making_link(
        self,
        target: Target,
        path: Path,
        address: str,
        *,
        checksum: str,
        size_bytes: int,
        content_type: str,
        metadata: Metadata = (),
        precondition: Precondition | None = None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that puts the bytes at an issued address under its path.

        Raises NotFound(ADDRESS_NOT_FOUND) for an address never issued for this path or expired,
        Conflict(ADDRESS_USED), NotFound(BLOCK_NOT_FOUND) when nothing was written there, and
        InvalidInput when its size or ETag is not the one given.
        """
        inner: Callable[[], Prepared[Stat]] | None = None
        relative = relative_address(target.repository.namespace, address)
        key = keyspace.issued_address(target.repository.incarnation, relative)

        def make() -> Prepared[Stat]:
            nonlocal inner
            row = self._kv.read([key]).values[0]
            issued, condition = self._usable(target, path, address, row, key)
            block = self._blocks.get(address)
            _refuse_other_bytes(block, checksum, size_bytes)
            if inner is None:
                inner = self._objects.making_put(
                    target,
                    path,
                    Existing(self._blocks, block),
                    content_type=content_type,
                    metadata=metadata,
                    precondition=precondition,
                )
            linked = inner()
            used = _IssuedRow(issued.branch, issued.path, issued.expires_us, True)
            is_that = self._blocks.removal(block)[0]
            return Prepared(
                [condition, *is_that, *linked.conditions],
                [put(key, records.encode_record(used)), *linked.writes],
                linked.accepted,
                linked.windows,
            )

        return make

    def raw_conditions(self, address: str) -> list[Condition]:
        """Return the conditions under which the raw store may write or delete an address.

        Keys of a live repository's data are refused (Forbidden, PROTECTED_BLOCK), except one PUT
        to an issued, unexpired address that holds nothing yet. Other keys are free, as long as no
        repository claims their namespace meanwhile.
        """
        rest = address.partition("://")[2]
        namespace = Namespace(f"s3://{rest}")
        above = namespaces_above(namespace)
        bucket = keyspace.namespace_bucket(namespace)
        rows = self._kv.read([bucket, *map(keyspace.namespace, above)]).values
        for one, row in zip(above, rows[1:], strict=True):
            if row is not None:
                relative = rest[len(one.partition("://")[2]) + 1 :]
                return self._conditions_within(row, relative, address)
        return [is_as_seen(bucket, rows[0])]

    def check_raw(self, address: str, precondition: Precondition) -> list[Condition]:
        """Judge If-Match and If-None-Match on a raw object; return the condition that it stays."""
        block = self._blocks.find(address)
        if block is None:
            precondition.check(None)
            return [is_absent(self._index_key(address))]
        entry = Entry(Address(address), block.etag, block.size_bytes, block.created_us)
        precondition.check(entry)
        return list(self._blocks.removal(block)[0])

    def sweep_issued(
        self, *, now_us: int, after: bytes = b"", amount: int = _SWEEP_PORTION
    ) -> bytes | None:
        """Forget expired addresses of one portion; return the `after` of the next. For jobs."""
        start = after + b"\x00" if after else keyspace.ISSUED
        scan = Scan(start, key_after_prefix(keyspace.ISSUED), amount)
        rows = self._kv.read((), [scan]).scans[0]
        old = [
            delete(row.key)
            for row in rows
            if records.decode_record(row.value, _IssuedRow).expires_us < now_us
        ]
        if old:
            self._writer.submit(lambda: Prepared((), old, lambda _verdict: None))
        return rows[-1].key if len(rows) == amount else None

    def _usable(
        self, target: Target, path: Path, address: str, row: Versioned | None, key: bytes
    ) -> tuple[_IssuedRow, Condition]:
        issued = None if row is None else records.decode_record(row.value, _IssuedRow)
        if (
            row is None
            or issued is None
            or (issued.branch, issued.path) != (target.branch, path)
            or issued.expires_us < self._now_us()
        ):
            raise NotFound(
                Kind.ADDRESS_NOT_FOUND,
                f"address {address!r} was not issued for {path!r} on {target.branch!r}, or expired",
            )
        if issued.is_used:
            raise Conflict(Kind.ADDRESS_USED, f"address {address!r} was linked already")
        return issued, is_version(key, row.version)

    def _conditions_within(self, claim: Versioned, relative: str, address: str) -> list[Condition]:
        name, incarnation = records.decode_record(claim.value, tuple[str, str])
        repository_key = keyspace.repository(RepositoryId(name))
        issued_key = keyspace.issued_address(IncarnationId(incarnation), relative)
        row, issued_row = self._kv.read([repository_key, issued_key]).values
        stays = is_as_seen(repository_key, row)
        if row is None or _incarnation(RepositoryId(name), row) != incarnation:
            return [stays]
        if not _is_data(relative):
            return [stays]
        if issued_row is not None:
            issued = records.decode_record(issued_row.value, _IssuedRow)
            is_open = not issued.is_used and issued.expires_us >= self._now_us()
            if is_open and self._blocks.find(address) is None:
                is_empty = is_absent(self._index_key(address))
                return [stays, is_version(issued_key, issued_row.version), is_empty]
        raise Forbidden(
            Kind.PROTECTED_BLOCK,
            f"this key holds data of repository {name!r}; write and delete through the repository",
        )

    def _index_key(self, address: str) -> bytes:
        """Return the key of an address's index row, as the block store spells it."""
        (write,) = self._blocks.join(address, (), etag="").writes
        return write.key

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


def _incarnation(repository_id: RepositoryId, row: Versioned) -> IncarnationId:
    return records.decode_repository(repository_id, row.value, row.version).incarnation


def _is_data(relative: str) -> bool:
    return relative == DUMMY or relative.startswith(_COMMITTED) or is_hex(relative, _ADDRESS_DIGITS)


def _refuse_other_bytes(block: Block, checksum: str, size_bytes: int) -> None:
    if size_bytes != block.size_bytes:
        raise InvalidInput(
            Kind.VALUE, f"the address holds {block.size_bytes} bytes, not {size_bytes}"
        )
    if checksum and checksum.strip('"') != block.etag:
        raise InvalidInput(Kind.CHECKSUM, f"the address holds ETag {block.etag!r}")
