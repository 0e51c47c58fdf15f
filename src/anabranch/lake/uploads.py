"""Multipart uploads, of the lake and of the raw store.

Parts write keys of their own, so that parallel ones never refuse one another; everything is
conditioned on the upload's record, and a complete on every part it lists (docs/protocol.md 3.3).
It costs parts, not bytes: the object's index row lists their places.
"""

import builtins
from collections.abc import Callable, Sequence
from dataclasses import replace

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.entries import Entry, Metadata
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded
from anabranch.kernel.ids import Address, BranchId, Path, RepositoryId, UploadId
from anabranch.kernel.pages import Page
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import keyspace
from anabranch.lake.addresses import Addresses
from anabranch.lake.bodies import Bodies, Body, Joined
from anabranch.lake.objects import Objects
from anabranch.lake.states import States
from anabranch.lake.upload_pages import page_of_uploads
from anabranch.lake.upload_records import (
    Completed,
    Part,
    Upload,
    check_order,
    check_parts,
    decode_part,
    decode_upload,
    digest_of_parts,
    encode_part,
    encode_upload,
    multipart_etag,
    part_missing,
    upload_over,
)
from anabranch.lake.values import Repository, Stat, Target, relative_address
from anabranch.storage.blocks.base import BlockStore, Extent, split_address
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Scan,
    Verdict,
    Write,
    Writer,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    key_after_prefix,
    put,
    scan_prefix,
)

_SWEEP_PORTION = 1_000
_ACCEPTED = Verdict(True)


class Uploads:
    """Objects that come in parts."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        blocks: BlockStore,
        bodies: Bodies,
        states: States,
        objects: Objects,
        addresses: Addresses,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._blocks = blocks
        self._bodies = bodies
        self._states = states
        self._objects = objects
        self._addresses = addresses
        self._clock = clock
        self._ids = ids

    def create(
        self,
        target: Target,
        path: Path,
        *,
        content_type: str,
        metadata: Metadata = (),
        checksum_algorithm: str = "",
    ) -> Upload:
        """Start an upload to a path of a branch."""
        repository = target.repository
        upload = Upload(
            UploadId(self._ids.hex32()),
            repository.incarnation,
            repository.id,
            target.branch,
            path,
            self._bodies.fresh_address(repository),
            content_type,
            metadata,
            checksum_algorithm,
            self._now_us(),
        )

        def make() -> Prepared[Upload]:
            now = self._repository_of(upload)
            is_there = is_version(keyspace.repository(now.id), now.version)
            return _creation(upload, [is_there])

        return self._writer.submit(make)

    def create_raw(
        self,
        address: str,
        *,
        content_type: str,
        metadata: Metadata = (),
        checksum_algorithm: str = "",
    ) -> Upload:
        """Start an upload to an address of the raw store.

        Raises Forbidden(PROTECTED_BLOCK) for keys that hold a repository's data. The caller made
        sure that the bucket exists.
        """
        bucket, key = split_address(address)
        upload = Upload(
            UploadId(self._ids.hex32()),
            bucket,
            None,
            None,
            key,
            address,
            content_type,
            metadata,
            checksum_algorithm,
            self._now_us(),
        )

        def make() -> Prepared[Upload]:
            self._addresses.raw_conditions(address)
            return _creation(upload, [])

        return self._writer.submit(make)

    def get(self, upload_id: UploadId) -> Upload:
        """Return an upload, open or completed within the last day; raise NotFound."""
        return self._get(upload_id)[0]

    def body(self, upload: Upload) -> Body:
        """Start the bytes of a part; parts never show as objects of their own."""
        namespace, _, _ = upload.address.rpartition("/")
        return self._bodies.open_at(f"{namespace}/{self._ids.hex32()}")

    def making_part(
        self, upload: Upload, number: int, body: Body, *, checksum2: str = ""
    ) -> Callable[[], Prepared[Part]]:
        """Return the step that keeps a received part; a part sent again replaces the former.

        Raises InvalidInput(PART_NUMBER), and NotFound when the upload is over.
        """
        if not 1 <= number <= limits.PARTS_MAX:
            raise InvalidInput(
                Kind.PART_NUMBER, f"a part number is 1 to {limits.PARTS_MAX}, not {number}"
            )
        seen: Upload | None = upload if upload.completed is None and upload.version else None

        def make() -> Prepared[Part]:
            nonlocal seen
            open_upload = seen if seen is not None else self._open(upload.id)
            seen = None
            placed = body.place()
            part = Part(
                number, body.etag, body.size_bytes, self._now_us(), checksum2, placed.extents
            )
            return Prepared(
                [is_version(keyspace.upload(upload.id), open_upload.version)],
                [put(keyspace.upload_part(upload.id, number), encode_part(part))],
                lambda verdict: replace(part, version=verdict.version),
                placed.windows,
            )

        return make

    def making_complete(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        *,
        checksum2: str = "",
        precondition: Precondition | None = None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that makes an object of parts: (number, ETag without quotes) ascending.

        The same complete again gets the same answer for a day, any other NotFound. Raises
        InvalidInput(PART_ORDER, PART_MISSING, PART_TOO_SMALL), LimitExceeded, what a put raises.
        """
        check_order(parts)
        digest = digest_of_parts(parts)
        is_again = False

        def make() -> Prepared[Stat]:
            nonlocal is_again
            now, found, repository, conditions = self._with_parts(upload.id, parts)
            if now.completed is not None:
                if now.completed.parts != digest:
                    raise upload_over(upload.id)
                answer = _stat_of(now, now.completed, repository)
                return Prepared((), (), lambda _verdict: answer)
            check_parts(parts, found)
            body = Joined(
                self._blocks,
                now.address,
                tuple(extent for part in found for extent in part.extents),
                multipart_etag([part.etag for part in found]),
            )
            if body.size_bytes > limits.OBJECT_BYTES_MAX:
                raise LimitExceeded(
                    Kind.TOO_LARGE, f"an object is at most {limits.OBJECT_BYTES_MAX} bytes"
                )
            if is_again and repository is not None and now.branch is not None:
                self._states.forget(repository.id, now.branch)
            is_again = True
            published = self._publication(now, repository, body, checksum2, precondition)
            # What the step will answer does not depend on the verdict, and is kept with it.
            answer = published.accepted(_ACCEPTED)
            done = Completed(digest, body.etag, body.size_bytes, answer.entry.mtime_us, checksum2)
            return Prepared(
                [*conditions, *published.conditions],
                [*published.writes, *_completion(now, done)],
                lambda _verdict: answer,
                published.windows,
            )

        return make

    def abort(self, upload: Upload) -> None:
        """End an upload without an object; raise NotFound when it is over already."""

        def make() -> Prepared[None]:
            now = self._open(upload.id)
            key = keyspace.upload(now.id)
            writes = [
                delete(key),
                delete(keyspace.upload_path(now.scope, now.key, now.id)),
                put(keyspace.discarded_upload(now.id), b""),
            ]
            return Prepared([is_version(key, now.version)], writes, lambda _verdict: None)

        self._writer.submit(make)

    def list(
        self,
        repository_id: RepositoryId,
        branch: BranchId | None = None,
        *,
        prefix: str = "",
        path_after: str = "",
        upload_after: str = "",
        amount: int,
    ) -> Page[Upload]:
        """Return one page of open uploads by path, then upload id.

        With a branch, `prefix` and `path_after` are paths on it; without one they are keys
        (`branch/path`), as in S3. `path_after` alone skips all uploads of that path; with
        `upload_after` only those of it up to that id. The last item's path and id continue.
        """
        repository = self._states.repository(repository_id)
        head = "" if branch is None else f"{branch}/"
        after = head + path_after if path_after else ""
        page = (repository.incarnation, head + prefix, after, upload_after, amount)
        return page_of_uploads(self._kv, *page, branch)

    def list_raw(
        self,
        bucket: str,
        *,
        prefix: str = "",
        path_after: str = "",
        upload_after: str = "",
        amount: int,
    ) -> Page[Upload]:
        """Return one page of a raw bucket's open uploads by key, then upload id."""
        return page_of_uploads(self._kv, bucket, prefix, path_after, upload_after, amount, None)

    def list_parts(
        self, upload: Upload, *, after: int = 0, amount: int
    ) -> tuple[tuple[Part, ...], int | None]:
        """Return one page of parts by number, and the exclusive `after` of the next."""
        base = keyspace.upload_parts(upload.id)
        start = keyspace.upload_part(upload.id, min(max(after, 0), limits.PARTS_MAX) + 1)
        if amount <= 0:
            return (), None
        rows = self._kv.read((), [Scan(start, key_after_prefix(base), amount + 1)]).scans[0]
        parts = tuple(
            decode_part(int(row.key[len(base) :]), row.value, row.version) for row in rows[:amount]
        )
        return parts, parts[-1].number if len(rows) > amount else None

    def extents_after(
        self, after: bytes, *, amount: int = _SWEEP_PORTION
    ) -> tuple[builtins.list[Extent], bytes | None]:
        """Return where some parts of all uploads are, and the `after` of the next. For jobs.

        Begins with no bytes; ends with None.
        """
        scan = scan_prefix(keyspace.UPLOAD_PARTS, after=after, limit=amount)
        rows = self._kv.read((), [scan]).scans[0]
        extents: builtins.list[Extent] = []
        for row in rows:
            number = int(row.key.rpartition(b"/")[2])
            extents += decode_part(number, row.value, row.version).extents
        return extents, rows[-1].key[len(keyspace.UPLOAD_PARTS) :] if len(rows) == amount else None

    def sweep_completed(self, *, now_us: int, amount: int = _SWEEP_PORTION) -> int:
        """Forget the answers of uploads completed a day ago; return how many. For jobs."""
        old_us = now_us - limits.COMPLETED_UPLOAD_KEEP_S * 1_000_000
        end = keyspace.completed_upload(max(old_us, 0), UploadId(""))
        amount = min(amount, _SWEEP_PORTION)
        rows = self._kv.read((), [Scan(keyspace.COMPLETED_UPLOADS, end, amount)]).scans[0]
        writes = []
        for row in rows:
            upload_id = UploadId(row.key.rpartition(b"/")[2].decode())
            writes += [delete(row.key), delete(keyspace.upload(upload_id))]
        self._write(writes)
        return len(rows)

    def sweep_discarded(self, *, amount: int = _SWEEP_PORTION) -> int:
        """Remove the parts of uploads that are over; return how many keys. For jobs."""
        scan = scan_prefix(keyspace.DISCARDED_UPLOADS, limit=_SWEEP_PORTION)
        handled = 0
        for mark in self._kv.read((), [scan]).scans[0]:
            upload_id = UploadId(mark.key[len(keyspace.DISCARDED_UPLOADS) :].decode())
            while handled < amount:
                parts = scan_prefix(keyspace.upload_parts(upload_id), limit=_SWEEP_PORTION)
                rows = self._kv.read((), [parts]).scans[0]
                self._write([delete(row.key) for row in rows] or [delete(mark.key)])
                handled += max(len(rows), 1)
                if not rows:
                    break
            if handled >= amount:
                break
        return handled

    def _get(self, upload_id: UploadId) -> tuple[Upload, Condition]:
        key = keyspace.upload(upload_id)
        row = self._kv.read([key]).values[0]
        if row is None:
            raise upload_over(upload_id)
        return decode_upload(upload_id, row.value, row.version), is_version(key, row.version)

    def _open(self, upload_id: UploadId) -> Upload:
        upload = self._get(upload_id)[0]
        if upload.completed is not None:
            raise upload_over(upload_id)
        return upload

    def _repository_of(self, upload: Upload) -> Repository:
        """Return the repository an upload belongs to; raise NotFound when it was replaced."""
        assert upload.repository is not None
        repository = self._states.repository(upload.repository)
        if repository.incarnation != upload.scope:
            raise upload_over(upload.id)
        return repository

    def _with_parts(
        self, upload_id: UploadId, parts: Sequence[tuple[int, str]]
    ) -> tuple[Upload, builtins.list[Part], Repository | None, builtins.list[Condition]]:
        """Return an upload and the parts listed, of one moment, with the conditions they stay."""
        keys = [keyspace.upload(upload_id)]
        keys += [keyspace.upload_part(upload_id, number) for number, _ in parts]
        row, *values = self._kv.read(keys).values
        if row is None:
            raise upload_over(upload_id)
        upload = decode_upload(upload_id, row.value, row.version)
        repository = None if upload.repository is None else self._repository_of(upload)
        if upload.completed is not None:
            return upload, [], repository, []
        found = []
        for (number, _), value in zip(parts, values, strict=True):
            if value is None:
                raise part_missing(number)
            found.append(decode_part(number, value.value, value.version))
        seen = zip(keys, (row, *values), strict=True)
        conditions = [is_as_seen(key, value) for key, value in seen]
        if repository is not None:
            conditions.append(is_version(keyspace.repository(repository.id), repository.version))
        return upload, found, repository, conditions

    def _publication(
        self,
        upload: Upload,
        repository: Repository | None,
        body: Joined,
        checksum2: str,
        precondition: Precondition | None,
    ) -> Prepared[Stat]:
        """Return what makes the object visible: a staging row, or a raw index row alone."""
        if repository is not None:
            assert upload.branch is not None
            # The branch of that name as it is now, also when it was made again meanwhile.
            put_object = self._objects.making_put(
                Target(repository, upload.branch),
                Path(upload.path),
                body,
                content_type=upload.content_type,
                metadata=upload.metadata,
                checksum2=checksum2,
                precondition=precondition,
            )
            return put_object()
        conditions = self._addresses.raw_conditions(upload.address)
        if precondition is not None:
            conditions += self._addresses.check_raw(upload.address, precondition)
        placed = body.place(content_type=upload.content_type, metadata=upload.metadata)
        done = Completed(b"", body.etag, body.size_bytes, self._now_us(), checksum2)
        answer = _stat_of(upload, done, None)
        return Prepared(conditions, placed.writes, lambda _verdict: answer, placed.windows)

    def _write(self, writes: builtins.list[Write]) -> None:
        if writes:
            self._writer.submit(lambda: Prepared((), writes, lambda _verdict: None))

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


def _creation(upload: Upload, conditions: Sequence[Condition]) -> Prepared[Upload]:
    key = keyspace.upload(upload.id)

    def accepted(verdict: Verdict) -> Upload:
        return replace(upload, version=verdict.version)

    return Prepared(
        [is_absent(key), *conditions],
        [
            put(key, encode_upload(upload)),
            put(keyspace.upload_path(upload.scope, upload.key, upload.id), b""),
        ],
        accepted,
    )


def _completion(upload: Upload, done: Completed) -> list[Write]:
    """Return the writes that end an upload and keep its answer."""
    return [
        put(keyspace.upload(upload.id), encode_upload(replace(upload, completed=done))),
        delete(keyspace.upload_path(upload.scope, upload.key, upload.id)),
        put(keyspace.completed_upload(done.mtime_us, upload.id), b""),
        put(keyspace.discarded_upload(upload.id), b""),
    ]


def _stat_of(upload: Upload, done: Completed, repository: Repository | None) -> Stat:
    address = upload.address
    entry = Entry(
        Address(relative_address(repository.namespace, address) if repository else address),
        done.etag,
        done.size_bytes,
        done.mtime_us,
        upload.content_type,
        upload.metadata,
        done.checksum2,
    )
    return Stat(upload.path, entry, address)
