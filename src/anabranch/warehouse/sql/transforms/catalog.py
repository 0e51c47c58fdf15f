"""What a translation asks of the world: tables by name, and the session it runs in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from anabranch.warehouse.types import ColumnType


@dataclass(frozen=True, slots=True)
class At:
    """Where a table is read instead of the session's ref: kind is ref, branch, tag or time."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as written, its database filled in; `catalog` is empty for the session's."""

    catalog: str
    database: str
    table: str
    at: At | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, as its schema says."""

    name: str
    type: ColumnType
    is_nullable: bool = True


@dataclass(frozen=True, slots=True)
class Described:
    """A table's visible columns; `version` differs whenever they do."""

    columns: tuple[Column, ...]
    version: str


class Catalog(Protocol):
    """Tables by name."""

    def describe(self, name: TableName) -> Described:
        """Return a table's columns; raise SqlError 1049 or 1146."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a statement sees of its session; `utc_now` is the statement's time."""

    utc_now: datetime
    time_zone: str = "UTC"
    database: str | None = None
    user: str = "'root'@'%'"
    version: str = "5.7.99"
    connection_id: int = 0
    catalog: str = "internal"
    ref: str = "main"
    sql_mode: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    global_variables: Mapping[str, object] = field(default_factory=dict)
    user_variables: Mapping[str, object] = field(default_factory=dict)
    shows_opaque: bool = False  # return_object_data_as_binary
