"""Rows of ranges as values: for pages and lookups, never for paths that grow."""

import pyarrow as pa

from anabranch.kernel.entries import Entry, decode_metadata
from anabranch.kernel.ids import Address
from anabranch.kernel.ranges import KIND_ADDED, KIND_CHANGED, KIND_REMOVED
from anabranch.lake.values import Change, ChangeKind, MergeConflict

_CHANGES = {
    KIND_ADDED: ChangeKind.ADDED,
    KIND_REMOVED: ChangeKind.REMOVED,
    KIND_CHANGED: ChangeKind.CHANGED,
}


def entries_of(batch: pa.RecordBatch) -> list[tuple[str, Entry]]:
    """Return (path, entry) of each row of a range batch, in its order."""
    columns = [
        batch.column(name).to_pylist() for name in ("path", "address", "checksum", "size_bytes")
    ]
    # A timestamp with a zone is slow to convert; its number is what an entry holds anyway. A cast
    # would load pyarrow.compute.
    columns.append(batch.column("mtime").view(pa.int64()).to_pylist())
    columns += [
        batch.column(name).to_pylist()
        for name in ("content_type", "metadata", "checksum2", "identity")
    ]
    return [
        (
            path,
            Entry(
                Address(address),
                checksum,
                size_bytes,
                mtime_us,
                content_type,
                decode_metadata(metadata),
                checksum2,
                identity,
            ),
        )
        for (
            path,
            address,
            checksum,
            size_bytes,
            mtime_us,
            content_type,
            metadata,
            checksum2,
            identity,
        ) in zip(*columns, strict=True)
    ]


def changes_of(batch: pa.RecordBatch) -> list[Change]:
    """Return the lines of a diff batch, in its order."""
    kinds = batch.column("kind").to_pylist()
    return [
        Change(_CHANGES[kind], path, entry)
        for kind, (path, entry) in zip(kinds, entries_of(batch), strict=True)
    ]


def conflicts_of(batch: pa.RecordBatch) -> list[MergeConflict]:
    """Return the paths of a batch of merge conflicts, in its order."""
    return [
        MergeConflict(path, _conflict_kind(source, dest))
        for path, source, dest in zip(
            *(batch.column(name).to_pylist() for name in ("path", "source_kind", "dest_kind")),
            strict=True,
        )
    ]


def _conflict_kind(source: int, dest: int) -> str:
    if source == KIND_REMOVED:
        return "source_removed"
    if dest == KIND_REMOVED:
        return "dest_removed"
    return "both_added" if source == KIND_ADDED else "both_changed"
