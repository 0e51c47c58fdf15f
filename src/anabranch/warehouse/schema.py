"""What a table is: key model, columns with ids, partitions; and the bytes of `_schema.json`.

docs/formats/rowset.md fixes the form. Values here are complete and consistent; `creation` and
`evolution` make them, `schema_merge` joins two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.native import ranges as native
from anabranch.warehouse.errors import (
    SqlError,
    incorrect_column_name,
    incorrect_database_name,
    incorrect_table_name,
)
from anabranch.warehouse.types import ColumnType, parse_type

FORMAT = 1
UNPARTITIONED = "00000000"
"""Partition id of the rows of a table without partitions."""
DELETE_SIGN_ID, SEQUENCE_ID, SEEN_ID = 1, 2, 3
"""Field ids of the format's own columns."""
COLUMN_ID_MIN = 16
HIDDEN_PREFIX = "__DORIS_"
SEQUENCE_COLUMN_PROPERTY = "function_column.sequence_col"
SEQUENCE_TYPE_PROPERTY = "function_column.sequence_type"

_TABLE_NAME = re.compile(rf"[A-Za-z][-A-Za-z0-9_]{{0,{limits.TABLE_NAME_LENGTH_MAX - 1}}}")


class KeyModel(StrEnum):
    """What happens to rows with equal keys."""

    DUPLICATE = "DUPLICATE"
    AGGREGATE = "AGGREGATE"
    UNIQUE = "UNIQUE"


class Aggregate(StrEnum):
    """How values of an AGGREGATE table fold."""

    NONE = ""
    SUM = "SUM"
    MIN = "MIN"
    MAX = "MAX"
    REPLACE = "REPLACE"
    REPLACE_IF_NOT_NULL = "REPLACE_IF_NOT_NULL"
    HLL_UNION = "HLL_UNION"
    BITMAP_UNION = "BITMAP_UNION"


class DefaultKind(StrEnum):
    """What a column's DEFAULT is."""

    TEXT = "TEXT"
    NULL = "NULL"
    FUNCTION = "FUNCTION"  # CURRENT_TIMESTAMP, CURRENT_DATE, BITMAP_EMPTY, HLL_EMPTY


@dataclass(frozen=True, slots=True)
class Default:
    """A DEFAULT: a literal's text, or a function such as CURRENT_TIMESTAMP(3).

    `frozen` is what such a function was when ALTER TABLE added the column: rows that were there
    hold it.
    """

    kind: DefaultKind
    text: str = ""
    frozen: str = ""

    @property
    def held(self) -> str | None:
        """Return the text that rows hold which do not know the column, None for NULL."""
        return self.text if self.kind is DefaultKind.TEXT else self.frozen or None


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `added_name`, `added_type` and `earlier` are what its id was made of."""

    id: int
    name: str
    type: ColumnType
    is_key: bool = False
    aggregate: Aggregate = Aggregate.NONE
    is_nullable: bool = True
    default: Default | None = None
    comment: str = ""
    added_name: str = ""
    added_type: str = ""
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class DroppedColumn:
    """What is kept of a column that was dropped."""

    id: int
    name: str
    type: ColumnType
    added_name: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Canonical bounds of a partition.

    RANGE: `lower` inclusive, None for the smallest; `upper` exclusive, None for MAXVALUE.
    LIST: `values`, sorted, None for NULL.
    """

    lower: tuple[str | None, ...] = ()
    upper: tuple[str | None, ...] = ()
    values: tuple[tuple[str | None, ...], ...] = ()

    @property
    def json(self) -> dict[str, Any]:
        """Return the members that the file holds."""
        if self.values:
            return {"values": [list(value) for value in self.values]}
        return {"lower": list(self.lower), "upper": list(self.upper)}


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition; `added` counts earlier ones with the same bounds."""

    id: str
    name: str
    bounds: Bounds
    added: int = 0
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DroppedPartition:
    """What is kept of a partition that was dropped."""

    id: str
    bounds: Bounds
    added: int


@dataclass(frozen=True, slots=True)
class Partitioning:
    """PARTITION BY: `kind` is RANGE or LIST, `columns` are ids."""

    kind: str
    columns: tuple[int, ...]
    partitions: tuple[Partition, ...] = ()
    dropped: tuple[DroppedPartition, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """DISTRIBUTED BY: kept and shown, 0 buckets are AUTO."""

    kind: str
    columns: tuple[int, ...] = ()
    buckets: int = 10


@dataclass(frozen=True, slots=True)
class Table:
    """A table's schema; key columns come first."""

    id: str
    key_model: KeyModel
    columns: tuple[Column, ...]
    dropped_columns: tuple[DroppedColumn, ...] = ()
    partitioning: Partitioning | None = None
    distribution: Distribution | None = None
    properties: tuple[tuple[str, str], ...] = ()
    comment: str = ""

    @property
    def keys(self) -> tuple[Column, ...]:
        """Return the key columns."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def values(self) -> tuple[Column, ...]:
        """Return the columns that are no keys."""
        return tuple(column for column in self.columns if not column.is_key)

    @property
    def column_ids(self) -> tuple[int, ...]:
        """Return the ids of all columns, ascending: what a rowset written now knows."""
        return tuple(sorted(column.id for column in self.columns))

    @property
    def sequence_column(self) -> int | None:
        """Return the id of the column that orders rows of a key, SEQUENCE_ID for the hidden one."""
        given = dict(self.properties)
        if name := given.get(SEQUENCE_COLUMN_PROPERTY):
            column = self.find(name)
            return column.id if column else None
        return SEQUENCE_ID if SEQUENCE_TYPE_PROPERTY in given else None

    def find(self, name: str) -> Column | None:
        """Return the column of a name, without regard to case."""
        lower = name.lower()
        return next((column for column in self.columns if column.name.lower() == lower), None)

    def by_id(self, column_id: int) -> Column | None:
        """Return the column of an id."""
        return next((column for column in self.columns if column.id == column_id), None)

    def find_partition(self, name: str) -> Partition | None:
        """Return the partition of a name, without regard to case."""
        partitions = self.partitioning.partitions if self.partitioning else ()
        lower = name.lower()
        return next((found for found in partitions if found.name.lower() == lower), None)


def parse_database_name(name: str) -> str:
    """Return a database's name; raise MySQL's 1102 if it is none."""
    if not _TABLE_NAME.fullmatch(name):
        raise incorrect_database_name(name[:100])
    return name


def parse_table_name(name: str) -> str:
    """Return a table's name; raise MySQL's 1103 if it is none."""
    if not _TABLE_NAME.fullmatch(name):
        raise incorrect_table_name(name[:100])
    return name


def parse_column_name(name: str) -> str:
    """Return the name of a column or partition; raise MySQL's 1166 if it is none."""
    if (
        not 1 <= len(name) <= limits.COLUMN_NAME_LENGTH_MAX
        or "\0" in name
        or "`" in name
        or name.upper().startswith(HIDDEN_PREFIX)
    ):
        raise incorrect_column_name(name[:100])
    return name


def make_column_id(table: Table, name: str, kind: ColumnType) -> tuple[int, int]:
    """Return the id of a column to be added to `table`, and how many had its name before."""
    lower = name.lower()
    known: list[Column | DroppedColumn] = [*table.columns, *table.dropped_columns]
    earlier = sum(1 for column in known if column.added_name == lower)
    taken = {column.id for column in known}
    tries = 0
    while True:
        text = f"column\n{table.id}\n{lower}\n{kind.text}\n{earlier}\n{tries}"
        made = int.from_bytes(native.blake3(text.encode())[:4], "big") & 0x7FFFFFFF
        if made >= COLUMN_ID_MIN and made not in taken:
            return made, earlier
        tries += 1


def with_column(table: Table, column: Column, at: int | None = None) -> Table:
    """Return `table` with a column that gets its id here, at a place or at the end."""
    made, earlier = make_column_id(table, column.name, column.type)
    column = replace(
        column,
        id=made,
        added_name=column.name.lower(),
        added_type=column.type.text,
        earlier=earlier,
    )
    columns = list(table.columns)
    columns.insert(len(columns) if at is None else at, column)
    return replace(table, columns=tuple(columns))


def make_partition_id(table_id: str, bounds: Bounds, added: int, taken: Container[str]) -> str:
    """Return the id of a partition; `added` others had its bounds before, `taken` are their ids."""
    tries = 0
    while True:
        text = f"partition\n{table_id}\n{canonical_json(bounds.json)}\n{added}\n{tries}"
        made = native.blake3(text.encode())[:4].hex()
        if made != UNPARTITIONED and made not in taken:
            return made
        tries += 1


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, non-ASCII characters as they are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode_table(table: Table) -> bytes:
    """Return the bytes of `_schema.json`."""
    partitioning = table.partitioning
    distribution = table.distribution
    return canonical_json(
        {
            "format": FORMAT,
            "id": table.id,
            "key_model": table.key_model,
            "columns": [_column_json(column) for column in table.columns],
            "dropped_columns": [
                {
                    "id": column.id,
                    "name": column.name,
                    "type": column.type.text,
                    "added_name": column.added_name,
                }
                for column in table.dropped_columns
            ],
            "partitioning": partitioning and _partitioning_json(partitioning),
            "distribution": distribution
            and {
                "kind": distribution.kind,
                "columns": list(distribution.columns),
                "buckets": distribution.buckets,
            },
            "properties": dict(table.properties),
            "comment": table.comment,
        }
    ).encode()


def _column_json(column: Column) -> dict[str, Any]:
    default = column.default
    return {
        "id": column.id,
        "name": column.name,
        "type": column.type.text,
        "is_key": column.is_key,
        "aggregate": column.aggregate,
        "is_nullable": column.is_nullable,
        "default": default and _default_json(default),
        "comment": column.comment,
        "added_name": column.added_name,
        "added_type": column.added_type,
        "earlier": column.earlier,
    }


def _default_json(default: Default) -> dict[str, str]:
    found = {"kind": str(default.kind), "text": default.text}
    return found | {"frozen": default.frozen} if default.frozen else found


def _partitioning_json(partitioning: Partitioning) -> dict[str, Any]:
    return {
        "kind": partitioning.kind,
        "columns": list(partitioning.columns),
        "partitions": [
            {
                "id": partition.id,
                "name": partition.name,
                "added": partition.added,
                "properties": dict(partition.properties),
                **partition.bounds.json,
            }
            for partition in partitioning.partitions
        ],
        "dropped": [
            {"id": partition.id, "added": partition.added, **partition.bounds.json}
            for partition in partitioning.dropped
        ],
    }


def decode_table(data: bytes) -> Table:
    """Return the table that `encode_table` wrote; raise Corrupted for anything else."""
    try:
        value = json.loads(data)
        if value["format"] != FORMAT:
            raise Corrupted(Kind.RECORD_FORMAT, f"schema format {value['format']!r} is not known")
        table = _table(value)
    except (ValueError, KeyError, TypeError, AttributeError, SqlError, RecursionError) as error:
        raise Corrupted(Kind.RECORD_FORMAT, f"not a table's schema: {error!r}"[:500]) from error
    if encode_table(table) != data:
        raise Corrupted(Kind.RECORD_FORMAT, "a table's schema is not in its canonical form")
    return table


def _table(value: dict[str, Any]) -> Table:
    distribution = value["distribution"]
    partitioning = value["partitioning"]
    return Table(
        id=str(value["id"]),
        key_model=KeyModel(value["key_model"]),
        columns=tuple(_column(column) for column in value["columns"]),
        dropped_columns=tuple(
            DroppedColumn(
                column["id"], column["name"], parse_type(column["type"]), column["added_name"]
            )
            for column in value["dropped_columns"]
        ),
        partitioning=None if partitioning is None else _partitioning(partitioning),
        distribution=None
        if distribution is None
        else Distribution(
            distribution["kind"], tuple(distribution["columns"]), distribution["buckets"]
        ),
        properties=tuple(value["properties"].items()),
        comment=value["comment"],
    )


def _column(value: dict[str, Any]) -> Column:
    default = value["default"]
    return Column(
        id=value["id"],
        name=value["name"],
        type=parse_type(value["type"]),
        is_key=value["is_key"],
        aggregate=Aggregate(value["aggregate"]),
        is_nullable=value["is_nullable"],
        default=None
        if default is None
        else Default(DefaultKind(default["kind"]), default["text"], str(default.get("frozen", ""))),
        comment=value["comment"],
        added_name=value["added_name"],
        added_type=value["added_type"],
        earlier=value["earlier"],
    )


def _partitioning(value: dict[str, Any]) -> Partitioning:
    return Partitioning(
        value["kind"],
        tuple(value["columns"]),
        tuple(
            Partition(
                found["id"],
                found["name"],
                _bounds(found),
                found["added"],
                tuple(found["properties"].items()),
            )
            for found in value["partitions"]
        ),
        tuple(
            DroppedPartition(found["id"], _bounds(found), found["added"])
            for found in value["dropped"]
        ),
    )


def _bounds(value: dict[str, Any]) -> Bounds:
    if "values" in value:
        return Bounds(values=tuple(tuple(item) for item in value["values"]))
    return Bounds(tuple(value["lower"]), tuple(value["upper"]))
