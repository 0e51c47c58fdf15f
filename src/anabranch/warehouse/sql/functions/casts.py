"""Casts with Doris's rules: what does not fit becomes NULL, fractions are cut, not rounded."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions.kinds import (
    DOUBLE,
    FLOATS,
    INTEGERS,
    OPAQUE,
    STRINGS,
    VARCHAR,
    Bound,
    Type,
    duckdb_name,
    is_numeric,
    is_text,
    is_time,
)
from anabranch.warehouse.types import SqlType

MACROS = (
    # Text to numbers: blanks around it are allowed, anything else makes NULL.
    r"doris_integer_text(s) AS regexp_extract(s, '^\s*([+-]?\d+)(\.\d*)?\s*$', 1)",
    r"doris_double(s) AS TRY_CAST(trim(s, chr(32) || chr(9) || chr(10) || chr(13)) AS DOUBLE)",
    # Floating numbers as text: the shortest that reads back, whole ones without a fraction.
    r"doris_double_text(x) AS regexp_replace(CAST(x AS VARCHAR), '\.0($|e)', '\1')",
    r"""doris_datetime(s) AS CASE
      WHEN regexp_full_match(s, '\s*\d{4}-\d{1,2}-\d{1,2}\s*') THEN TRY_CAST(trim(s) AS TIMESTAMP)
      WHEN regexp_full_match(s, '\s*\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{1,2}:\d{1,2}(\.\d*)?\s*')
        THEN TRY_CAST(rtrim(trim(s), '.') AS TIMESTAMP)
      WHEN regexp_full_match(s, '\s*\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{1,2}\s*')
        THEN TRY_CAST(trim(s) || ':00' AS TIMESTAMP)
      WHEN regexp_full_match(s, '\s*\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}\s*')
        THEN TRY_CAST(trim(s) || ':00:00' AS TIMESTAMP)
      WHEN regexp_full_match(s, '\s*\d{8}\s*') THEN try_strptime(trim(s), '%Y%m%d')
      WHEN regexp_full_match(s, '\s*\d{14}\s*') THEN try_strptime(trim(s), '%Y%m%d%H%M%S')
      WHEN regexp_full_match(s, '\s*\d{6}\s*') THEN try_strptime(trim(s), '%y%m%d')
      WHEN regexp_full_match(s, '\s*\d{12}\s*') THEN try_strptime(trim(s), '%y%m%d%H%M%S')
      WHEN regexp_full_match(s, '\s*\d{2}-\d{1,2}-\d{1,2}\s*') THEN TRY_CAST(
        (CASE WHEN trim(s) < '70' THEN '20' ELSE '19' END) || trim(s) AS TIMESTAMP)
      WHEN regexp_full_match(s, '\s*\d{4}/\d{1,2}/\d{1,2}.*') THEN TRY_CAST(
        replace(trim(s), '/', '-') AS TIMESTAMP)
      END""",
    (
        r"doris_boolean(s) AS CASE lower(trim(s)) WHEN 'true' THEN true WHEN 'false' THEN false "
        r"ELSE doris_double(s) <> 0 END"
    ),
    r"doris_date_integer(d) AS CAST(year(d) * 10000 + month(d) * 100 + day(d) AS BIGINT)",
    (
        r"doris_datetime_integer(d) AS CAST(year(d) * 10000 + month(d) * 100 + day(d) AS BIGINT)"
        r" * 1000000 + hour(d) * 10000 + minute(d) * 100 + second(d)"
    ),
    r"doris_date_text(d) AS strftime(d, '%Y-%m-%d')",
    (
        r"doris_datetime_text(d, n) AS CASE n WHEN 0 THEN strftime(d, '%Y-%m-%d %H:%M:%S') "
        r"ELSE left(strftime(d, '%Y-%m-%d %H:%M:%S.%f'), 20 + n) END"
    ),
)


def cast(value: Bound, to: Type) -> Bound:
    """Return the value cast as Doris does outside strict mode; raise SqlError for sketches."""
    kind = value.type
    if kind == to or (kind.kind is to.kind and kind.kind in (*INTEGERS, *FLOATS, *OPAQUE)):
        return value
    if kind.kind in OPAQUE or (to.kind in OPAQUE and kind.kind is not SqlType.NULL):
        raise doris(f"can not cast from origin type {kind.text} to target type={to.text}")
    if is_text(kind) and is_time(to) and value.sql.startswith(_LITERAL):
        # A literal is read when it is put in: the engine sees a constant, and can prune by it.
        sql = value.sql.replace(_LITERAL, "\x02time:")
        return value.written(f"CAST({sql} AS DATE)" if to.kind is SqlType.DATE else sql, to)
    return value.written(_cast(value.sql, kind, to), to)


_LITERAL = "\x02literal:"  # how a literal's place begins


def _cast(sql: str, kind: Type, to: Type) -> str:
    if kind.kind is SqlType.NULL:
        return f"CAST({sql} AS {duckdb_name(to)})"
    if to.kind in STRINGS:
        text = as_text(sql, kind)
        return f"left({text}, {to.length})" if 0 < to.length < VARCHAR.length else text
    if to.kind is SqlType.BOOLEAN:
        return _to_boolean(sql, kind)
    if to.kind in INTEGERS:
        return _to_integer(sql, kind, to)
    if to.kind in FLOATS:
        return _to_float(sql, kind, to)
    if to.kind is SqlType.DECIMAL:
        if is_text(kind):
            return f"TRY_CAST(trim({sql}) AS {duckdb_name(to)})"
        if is_time(kind):
            return f"TRY_CAST({_time_integer(sql, kind)} AS {duckdb_name(to)})"
        if kind.kind is SqlType.FLOAT:  # by way of the text: 0.1 stays 0.1
            return f"TRY_CAST(CAST({sql} AS VARCHAR) AS {duckdb_name(to)})"
        return f"TRY_CAST({sql} AS {duckdb_name(to)})"
    if is_time(to):
        return _to_time(sql, kind, to)
    return f"TRY_CAST({sql} AS {duckdb_name(to)})"


def as_text(sql: str, kind: Type) -> str:
    """Return the SQL of the text that Doris shows for a value."""
    if is_text(kind):
        return sql
    if kind.kind is SqlType.BOOLEAN:
        return f"CAST(CAST({sql} AS TINYINT) AS VARCHAR)"
    if kind.kind in FLOATS:
        return f"doris_double_text({sql})"
    if kind.kind is SqlType.DATE:
        return f"doris_date_text({sql})"
    if kind.kind is SqlType.DATETIME:
        return f"doris_datetime_text({sql}, {kind.scale})"
    return f"CAST({sql} AS VARCHAR)"


def _to_boolean(sql: str, kind: Type) -> str:
    if is_text(kind):
        return f"doris_boolean({sql})"
    if is_time(kind):
        return f"({sql} IS NOT NULL)"
    return f"({sql} <> 0)" if is_numeric(kind) else f"TRY_CAST({sql} AS BOOLEAN)"


def _to_integer(sql: str, kind: Type, to: Type) -> str:
    if is_text(kind):
        return f"TRY_CAST(doris_integer_text({sql}) AS {duckdb_name(to)})"
    if is_time(kind):
        return f"TRY_CAST({_time_integer(sql, kind)} AS {duckdb_name(to)})"
    if kind.kind in FLOATS or (kind.kind is SqlType.DECIMAL and kind.scale > 0):
        return f"TRY_CAST(trunc({sql}) AS {duckdb_name(to)})"
    return f"TRY_CAST({sql} AS {duckdb_name(to)})"


def _to_float(sql: str, kind: Type, to: Type) -> str:
    if is_text(kind):
        text = f"doris_double({sql})"
        return text if to.kind is SqlType.DOUBLE else f"TRY_CAST({text} AS FLOAT)"
    if is_time(kind):
        return f"CAST({_time_integer(sql, kind)} AS {duckdb_name(to)})"
    return f"TRY_CAST({sql} AS {duckdb_name(to)})"


def _time_integer(sql: str, kind: Type) -> str:
    name = "doris_date_integer" if kind.kind is SqlType.DATE else "doris_datetime_integer"
    return f"{name}({sql})"


def _to_time(sql: str, kind: Type, to: Type) -> str:
    if is_numeric(kind) and kind.kind is not SqlType.BOOLEAN:
        text = as_text(f"trunc({sql})" if kind.kind in FLOATS else sql, kind)
        stamp = f"doris_datetime({text})"
    elif is_text(kind) or kind.kind is SqlType.JSON:
        stamp = f"doris_datetime({as_text(sql, kind)})"
    elif is_time(kind):
        stamp = sql
    else:
        stamp = "CAST(NULL AS TIMESTAMP)"
    if to.kind is SqlType.DATE:
        return f"CAST({stamp} AS DATE)"
    if kind.kind is SqlType.DATE:
        return f"CAST({stamp} AS TIMESTAMP)"
    if kind.kind is SqlType.DATETIME and to.scale < kind.scale:
        return f"time_bucket(INTERVAL '{10 ** (6 - to.scale)} microseconds', {stamp})"
    return stamp


def numeric(value: Bound) -> Bound:
    """Return the value as a number: text and unknown as DOUBLE, times as their digits."""
    kind = value.type
    if kind.kind is SqlType.BOOLEAN:
        return value.written(f"CAST({value.sql} AS TINYINT)", Type(SqlType.TINYINT))
    if is_numeric(kind):
        return value
    if kind.kind is SqlType.NULL:
        return cast(value, Type(SqlType.TINYINT))
    if is_time(kind):
        return cast(value, Type(SqlType.BIGINT))
    return cast(value, DOUBLE)


def text(value: Bound) -> Bound:
    """Return the value as text."""
    return cast(value, VARCHAR) if not is_text(value.type) else value
