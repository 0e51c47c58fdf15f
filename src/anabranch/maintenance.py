"""One-off work on a data directory, in a process of its own: setup without a server, verification.

The process prints results as lines of JSON. Its parent holds the directory's lock, but for
verification and for reading the raw store's key beside a running server.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.commits import Commit
from anabranch.kernel.entries import decode_entry
from anabranch.kernel.errors import AnabranchError
from anabranch.kernel.ids import (
    CommitId,
    MetarangeId,
    Namespace,
    RangeId,
    Token,
    UploadId,
)
from anabranch.lake import keyspace, records
from anabranch.lake.local_files import is_file
from anabranch.lake.upload_records import decode_part, decode_upload, multipart_etag
from anabranch.lake.values import Repository, physical_address
from anabranch.processes import begin, say
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Row, scan_prefix
from anabranch.stores import Stores, open_stores
from anabranch.telemetry import configure_logs

PROBLEMS_MAX = 1_000
"""Problems told one by one; more are only counted."""
_PAGE = 1_000
_RANGES = 200
_RAW_KEYS_SHOWN = 10


@dataclass(slots=True)
class Report:
    """What verification found in one repository, or below all of them when `repository` is empty.

    `entries` are then objects of the block store that no repository refers to, and `parts` those
    of open uploads.
    """

    repository: str
    commits: int = 0
    ranges: int = 0
    entries: int = 0
    staged: int = 0
    parts: int = 0
    bytes: int = 0
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


class Verifier:
    """Walks everything that can be reached: refs, staging, unexpired commits, their ranges, blocks.

    Each range and each block is looked at once. With `has_checksums` all bytes are read.
    """

    def __init__(self, stores: Stores, *, has_checksums: bool) -> None:
        self._stores = stores
        self._blocks = stores.lake.blocks
        self._has_checksums = has_checksums
        # Without the scheme: s3:// and local:// spell the same object.
        self._seen: set[str] = set()

    def reports(self) -> Iterator[Report]:
        """Yield a report for each repository, and last one of the block store itself."""
        for repository in self.repositories():
            yield self.verify(repository)
        yield self.verify_blocks()

    def repositories(self) -> Iterator[Repository]:
        """Yield every repository."""
        after = ""
        while True:
            page = self._stores.lake.repositories.list(after=after, amount=_PAGE)
            yield from page.items
            if page.next_after is None:
                return
            after = page.next_after

    def verify(self, repository: Repository) -> Report:
        """Return what was found in one repository."""
        report = Report(repository.id)
        seen_ranges: set[RangeId] = set()
        metaranges: dict[CommitId, MetarangeId] = {}
        parents: list[tuple[CommitId, CommitId]] = []
        for commit, is_expired in self._commits(repository, report):
            metaranges[commit.id] = commit.metarange
            parents += [(commit.id, parent) for parent in commit.parents]
            if is_expired:
                continue
            report.commits += 1
            try:
                self._verify_metarange(repository, commit, report, seen_ranges)
            except AnabranchError as error:
                report.add(f"commit {commit.id}: {error.message}")
        for child, parent in parents:
            if parent not in metaranges:
                report.add(f"commit {child}: no parent {parent}")
        self._verify_branches(repository, report, metaranges)
        self._verify_tags(repository, report, metaranges)
        return report

    def verify_blocks(self) -> Report:
        """Return what was found below the repositories: other objects, and parts of uploads."""
        report = Report("")
        for bucket in self._blocks.buckets():
            after = ""
            while True:
                page = self._blocks.list(bucket, prefix="", after=after, amount=_PAGE)
                for block in page.items:
                    if block.address.partition("://")[2] not in self._seen:
                        report.entries += 1
                        report.bytes += block.size_bytes
                        self._verify_bytes(block, block.etag, block.address, report)
                if page.next_after is None:
                    break
                after = page.next_after
        for row in self._rows(keyspace.UPLOADS):
            self._verify_upload(UploadId(row.key[len(keyspace.UPLOADS) :].decode()), row, report)
        return report

    def _rows(self, prefix: bytes) -> Iterator[Row]:
        after = b""
        while True:
            scan = scan_prefix(prefix, after=after, limit=_PAGE)
            (rows,) = self._stores.kv.read((), [scan]).scans
            yield from rows
            if len(rows) < _PAGE:
                return
            after = rows[-1].key[len(prefix) :]

    def _commits(self, repository: Repository, report: Report) -> Iterator[tuple[Commit, bool]]:
        """Yield each commit and whether its data is expired."""
        prefix = keyspace.commits(repository.incarnation)
        for row in self._rows(prefix):
            commit_id = CommitId(row.key[len(prefix) :].decode())
            try:
                yield records.decode_commit_record(commit_id, row.value)
            except AnabranchError as error:
                report.add(error.message)

    def _verify_metarange(
        self,
        repository: Repository,
        commit: Commit,
        report: Report,
        seen_ranges: set[RangeId],
    ) -> None:
        committed = self._stores.lake.committed
        namespace = repository.namespace
        after = ""
        while True:
            found = committed.ranges(namespace, commit.metarange, after=after, amount=_RANGES)
            for record in found:
                if record.id in seen_ranges:
                    continue
                seen_ranges.add(record.id)
                report.ranges += 1
                try:
                    # Reading a range compares its bytes with its name.
                    batches = list(
                        committed.scan(
                            namespace,
                            commit.metarange,
                            start=record.first,
                            until=record.last + "\x00",
                        )
                    )
                except AnabranchError as error:
                    report.add(f"range {record.id} of commit {commit.id}: {error.message}")
                    continue
                rows = sum(batch.num_rows for batch in batches)
                if rows != record.count:
                    report.add(f"range {record.id}: {rows} rows, not {record.count}")
                for batch in batches:
                    self._verify_rows(namespace, batch, report)
            if len(found) < _RANGES:
                return
            after = found[-1].last

    def _verify_rows(self, namespace: Namespace, batch: pa.RecordBatch, report: Report) -> None:
        columns = [batch.column(name).to_pylist() for name in _COLUMNS]
        for path, address, size_bytes, checksum in zip(*columns, strict=True):
            report.entries += 1
            self._verify_block(
                physical_address(namespace, address), path, size_bytes, checksum, report
            )

    def _verify_branches(
        self, repository: Repository, report: Report, metaranges: dict[CommitId, MetarangeId]
    ) -> None:
        prefix = keyspace.branches(repository.incarnation)
        for row in self._rows(prefix):
            name = row.key[len(prefix) :].decode()
            try:
                record = records.decode_branch(row.value)
            except AnabranchError as error:
                report.add(f"branch {name}: {error.message}")
                continue
            if record.head not in metaranges:
                report.add(f"branch {name}: no commit {record.head}")
            elif metaranges[record.head] != record.metarange:
                report.add(f"branch {name}: its metarange is not that of commit {record.head}")
            for token in record.tokens:
                for staged in self._rows(keyspace.staging(token)):
                    self._verify_staged(repository, token, staged, report)

    def _verify_staged(
        self, repository: Repository, token: Token, row: Row, report: Report
    ) -> None:
        report.staged += 1
        path = keyspace.staged_path(token, row.key).decode()
        try:
            entry = decode_entry(row.value)
        except AnabranchError as error:
            report.add(f"{path}: {error.message}")
            return
        if entry is not None:
            uri = physical_address(repository.namespace, entry.address)
            self._verify_block(uri, path, entry.size_bytes, entry.checksum, report)

    def _verify_tags(
        self, repository: Repository, report: Report, metaranges: dict[CommitId, MetarangeId]
    ) -> None:
        prefix = keyspace.tags(repository.incarnation)
        for row in self._rows(prefix):
            name = row.key[len(prefix) :].decode()
            try:
                commit_id = CommitId(records.decode_record(row.value, str))
            except AnabranchError as error:
                report.add(f"tag {name}: {error.message}")
                continue
            if commit_id not in metaranges:
                report.add(f"tag {name}: no commit {commit_id}")

    def _verify_upload(self, upload_id: UploadId, row: Row, report: Report) -> None:
        """Look at the parts of an upload that is open: no object refers to them yet."""
        try:
            if decode_upload(upload_id, row.value, row.version).completed is not None:
                return
        except AnabranchError as error:
            report.add(f"upload {upload_id}: {error.message}")
            return
        prefix = keyspace.upload_parts(upload_id)
        for stored in self._rows(prefix):
            report.parts += 1
            name = f"part {int(stored.key[len(prefix) :])} of upload {upload_id}"
            try:
                part = decode_part(int(stored.key[len(prefix) :]), stored.value, stored.version)
            except AnabranchError as error:
                report.add(f"{name}: {error.message}")
                continue
            # Not an object: a block of the same bytes is as good for reading them.
            block = self._blocks.join(
                f"s3://upload/{upload_id}", part.extents, etag=part.etag
            ).block
            report.bytes += block.size_bytes
            self._verify_bytes(block, part.etag, name, report)

    def _verify_block(
        self, uri: str, path: str, size_bytes: int, checksum: str, report: Report
    ) -> None:
        name = uri.partition("://")[2]
        if name in self._seen:
            return
        self._seen.add(name)
        try:
            block = self._blocks.find(uri)
        except AnabranchError as error:
            report.add(f"{path}: {error.message}")
            return
        if block is None:
            report.add(f"{path}: no bytes at {uri}")
            return
        if block.size_bytes != size_bytes:
            report.add(f"{path}: {block.size_bytes} bytes at {uri}, not {size_bytes}")
        report.bytes += block.size_bytes
        # An imported file's checksum is none of its bytes.
        self._verify_bytes(block, "" if is_file(uri) else checksum, f"{path}: {uri}", report)

    def _verify_bytes(self, block: Block, etag: str, name: str, report: Report) -> None:
        """See that all bytes are there; with checksums, that they are those of the ETag."""
        try:
            end = 0
            for extent in block.extents:
                end += extent.length
                if extent.length:
                    # Its last byte proves that the file is there and long enough.
                    self._blocks.read(block, end - 1, 1)
            if self._has_checksums:
                found = self._etag(block, etag)
                if found != etag:
                    report.add(f"{name}: MD5 is {found}, not {etag}")
        except AnabranchError as error:
            report.add(f"{name}: {error.message}")

    def _etag(self, block: Block, etag: str) -> str:
        """Return the ETag of the bytes; of the form `etag` has, or just that one if it has none.

        Of parts that do not lie in one place each, and of imported files, the bytes are only read.
        """
        whole, dash, parts = etag.partition("-")
        if not dash:
            found = self._md5(block, 0, block.size_bytes)
            return found if whole else etag
        end = 0
        digests = []
        for extent in block.extents:
            digests.append(self._md5(block, end, extent.length))
            end += extent.length
        return multipart_etag(digests) if parts == str(len(digests)) else etag

    def _md5(self, block: Block, start: int, length: int) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for offset in range(start, start + length, limits.WINDOW_BYTES):
            window = min(limits.WINDOW_BYTES, start + length - offset)
            digest.update(self._blocks.read(block, offset, window))
        return digest.hexdigest()


_COLUMNS = ("path", "address", "size_bytes", "checksum")


def main() -> None:
    """Do what the plan says; ends with code 1 after an error, which is the last line."""
    plan = begin()
    settings = plan.settings
    configure_logs(level="warning", format=settings.log_format, process=plan.process)
    try:
        stores = open_stores(settings)
        try:
            _ACTIONS[plan.arguments["action"]](stores, plan.arguments)
        finally:
            stores.close()
    except AnabranchError as error:
        say({"error": error.message, "kind": error.kind})
        sys.exit(1)


def _setup(stores: Stores, arguments: dict[str, Any]) -> None:
    made = stores.access.setup(
        arguments["user"], key_id=arguments.get("key_id"), secret=arguments.get("secret")
    )
    say({"user": made.user, "key_id": made.key_id, "secret": made.secret})
    _show_raw(stores, arguments)


def _show_raw(stores: Stores, _arguments: dict[str, Any]) -> None:
    for credential in stores.access.raw.list(limit=_RAW_KEYS_SHOWN):
        say({"raw_key_id": credential.key_id, "raw_secret": credential.secret})


def _verify(stores: Stores, arguments: dict[str, Any]) -> None:
    verifier = Verifier(stores, has_checksums=arguments["has_checksums"])
    for report in verifier.reports():
        say({name: getattr(report, name) for name in Report.__slots__})


_ACTIONS: dict[str, Callable[[Stores, dict[str, Any]], None]] = {
    "setup": _setup,
    "show_raw": _show_raw,
    "verify": _verify,
}


if __name__ == "__main__":
    main()
