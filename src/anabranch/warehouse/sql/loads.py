"""LOAD LABEL, LOAD DATA, CANCEL LOAD, SHOW LOAD and its relatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, not_supported, unknown_properties
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.ddl import parse_partition_names
from anabranch.warehouse.sql.lexer import TokenKind
from anabranch.warehouse.sql.statements import Properties, TableName

LOAD_STATES = (
    "PENDING", "ETL", "LOADING", "COMMITTED", "FINISHED", "CANCELLED", "RETRY", "UNKNOWN",
)  # fmt: skip  # eight words read better in one line
_LOAD_PROPERTIES = """
    timeout max_filter_ratio exec_mem_limit strict_mode timezone partial_columns
    partial_update_new_key_behavior load_parallelism send_batch_parallelism load_to_single_tablet
    priority cluster enclose escape trim_double_quotes skip_lines
"""
LOAD_PROPERTIES = frozenset(_LOAD_PROPERTIES.split())
"""Properties of a load job, in lower case."""
_FORMAT_PROPERTIES = """
    strip_outer_array jsonpaths json_root num_as_string fuzzy_parse read_json_by_line
    skip_lines enclose escape trim_double_quotes column_separator line_delimiter format
    compress_type compress
"""
FORMAT_PROPERTIES = frozenset(_FORMAT_PROPERTIES.split())
"""Properties of a data description, in lower case."""
_LABEL = re.compile(r"[-_A-Za-z0-9:]+")


def parse_label(text: str) -> str:
    """Return a label; raise SqlError if it is none."""
    if not _LABEL.fullmatch(text) or len(text) > limits.LABEL_LENGTH_MAX:
        pattern = f"^[-_A-Za-z0-9:]{{1,{limits.LABEL_LENGTH_MAX}}}$"
        raise doris(f"Label format error. regex: {pattern}, label: {text[:200]}")
    return text


class MergeType(StrEnum):
    """What the rows of a file do to a UNIQUE table."""

    APPEND = "APPEND"
    DELETE = "DELETE"
    MERGE = "MERGE"


@dataclass(frozen=True, slots=True)
class DataDescription:
    """One source of a load.

    `files` are URLs, with wildcards; `column_separator` and `line_delimiter` are None for the
    default; `assignments` are (column, text of an expression); `columns` None means the table's
    own, in its order.
    """

    files: tuple[str, ...]
    table: str
    merge_type: MergeType = MergeType.APPEND
    is_negative: bool = False
    partitions: tuple[str, ...] | None = None
    column_separator: str | None = None
    line_delimiter: str | None = None
    format: str | None = None
    compression: str | None = None
    columns: tuple[str, ...] | None = None
    columns_from_path: tuple[str, ...] = ()
    assignments: tuple[tuple[str, str], ...] = ()
    preceding_filter: str | None = None
    where: str | None = None
    delete_on: str | None = None
    sequence_column: str | None = None
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class LoadLabel:
    """LOAD LABEL; `source` is BROKER, S3, HDFS or LOCAL, `broker` the name of the first."""

    label: str
    database: str | None
    descriptions: tuple[DataDescription, ...]
    source: str
    broker: str = ""
    source_properties: Properties = ()
    properties: Properties = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class LoadData:
    """MySQL's LOAD DATA; `is_local` reads the file of the client."""

    file: str
    table: TableName
    is_local: bool = False
    partitions: tuple[str, ...] | None = None
    column_separator: str | None = None
    enclose: str | None = None
    escape: str | None = None
    line_delimiter: str | None = None
    skip_lines: int = 0
    columns: tuple[str, ...] | None = None
    assignments: tuple[tuple[str, str], ...] = ()
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class LoadFilter:
    """The WHERE of SHOW LOAD and CANCEL LOAD: all that is given must hold.

    `label_pattern` is LIKE's; without `%` Doris looks for a sub-string. States are upper-case.
    """

    label: str | None = None
    label_pattern: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class CancelLoad:
    """CANCEL LOAD."""

    database: str | None
    filter: LoadFilter


@dataclass(frozen=True, slots=True)
class ShowLoad:
    """SHOW LOAD, and SHOW STREAM LOAD; `order` is (column, descending)."""

    database: str | None = None
    filter: LoadFilter = LoadFilter()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0
    is_stream: bool = False


def parse_load(cursor: Cursor) -> LoadLabel | LoadData:
    """Parse what follows LOAD."""
    return _parse_load_data(cursor) if cursor.accept("DATA") else _parse_load_label(cursor)


def _parse_load_label(cursor: Cursor) -> LoadLabel:
    cursor.expect("LABEL")
    name = cursor.table_name_or_string()
    label = parse_label(name.table)
    cursor.expect("(")
    descriptions = [_parse_description(cursor)]
    while cursor.accept(","):
        descriptions.append(_parse_description(cursor))
    cursor.expect(")")
    source, broker = "BROKER", ""
    given: Properties = ()
    if cursor.accept("WITH"):
        source = cursor.expect_any("BROKER", "S3", "HDFS", "LOCAL", "RESOURCE")
        if source == "RESOURCE":
            raise not_supported("LOAD ... WITH RESOURCE")
        if source == "BROKER":
            broker = cursor.name_or_string("a broker")
        given = cursor.properties() if cursor.is_word("(") else ()
    elif cursor.is_word("BY"):
        raise not_supported("LOAD ... BY")
    else:
        raise cursor.error("WITH BROKER, WITH S3, WITH HDFS, WITH LOCAL")
    properties = cursor.optional_properties()
    unknown = {key: value for key, value in properties if key.lower() not in LOAD_PROPERTIES}
    if unknown:
        raise unknown_properties(unknown)
    comment = cursor.string("a comment") if cursor.accept("COMMENT") else ""
    cursor.finish()
    return LoadLabel(
        label, name.database, tuple(descriptions), source, broker, given, properties, comment
    )


def _parse_description(cursor: Cursor) -> DataDescription:
    merge_type = MergeType(cursor.accept_any("APPEND", "DELETE", "MERGE") or "APPEND")
    if cursor.is_words("DATA FROM"):
        raise not_supported("LOAD ... DATA FROM TABLE")
    cursor.expect("DATA INFILE")
    files = _parse_strings(cursor)
    is_negative = cursor.accept("NEGATIVE")
    cursor.expect("INTO TABLE")
    table = cursor.name("a table")
    partitions = parse_partition_names(cursor)
    separators = _parse_separators(cursor)
    file_format = cursor.name_or_string("a format") if cursor.accept("FORMAT AS") else None
    compression = (
        cursor.name_or_string("a compression") if cursor.accept("COMPRESS_TYPE AS") else None
    )
    columns = cursor.names() if cursor.is_word("(") else None
    from_path = cursor.names() if cursor.accept("COLUMNS FROM PATH AS") else ()
    clauses = _parse_row_clauses(cursor)
    if clauses.delete_on is None and merge_type is MergeType.MERGE:
        raise doris("Excepted DELETE ON clause when merge type is MERGE.")
    if clauses.delete_on is not None and merge_type is not MergeType.MERGE:
        raise doris("not support DELETE ON clause when merge type is not MERGE.")
    properties = cursor.optional_properties()
    unknown = {key: value for key, value in properties if key.lower() not in FORMAT_PROPERTIES}
    if unknown:
        raise unknown_properties(unknown)
    return DataDescription(
        files,
        table,
        merge_type,
        is_negative,
        partitions,
        *separators,
        format=file_format.lower() if file_format else None,
        compression=compression.lower() if compression else None,
        columns=columns,
        columns_from_path=from_path,
        assignments=clauses.assignments,
        preceding_filter=clauses.preceding_filter,
        where=clauses.where,
        delete_on=clauses.delete_on,
        sequence_column=clauses.sequence_column,
        properties=properties,
    )


@dataclass(frozen=True, slots=True)
class _RowClauses:
    assignments: tuple[tuple[str, str], ...]
    preceding_filter: str | None
    where: str | None
    delete_on: str | None
    sequence_column: str | None


_STOPS = ("SET (", "PRECEDING FILTER", "WHERE", "DELETE ON", "ORDER BY", "PROPERTIES (", ",")


def _parse_row_clauses(cursor: Cursor) -> _RowClauses:
    assignments: tuple[tuple[str, str], ...] = ()
    texts: dict[str, str] = {}
    while True:
        found = cursor.accept_any("PRECEDING FILTER", "WHERE", "DELETE ON", "ORDER BY", "SET")
        if not found:
            break
        if found in texts or (found == "SET" and assignments):
            raise doris(f"{found} is given twice")
        if found == "SET":
            assignments = _parse_assignments(cursor)
        elif found == "ORDER BY":
            texts[found] = cursor.name("a column")
        else:
            texts[found] = cursor.text_until(*_STOPS)
    return _RowClauses(
        assignments,
        texts.get("PRECEDING FILTER"),
        texts.get("WHERE"),
        texts.get("DELETE ON"),
        texts.get("ORDER BY"),
    )


def _parse_assignments(cursor: Cursor) -> tuple[tuple[str, str], ...]:
    """Take `(column = expression, ...)`."""
    cursor.expect("(")
    found: list[tuple[str, str]] = []
    while True:
        name = cursor.name("a column")
        cursor.expect("=")
        found.append((name, cursor.text_until(",")))
        if not cursor.accept(","):
            break
    cursor.expect(")")
    return tuple(found)


def _parse_strings(cursor: Cursor) -> tuple[str, ...]:
    cursor.expect("(")
    found = [cursor.string("a file")]
    while cursor.accept(","):
        found.append(cursor.string("a file"))
    cursor.expect(")")
    return tuple(found)


def _parse_separators(cursor: Cursor) -> tuple[str | None, str | None]:
    column, line = None, None
    if cursor.accept("COLUMNS TERMINATED BY"):
        column = cursor.string("a separator")
    if cursor.accept("LINES TERMINATED BY"):
        line = cursor.string("a delimiter")
    return column, line


def _parse_load_data(cursor: Cursor) -> LoadData:
    cursor.accept_any("LOW_PRIORITY", "CONCURRENT")
    is_local = cursor.accept("LOCAL")
    cursor.expect("INFILE")
    file = cursor.string("a file")
    cursor.accept_any("REPLACE", "IGNORE")  # the key model says what happens to equal keys
    cursor.expect("INTO TABLE")
    table = cursor.table_name()
    partitions = parse_partition_names(cursor)
    _parse_charset(cursor)
    separator = enclose = escape = delimiter = None
    if cursor.accept_any("COLUMNS", "FIELDS"):
        while found := cursor.accept_any(
            "TERMINATED BY", "OPTIONALLY ENCLOSED BY", "ENCLOSED BY", "ESCAPED BY"
        ):
            text = cursor.string()
            if found == "TERMINATED BY":
                separator = text
            elif found == "ESCAPED BY":
                escape = text
            else:
                enclose = text
    if cursor.accept("LINES"):
        if cursor.is_word("STARTING"):
            raise not_supported("LINES STARTING BY")
        cursor.expect("TERMINATED BY")
        delimiter = cursor.string()
    skipped = 0
    if cursor.accept("IGNORE"):
        skipped = cursor.integer("a number of lines")
        cursor.expect_any("LINES", "ROWS")
    columns = cursor.names() if cursor.is_word("(") else None
    assignments: tuple[tuple[str, str], ...] = ()
    if cursor.accept("SET"):
        assignments = _parse_set(cursor)
    properties = cursor.optional_properties()
    unknown = {
        key: value
        for key, value in properties
        if key.lower() not in LOAD_PROPERTIES | FORMAT_PROPERTIES
    }
    if unknown:
        raise unknown_properties(unknown)
    cursor.finish()
    return LoadData(
        file,
        table,
        is_local,
        partitions,
        separator,
        enclose,
        escape,
        delimiter,
        skipped,
        columns,
        assignments,
        properties,
    )


def _parse_charset(cursor: Cursor) -> None:
    if cursor.accept("CHARACTER SET"):
        charset = cursor.name_or_string("a character set")
        if charset.lower() not in ("utf8", "utf8mb4", "utf8mb3"):
            raise not_supported(f"CHARACTER SET {charset}")


def _parse_set(cursor: Cursor) -> tuple[tuple[str, str], ...]:
    """Take `column = expression, ...`, in parentheses or not."""
    if cursor.is_word("("):
        return _parse_assignments(cursor)
    found: list[tuple[str, str]] = []
    while True:
        name = cursor.name("a column")
        cursor.expect("=")
        found.append((name, cursor.text_until(",", "PROPERTIES (")))
        if not cursor.accept(","):
            return tuple(found)


def parse_cancel(cursor: Cursor) -> CancelLoad:
    """Parse what follows CANCEL."""
    if not cursor.accept("LOAD"):
        raise not_supported(f"CANCEL {cursor.peek().value.upper()[:40]}")
    database = cursor.database_name() if cursor.accept_any("FROM", "IN") else None
    if not cursor.accept("WHERE"):
        raise doris('Where clause should looks like: LABEL = "your_load_label"')
    found = parse_filter(cursor)
    cursor.finish()
    return CancelLoad(database, found)


def filter_refusal() -> SqlError:
    """Return Doris's answer to a WHERE it does not take."""
    return doris(
        'Where clause should looks like: LABEL = "your_load_label", or LABEL LIKE "matcher", '
        'or STATE = "PENDING|ETL|LOADING|FINISHED|CANCELLED", '
        "or compound predicate with operator AND"
    )


def parse_filter(cursor: Cursor) -> LoadFilter:
    """Take `LABEL = | LIKE "x"` and `STATE = "X"`, joined by AND, each once."""
    label = pattern = state = None
    while True:
        name = cursor.peek().value.upper() if cursor.is_name() else ""
        cursor.take()
        operator = cursor.accept_any("=", "LIKE")
        token = cursor.peek()
        if token.kind is not TokenKind.STRING or not operator or name not in ("LABEL", "STATE"):
            raise filter_refusal()
        value = cursor.take().value
        if not value:
            raise filter_refusal()
        if name == "STATE":
            if operator != "=" or value.upper() not in LOAD_STATES or state is not None:
                raise filter_refusal()
            state = value.upper()
        elif label is not None or pattern is not None:
            raise filter_refusal()
        elif operator == "=":
            label = value
        else:
            pattern = value
        if cursor.is_word("OR") or cursor.is_word("||"):
            raise doris("Only allow compound predicate with operator AND")
        if not cursor.accept_any("AND", "&&"):
            return LoadFilter(label, pattern, state)


def parse_show_load(cursor: Cursor, is_stream: bool) -> ShowLoad:
    """Parse what follows SHOW [STREAM] LOAD."""
    cursor.accept("ALL")
    database = cursor.database_name() if cursor.accept_any("FROM", "IN") else None
    where = parse_filter(cursor) if cursor.accept("WHERE") else LoadFilter()
    order = parse_order(cursor)
    limit, offset = parse_limit(cursor)
    cursor.finish()
    return ShowLoad(database, where, order, limit, offset, is_stream)


def parse_order(cursor: Cursor) -> tuple[tuple[str, bool], ...]:
    """Take `ORDER BY column [ASC | DESC], ...` if it comes next."""
    if not cursor.accept("ORDER BY"):
        return ()
    order: list[tuple[str, bool]] = []
    while True:
        name = cursor.name("a column")
        order.append((name, cursor.accept_any("ASC", "DESC") == "DESC"))
        if not cursor.accept(","):
            return tuple(order)


def parse_limit(cursor: Cursor) -> tuple[int | None, int]:
    """Take `LIMIT n [OFFSET m]` or `LIMIT m, n`; return limit and offset."""
    if not cursor.accept("LIMIT"):
        return None, 0
    first = cursor.integer("a number of rows")
    if cursor.accept("OFFSET"):
        return first, cursor.integer("an offset")
    if cursor.accept(","):
        return cursor.integer("a number of rows"), first
    return first, 0
