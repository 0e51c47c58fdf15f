"""HLL and BITMAP functions: Doris's names for those of the native extension."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions.casts import as_text
from anabranch.warehouse.sql.functions.kinds import BIGINT, BITMAP, HLL, Bound
from anabranch.warehouse.sql.functions.registry import COMPLEX, Call, Family, made

SKETCHES = Family("sketches")
_add = SKETCHES.add
_aggregate = SKETCHES.aggregate


def _hashed(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if value.type.is_complex:
        raise doris(COMPLEX)
    return made(arguments, f"hll_hash({as_text(value.sql, value.type)})", HLL)


def _distinct(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if value.type.is_complex:
        raise doris(COMPLEX)
    return made(arguments, f"ndv({value.sql}){{over}}", BIGINT)


def _bitmap_hashed(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    return made(arguments, f"{call.name}({as_text(value.sql, value.type)})", BITMAP)


_add("hll_hash", "A", "HLL", _hashed, "sketch of one value's text; of NULL the empty one")
_add("hll_empty", "", "HLL", "hll_empty()", "the empty sketch")
_add("hll_cardinality", "H", "BIGINT", "hll_cardinality", "estimate of a sketch, 0 for NULL")
_add("hll_to_base64", "H", "VARCHAR", "hll_to_base64", "a sketch's bytes in Base64")
_add("hll_from_base64", "S", "HLL", "hll_from_base64", "the sketch of Base64")
_aggregate(
    "hll_union_agg",
    "H",
    "BIGINT",
    "coalesce(hll_union_agg({0}){over}, 0)",
    "estimate of the union of sketches",
)
_aggregate("hll_union hll_raw_agg", "H", "HLL", "hll_union({0}){over}", "the union of sketches")
_aggregate(
    "ndv approx_count_distinct",
    "A",
    "BIGINT",
    _distinct,
    "estimate of the number of different values",
)
_add("to_bitmap", "A", "BITMAP", _bitmap_hashed, "bitmap of one number; empty if it is none")
_add("bitmap_hash", "A", "BITMAP", _bitmap_hashed, "bitmap of a value's 32-bit hash")
_add("bitmap_hash64", "A", "BITMAP", _bitmap_hashed, "bitmap of a value's 64-bit hash")
_add("bitmap_empty", "", "BITMAP", "bitmap_empty()", "the empty bitmap")
_add("bitmap_count", "M", "BIGINT", "bitmap_count", "number of members")
_add(
    "bitmap_contains",
    "MI",
    "BOOLEAN",
    "bitmap_contains({0}, CAST({1} AS BIGINT))",
    "whether the number is a member",
)
_add("bitmap_to_string", "M", "VARCHAR", "bitmap_to_string", "members joined by commas")
_add(
    "bitmap_from_string", "S", "BITMAP", "bitmap_from_string", "bitmap of numbers joined by commas"
)
_add("bitmap_to_base64", "M", "VARCHAR", "bitmap_to_base64", "a bitmap's bytes in Base64")
_add("bitmap_from_base64", "S", "BITMAP", "bitmap_from_base64", "the bitmap of Base64")
for _name, _text in (
    ("bitmap_and", "members of both"),
    ("bitmap_or", "members of one"),
    ("bitmap_xor", "members of one only"),
    ("bitmap_not", "members of the first only"),
):
    _add(_name, "MM", "BITMAP", _name, _text)
_add("bitmap_and_not", "MM", "BITMAP", "bitmap_not", "members of the first only")
_add("bitmap_min", "M", "BIGINT", "bitmap_min", "smallest member")
_add("bitmap_max", "M", "BIGINT", "bitmap_max", "largest member")
_aggregate("bitmap_union", "M", "BITMAP", "bitmap_union({0}){over}", "union of bitmaps")
_aggregate(
    "bitmap_union_count",
    "M",
    "BIGINT",
    "coalesce(bitmap_count(bitmap_union({0}){over}), 0)",
    "number of members of the union",
)
_aggregate(
    "bitmap_intersect", "M", "BITMAP", "bitmap_intersect({0}){over}", "intersection of bitmaps"
)
