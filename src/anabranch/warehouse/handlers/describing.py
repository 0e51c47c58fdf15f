"""DESC and the SHOWs about one database's tables: columns, partitions, sizes, CREATE TABLE."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.kernel.ids import Ref
from anabranch.native import ranges as native
from anabranch.warehouse.errors import SqlError, doris, unknown_column
from anabranch.warehouse.handlers.shown import Shown, like_pattern, select
from anabranch.warehouse.information import column_facts as facts
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Result
from anabranch.warehouse.schema import UNPARTITIONED, Bounds, Partition, Table
from anabranch.warehouse.schemas.text import bounds_text, create_table_text
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.lexer import quote_name, quote_string
from anabranch.warehouse.sql.shows import Describe, Show, ShowKind
from anabranch.warehouse.sql.statements import TableName

_PRIVILEGES = "select,insert,update,references"
_DESCRIBED = ("Field", "Type", "Null", "Key", "Default", "Extra")
_TIME = "%Y-%m-%d %H:%M:%S"
_NEVER = "9999-12-31 23:59:59"


def number_of(identity: str) -> int:
    """Return the number that stands for an id where clients expect one."""
    return int.from_bytes(native.blake3(identity.encode())[:6], "big")


def size_text(size_bytes: int) -> str:
    """Return a size as Doris prints it: `0.000 `, `1.500 KB`."""
    size = float(size_bytes)
    for unit in ("", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.3f} {unit}"
        size /= 1024
    return f"{size:.3f} TB"


class Describing:
    """DESC, and SHOW of databases and tables."""

    def __init__(self, parts: Parts, reader: Reader) -> None:
        self._parts = parts
        self._reader = reader
        self._shows = {
            ShowKind.COLUMNS: self._columns,
            ShowKind.CREATE_DATABASE: self._create_database,
            ShowKind.CREATE_TABLE: self._create_table,
            ShowKind.CREATE_VIEW: self._create_view,
            ShowKind.DATA: self._data,
            ShowKind.DATABASES: self._databases,
            ShowKind.INDEX: self._index,
            ShowKind.PARTITIONS: self._partitions,
            ShowKind.TABLES: self._tables,
            ShowKind.TABLE_STATUS: self._table_status,
            ShowKind.VIEWS: self._views,
        }

    @property
    def kinds(self) -> tuple[ShowKind, ...]:
        """Return what it shows."""
        return tuple(self._shows)

    def run(self, session: SqlSession, statement: Show | Describe) -> Iterator[Result]:
        """Yield the rows."""
        if isinstance(statement, Describe):
            yield self._describe(session, statement).result
            return
        like = 1 if statement.kind is ShowKind.PARTITIONS else 0
        shown = self._shows[statement.kind](session, statement)
        yield select(self._reader, session, shown, statement, like=like)

    # One table

    def _describe(self, session: SqlSession, statement: Describe) -> Shown:
        name = statement.table
        if name.database and information_schema.is_its_name(name.database):
            return _describe_system(name.table)
        place = session.table_place(name)
        schema = self._parts.tables.get(place).schema
        rows = _describe_rows(schema)
        if statement.column is not None:
            pattern = like_pattern(statement.column)
            rows = [row for row in rows if pattern.fullmatch(row[0] or "")]
            if not rows and not set(statement.column) & set("%_"):
                raise unknown_column(statement.column, place.table)
        if not statement.is_all:
            return Shown(_DESCRIBED, rows)
        columns = (
            "IndexName",
            "IndexKeysType",
            *_DESCRIBED,
            "Visible",
            "DefineExpr",
            "WhereClause",
        )
        model = {"DUPLICATE": "DUP", "AGGREGATE": "AGG", "UNIQUE": "UNIQUE"}[schema.key_model]
        heads = [(place.table, f"{model}_KEYS"), *[("", "")] * (len(rows) - 1)]
        return Shown(
            columns,
            [(*head, *row, "true", "", "") for head, row in zip(heads, rows, strict=True)],
        )

    def _table(self, session: SqlSession, name: TableName | None) -> TablePlace:
        assert name is not None
        return session.table_place(name)

    def _columns(self, session: SqlSession, show: Show) -> Shown:
        names = ("Field", "Type", "Null", "Key", "Default", "Extra")
        full = ("Field", "Type", "Collation", *names[2:], "Privileges", "Comment")
        name = show.table
        assert name is not None
        if name.database and information_schema.is_its_name(name.database):
            found = _describe_system(name.table).rows
            short = [(row[0], row[1], "YES", "NO", None, "") for row in found]
            if not show.is_full:
                return Shown(names, short)
            return Shown(full, [(*row[:2], "", *row[2:], "select", "") for row in short])
        schema = self._parts.tables.get(self._table(session, name)).schema
        rows: list[tuple[str | None, ...]] = []
        for column in schema.columns:
            head = (column.name, column.type.shown)
            rest = (
                "YES" if column.is_nullable else "NO",
                "YES" if column.is_key else "NO",
                facts.default_value(column),
                facts.extra_text(schema, column).replace("NONE", ""),
            )
            if show.is_full:
                has_collation = facts.character_length(column.type) is not None
                collation = "utf8mb4_bin" if has_collation else None
                rows.append((*head, collation, *rest, _PRIVILEGES, column.comment))
            else:
                rows.append((*head, *rest))
        return Shown(full if show.is_full else names, rows)

    def _create_table(self, session: SqlSession, show: Show) -> Shown:
        place = self._table(session, show.table)
        schema = self._parts.tables.get(place).schema
        text = create_table_text(place.table, schema)
        return Shown(("Table", "Create Table"), [(place.table, text)])

    def _create_view(self, session: SqlSession, show: Show) -> Shown:
        place = self._table(session, show.table)
        self._parts.tables.get(place)
        raise SqlError(1347, "HY000", f"'{place.database}.{place.table}' is not VIEW")

    def _index(self, session: SqlSession, show: Show) -> Shown:
        self._parts.tables.get(self._table(session, show.table))
        names = "Table Non_unique Key_name Seq_in_index Column_name Collation Cardinality Sub_part"
        rest = "Packed Null Index_type Comment Properties"
        return Shown((*names.split(), *rest.split()), ())

    def _partitions(self, session: SqlSession, show: Show) -> Shown:
        place = self._table(session, show.table)
        snapshot = self._parts.snapshots.read(place)
        schema = snapshot.schema
        partitions = (
            schema.partitioning.partitions
            if schema.partitioning
            else (Partition(UNPARTITIONED, place.table, Bounds()),)
        )
        rows = []
        for partition in partitions:
            sizes = information_schema.measure(snapshot, partition.id)
            given = dict(schema.properties) | dict(partition.properties)
            last = sizes.last.strftime(_TIME) if sizes.last else "1970-01-01 00:00:00"
            rows.append(
                (
                    number_of(schema.id + partition.id),
                    partition.name,
                    sizes.rowsets + 1,
                    last,
                    "NORMAL",
                    information_schema.partition_expression(schema),
                    bounds_text(partition.bounds) if schema.partitioning else "",
                    _distribution_key(schema),
                    _buckets(schema),
                    int(given.get("replication_num", "1").split(".")[0]),
                    given.get("storage_medium", "HDD").upper(),
                    _NEVER,
                    "",
                    None,
                    size_text(sizes.size_bytes),
                    given.get("in_memory", "false"),
                    f"tag.location.default: {given.get('replication_num', '1')}",
                    "true",
                    "true",
                    None,
                    sizes.rows,
                )
            )
        return Shown(_PARTITIONS, rows, _PARTITION_NUMBERS)

    # One database

    def _within(self, session: SqlSession, show: Show) -> DatabasePlace:
        within = session.database_place(show.database)
        self._parts.databases.get(within)
        return within

    def _databases(self, session: SqlSession, show: Show) -> Shown:
        place = session.place
        if show.database is not None:
            catalog = session.catalog_named(show.database)
            repository = self._parts.lake.repositories.find(catalog)
            if repository is None:
                raise doris(f"Unknown catalog '{show.database}'")
            if catalog != session.catalog:
                place = Place(catalog, Ref(repository.default_branch))
        names = [information_schema.NAME, *self._parts.databases.list(place)]
        return Shown(("Database",), [(name,) for name in sorted(names)])

    def _tables(self, session: SqlSession, show: Show) -> Shown:
        database = show.database or session.database
        if database is not None and information_schema.is_its_name(database):
            names = [(name.lower(), "SYSTEM VIEW") for name in information_schema.TABLE_NAMES]
            database = information_schema.NAME
        else:
            within = self._within(session, show)
            names = [(name, "BASE TABLE") for name in self._parts.tables.list(within)]
            database = within.database
        head = f"Tables_in_{database}"
        if show.is_full:
            return Shown((head, "Table_type"), names)
        return Shown((head,), [(name,) for name, _ in names])

    def _views(self, session: SqlSession, show: Show) -> Shown:
        return Shown((f"Tables_in_{self._within(session, show).database}",), ())

    def _create_database(self, session: SqlSession, show: Show) -> Shown:
        within = session.database_place(show.database)
        found = self._parts.databases.get(within)
        text = f"CREATE DATABASE {quote_name(within.database)}"
        if found.properties:
            pairs = sorted(dict(found.properties).items())
            inner = ", ".join(f"{quote_string(key)} = {quote_string(each)}" for key, each in pairs)
            text += f" PROPERTIES ({inner})"
        return Shown(("Database", "Create Database"), [(within.database, text)])

    def _table_status(self, session: SqlSession, show: Show) -> Shown:
        database = show.database or session.database
        if database is not None and information_schema.is_its_name(database):
            return Shown(_STATUS, (), _STATUS_NUMBERS)
        within = self._within(session, show)
        rows = []
        for place, stored in information_schema.list_tables(self._parts, within):
            session.check()
            sizes = information_schema.measure(self._parts.snapshots.read(place))
            average = sizes.size_bytes // sizes.rows if sizes.rows else 0
            first = sizes.first.strftime(_TIME) if sizes.first else None
            last = sizes.last.strftime(_TIME) if sizes.last else None
            rows.append(
                (
                    *(place.table, "Doris", None, None, sizes.rows, average, sizes.size_bytes),
                    *(None, None, None, None, first, last, None, "utf8mb4_bin", None, None),
                    stored.schema.comment,
                )
            )
        return Shown(_STATUS, rows, _STATUS_NUMBERS)

    def _data(self, session: SqlSession, show: Show) -> Shown:
        if show.table is not None:
            place = session.table_place(show.table)
            sizes = information_schema.measure(self._parts.snapshots.read(place))
            size, rowsets = size_text(sizes.size_bytes), str(sizes.rowsets)
            return Shown(
                ("TableName", "IndexName", "Size", "ReplicaCount", "RowCount"),
                [
                    (place.table, place.table, size, rowsets, str(sizes.rows)),
                    ("", "Total", size, rowsets, ""),
                ],
            )
        within = self._within(session, show)
        rows: list[tuple[str, str, str]] = []
        total = count = 0
        for place, _ in information_schema.list_tables(self._parts, within):
            session.check()
            sizes = information_schema.measure(self._parts.snapshots.read(place))
            rows.append((place.table, size_text(sizes.size_bytes), str(sizes.rowsets)))
            total += sizes.size_bytes
            count += sizes.rowsets
        rows.append(("Total", size_text(total), str(count)))
        most = self._parts.facts.data_bytes_max
        rows.append(("Quota", size_text(most), "1073741824"))
        rows.append(("Left", size_text(max(0, most - total)), str(1_073_741_824 - count)))
        return Shown(("TableName", "Size", "ReplicaCount"), rows)


def _describe_rows(schema: Table) -> list[tuple[str | None, ...]]:
    return [
        (
            column.name,
            column.type.shown,
            "Yes" if column.is_nullable else "No",
            facts.key_text(schema, column),
            facts.default_value(column),
            facts.extra_text(schema, column),
        )
        for column in schema.columns
    ]


def _describe_system(table: str) -> Shown:
    described = information_schema.describe(table)
    return Shown(
        _DESCRIBED,
        [(each.name, each.type.shown, "Yes", "false", None, "") for each in described.columns],
    )


def _distribution_key(schema: Table) -> str:
    distribution = schema.distribution
    if distribution is None or distribution.kind == "RANDOM":
        return "RANDOM"
    found = [schema.by_id(column_id) for column_id in distribution.columns]
    return ", ".join(column.name for column in found if column is not None)


def _buckets(schema: Table) -> int:
    return schema.distribution.buckets or 10 if schema.distribution else 10


_PARTITIONS = (
    "PartitionId", "PartitionName", "VisibleVersion", "VisibleVersionTime", "State",
    "PartitionKey", "Range", "DistributionKey", "Buckets", "ReplicationNum", "StorageMedium",
    "CooldownTime", "RemoteStoragePolicy", "LastConsistencyCheckTime", "DataSize", "IsInMemory",
    "ReplicaAllocation", "IsMutable", "SyncWithBaseTables", "UnsyncTables", "RowCount",
)  # fmt: skip
_PARTITION_NUMBERS = frozenset(
    ("PartitionId", "VisibleVersion", "Buckets", "ReplicationNum", "RowCount")
)
_STATUS = (
    "Name", "Engine", "Version", "Row_format", "Rows", "Avg_row_length", "Data_length",
    "Max_data_length", "Index_length", "Data_free", "Auto_increment", "Create_time", "Update_time",
    "Check_time", "Collation", "Checksum", "Create_options", "Comment",
)  # fmt: skip
_STATUS_NUMBERS = frozenset(
    ("Version", "Rows", "Avg_row_length", "Data_length", "Max_data_length", "Index_length",
     "Data_free", "Auto_increment", "Checksum")
)  # fmt: skip
