"""BITMAP functions: Doris's names for those of the native extension."""

from collections.abc import Callable

from anabranch.native import bitmaps
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import as_text, cast
from anabranch.warehouse.sql.functions.kinds import BIGINT, BITMAP, Bound, is_integer, is_text
from anabranch.warehouse.sql.functions.registry import Call, Family, made, wrong_type
from anabranch.warehouse.types import SqlType

BITMAPS = Family("bitmaps")
_add = BITMAPS.add
_aggregate = BITMAPS.aggregate
_EMPTY = f"'\\x{bitmaps.EMPTY.hex()}'::BLOB"


def _plain(value: Bound, name: str) -> Bound:
    """Return a value that is no array, sketch or bitmap."""
    if value.type.kind in kinds.OPAQUE or value.type.kind is SqlType.ARRAY:
        raise wrong_type(name, value.type)
    return value


def _of_number(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = _plain(arguments[0], call.name)
    if not (is_text(value.type) or is_integer(value.type)):
        value = cast(value, BIGINT)
    return made(arguments, f"to_bitmap({value.sql})", BITMAP)


def _of_hash(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = _plain(arguments[0], call.name)
    return made(arguments, f"{call.name}({as_text(value.sql, value.type)})", BITMAP)


def _of_array(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    element = arguments[0].type.items[0]
    if not is_integer(element) and element.kind is not SqlType.NULL:
        raise wrong_type(call.name, arguments[0].type)
    name = kinds.duckdb_name(BIGINT)
    numbers = f"CAST({arguments[0].sql} AS {name}[])"
    sql = (
        f"CASE WHEN len({numbers}) = 0 THEN bitmap_empty() "
        f"WHEN list_count({numbers}) = len({numbers}) "
        f"THEN bitmap_from_string(array_to_string({numbers}, ',')) END"
    )
    return made(arguments, sql, BITMAP)


def _as_array(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    text = f"bitmap_to_string({arguments[0].sql})"
    # Above the largest BIGINT a number turns negative, as Doris's cast does.
    number = (
        "CAST(CASE WHEN length(n) >= 19 AND CAST(n AS UBIGINT) > 9223372036854775807 "
        "THEN CAST(n AS HUGEINT) - 18446744073709551616 ELSE CAST(n AS HUGEINT) END AS BIGINT)"
    )
    parts = f"list_transform(string_split({text}, ','), lambda n: {number})"
    sql = f"CASE WHEN {text} = '' THEN CAST([] AS BIGINT[]) ELSE {parts} END"
    return made(arguments, sql, kinds.array(BIGINT))


def _nested(name: str, values: list[str]) -> str:
    sql = values[0]
    for value in values[1:]:
        sql = f"{name}({sql}, {value})"
    return sql


def _of_all(name: str, *, is_counted: bool) -> Callable[[Call, tuple[Bound, ...]], Bound]:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        sql = _nested(name, [argument.sql for argument in arguments])
        if is_counted:
            return made(arguments, f"bitmap_count({sql})", BIGINT)
        return made(arguments, sql, BITMAP)

    return build


def _intersection(*, is_counted: bool) -> Callable[[Call, tuple[Bound, ...]], Bound]:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        bitmap, dimension, *values = arguments
        unions: list[str] = []
        for value in values:
            kind = kinds.common(dimension.type, value.type)
            test = f"{cast(dimension, kind).sql} = {cast(value, kind).sql}"
            unions.append(f"bitmap_union(CASE WHEN {test} THEN {bitmap.sql} END){{over}}")
        sql = _nested("bitmap_and", unions)
        if is_counted:
            return made(arguments, f"bitmap_count({sql})", BIGINT)
        return made(arguments, sql, BITMAP)

    return build


_add("to_bitmap", "A", "BITMAP", _of_number, "bitmap of one number; empty if it is none")
_add("bitmap_hash", "A", "BITMAP", _of_hash, "bitmap of the 32-bit hash of a value's text")
_add("bitmap_hash64", "A", "BITMAP", _of_hash, "bitmap of the 64-bit hash of a value's text")
_add("bitmap_empty", "", "BITMAP", "bitmap_empty()", "the empty bitmap")
_add("bitmap_count", "M", "BIGINT", "bitmap_count", "number of members, 0 for NULL")
_add(
    "bitmap_contains",
    "MI",
    "BOOLEAN",
    "bitmap_contains({0}, CAST({1} AS BIGINT))",
    "whether the number is a member",
)
_add("bitmap_has_any", "MM", "BOOLEAN", "bitmap_has_any", "whether they share a member")
_add("bitmap_has_all", "MM", "BOOLEAN", "bitmap_has_all", "whether the first has all of the second")
_add("bitmap_to_string", "M", "STRING", "bitmap_to_string", "members joined by commas")
_add(
    "bitmap_from_string",
    "S",
    "BITMAP",
    "bitmap_from_string",
    "bitmap of numbers joined by commas, NULL if one is none",
)
_add("bitmap_to_array", "M", "list", _as_array, "members as an array of BIGINT")
_add(
    "bitmap_from_array",
    "L",
    "BITMAP",
    _of_array,
    "bitmap of an array's numbers, NULL if one is NULL or negative",
)
_add("bitmap_to_base64", "M", "STRING", "bitmap_to_base64", "a bitmap's bytes in Base64")
_add("bitmap_from_base64", "S", "BITMAP", "bitmap_from_base64", "the bitmap of Base64")
for _name, _text in (
    ("and", "members of all; NULL if one is NULL"),
    ("or", "members of one; NULLs are left out"),
    ("xor", "members of an odd number of them; NULL if one is NULL"),
):
    _native = f"bitmap_{_name}"
    _add(_native, "MM*", "BITMAP", _of_all(_native, is_counted=False), _text)
    _counted = f"number of what {_native} gives, 0 for NULL"
    _add(f"{_native}_count", "MM*", "BIGINT", _of_all(_native, is_counted=True), _counted)
_add("bitmap_not", "MM", "BITMAP", "bitmap_not", "members of the first only")
_add("bitmap_and_not bitmap_andnot", "MM", "BITMAP", "bitmap_not", "members of the first only")
_add(
    "bitmap_and_not_count bitmap_andnot_count",
    "MM",
    "BIGINT",
    "bitmap_count(bitmap_not({0}, {1}))",
    "number of members of the first only, 0 for NULL",
)
_add(
    "bitmap_remove",
    "MI",
    "BITMAP",
    "CASE WHEN {1} IS NOT NULL THEN bitmap_not({0}, to_bitmap({1})) END",
    "without a number",
)
_add("bitmap_min", "M", "BIGINT", "bitmap_min", "smallest member, NULL if there is none")
_add("bitmap_max", "M", "BIGINT", "bitmap_max", "largest member, NULL if there is none")
_aggregate(
    "bitmap_union",
    "M",
    "BITMAP",
    "coalesce(bitmap_union({0}){over}, " + _EMPTY + ")",
    "union of bitmaps",
)
_aggregate(
    "bitmap_union_count orthogonal_bitmap_union_count",
    "M",
    "BIGINT",
    "coalesce(bitmap_union_count({0}){over}, 0)",
    "number of members of the union",
)
_aggregate(
    "bitmap_union_int",
    "I",
    "BIGINT",
    "coalesce(bitmap_union_int(CAST({0} AS BIGINT)){over}, 0)",
    "number of different numbers",
)
_aggregate(
    "bitmap_agg",
    "I",
    "BITMAP",
    "coalesce(bitmap_agg(CASE WHEN {0} >= 0 THEN CAST({0} AS BIGINT) END){over}, " + _EMPTY + ")",
    "bitmap of the numbers that are not negative",
)
_aggregate(
    "bitmap_intersect",
    "M",
    "BITMAP",
    "coalesce(bitmap_intersect({0}){over}, " + _EMPTY + ")",
    "intersection of bitmaps",
)
_aggregate(
    "intersect_count orthogonal_bitmap_intersect_count",
    "MGG*",
    "BIGINT",
    _intersection(is_counted=True),
    "number of members common to the unions of the rows of each value",
)
_aggregate(
    "orthogonal_bitmap_intersect",
    "MGG*",
    "BITMAP",
    _intersection(is_counted=False),
    "members common to the unions of the rows of each value",
)
