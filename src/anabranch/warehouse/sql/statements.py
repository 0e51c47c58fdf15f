"""What statements say: one frozen value per statement, made by `sql.parser.parse`.

Texts of expressions and queries stay as they were written, for the transforms; names keep their
case; `default_cluster:` is gone. Properties are pairs in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from anabranch.warehouse.schema import Default
from anabranch.warehouse.types import ColumnType

Properties = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as named; what is None is the session's."""

    table: str
    database: str | None = None
    catalog: str | None = None
    ref: str | None = None


# Queries and rows


@dataclass(frozen=True, slots=True)
class Query:
    """SELECT, WITH, VALUES or a parenthesised query, whole."""

    text: str


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN or DESC of a statement; `level` is empty or VERBOSE, GRAPH, ANALYZE and the like."""

    text: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT: `body` is VALUES ... or a query, beginning at `body_position` of the statement."""

    table: TableName
    body: str
    body_position: int = 0
    columns: tuple[str, ...] = ()
    partitions: tuple[str, ...] | None = None
    label: str | None = None
    is_overwrite: bool = False

    @property
    def is_values(self) -> bool:
        """Tell whether the rows are written in the statement."""
        return self.body[:6].upper() == "VALUES"


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE: `where` is the text of the condition, `using` that of a USING clause."""

    table: TableName
    where: str | None = None
    partitions: tuple[str, ...] | None = None
    alias: str | None = None
    using: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE: assigned columns with the texts of their values."""

    table: TableName
    assignments: tuple[tuple[str, str], ...]
    where: str | None = None
    alias: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN or START TRANSACTION."""

    label: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """ROLLBACK."""


# Databases and tables


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """CREATE DATABASE."""

    name: str
    if_not_exists: bool = False
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """DROP DATABASE."""

    name: str
    if_exists: bool = False
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class RenameDatabase:
    """ALTER DATABASE ... RENAME."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of CREATE TABLE or ADD COLUMN; `is_nullable` is None when not said."""

    name: str
    type: ColumnType
    is_key: bool = False
    aggregate: str = ""
    is_nullable: bool | None = None
    default: Default | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class KeyClause:
    """DUPLICATE, AGGREGATE or UNIQUE KEY(columns)."""

    model: str
    columns: tuple[str, ...]


class Extreme(Enum):
    """A bound beyond every value."""

    MAXVALUE = "MAXVALUE"


Bound = str | Extreme | None
"""One value of a partition's bounds: a literal's text, MAXVALUE or NULL."""


class BoundKind(Enum):
    """How a partition's bounds were written."""

    LESS_THAN = "LESS THAN"
    FIXED = "FIXED"
    IN = "IN"
    STEP = "STEP"


@dataclass(frozen=True, slots=True)
class PartitionDefinition:
    """One partition.

    LESS_THAN has `upper`, FIXED and STEP `lower` and `upper`, IN `values`. STEP (FROM .. TO ..
    INTERVAL) has no name and stands for several; `unit` is empty for numbers.
    """

    name: str
    kind: BoundKind
    lower: tuple[Bound, ...] = ()
    upper: tuple[Bound, ...] = ()
    values: tuple[tuple[Bound, ...], ...] = ()
    step: int = 0
    unit: str = ""
    if_not_exists: bool = False
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class PartitionClause:
    """PARTITION BY RANGE | LIST."""

    kind: str
    columns: tuple[str, ...]
    partitions: tuple[PartitionDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class DistributionClause:
    """DISTRIBUTED BY HASH(columns) | RANDOM; 0 buckets means AUTO."""

    kind: str
    columns: tuple[str, ...] = ()
    buckets: int = 0


@dataclass(frozen=True, slots=True)
class CreateTable:
    """CREATE TABLE; with `query`, CREATE TABLE AS, whose columns may be left out."""

    table: TableName
    columns: tuple[ColumnDefinition, ...] = ()
    key: KeyClause | None = None
    partition: PartitionClause | None = None
    distribution: DistributionClause | None = None
    properties: Properties = ()
    comment: str = ""
    if_not_exists: bool = False
    column_names: tuple[str, ...] = ()
    query: str | None = None


@dataclass(frozen=True, slots=True)
class CreateTableLike:
    """CREATE TABLE ... LIKE."""

    table: TableName
    source: TableName
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropTable:
    """DROP TABLE; `is_view` for DROP VIEW."""

    tables: tuple[TableName, ...]
    if_exists: bool = False
    is_forced: bool = False
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class TruncateTable:
    """TRUNCATE TABLE, or some partitions of it."""

    table: TableName
    partitions: tuple[str, ...] | None = None


# ALTER TABLE


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """FIRST (`after` is None) or AFTER a column."""

    after: str | None = None


@dataclass(frozen=True, slots=True)
class AddColumn:
    """ADD COLUMN."""

    column: ColumnDefinition
    place: ColumnPlace | None = None


@dataclass(frozen=True, slots=True)
class DropColumn:
    """DROP COLUMN."""

    name: str


@dataclass(frozen=True, slots=True)
class ModifyColumn:
    """MODIFY COLUMN."""

    column: ColumnDefinition
    place: ColumnPlace | None = None


@dataclass(frozen=True, slots=True)
class ModifyColumnComment:
    """MODIFY COLUMN ... COMMENT alone."""

    name: str
    comment: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """RENAME COLUMN."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class ReorderColumns:
    """ORDER BY (all columns)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddPartition:
    """ADD PARTITION."""

    partition: PartitionDefinition


@dataclass(frozen=True, slots=True)
class DropPartition:
    """DROP PARTITION."""

    name: str
    if_exists: bool = False
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class RenamePartition:
    """RENAME PARTITION."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class ModifyPartition:
    """MODIFY PARTITION ... SET; no names mean every partition."""

    names: tuple[str, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class RenameTable:
    """RENAME to another name in the same database."""

    new_name: str


@dataclass(frozen=True, slots=True)
class ReplaceTable:
    """REPLACE WITH TABLE; `swap` is a property."""

    source: str
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class SetProperties:
    """SET ("name" = "value")."""

    properties: Properties


@dataclass(frozen=True, slots=True)
class ModifyComment:
    """MODIFY COMMENT."""

    comment: str


@dataclass(frozen=True, slots=True)
class ModifyDistribution:
    """MODIFY DISTRIBUTION."""

    distribution: DistributionClause


AlterClause = (
    AddColumn
    | DropColumn
    | ModifyColumn
    | ModifyColumnComment
    | RenameColumn
    | ReorderColumns
    | AddPartition
    | DropPartition
    | RenamePartition
    | ModifyPartition
    | RenameTable
    | ReplaceTable
    | SetProperties
    | ModifyComment
    | ModifyDistribution
)


@dataclass(frozen=True, slots=True)
class AlterTable:
    """ALTER TABLE with its clauses, which apply together or not at all."""

    table: TableName
    clauses: tuple[AlterClause, ...]
