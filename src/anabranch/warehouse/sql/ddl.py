"""CREATE, DROP, ALTER and TRUNCATE of databases and tables."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.sql.columns import (
    parse_column,
    parse_distribution,
    parse_key,
    parse_partition,
    parse_partition_clause,
)
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.statements import (
    AddColumn,
    AddPartition,
    AlterClause,
    AlterTable,
    ColumnDefinition,
    ColumnPlace,
    CreateDatabase,
    CreateTable,
    CreateTableLike,
    DropColumn,
    DropDatabase,
    DropPartition,
    DropTable,
    ModifyColumn,
    ModifyColumnComment,
    ModifyComment,
    ModifyDistribution,
    ModifyPartition,
    RenameColumn,
    RenameDatabase,
    RenamePartition,
    RenameTable,
    ReorderColumns,
    ReplaceTable,
    SetProperties,
    TableName,
    TruncateTable,
)


def parse_create(
    cursor: Cursor,
) -> CreateDatabase | CreateTable | CreateTableLike:
    """Parse what follows CREATE, other than users and roles."""
    if cursor.accept_any("DATABASE", "SCHEMA"):
        if_not_exists = cursor.accept("IF NOT EXISTS")
        name = cursor.database_name()
        properties = cursor.optional_properties()
        _skip_character_set(cursor)
        cursor.finish()
        return CreateDatabase(name, if_not_exists, properties)
    for what in ("EXTERNAL TABLE", "TEMPORARY TABLE"):
        if cursor.is_words(what):
            raise not_supported(f"CREATE {what}")
    if not cursor.accept("TABLE"):
        token = cursor.peek()
        if cursor.is_name() or cursor.is_word("INDEX") or cursor.is_word("OR"):
            raise not_supported(f"CREATE {token.value.upper()}")
        raise cursor.error("DATABASE, TABLE, USER, ROLE")
    if_not_exists = cursor.accept("IF NOT EXISTS")
    table = cursor.table_name()
    if cursor.accept("LIKE"):
        source = cursor.table_name()
        if cursor.is_words("WITH ROLLUP"):
            raise not_supported("CREATE TABLE LIKE ... WITH ROLLUP")
        cursor.finish()
        return CreateTableLike(table, source, if_not_exists)
    return _parse_create_table(cursor, table, if_not_exists)


def _skip_character_set(cursor: Cursor) -> None:
    """Take what MySQL's tools say of character sets: there is one, and one collation."""
    while True:
        cursor.accept("DEFAULT")
        if not cursor.accept_any("CHARACTER SET", "CHARSET", "COLLATE"):
            return
        cursor.accept("=")
        cursor.name_or_string("a character set or collation")


def _parse_create_table(cursor: Cursor, table: TableName, if_not_exists: bool) -> CreateTable:
    columns: tuple[ColumnDefinition, ...] = ()
    names: tuple[str, ...] = ()
    if cursor.is_word("(") and (cursor.is_word(",", 2) or cursor.is_word(")", 2)):
        names = cursor.names()
    elif cursor.is_word("("):
        columns = _parse_columns(cursor)
    if cursor.accept("ENGINE"):
        cursor.accept("=")
        engine = cursor.name_or_string("an engine")
        if engine.upper() != "OLAP":
            raise doris(f"Unknown engine name: {engine}")
    key = parse_key(cursor)
    comment = ""
    if cursor.accept("COMMENT"):
        cursor.accept("=")
        comment = cursor.string("a comment")
    partition = parse_partition_clause(cursor)
    distribution = parse_distribution(cursor)
    if cursor.is_word("ROLLUP"):
        raise not_supported("ROLLUP")
    properties = cursor.optional_properties()
    if cursor.is_word("BROKER"):
        raise not_supported("BROKER PROPERTIES")
    query = None
    if cursor.accept("AS") or cursor.is_word("SELECT") or cursor.is_word("WITH"):
        if columns:
            raise doris("Not allow to specify column types in CREATE TABLE AS SELECT")
        if cursor.at_end():
            raise cursor.error("a query")
        query = cursor.rest()
    elif not columns:
        raise cursor.error("(")
    cursor.finish()
    return CreateTable(
        table,
        columns,
        key,
        partition,
        distribution,
        properties,
        comment,
        if_not_exists=if_not_exists,
        column_names=names,
        query=query,
    )


def _parse_columns(cursor: Cursor) -> tuple[ColumnDefinition, ...]:
    cursor.expect("(")
    columns: list[ColumnDefinition] = []
    while True:
        if cursor.is_word("INDEX"):
            _parse_index(cursor)
        else:
            columns.append(parse_column(cursor))
        if not cursor.accept(","):
            break
    cursor.expect(")")
    return tuple(columns)


def _parse_index(cursor: Cursor) -> None:
    """Take and forget an index: reads are pruned by the statistics of every column."""
    cursor.expect("INDEX")
    cursor.accept("IF NOT EXISTS")
    cursor.name("an index name")
    cursor.names()
    if cursor.accept("USING"):
        cursor.expect_any("BITMAP", "INVERTED", "NGRAM_BF", "BLOOM_FILTER")
    cursor.optional_properties()
    if cursor.accept("COMMENT"):
        cursor.string("a comment")


def parse_drop(cursor: Cursor) -> DropDatabase | DropTable:
    """Parse what follows DROP, other than users and roles."""
    if cursor.accept_any("DATABASE", "SCHEMA"):
        if_exists = cursor.accept("IF EXISTS")
        name = cursor.database_name()
        is_forced = cursor.accept("FORCE")
        cursor.finish()
        return DropDatabase(name, if_exists, is_forced)
    cursor.accept("TEMPORARY")
    kind = cursor.accept_any("TABLE", "VIEW")
    if not kind:
        if cursor.is_name() or cursor.is_word("INDEX"):
            raise not_supported(f"DROP {cursor.peek().value.upper()}")
        raise cursor.error("DATABASE, TABLE, USER, ROLE")
    if_exists = cursor.accept("IF EXISTS")
    tables = [cursor.table_name()]
    while cursor.accept(","):
        tables.append(cursor.table_name())
    is_forced = cursor.accept("FORCE")
    cursor.accept_any("RESTRICT", "CASCADE")
    cursor.finish()
    return DropTable(tuple(tables), if_exists, is_forced, is_view=kind == "VIEW")


def parse_truncate(cursor: Cursor) -> TruncateTable:
    """Parse what follows TRUNCATE."""
    cursor.accept("TABLE")
    table = cursor.table_name()
    partitions = parse_partition_names(cursor)
    cursor.accept("FORCE")
    cursor.finish()
    return TruncateTable(table, partitions)


def parse_partition_names(cursor: Cursor) -> tuple[str, ...] | None:
    """Take `PARTITION[S] (names)` or `PARTITION name` if it comes next."""
    if cursor.is_words("TEMPORARY PARTITION") or cursor.is_words("TEMPORARY PARTITIONS"):
        raise not_supported("TEMPORARY PARTITION")
    if not cursor.accept_any("PARTITIONS", "PARTITION"):
        return None
    return cursor.names() if cursor.is_word("(") else (cursor.name("a partition"),)


def parse_alter(cursor: Cursor) -> AlterTable | RenameDatabase:
    """Parse what follows ALTER, other than users."""
    if cursor.accept_any("DATABASE", "SCHEMA"):
        name = cursor.database_name()
        if not cursor.accept("RENAME"):
            raise not_supported(f"ALTER DATABASE {cursor.peek().value.upper()}")
        renamed = RenameDatabase(name, cursor.name("a database"))
        cursor.finish()
        return renamed
    if not cursor.accept("TABLE"):
        if cursor.is_name():
            raise not_supported(f"ALTER {cursor.peek().value.upper()}")
        raise cursor.error("DATABASE, TABLE, USER")
    table = cursor.table_name()
    clauses: list[AlterClause] = []
    while True:
        clauses.extend(_parse_clause(cursor))
        if not cursor.accept(","):
            break
    cursor.finish()
    return AlterTable(table, tuple(clauses))


def _parse_clause(cursor: Cursor) -> list[AlterClause]:
    heads: dict[str, Callable[[Cursor], list[AlterClause]]] = {
        "ADD": _parse_add,
        "DROP": _parse_drop_clause,
        "MODIFY": _parse_modify,
        "RENAME": _parse_rename,
        "REPLACE": _parse_replace,
        "ORDER BY": lambda cursor: [ReorderColumns(cursor.names())],
        "SET": lambda cursor: [SetProperties(cursor.properties())],
    }
    return heads[cursor.expect_any(*heads)](cursor)


def _refuse_rest(cursor: Cursor, verb: str) -> None:
    for what in ("ROLLUP", "INDEX", "TEMPORARY", "GENERATED", "CONSTRAINT", "ENGINE"):
        if cursor.is_word(what):
            raise not_supported(f"ALTER TABLE {verb} {what}")


def _parse_add(cursor: Cursor) -> list[AlterClause]:
    if cursor.is_word("PARTITION"):
        partition = parse_partition(cursor)
        parse_distribution(cursor)
        properties = cursor.properties() if cursor.is_word("(") else cursor.optional_properties()
        if properties:
            raise doris("properties of a partition follow its values")
        return [AddPartition(partition)]
    if cursor.accept("PARTITIONS"):
        return [AddPartition(parse_partition(cursor))]
    _refuse_rest(cursor, "ADD")
    cursor.accept("COLUMN")
    added: list[AlterClause] = []
    if cursor.is_word("("):
        added.extend(AddColumn(column) for column in _parse_columns(cursor))
    else:
        column = parse_column(cursor)
        added.append(AddColumn(column, _parse_place(cursor)))
    _parse_rollup_target(cursor)
    return added


def _parse_place(cursor: Cursor) -> ColumnPlace | None:
    if cursor.accept("FIRST"):
        return ColumnPlace()
    if cursor.accept("AFTER"):
        return ColumnPlace(cursor.name("a column"))
    return None


def _parse_rollup_target(cursor: Cursor) -> None:
    if cursor.is_word("TO") or cursor.is_word("IN") or cursor.is_word("FROM"):
        raise not_supported("ALTER TABLE of a rollup")
    cursor.optional_properties()


def _parse_drop_clause(cursor: Cursor) -> list[AlterClause]:
    if cursor.accept("PARTITION"):
        if_exists = cursor.accept("IF EXISTS")
        name = cursor.name("a partition")
        return [DropPartition(name, if_exists, cursor.accept("FORCE"))]
    _refuse_rest(cursor, "DROP")
    cursor.accept("COLUMN")
    name = cursor.name("a column")
    _parse_rollup_target(cursor)
    return [DropColumn(name)]


def _parse_modify(cursor: Cursor) -> list[AlterClause]:
    if cursor.accept("COMMENT"):
        return [ModifyComment(cursor.string("a comment"))]
    if cursor.accept("DISTRIBUTION"):
        distribution = parse_distribution(cursor)
        if distribution is None:
            raise cursor.error("DISTRIBUTED BY")
        return [ModifyDistribution(distribution)]
    if cursor.accept("PARTITION"):
        if cursor.accept("( * )"):
            names: tuple[str, ...] = ()
        else:
            names = cursor.names() if cursor.is_word("(") else (cursor.name("a partition"),)
        cursor.expect("SET")
        return [ModifyPartition(names, cursor.properties())]
    _refuse_rest(cursor, "MODIFY")
    cursor.accept("COLUMN")
    if cursor.is_word("COMMENT", 1):
        name = cursor.name("a column")
        cursor.expect("COMMENT")
        return [ModifyColumnComment(name, cursor.string("a comment"))]
    column = parse_column(cursor)
    place = _parse_place(cursor)
    _parse_rollup_target(cursor)
    return [ModifyColumn(column, place)]


def _parse_rename(cursor: Cursor) -> list[AlterClause]:
    if cursor.accept("COLUMN"):
        name = cursor.name("a column")
        cursor.accept("TO")
        return [RenameColumn(name, cursor.name("a column"))]
    if cursor.accept("PARTITION"):
        name = cursor.name("a partition")
        cursor.accept("TO")
        return [RenamePartition(name, cursor.name("a partition"))]
    if cursor.is_word("ROLLUP") and not cursor.at_end() and cursor.is_name(1):
        raise not_supported("ALTER TABLE RENAME ROLLUP")
    cursor.accept_any("TO", "AS")
    return [RenameTable(cursor.name("a table"))]


def _parse_replace(cursor: Cursor) -> list[AlterClause]:
    if cursor.is_word("PARTITION"):
        raise not_supported("ALTER TABLE REPLACE PARTITION")
    cursor.expect("WITH TABLE")
    source = cursor.name("a table")
    return [ReplaceTable(source, cursor.optional_properties())]
