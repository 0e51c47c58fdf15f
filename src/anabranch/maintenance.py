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

from anabranch.bootstrap import Stores, open_stores
from anabranch.kernel import limits
from anabranch.kernel.commits import Commit
from anabranch.kernel.entries import decode_entry
from anabranch.kernel.errors import AnabranchError
from anabranch.kernel.ids import CommitId, Namespace, RangeId
from anabranch.lake import keyspace, records
from anabranch.lake.local_files import is_file
from anabranch.lake.values import Repository, physical_address
from anabranch.processes import begin, say
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Row, scan_prefix
from anabranch.telemetry import configure_logs

PROBLEMS_MAX = 1_000
"""Problems told one by one; more are only counted."""
_PAGE = 1_000
_RANGES = 200
_RAW_KEYS_SHOWN = 10


@dataclass(slots=True)
class Report:
    """What verification of one repository found."""

    repository: str
    commits: int = 0
    ranges: int = 0
    entries: int = 0
    staged: int = 0
    bytes: int = 0
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


class Verifier:
    """Walks everything that can be reached: branches' staging, unexpired commits, their ranges.

    Each range and each block is looked at once. With `has_checksums` all bytes are read.
    """

    def __init__(self, stores: Stores, *, has_checksums: bool) -> None:
        self._stores = stores
        self._blocks = stores.lake.blocks
        self._has_checksums = has_checksums

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
        seen_addresses: set[str] = set()
        for commit in self._commits(repository, report):
            report.commits += 1
            try:
                self._verify_metarange(repository, commit, report, seen_ranges, seen_addresses)
            except AnabranchError as error:
                report.add(f"commit {commit.id}: {error.message}")
        self._verify_staging(repository, report, seen_addresses)
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

    def _commits(self, repository: Repository, report: Report) -> Iterator[Commit]:
        prefix = keyspace.commits(repository.incarnation)
        for row in self._rows(prefix):
            commit_id = CommitId(row.key[len(prefix) :].decode())
            try:
                commit, is_expired = records.decode_commit_record(commit_id, row.value)
            except AnabranchError as error:
                report.add(error.message)
                continue
            if not is_expired:
                yield commit

    def _verify_metarange(
        self,
        repository: Repository,
        commit: Commit,
        report: Report,
        seen_ranges: set[RangeId],
        seen_addresses: set[str],
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
                    self._verify_rows(namespace, batch, report, seen_addresses)
            if len(found) < _RANGES:
                return
            after = found[-1].last

    def _verify_rows(
        self, namespace: Namespace, batch: pa.RecordBatch, report: Report, seen: set[str]
    ) -> None:
        columns = [batch.column(name).to_pylist() for name in _COLUMNS]
        for path, address, size_bytes, checksum in zip(*columns, strict=True):
            report.entries += 1
            uri = physical_address(namespace, address)
            if uri not in seen:
                seen.add(uri)
                self._verify_block(uri, path, size_bytes, checksum, report)

    def _verify_staging(self, repository: Repository, report: Report, seen: set[str]) -> None:
        for row in self._rows(keyspace.branches(repository.incarnation)):
            for token in records.decode_branch(row.value).tokens:
                for staged in self._rows(keyspace.staging(token)):
                    entry = decode_entry(staged.value)
                    report.staged += 1
                    if entry is None:
                        continue
                    uri = physical_address(repository.namespace, entry.address)
                    if uri not in seen:
                        seen.add(uri)
                        path = keyspace.staged_path(token, staged.key).decode()
                        self._verify_block(uri, path, entry.size_bytes, entry.checksum, report)

    def _verify_block(
        self, uri: str, path: str, size_bytes: int, checksum: str, report: Report
    ) -> None:
        try:
            block = self._blocks.find(uri)
            if block is None:
                report.add(f"{path}: no bytes at {uri}")
                return
            if block.size_bytes != size_bytes:
                report.add(f"{path}: {block.size_bytes} bytes at {uri}, not {size_bytes}")
            report.bytes += block.size_bytes
            # The last byte proves that the file is there and long enough.
            if block.size_bytes:
                self._blocks.read(block, block.size_bytes - 1, 1)
            # A multipart ETag is no MD5, nor is an imported file's checksum.
            if self._has_checksums and "-" not in checksum and not is_file(uri):
                found = self._md5(block)
                if found != checksum:
                    report.add(f"{path}: MD5 of {uri} is {found}, not {checksum}")
        except AnabranchError as error:
            report.add(f"{path}: {error.message}")

    def _md5(self, block: Block) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for offset in range(0, block.size_bytes, limits.WINDOW_BYTES):
            length = min(limits.WINDOW_BYTES, block.size_bytes - offset)
            digest.update(self._blocks.read(block, offset, length))
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
    for repository in verifier.repositories():
        report = verifier.verify(repository)
        say({name: getattr(report, name) for name in Report.__slots__})


_ACTIONS: dict[str, Callable[[Stores, dict[str, Any]], None]] = {
    "setup": _setup,
    "show_raw": _show_raw,
    "verify": _verify,
}


if __name__ == "__main__":
    main()
