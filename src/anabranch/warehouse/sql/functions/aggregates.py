"""Aggregate and window functions. A text's {distinct}, {order} and {over} are filled per call."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast, text
from anabranch.warehouse.sql.functions.kinds import BIGINT, DOUBLE, VARCHAR, Bound, Type
from anabranch.warehouse.sql.functions.numbers import quotient
from anabranch.warehouse.sql.functions.registry import COMPLEX, Build, Call, Family, made
from anabranch.warehouse.types import SqlType

AGGREGATES = Family("aggregates")
WINDOWS = Family("windows")
_add = AGGREGATES.aggregate
SEPARATOR = ", "  # what Doris's group_concat puts between values unless told


def _sum(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    kind = _sum_type(value.type)
    sql = f"sum({{distinct}}{value.sql}){{over}}"
    return made(arguments, f"CAST({sql} AS {kinds.duckdb_name(kind)})", kind)


def _sum_type(kind: Type) -> Type:
    if kind.kind is SqlType.DECIMAL:
        return kinds.decimal(kinds.DECIMAL_DIGITS_MAX, kind.scale)
    if kind.kind in kinds.FLOATS:
        return DOUBLE
    return kinds.LARGEINT if kind.kind is SqlType.LARGEINT else BIGINT


def _average(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if value.type.kind is not SqlType.DECIMAL:
        return made(arguments, f"avg({{distinct}}{value.sql}){{over}}", DOUBLE)
    kind = kinds.decimal(kinds.DECIMAL_DIGITS_MAX, max(value.type.scale, 4))
    total = f"sum({{distinct}}{value.sql}){{over}}"
    count = f"count({{distinct}}{value.sql}){{over}}"
    wide = kinds.decimal(kinds.DECIMAL_DIGITS_MAX, value.type.scale)
    sql = quotient(
        f"CAST({total} AS {kinds.duckdb_name(wide)})", wide, count, kinds.decimal(19, 0), kind
    )
    return made(arguments, sql, kind)


def _extreme(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        return made(arguments, f"{name}({arguments[0].sql}){{over}}", arguments[0].type)

    return build


def _joined(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    if any(argument.type.is_complex for argument in arguments):
        raise doris(COMPLEX)
    value = text(arguments[0]).sql
    separator = text(arguments[1]).sql if len(arguments) > 1 else f"'{SEPARATOR}'"
    return made(
        arguments, f"string_agg({{distinct}}{value}, {separator}{{order}}){{over}}", VARCHAR
    )


def _collected(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        value = arguments[0]
        distinct = "DISTINCT " if name == "set" else "{distinct}"
        present = "{filter:" + f"{value.sql} IS NOT NULL" + "}"
        sql = f"coalesce(list({distinct}{value.sql}{{order}}){present}{{over}}, [])"
        if len(arguments) > 1:
            sql = f"({sql})[:{arguments[1].sql}]"
        return made(arguments, sql, kinds.array(value.type))

    return build


def _by(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        one, two = arguments
        return made(arguments, f"{name}({one.sql}, {two.sql}){{over}}", one.type)

    return build


def _percentile(function: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        share = call.pin(arguments[1])
        if share is None:
            raise doris(f"{call.name} requires second parameter must be a constant")
        if not 0 <= float(share) <= 1:
            raise doris(f"The second parameter of {call.name} must be between 0 and 1")
        value = cast(arguments[0], DOUBLE).sql
        return made(arguments[:1], f"{function}({value}, {float(share)!r}){{over}}", DOUBLE)

    return build


def _bits(name: str) -> str:
    empty = "-1" if name == "and" else "0"
    return f"coalesce(CAST(bit_{name}(CAST({{0}} AS BIGINT)){{over}} AS BIGINT), {empty})"


_add("sum", "N", "number", _sum, "sum: BIGINT of integers, DECIMAL(38, s), DOUBLE")
_add("avg", "N", "number", _average, "mean: DECIMAL of decimals, else DOUBLE")
_add("min", "G", "same", _extreme("min"), "smallest value")
_add("max", "G", "same", _extreme("max"), "largest value")
_add("any_value any", "A", "same", _extreme("any_value"), "one of the values that are not NULL")
_add(
    "group_concat",
    "AA?",
    "VARCHAR",
    _joined,
    "texts joined by ', ' or a separator; DISTINCT and ORDER BY inside",
)
_add(
    "stddev stddev_pop std",
    "D",
    "DOUBLE",
    "stddev_pop({distinct}{0}){over}",
    "standard deviation of all",
)
_add(
    "stddev_samp",
    "D",
    "DOUBLE",
    "stddev_samp({distinct}{0}){over}",
    "standard deviation of a sample",
)
_add(
    "variance var_pop variance_pop",
    "D",
    "DOUBLE",
    "var_pop({distinct}{0}){over}",
    "variance of all",
)
_add(
    "var_samp variance_samp", "D", "DOUBLE", "var_samp({distinct}{0}){over}", "variance of a sample"
)
_add("covar covar_pop", "DD", "DOUBLE", "covar_pop({0}, {1}){over}", "covariance of all")
_add("covar_samp", "DD", "DOUBLE", "covar_samp({0}, {1}){over}", "covariance of a sample")
_add("corr", "DD", "DOUBLE", "corr({0}, {1}){over}", "correlation")
_add("percentile", "NA", "DOUBLE", _percentile("quantile_cont"), "exact percentile, interpolated")
_add(
    "percentile_approx",
    "NAA?",
    "DOUBLE",
    _percentile("quantile_cont"),
    "percentile; computed exactly here",
)
_add("median", "D", "DOUBLE", "median({0}){over}", "the middle, interpolated")
_add("collect_list", "AI?", "list", _collected("list"), "the values that are not NULL, as an array")
_add(
    "array_agg",
    "A",
    "list",
    "list({distinct}{0}{order}){over}",
    "the values, NULLs too, as an array",
)
_add("collect_set", "AI?", "list", _collected("set"), "the different values that are not NULL")
_add("max_by", "AG", "same", _by("arg_max"), "the first where the second is largest")
_add("min_by", "AG", "same", _by("arg_min"), "the first where the second is smallest")
_add(
    "count_if",
    "B",
    "BIGINT",
    "CAST(count_if({0}){over} AS BIGINT)",
    "number of rows that fulfil it",
)
_add("sum0", "N", "number", lambda call, given: _zero(_sum(call, given)), "as sum, 0 for no rows")
_add("bool_and", "B", "BOOLEAN", "bool_and({0}){over}", "whether all fulfil it")
_add("bool_or", "B", "BOOLEAN", "bool_or({0}){over}", "whether one fulfils it")
_add("group_bit_and", "I", "BIGINT", _bits("and"), "bits set in all")
_add("group_bit_or", "I", "BIGINT", _bits("or"), "bits set in one")
_add("group_bit_xor", "I", "BIGINT", _bits("xor"), "bits set in an odd number")
_add("skewness skew", "D", "DOUBLE", "skewness({0}){over}", "skewness")
_add("kurt kurtosis", "D", "DOUBLE", "kurtosis_pop({0}){over}", "excess kurtosis")


def _zero(value: Bound) -> Bound:
    return value.written(f"coalesce({value.sql}, 0)", value.type)


def _neighbour(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        value, *rest = arguments
        texts = [value.sql]
        if rest:
            texts.append(cast(rest[0], BIGINT).sql)
        if len(rest) > 1:
            texts.append(cast(rest[1], value.type).sql)
        return made(arguments, f"{name}({', '.join(texts)}){{over}}", value.type)

    return build


_window = WINDOWS.window
for _name, _text in (
    ("row_number", "1, 2, 3, ... within the partition"),
    ("rank", "place, equal rows alike, with gaps"),
    ("dense_rank", "place, equal rows alike, without gaps"),
):
    _window(_name, "", "BIGINT", f"CAST({_name}(){{over}} AS BIGINT)", _text)
_window("percent_rank", "", "DOUBLE", "percent_rank(){over}", "place from 0 to 1")
_window("cume_dist", "", "DOUBLE", "cume_dist(){over}", "share of rows up to this one")
_window("ntile", "I", "BIGINT", "CAST(ntile({0}){over} AS BIGINT)", "number of the bucket of n")
_window("lag", "AI?A?", "same", _neighbour("lag"), "value n rows before, or a default")
_window("lead", "AI?A?", "same", _neighbour("lead"), "value n rows after, or a default")
_window("first_value", "A", "same", _extreme("first_value"), "value of the frame's first row")
_window("last_value", "A", "same", _extreme("last_value"), "value of the frame's last row")
_window("nth_value", "AI", "same", "nth_value({0}, {1}){over}", "value of the frame's n-th row")
