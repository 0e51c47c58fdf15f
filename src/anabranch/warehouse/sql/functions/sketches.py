"""HLL functions: Doris's names for those of the native extension."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions.casts import as_text
from anabranch.warehouse.sql.functions.kinds import (
    BIGINT,
    HLL,
    Bound,
    duckdb_name,
    is_numeric,
)
from anabranch.warehouse.sql.functions.registry import COMPLEX, Call, Family, made
from anabranch.warehouse.types import SqlType

SKETCHES = Family("sketches")
_add = SKETCHES.add
_aggregate = SKETCHES.aggregate


def _hashed(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if value.type.is_complex:
        raise doris(COMPLEX)
    # The extension makes these texts itself, and much faster.
    is_native = value.type.kind in _TEXT_MADE_NATIVELY
    sql = _native(value) if is_native else as_text(value.sql, value.type)
    return made(arguments, f"hll_hash({sql})", HLL)


_TEXT_MADE_NATIVELY = frozenset(
    (
        SqlType.TINYINT,
        SqlType.SMALLINT,
        SqlType.INT,
        SqlType.BIGINT,
        SqlType.LARGEINT,
        SqlType.DECIMAL,
        SqlType.DATE,
    )
)


def _native(value: Bound) -> str:
    """Return the value in DuckDB's type for its own: the bytes and digits hang on it."""
    if not is_numeric(value.type):
        return value.sql
    return f"CAST({value.sql} AS {duckdb_name(value.type)})"


def _distinct(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if value.type.is_complex:
        raise doris(COMPLEX)
    return made(arguments, f"coalesce(ndv({_native(value)}){{over}}, 0)", BIGINT)


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
_aggregate(
    "hll_union hll_raw_agg",
    "H",
    "HLL",
    "coalesce(hll_union({0}){over}, hll_empty())",
    "the union of sketches",
)
_aggregate(
    "ndv approx_count_distinct",
    "A",
    "BIGINT",
    _distinct,
    "estimate of the number of different values",
)
