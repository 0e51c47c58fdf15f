"""Number functions. What is not defined (logarithm of 0, root of -1, remainder by 0) is NULL."""

from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast
from anabranch.warehouse.sql.functions.kinds import BIGINT, DOUBLE, FLOATS, Bound, Type
from anabranch.warehouse.sql.functions.registry import Call, Family, common_of, made
from anabranch.warehouse.types import SqlType

NUMBERS = Family(
    "numbers",
    (
        "doris_log(b, x) AS CASE WHEN b > 0 AND b <> 1 AND x > 0 THEN ln(x) / ln(b) END",
        "doris_pow(x, y) AS CASE WHEN isnan(pow(x, y)) THEN NULL ELSE pow(x, y) END",
        (
            "doris_conv(s, a, b) AS CASE WHEN a BETWEEN 2 AND 36 AND b BETWEEN 2 AND 36 THEN "
            "to_base(CAST(list_reduce(list_transform(string_split(upper(s), ''), lambda c: CAST(strpos("  # noqa: E501 - one piece of text
            "'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', c) - 1 AS BIGINT)), lambda x, y: x * a + y) "
            "AS BIGINT), CAST(b AS INTEGER)) END"
        ),
        # Halves go away from zero; a negative number of places rounds before the point.
        "doris_round(x, n) AS CASE WHEN abs(n) > 300 THEN x ELSE round(x, CAST(n AS INTEGER)) END",
        (
            "doris_truncate(x, n) AS CASE WHEN x IS NULL OR n IS NULL THEN NULL WHEN n > 15 THEN x "
            "ELSE trunc(x * pow(10, n)) / pow(10, n) END"
        ),
    ),
)
_add = NUMBERS.add


def _absolute(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    wider = {SqlType.TINYINT: kinds.SMALLINT, SqlType.SMALLINT: kinds.INT, SqlType.INT: BIGINT}
    kind = wider.get(value.type.kind, value.type)
    if kind.kind is SqlType.BIGINT:
        kind = kinds.LARGEINT
    return made(arguments, f"abs(CAST({value.sql} AS {kinds.duckdb_name(kind)}))", kind)


def _stepped(name: str, arguments: tuple[Bound, ...], call: Call) -> Bound:
    """Build round, truncate, ceil and floor: whole for one argument, by places for two."""
    value = arguments[0]
    if len(arguments) == 1:
        return _whole_number(name, value)
    pinned = call.pin(arguments[1])
    if value.type.kind is SqlType.DECIMAL and pinned is not None:
        return _decimal_places(name, value, int(float(pinned)))
    number, places = cast(value, DOUBLE).sql, arguments[1].sql
    if value.type.kind is SqlType.DECIMAL and pinned is None:
        kind = value.type
    else:
        kind = DOUBLE if value.type.kind in FLOATS else value.type
    if name == "round":
        sql = f"doris_round({number}, {places})"
    elif name == "truncate":
        sql = f"doris_truncate({number}, {places})"
    else:
        sql = f"({name}({number} * pow(10, {places})) / pow(10, {places}))"
    done = made(arguments, sql, DOUBLE)
    return (
        done if kind is DOUBLE else done.written(f"CAST({sql} AS {kinds.duckdb_name(kind)})", kind)
    )


def _whole_number(name: str, value: Bound) -> Bound:
    function = "trunc" if name == "truncate" else name
    if kinds.is_integer(value.type):
        return value.written(value.sql, value.type)
    if value.type.kind is SqlType.DECIMAL:
        digits = value.type.precision - value.type.scale
        kind = kinds.decimal(digits + (name != "truncate"), 0)
        sql = f"CAST({function}({value.sql}) AS {kinds.duckdb_name(kind)})"
        return made((value,), sql, kind)
    # Of floating numbers, ceil and floor are whole numbers in Doris, round and truncate are not.
    kind = BIGINT if name in ("ceil", "floor") else DOUBLE
    if kind is BIGINT:
        return made((value,), f"TRY_CAST({function}({value.sql}) AS BIGINT)", kind)
    return made((value,), f"{function}({value.sql})", kind)


def _decimal_places(name: str, value: Bound, places: int) -> Bound:
    scale = max(0, min(places, value.type.scale))
    digits = value.type.precision - value.type.scale + scale + (name != "truncate")
    kind = kinds.decimal(digits, scale)
    if places >= value.type.scale:
        return value.written(value.sql, value.type)
    if name == "round":
        sql = f"round({value.sql}, {places})"
    else:
        function = "trunc" if name == "truncate" else name
        step = f"CAST(1e{-places} AS DECIMAL({1 - places},0))" if places < 0 else None
        if step is not None:
            sql = f"{function}({value.sql} / {step}) * {step}"
        else:
            factor = f"CAST('1e{places}' AS DECIMAL({places + 1},0))"
            part = f"CAST('1e-{places}' AS DECIMAL({places + 1},{places}))" if places else "1"
            wide = kinds.duckdb_name(kinds.decimal(38 - places - 1, 0))
            sql = f"CAST({function}({value.sql} * {factor}) AS {wide}) * {part}"
    return made((value,), f"CAST({sql} AS {kinds.duckdb_name(kind)})", kind)


def _extreme(name: str, arguments: tuple[Bound, ...]) -> Bound:
    """NULL if one argument is, unlike DuckDB's."""
    kind = common_of(arguments)
    values = [cast(each, kind).sql for each in arguments]
    is_any_null = " OR ".join(f"{each} IS NULL" for each in values)
    sql = f"CASE WHEN NOT ({is_any_null}) THEN {name}({', '.join(values)}) END"
    return made(arguments, sql, kind)


def _remainder(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return remainder(*arguments)


def remainder(left: Bound, right: Bound) -> Bound:
    """Return left % right: the sign of the left, NULL for 0."""
    kind = common_of((left, right))
    sql = f"({cast(left, kind).sql} % nullif({cast(right, kind).sql}, 0))"
    return made((left, right), sql, kind)


def _negative(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return made(arguments, f"(-({arguments[0].sql}))", arguments[0].type)


def _positive(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return made(arguments, arguments[0].sql, arguments[0].type)


def _rounded(name: str) -> None:
    summary = {
        "round": "rounded to n places (0), halves away from zero",
        "truncate": "cut to n places",
        "ceil": "the next number upwards, of n places",
        "floor": "the next number downwards, of n places",
    }[name]
    aliases = {"round": "round dround", "ceil": "ceil ceiling dceil", "floor": "floor dfloor"}
    _add(
        aliases.get(name, name),
        "NI" if name == "truncate" else "NI?",
        "number",
        lambda call, given: _stepped(name, given, call),
        summary,
    )


for _name in ("round", "truncate", "ceil", "floor"):
    _rounded(_name)
_add("abs", "N", "number", _absolute, "without its sign, in the next wider type")
_add("sign", "D", "TINYINT", "CAST(sign({0}) AS TINYINT)", "-1, 0 or 1")
_add("mod fmod", "NN", "number", _remainder, "remainder with the sign of the first, NULL for 0")
_add(
    "pmod",
    "NN",
    "number",
    lambda call, given: _positive_remainder(given),
    "remainder with the sign of the second",
)
_add("pow power dpow fpow", "DD", "DOUBLE", "doris_pow", "x to the power of y")
_add(
    "sqrt dsqrt",
    "D",
    "DOUBLE",
    "CASE WHEN {0} >= 0 THEN sqrt({0}) END",
    "square root, NULL below 0",
)
_add("cbrt", "D", "DOUBLE", "cbrt", "cube root")
_add(
    "ln dlog1",
    "D",
    "DOUBLE",
    "CASE WHEN {0} > 0 THEN ln({0}) END",
    "natural logarithm, NULL up to 0",
)
_add(
    "log10 dlog10",
    "D",
    "DOUBLE",
    "CASE WHEN {0} > 0 THEN log10({0}) END",
    "logarithm to the base 10",
)
_add("log2", "D", "DOUBLE", "CASE WHEN {0} > 0 THEN log2({0}) END", "logarithm to the base 2")
_add(
    "log",
    "DD?",
    "DOUBLE",
    lambda call, given: _logarithm(given),
    "logarithm to a base, natural with one argument",
)
_add("exp dexp", "D", "DOUBLE", "exp", "e to the power of x")
_add("pi", "", "DOUBLE", "pi()", "the number pi")
_add("e", "", "DOUBLE", "exp(1.0)", "the number e")
for _name, _text in (
    ("sin", "sine"), ("cos", "cosine"), ("tan", "tangent"), ("atan", "arc tangent"),
    ("sinh", "hyperbolic sine"), ("cosh", "hyperbolic cosine"), ("tanh", "hyperbolic tangent"),
    ("degrees", "degrees of radians"), ("radians", "radians of degrees"),
):  # fmt: skip
    _add(_name, "D", "DOUBLE", _name, _text)
_add("asin", "D", "DOUBLE", "CASE WHEN abs({0}) <= 1 THEN asin({0}) END", "arc sine")
_add("acos", "D", "DOUBLE", "CASE WHEN abs({0}) <= 1 THEN acos({0}) END", "arc cosine")
_add("atan2", "DD", "DOUBLE", "atan2", "arc tangent of y / x")
_add(
    "greatest",
    "A*",
    "common",
    lambda call, given: _extreme("greatest", given),
    "the largest, NULL if one is NULL",
)
_add(
    "least",
    "A*",
    "common",
    lambda call, given: _extreme("least", given),
    "the smallest, NULL if one is NULL",
)
_add("rand random", "", "DOUBLE", "random()", "a random number from 0 to below 1")
_add(
    "sleep", "I", "BOOLEAN",
    # It gives NULL when it has waited, whatever it was given.
    "(CASE WHEN {0} IS NULL THEN NULL ELSE sleep_ms(CAST({0} AS BIGINT) * 1000) IS NULL END)",
    "waits so many seconds; TRUE",
)  # fmt: skip
_add("negative", "N", "number", _negative, "with the other sign")
_add("positive", "N", "number", _positive, "the number itself")
_add("bitand", "II", "BIGINT", "(CAST({0} AS BIGINT) & CAST({1} AS BIGINT))", "bits set in both")
_add("bitor", "II", "BIGINT", "(CAST({0} AS BIGINT) | CAST({1} AS BIGINT))", "bits set in one")
_add(
    "bitxor",
    "II",
    "BIGINT",
    "xor(CAST({0} AS BIGINT), CAST({1} AS BIGINT))",
    "bits set in one only",
)
_add("bitnot", "I", "BIGINT", "(~CAST({0} AS BIGINT))", "bits turned over")
_add("bit_count", "I", "TINYINT", lambda call, given: _bit_count(given[0]), "number of bits set")
_add("bin", "I", "VARCHAR", "to_base(CAST({0} AS BIGINT), 2)", "binary digits")
_add("conv", "SII", "VARCHAR", "doris_conv", "from one base to another")
_add("isnan", "D", "BOOLEAN", "isnan", "whether it is NaN")
_add("isinf", "D", "BOOLEAN", "isinf", "whether it is infinite")


def _bit_count(value: Bound) -> Bound:
    """Count in the type's own width: -1 has 8 bits as a TINYINT."""
    name = kinds.duckdb_name(value.type)
    return made((value,), f"CAST(bit_count(CAST({value.sql} AS {name})) AS TINYINT)", kinds.TINYINT)


def _logarithm(arguments: tuple[Bound, ...]) -> Bound:
    texts = [each.sql for each in arguments]
    if len(texts) == 1:
        return made(arguments, f"CASE WHEN {texts[0]} > 0 THEN ln({texts[0]}) END", DOUBLE)
    return made(arguments, f"doris_log({texts[0]}, {texts[1]})", DOUBLE)


def _positive_remainder(arguments: tuple[Bound, ...]) -> Bound:
    done = remainder(*arguments)
    right = cast(arguments[1], done.type).sql
    return done.written(f"(({done.sql} + {right}) % nullif({right}, 0))", done.type)


def divided(left: Bound, right: Bound) -> Bound:
    """Return left / right: DOUBLE, or a decimal of four more places; NULL for 0."""
    one, two = left.type, right.type
    if SqlType.DECIMAL not in (one.kind, two.kind) or one.kind in FLOATS or two.kind in FLOATS:
        sql = f"({cast(left, DOUBLE).sql} / nullif({cast(right, DOUBLE).sql}, 0))"
        return made((left, right), sql, DOUBLE)
    one, two = kinds.as_decimal(one), kinds.as_decimal(two)
    scale = min(one.scale + _DIVISION_DIGITS, kinds.DECIMAL_DIGITS_MAX - 2)
    kind = kinds.decimal(one.precision + two.scale + _DIVISION_DIGITS, scale)
    return made((left, right), quotient(left.sql, one, right.sql, two, kind), kind)


_DIVISION_DIGITS = 4  # MySQL's and Doris's div_precision_increment


def quotient(left: str, one: Type, right: str, two: Type, kind: Type) -> str:
    """Return exact decimal division, computed on whole numbers; halves go away from zero."""
    dividend = f"CAST({left} * {_power(one.scale)} AS HUGEINT)"
    divisor = f"nullif(CAST({right} * {_power(two.scale)} AS HUGEINT), 0)"
    shift = kind.scale - one.scale + two.scale
    wide = kinds.decimal(kinds.DECIMAL_DIGITS_MAX - kind.scale - 1, 0)
    part = f"CAST('1e-{kind.scale}' AS DECIMAL({kind.scale + 1},{kind.scale}))"
    whole = f"doris_divide({dividend} * CAST('1e{shift}' AS HUGEINT), {divisor})"
    product = f"CAST({whole} AS {kinds.duckdb_name(wide)}) * {part}"
    return f"CAST({product} AS {kinds.duckdb_name(kind)})"


def _power(scale: int) -> str:
    return f"CAST('1e{scale}' AS DECIMAL({scale + 1},0))"


NUMBERS.macros += (
    (
        "doris_divide(a, b) AS a // b + CASE WHEN 2 * abs(a % b) >= abs(b) "
        "THEN CASE WHEN (a < 0) = (b < 0) THEN 1 ELSE -1 END ELSE 0 END"
    ),
)
