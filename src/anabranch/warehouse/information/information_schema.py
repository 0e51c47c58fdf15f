"""information_schema: tables about the session's catalog at its ref, made when a query uses them.

Their columns are MySQL's and Doris's. What one query looks at is bounded, and rowsets are counted
only for a query that uses such a column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, no_such_table
from anabranch.warehouse.information import column_facts as facts
from anabranch.warehouse.information import fixed_lists as lists
from anabranch.warehouse.places import DatabasePlace, TablePlace
from anabranch.warehouse.rowsets.rowset import RowsetKind
from anabranch.warehouse.schema import Table
from anabranch.warehouse.schemas.text import bounds_text
from anabranch.warehouse.sql.transforms.catalog import Column, Described
from anabranch.warehouse.types import ColumnType, SqlType
from anabranch.warehouse.variables import shown_value

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.catalog.tables import Stored
    from anabranch.warehouse.parts import Parts
    from anabranch.warehouse.session import SqlSession

NAME = "information_schema"
_TEXT = ColumnType(SqlType.VARCHAR, length=65_533)
_NUMBER = ColumnType(SqlType.BIGINT)
_TIME = ColumnType(SqlType.DATETIME)
_ARROW = {
    SqlType.VARCHAR: pa.string(),
    SqlType.BIGINT: pa.int64(),
    SqlType.DATETIME: pa.timestamp("us"),
}
_MARKS = {"#": _NUMBER, "@": _TIME}

# A column is a text, with # behind its name a number, with @ a time.
_COLUMNS = {
    "SCHEMATA": """CATALOG_NAME SCHEMA_NAME DEFAULT_CHARACTER_SET_NAME DEFAULT_COLLATION_NAME
        SQL_PATH""",
    "TABLES": """TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE ENGINE VERSION# ROW_FORMAT
        TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE#
        AUTO_INCREMENT# CREATE_TIME@ UPDATE_TIME@ CHECK_TIME@ TABLE_COLLATION CHECKSUM#
        CREATE_OPTIONS TABLE_COMMENT""",
    "COLUMNS": """TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION# COLUMN_DEFAULT
        IS_NULLABLE DATA_TYPE CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION#
        NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME COLLATION_NAME COLUMN_TYPE COLUMN_KEY
        EXTRA PRIVILEGES COLUMN_COMMENT COLUMN_SIZE# DECIMAL_DIGITS# GENERATION_EXPRESSION SRS_ID#
        """,
    "PARTITIONS": """TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME SUBPARTITION_NAME
        PARTITION_ORDINAL_POSITION# SUBPARTITION_ORDINAL_POSITION# PARTITION_METHOD
        SUBPARTITION_METHOD PARTITION_EXPRESSION SUBPARTITION_EXPRESSION PARTITION_DESCRIPTION
        TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE#
        CREATE_TIME@ UPDATE_TIME@ CHECK_TIME@ CHECKSUM# PARTITION_COMMENT NODEGROUP
        TABLESPACE_NAME""",
    "VIEWS": """TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE
        DEFINER SECURITY_TYPE CHARACTER_SET_CLIENT COLLATION_CONNECTION""",
    "STATISTICS": """TABLE_CATALOG TABLE_SCHEMA TABLE_NAME NON_UNIQUE# INDEX_SCHEMA INDEX_NAME
        SEQ_IN_INDEX# COLUMN_NAME COLLATION CARDINALITY# SUB_PART# PACKED NULLABLE INDEX_TYPE
        COMMENT INDEX_COMMENT IS_VISIBLE EXPRESSION""",
    "KEY_COLUMN_USAGE": """CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_CATALOG
        TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION# POSITION_IN_UNIQUE_CONSTRAINT#
        REFERENCED_TABLE_SCHEMA REFERENCED_TABLE_NAME REFERENCED_COLUMN_NAME""",
    "TABLE_CONSTRAINTS": """CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_SCHEMA
        TABLE_NAME CONSTRAINT_TYPE ENFORCED""",
    "REFERENTIAL_CONSTRAINTS": """CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME
        UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA UNIQUE_CONSTRAINT_NAME MATCH_OPTION
        UPDATE_RULE DELETE_RULE TABLE_NAME REFERENCED_TABLE_NAME""",
    "CHECK_CONSTRAINTS": "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE",
    "ROUTINES": """SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE DATA_TYPE
        DTD_IDENTIFIER ROUTINE_BODY ROUTINE_DEFINITION EXTERNAL_NAME EXTERNAL_LANGUAGE
        PARAMETER_STYLE IS_DETERMINISTIC SQL_DATA_ACCESS SQL_PATH SECURITY_TYPE CREATED@
        LAST_ALTERED@ SQL_MODE ROUTINE_COMMENT DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION
        DATABASE_COLLATION""",
    "PARAMETERS": """SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION# PARAMETER_MODE
        PARAMETER_NAME DATA_TYPE CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH#
        NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME COLLATION_NAME
        DTD_IDENTIFIER ROUTINE_TYPE""",
    "TRIGGERS": """TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION
        EVENT_OBJECT_CATALOG EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE ACTION_ORDER# ACTION_CONDITION
        ACTION_STATEMENT ACTION_ORIENTATION ACTION_TIMING ACTION_REFERENCE_OLD_TABLE
        ACTION_REFERENCE_NEW_TABLE ACTION_REFERENCE_OLD_ROW ACTION_REFERENCE_NEW_ROW CREATED@
        SQL_MODE DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION""",
    "EVENTS": """EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER TIME_ZONE EVENT_BODY EVENT_DEFINITION
        EVENT_TYPE EXECUTE_AT@ INTERVAL_VALUE INTERVAL_FIELD SQL_MODE STARTS@ ENDS@ STATUS
        ON_COMPLETION CREATED@ LAST_ALTERED@ LAST_EXECUTED@ EVENT_COMMENT ORIGINATOR#
        CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION""",
    "FILES": "FILE_ID# FILE_NAME FILE_TYPE TABLESPACE_NAME TABLE_CATALOG TABLE_SCHEMA TABLE_NAME",
    "ENGINES": "ENGINE SUPPORT COMMENT TRANSACTIONS XA SAVEPOINTS",
    "CHARACTER_SETS": "CHARACTER_SET_NAME DEFAULT_COLLATE_NAME DESCRIPTION MAXLEN#",
    "COLLATIONS": "COLLATION_NAME CHARACTER_SET_NAME ID# IS_DEFAULT IS_COMPILED SORTLEN#",
    "COLLATION_CHARACTER_SET_APPLICABILITY": "COLLATION_NAME CHARACTER_SET_NAME",
    "KEYWORDS": "WORD RESERVED#",
    "PLUGINS": """PLUGIN_NAME PLUGIN_VERSION PLUGIN_STATUS PLUGIN_TYPE PLUGIN_TYPE_VERSION
        PLUGIN_LIBRARY PLUGIN_LIBRARY_VERSION PLUGIN_AUTHOR PLUGIN_DESCRIPTION PLUGIN_LICENSE
        LOAD_OPTION""",
    "PROCESSLIST": "ID# USER HOST DB COMMAND TIME# STATE INFO",
    "GLOBAL_VARIABLES": "VARIABLE_NAME VARIABLE_VALUE",
    "SESSION_VARIABLES": "VARIABLE_NAME VARIABLE_VALUE",
    "GLOBAL_STATUS": "VARIABLE_NAME VARIABLE_VALUE",
    "SESSION_STATUS": "VARIABLE_NAME VARIABLE_VALUE",
    "USER_PRIVILEGES": "GRANTEE TABLE_CATALOG PRIVILEGE_TYPE IS_GRANTABLE",
    "SCHEMA_PRIVILEGES": "GRANTEE TABLE_CATALOG TABLE_SCHEMA PRIVILEGE_TYPE IS_GRANTABLE",
    "TABLE_PRIVILEGES": """GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE
        IS_GRANTABLE""",
    "COLUMN_PRIVILEGES": """GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME
        PRIVILEGE_TYPE IS_GRANTABLE""",
}


def _described(table: str, text: str) -> Described:
    columns = tuple(Column(word.rstrip("#@"), _MARKS.get(word[-1], _TEXT)) for word in text.split())
    return Described(columns, f"{NAME}.{table}")


_DESCRIBED = {table: _described(table, text) for table, text in _COLUMNS.items()}
TABLE_NAMES = tuple(sorted(_DESCRIBED))


def is_its_name(database: str) -> bool:
    """Tell whether a database's name is this one, in any case."""
    return database.lower() == NAME


def describe(table: str) -> Described:
    """Return a table's columns; raise SqlError 1146."""
    found = _DESCRIBED.get(table.upper())
    if found is None:
        raise no_such_table(NAME, table)
    return found


def rows(
    parts: Parts,
    session: SqlSession,
    table: str,
    columns: Collection[str],
    *,
    wanted: Iterable[tuple[str, Collection[str]]] = (),
    tables_max: int = limits.LISTED_TABLES_MAX,
) -> pa.Table:
    """Return a table's rows as they are now; columns that are not in `columns` may be NULL.

    Rows in which a column of `wanted` is none of its texts may be missing. Raises SqlError rather
    than look at more than `tables_max` tables.
    """
    described = describe(table)
    used = {column.upper() for column in columns}
    builder = _BUILDERS.get(table.upper())
    view = _View(parts, session, used, tables_max, _Names.of(wanted))
    found = list(builder(view)) if builder else []
    arrays = []
    for number, column in enumerate(described.columns):
        kind = _ARROW[column.type.kind]
        arrays.append(pa.array([row[number] for row in found], kind))
    return pa.table(arrays, names=[column.name for column in described.columns])


_Row = Sequence[object]


_DATABASE_COLUMNS = frozenset(("SCHEMA_NAME", "TABLE_SCHEMA", "CONSTRAINT_SCHEMA", "INDEX_SCHEMA"))


@dataclass(frozen=True, slots=True)
class _Names:
    """The databases and tables that a query wants; None for all."""

    databases: frozenset[str] | None = None
    tables: frozenset[str] | None = None

    @staticmethod
    def of(wanted: Iterable[tuple[str, Collection[str]]]) -> _Names:
        """Return what a query wants by the columns that name databases and tables."""
        databases: frozenset[str] | None = None
        tables: frozenset[str] | None = None
        for column, texts in wanted:
            if column.upper() in _DATABASE_COLUMNS:
                databases = frozenset(texts) if databases is None else databases & frozenset(texts)
            elif column.upper() == "TABLE_NAME":
                tables = frozenset(texts) if tables is None else tables & frozenset(texts)
        return _Names(databases, tables)

    def has_database(self, name: str) -> bool:
        return self.databases is None or name in self.databases

    def has_table(self, name: str) -> bool:
        return self.tables is None or name in self.tables


@dataclass(frozen=True, slots=True)
class _View:
    """What builders look at: the session's catalog, and which columns the query uses."""

    parts: Parts
    session: SqlSession
    used: set[str]
    tables_max: int
    names: _Names = _Names()

    def databases(self) -> list[str]:
        """Return the names of the databases that are wanted, with this one first."""
        found = [NAME, *self.parts.databases.list(self.session.place)]
        return [name for name in found if self.names.has_database(name)]

    def own_tables(self) -> list[tuple[str, Described]]:
        """Return those tables of this schema that are wanted, by name."""
        if not self.names.has_database(NAME):
            return []
        return [(name, _DESCRIBED[name]) for name in TABLE_NAMES if self.names.has_table(name)]

    def tables(self) -> Iterator[tuple[TablePlace, Stored]]:
        """Yield every table that is wanted; one dropped meanwhile is left out."""
        count = 0
        for database in self.databases():
            if database == NAME:
                continue
            within = DatabasePlace(self.session.place, database)
            for place, stored in list_tables(self.parts, within, self.names.has_table):
                self.session.check()
                count += 1
                if count > self.tables_max:
                    raise doris(f"{NAME} shows at most {self.tables_max} tables")
                yield place, stored

    def sizes(self, place: TablePlace) -> Sizes | None:
        """Return a table's counts when the query uses one of them."""
        names = ("TABLE_ROWS", "DATA_LENGTH", "AVG_ROW_LENGTH", "UPDATE_TIME", "CREATE_TIME")
        if self.used.isdisjoint(names):
            return None
        return measure(self.parts.snapshots.read(place))


def list_tables(
    parts: Parts, within: DatabasePlace, is_wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[TablePlace, Stored]]:
    """Yield the tables of a database by name; one dropped meanwhile is left out."""
    for name in filter(is_wanted, parts.tables.list(within)):
        place = within.table(name)
        try:
            stored = parts.tables.get(place)
        except SqlError as error:
            if error.code in (1049, 1146):
                continue
            raise
        yield place, stored


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a table's rowsets hold; rows are counted before folding, as Doris counts them."""

    rows: int
    size_bytes: int
    rowsets: int
    first: datetime | None
    last: datetime | None


def measure(snapshot: TableSnapshot, partition: str | None = None) -> Sizes:
    """Return the sizes of a table, or of one of its partitions, from the listing alone."""
    found = [
        rowset for rowset in snapshot.rowsets if partition is None or rowset.partition == partition
    ]
    count = sum(
        rowset.header.rows
        for rowset in found
        if rowset.header is not None and rowset.header.kind is RowsetKind.ROWS
    )
    times = [moment_of(rowset.name.sequence) for rowset in found]
    size_bytes = sum(rowset.size_bytes for rowset in found)
    return Sizes(count, size_bytes, len(found), min(times, default=None), max(times, default=None))


def moment_of(microseconds: int) -> datetime:
    """Return a sequence as the time it was drawn, UTC, to the second."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(tzinfo=None)


def _schemata(view: _View) -> Iterator[_Row]:
    for database in view.databases():
        yield view.session.catalog, database, "utf8mb4", "utf8mb4_bin", None


def _tables(view: _View) -> Iterator[_Row]:
    catalog = view.session.catalog
    for name, _ in view.own_tables():
        kind = ("SYSTEM VIEW", "MEMORY", None, None)
        yield (catalog, NAME, name, *kind, *[None] * 10, "utf8mb4_bin", None, None, "")
    for place, stored in view.tables():
        sizes = view.sizes(place)
        counts: list[object] = [None] * 10
        if sizes is not None:
            average = sizes.size_bytes // sizes.rows if sizes.rows else 0
            counts = [sizes.rows, average, sizes.size_bytes, None, None, None, None]
            counts += [sizes.first, sizes.last, None]
        yield (
            *(catalog, place.database, place.table, "BASE TABLE", "Doris", None, None),
            *counts,
            *("utf8mb4_bin", None, None, stored.schema.comment),
        )


def _columns(view: _View) -> Iterator[_Row]:
    catalog = view.session.catalog
    for name, described in view.own_tables():
        for position, each in enumerate(described.columns, 1):
            yield _column(catalog, NAME, name, position, each.name, each.type, None)
    for place, stored in view.tables():
        schema = stored.schema
        for position, column in enumerate(schema.columns, 1):
            shown = (
                facts.default_value(column),
                "YES" if column.is_nullable else "NO",
                facts.mysql_key(schema, column),
                "" if column.is_key else facts.extra_text(schema, column).replace("NONE", ""),
                column.comment,
            )
            yield _column(
                catalog, place.database, place.table, position, column.name, column.type, shown
            )


def _column(
    catalog: str,
    database: str,
    table: str,
    position: int,
    name: str,
    kind: ColumnType,
    shown: tuple[str | None, str, str, str, str] | None,
) -> _Row:
    default, nullable, key, extra, comment = shown or (None, "YES", "", "", "")
    length = facts.character_length(kind)
    charset = (None, None) if length is None else ("utf8mb4", "utf8mb4_bin")
    precision, scale = facts.numeric_precision(kind), facts.numeric_scale(kind)
    return (
        *(catalog, database, table, name, position, default, nullable, facts.data_type(kind)),
        *(length, length, precision, scale, facts.datetime_precision(kind), *charset),
        *(kind.shown, key, extra, "select,insert,update,references", comment),
        *(length if length is not None else precision, scale, None, None),
    )


def _partitions(view: _View) -> Iterator[_Row]:
    for place, stored in view.tables():
        partitioning = stored.schema.partitioning
        if partitioning is None:
            continue
        is_measured = not view.used.isdisjoint(("TABLE_ROWS", "DATA_LENGTH", "AVG_ROW_LENGTH"))
        snapshot = view.parts.snapshots.read(place) if is_measured else None
        names = partition_expression(stored.schema)
        for position, partition in enumerate(partitioning.partitions, 1):
            sizes = measure(snapshot, partition.id) if snapshot else None
            average = sizes.size_bytes // sizes.rows if sizes and sizes.rows else 0
            yield (
                *(view.session.catalog, place.database, place.table, partition.name, None),
                *(position, None, partitioning.kind, None, names, None),
                bounds_text(partition.bounds),
                sizes.rows if sizes else None,
                average if sizes else None,
                sizes.size_bytes if sizes else None,
                *[None] * 10,
            )


def partition_expression(schema: Table) -> str:
    """Return the names of the columns that a table is partitioned by."""
    ids = schema.partitioning.columns if schema.partitioning else ()
    found = [schema.by_id(column_id) for column_id in ids]
    return ", ".join(column.name for column in found if column is not None)


def _statistics(view: _View) -> Iterator[_Row]:
    for place, stored in view.tables():
        if stored.schema.key_model != "UNIQUE":
            continue
        for position, column in enumerate(stored.schema.keys, 1):
            nullable = "YES" if column.is_nullable else ""
            yield (
                *(view.session.catalog, place.database, place.table, 0, place.database),
                *("PRIMARY", position, column.name, "A", None, None, None, nullable, "", "", ""),
                *("YES", None),
            )


def _key_column_usage(view: _View) -> Iterator[_Row]:
    catalog = view.session.catalog
    for place, stored in view.tables():
        if stored.schema.key_model != "UNIQUE":
            continue
        for position, column in enumerate(stored.schema.keys, 1):
            yield (
                *(catalog, place.database, "PRIMARY", catalog, place.database, place.table),
                *(column.name, position, None, None, None, None),
            )


def _table_constraints(view: _View) -> Iterator[_Row]:
    for place, stored in view.tables():
        if stored.schema.key_model == "UNIQUE":
            database = place.database
            head = (view.session.catalog, database, "PRIMARY", database, place.table)
            yield (*head, "PRIMARY KEY", "YES")


def _processlist(view: _View) -> Iterator[_Row]:
    processes = view.parts.processes.list_processes() if view.parts.processes else []
    for each in processes:
        yield (
            *(each.connection_id, each.user, each.address, each.database, each.command),
            *(each.seconds, each.state, each.text),
        )


def _session_variables(view: _View) -> Iterator[_Row]:
    for name in view.session.variables:
        yield name, shown_value(view.session.variables[name])


def _global_variables(view: _View) -> Iterator[_Row]:
    for name in view.session.variables:
        yield name, shown_value(view.session.variables.global_value(name))


def _user_privileges(view: _View) -> Iterator[_Row]:
    yield f"'{view.session.user}'@'%'", view.session.catalog, "SELECT", "NO"


def _fixed(rows_: Sequence[_Row]) -> Callable[[_View], Iterator[_Row]]:
    return lambda _: iter(rows_)


_BUILDERS: dict[str, Callable[[_View], Iterator[_Row]]] = {
    "SCHEMATA": _schemata,
    "TABLES": _tables,
    "COLUMNS": _columns,
    "PARTITIONS": _partitions,
    "STATISTICS": _statistics,
    "KEY_COLUMN_USAGE": _key_column_usage,
    "TABLE_CONSTRAINTS": _table_constraints,
    "PROCESSLIST": _processlist,
    "SESSION_VARIABLES": _session_variables,
    "GLOBAL_VARIABLES": _global_variables,
    "USER_PRIVILEGES": _user_privileges,
    "ENGINES": _fixed(lists.ENGINES),
    "CHARACTER_SETS": _fixed(lists.CHARACTER_SETS),
    "COLLATIONS": _fixed(lists.COLLATIONS),
    "COLLATION_CHARACTER_SET_APPLICABILITY": _fixed([row[:2] for row in lists.COLLATIONS]),
    "KEYWORDS": _fixed(lists.KEYWORDS),
}
