"""What rowset files say of themselves: read once, checked against the entry, kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    Footer,
    Header,
    Rowset,
    RowsetKind,
    decode_footer,
)
from anabranch.warehouse.schema import DELETE_SIGN_ID

_SEEN_NAME = "__DORIS_SEEN_ROWSET__"


@dataclass(frozen=True, slots=True)
class OpenedRowset:
    """A file's footer. `deletes_only`: each row deletes its key; `seen` is of DELETE rowsets."""

    footer: Footer
    deletes_only: bool
    seen: frozenset[str]


class Footers:
    """Opened footers by physical address: a rowset never changes. For any thread."""

    def __init__(self, cached_max: int = limits.ROWSET_FOOTERS_CACHED_MAX) -> None:
        self._opened: OrderedDict[str, OpenedRowset] = OrderedDict()
        self._cached_max = cached_max
        self._lock = threading.Lock()

    def open(self, rowset: Rowset, file: Path) -> OpenedRowset:
        """Return what a file says; raise Corrupted, with the path, where its entry disagrees."""
        with self._lock:
            found = self._opened.get(rowset.physical_address)
            if found is not None:
                self._opened.move_to_end(rowset.physical_address)
        if found is None:
            found = open_rowset(rowset.path, file)
            if rowset.physical_address:
                self._keep(rowset.physical_address, found)
        said = found.footer
        if said.partition != rowset.partition or rowset.header not in (None, said.header):
            raise Corrupted(Kind.DATA_FORMAT, f"a rowset that is not what it says: {rowset.path}")
        return found

    def header(self, rowset: Rowset, files: Mapping[str, Path]) -> Header:
        """Return the header, out of the file only where the entry does not tell it."""
        if rowset.header is not None:
            return rowset.header
        return self.open(rowset, files[rowset.path]).footer.header

    def _keep(self, address: str, opened: OpenedRowset) -> None:
        with self._lock:
            self._opened[address] = opened
            while len(self._opened) > self._cached_max:
                self._opened.popitem(last=False)


def open_rowset(path: str, file: Path) -> OpenedRowset:
    """Read what a file says of itself; raise Corrupted, with `path`, where it is no rowset."""
    try:
        # Without the dataset layer, which costs more than such a small read.
        with pa.OSFile(str(file)) as source:
            reader = pq.ParquetFile(source)
            metadata = reader.metadata
            data = (metadata.metadata or {}).get(METADATA_NAME.encode())
            if data is None:
                raise Corrupted(Kind.DATA_FORMAT, f"not a rowset: {path}")
            footer = decode_footer(data, path)
            if metadata.num_rows != footer.header.rows:
                raise Corrupted(Kind.DATA_FORMAT, f"a rowset that lost rows: {path}")
            seen: frozenset[str] = frozenset()
            if footer.header.kind is RowsetKind.DELETE:
                seen = frozenset(reader.read([_SEEN_NAME]).column(0).to_pylist())
            deletes_only = DELETE_SIGN_ID in footer.header.written and _deletes_only(metadata)
    except (pa.ArrowException, OSError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a readable rowset: {path}") from error
    return OpenedRowset(footer, deletes_only, seen)


def _deletes_only(metadata: pq.FileMetaData) -> bool:
    """Tell by the statistics whether the delete sign is 1 in every row."""
    names = metadata.schema.names
    if "__DORIS_DELETE_SIGN__" not in names:
        return False
    at = names.index("__DORIS_DELETE_SIGN__")
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group).column(at).statistics
        if found is None or not found.has_min_max or found.min != 1:
            return False
    return True
