"""JSON functions. A text that is no JSON, or a path that leads nowhere, gives NULL."""

from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import text
from anabranch.warehouse.sql.functions.kinds import JSON, VARCHAR, Bound
from anabranch.warehouse.sql.functions.registry import Call, Family, made
from anabranch.warehouse.types import SqlType

DOCUMENTS = Family(
    "json",
    (
        "doris_json(j) AS CASE WHEN json_valid(j) THEN CAST(j AS JSON) END",
        # Doris also takes `$.[0]` and a path without its `$`.
        "doris_path(p) AS replace(CASE WHEN starts_with(p, '$') THEN p ELSE '$.' || p END, '.[', '[')",  # noqa: E501 - one piece of text
        "doris_json_get(j, p) AS json_extract(doris_json(j), doris_path(p))",
        "doris_json_text(j, p) AS json_extract_string(doris_json(j), doris_path(p))",
        (
            "doris_json_number(j, p) AS CASE WHEN json_type(doris_json_get(j, p)) IN ('BIGINT', "
            "'UBIGINT', 'HUGEINT', 'DOUBLE', 'DECIMAL') THEN doris_json_text(j, p) END"
        ),
        (
            "doris_json_kind(j) AS CASE json_type(j) WHEN 'VARCHAR' THEN 'string' WHEN 'UBIGINT' THEN "  # noqa: E501 - one piece of text
            "'int' WHEN 'BIGINT' THEN 'int' WHEN 'HUGEINT' THEN 'largeint' WHEN 'DOUBLE' THEN 'double' "  # noqa: E501 - one piece of text
            "WHEN 'BOOLEAN' THEN 'bool' WHEN 'NULL' THEN 'null' WHEN 'ARRAY' THEN 'array' "
            "WHEN 'OBJECT' THEN 'object' END"
        ),
    ),
)
_add = DOCUMENTS.add


def _element(value: Bound) -> str:
    """Return SQL of the value as JSON."""
    if value.type.kind is SqlType.BOOLEAN or kinds.is_numeric(value.type):
        return f"to_json({value.sql})"
    if value.type.kind in (SqlType.NULL, SqlType.ARRAY):
        return f"to_json({value.sql})"
    if value.type.kind is SqlType.JSON:
        return value.sql
    return f"to_json({text(value).sql})"


def _extracted(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    document, *paths = (argument.sql for argument in arguments)
    if len(paths) == 1:
        return made(arguments, f"doris_json_get({document}, {paths[0]})", JSON)
    parts = ", ".join(f"doris_json_get({document}, {path})" for path in paths)
    return made(arguments, f"to_json(list_filter([{parts}], lambda x: x IS NOT NULL))", JSON)


def _object(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    parts: list[str] = []
    for number, argument in enumerate(arguments):
        parts.append(_element(argument) if number % 2 else text(argument).sql)
    return made(arguments, f"json_object({', '.join(parts)})", JSON)


def _array(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    parts = ", ".join(_element(argument) for argument in arguments)
    return made(arguments, f"json_array({parts})", JSON)


_NUMBER = "TRY_CAST(doris_json_number({0}, {1}) AS %s)"
_add("get_json_string get_json_object", "JS", "VARCHAR", "doris_json_text", "text at a path")
_add("get_json_int", "JS", "INT", _NUMBER % "INTEGER", "INT at a path, NULL if it is no number")
_add("get_json_bigint", "JS", "BIGINT", _NUMBER % "BIGINT", "BIGINT at a path")
_add("get_json_double", "JS", "DOUBLE", _NUMBER % "DOUBLE", "DOUBLE at a path")
_add(
    "get_json_bool",
    "JS",
    "BOOLEAN",
    "TRY_CAST(doris_json_text({0}, {1}) AS BOOLEAN)",
    "truth value at a path",
)
_add("json_extract jsonb_extract", "JS*", "JSON", _extracted, "JSON at a path, an array of several")
_add(
    "json_extract_string jsonb_extract_string json_value",
    "JS",
    "VARCHAR",
    "doris_json_text",
    "text at a path",
)
_add("json_extract_int jsonb_extract_int", "JS", "INT", _NUMBER % "INTEGER", "INT at a path")
_add(
    "json_extract_bigint jsonb_extract_bigint",
    "JS",
    "BIGINT",
    _NUMBER % "BIGINT",
    "BIGINT at a path",
)
_add(
    "json_extract_double jsonb_extract_double",
    "JS",
    "DOUBLE",
    _NUMBER % "DOUBLE",
    "DOUBLE at a path",
)
_add(
    "json_extract_bool jsonb_extract_bool",
    "JS",
    "BOOLEAN",
    "TRY_CAST(doris_json_text({0}, {1}) AS BOOLEAN)",
    "truth value at a path",
)
_add(
    "json_unquote",
    "S",
    "VARCHAR",
    "CASE WHEN starts_with({0}, '\"') AND json_valid({0}) THEN json_extract_string({0}, '$') ELSE {0} END",  # noqa: E501 - one piece of text
    "a JSON text without its quotes",
)
_add("json_valid", "S", "TINYINT", "CAST(json_valid({0}) AS TINYINT)", "1 if it is JSON")
_add("json_parse jsonb_parse", "S", "JSON", "doris_json", "the text as JSON, NULL if it is none")
_add("json_array", "A*", "JSON", _array, "an array of the values")
_add("json_object", "A*", "JSON", _object, "an object of names and values in turn")
_add(
    "json_length",
    "JS?",
    "INT",
    lambda call, given: _length(given),
    "elements of an array, members of an object, 1 for the rest",
)
_add(
    "json_contains",
    "JJ",
    "BOOLEAN",
    "json_contains(doris_json({0}), doris_json({1}))",
    "whether the second is in the first",
)
_add(
    "json_exists_path jsonb_exists_path",
    "JS",
    "BOOLEAN",
    "(doris_json_get({0}, {1}) IS NOT NULL)",
    "whether the path leads somewhere",
)
_add(
    "json_type jsonb_type",
    "JS",
    "VARCHAR",
    "doris_json_kind(doris_json_get({0}, {1}))",
    "kind of what is at a path",
)
_add(
    "json_keys",
    "JS?",
    "ARRAY<VARCHAR>",
    lambda call, given: _keys(given),
    "names of an object's members",
)
_add("json_quote", "S", "VARCHAR", "CAST(to_json({0}) AS VARCHAR)", "the text as a JSON text")


def _part(arguments: tuple[Bound, ...]) -> str:
    texts = ", ".join(argument.sql for argument in arguments)
    return f"doris_json_get({texts})" if len(arguments) == 2 else f"doris_json({texts})"


def _length(arguments: tuple[Bound, ...]) -> Bound:
    part = _part(arguments)
    sql = (
        f"CASE json_type({part}) WHEN 'ARRAY' THEN json_array_length({part}) "
        f"WHEN 'OBJECT' THEN len(json_keys({part})) WHEN NULL THEN NULL ELSE "
        f"CASE WHEN {part} IS NOT NULL THEN 1 END END"
    )
    return made(arguments, f"CAST({sql} AS INTEGER)", kinds.INT)


def _keys(arguments: tuple[Bound, ...]) -> Bound:
    part = _part(arguments)
    sql = f"CASE WHEN json_type({part}) = 'OBJECT' THEN json_keys({part}) END"
    return made(arguments, sql, kinds.array(VARCHAR))
