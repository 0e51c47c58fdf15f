"""What a rowset is: its name, its header in the entry's metadata, its footer in the file.

docs/formats/rowset.md fixes the forms. The header is what planning reads; the footer says more and
must agree with it when the file is opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.lake.bodies import Body
from anabranch.warehouse.places import ROWSETS, TablePlace
from anabranch.warehouse.schema import canonical_json

FORMAT = 1
METADATA_NAME = "anabranch-rowset"
"""Name of the header in an entry's user metadata, and of the footer in a Parquet file."""

_FILE = re.compile(r"([0-9a-f]{8})/(\d{20})-([0-9a-f]{32})\.parquet")


class RowsetKind(StrEnum):
    """What a rowset does to a table."""

    ROWS = "rows"
    DELETE = "delete"
    RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True, order=True)
class RowsetName:
    """How rowsets order: by sequence (microseconds since 1970 UTC), then by random id."""

    sequence: int
    id: str

    def __str__(self) -> str:
        """Return the text that files and DELETE rowsets hold."""
        return f"{self.sequence:020d}-{self.id}"


@dataclass(frozen=True, slots=True)
class Header:
    """What planning knows of a rowset; column ids ascend."""

    table_id: str
    kind: RowsetKind
    known: tuple[int, ...]
    written: tuple[int, ...]
    rows: int

    @property
    def is_partial(self) -> bool:
        """Tell whether it leaves columns as they were."""
        return self.known != self.written


@dataclass(frozen=True, slots=True)
class Footer:
    """What the file says of itself.

    `keys` has [min, max] per key column id as canonical text, None for NULL; `sketches` the union
    of each HLL column by id; `predicate` is of DELETE rowsets.
    """

    header: Header
    partition: str
    source_rows: int
    sequence_column: int | None = None
    keys: Mapping[int, tuple[str | None, str | None]] = field(default_factory=dict)
    sketches: Mapping[int, str] = field(default_factory=dict)
    predicate: str | None = None


@dataclass(frozen=True, slots=True)
class Rowset:
    """A published rowset; `header` is None where it did not fit into the entry's metadata."""

    path: str
    partition: str
    name: RowsetName
    header: Header | None
    physical_address: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NewRowset:
    """A rowset whose bytes are written, in a file of their own; its sequence is chosen later."""

    partition: str
    id: str
    body: Body
    header: Header


def rowset_path(table: TablePlace, partition: str, name: RowsetName) -> str:
    """Return the path that a rowset is published under."""
    return f"{table.rowsets_prefix}{partition}/{name}.parquet"


def parse_rowset_path(path: str, *, now_us: int) -> tuple[str, RowsetName]:
    """Return partition id and name of a path below a table's `rowsets/`.

    Raises Corrupted for a path that is none, or whose sequence lies more than a day ahead.
    """
    found = _FILE.fullmatch(path.rpartition(f"/{ROWSETS}/")[2])
    if found is None:
        raise Corrupted(Kind.DATA_FORMAT, f"not a rowset's name: {path}")
    partition, sequence, rowset_id = found.groups()
    if int(sequence) > now_us + limits.ROWSET_AHEAD_US_MAX:
        raise Corrupted(Kind.DATA_FORMAT, f"a rowset of the future: {path}")
    return partition, RowsetName(int(sequence), rowset_id)


def encode_header(header: Header) -> str:
    """Return the metadata's text, which tells less where it would be too long."""
    members = _header_json(header)
    if members["written"] == members["known"]:
        del members["written"]
    text = canonical_json(members)
    if len(text) > limits.ROWSET_HEADER_BYTES_MAX:
        members.pop("known")
        members.pop("written", None)
        text = canonical_json(members)
    return text


def decode_header(text: str, path: str) -> Header | None:
    """Return a header, None where the columns are told by the footer alone; raise Corrupted."""
    members = _load(text, path)
    if "known" not in members:
        return None
    return _header(members, path)


def encode_footer(footer: Footer) -> bytes:
    """Return the text of the Parquet file's key-value pair."""
    members = _header_json(footer.header)
    members |= {
        "partition": footer.partition,
        "source_rows": footer.source_rows,
        "sequence_column": footer.sequence_column,
        "keys": {str(column): list(pair) for column, pair in footer.keys.items()},
        "sketches": {str(column): text for column, text in footer.sketches.items()},
    }
    if footer.predicate is not None:
        members["predicate"] = footer.predicate
    return canonical_json(members).encode()


def decode_footer(data: bytes, path: str) -> Footer:
    """Return a footer; raise Corrupted with the path."""
    members = _load(data, path)
    try:
        return Footer(
            _header(members, path),
            str(members["partition"]),
            int(members["source_rows"]),
            None if members["sequence_column"] is None else int(members["sequence_column"]),
            {int(column): (pair[0], pair[1]) for column, pair in members["keys"].items()},
            {int(column): str(text) for column, text in members["sketches"].items()},
            members.get("predicate"),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a rowset's footer: {path}") from error


def _header_json(header: Header) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "table": header.table_id,
        "kind": header.kind.value,
        "known": list(header.known),
        "written": list(header.written),
        "rows": header.rows,
    }


def _load(data: str | bytes, path: str) -> dict[str, Any]:
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a rowset's header: {path}") from error
    if not isinstance(members, dict) or members.get("format") != FORMAT:
        raise Corrupted(Kind.DATA_FORMAT, f"a rowset of an unknown format: {path}")
    return members


def _header(members: Mapping[str, Any], path: str) -> Header:
    try:
        known = tuple(int(one) for one in members["known"])
        written = tuple(int(one) for one in members.get("written", known))
        kind = RowsetKind(members["kind"])
        return Header(str(members["table"]), kind, known, written, int(members["rows"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a rowset's header: {path}") from error
