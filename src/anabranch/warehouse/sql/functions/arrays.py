"""Array functions. Positions count from 1, from the end if negative; past the end is NULL."""

from anabranch.kernel import limits
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast
from anabranch.warehouse.sql.functions.kinds import INT, VARCHAR, Bound
from anabranch.warehouse.sql.functions.registry import Build, Call, Family, common_of, made
from anabranch.warehouse.types import SqlType

_MAX = limits.GROWN_ELEMENTS_MAX
_GROWN = f"error('Result of a function exceeds {_MAX} elements')"
ARRAYS = Family(
    "arrays",
    (
        # The limit stands in the argument: constant calls are folded in any branch.
        (
            "doris_range(a, b, s) AS CASE WHEN s > 0 AND a >= 0 AND b >= 0 THEN "
            f"range(a, CASE WHEN (b - a) // s > {_MAX} THEN {_GROWN} ELSE b END, s) END"
        ),
        (
            "doris_array_repeat(x, n) AS list_transform(range("
            f"CASE WHEN n > {_MAX} THEN {_GROWN} ELSE greatest(n, 0) END), lambda i: x)"
        ),
    ),
)
_add = ARRAYS.add


def array_of(arguments: tuple[Bound, ...]) -> Bound:
    """Return the array of the values, cast to one type."""
    kind = common_of(arguments) if arguments else kinds.NULL
    values = ", ".join(cast(each, kind).sql for each in arguments)
    return made(arguments, f"[{values}]", kinds.array(kind))


def item(value: Bound, position: Bound) -> Bound:
    """Return the element at a position; of JSON, the element or member of that name."""
    if value.type.kind is SqlType.ARRAY:
        return made((value, position), f"{value.sql}[{position.sql}]", value.type.items[0])
    return made((value, position), f"json_extract({value.sql}, {position.sql})", kinds.JSON)


def _contains(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    values, wanted = arguments
    sought = cast(wanted, values.type.items[0]).sql
    sql = f"coalesce(list_contains({values.sql}, {sought}), false)"
    return made(arguments, f"CASE WHEN {values.sql} IS NOT NULL THEN {sql} END", kinds.BOOLEAN)


def _position(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    values, wanted = arguments
    sought = cast(wanted, values.type.items[0]).sql
    sql = f"CASE WHEN {values.sql} IS NOT NULL THEN coalesce(list_position({values.sql}, {sought}), 0) END"  # noqa: E501 - one piece of text
    return made(arguments, f"CAST({sql} AS BIGINT)", kinds.BIGINT)


def _removed(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    values, wanted = arguments
    sought = cast(wanted, values.type.items[0]).sql
    sql = f"list_filter({values.sql}, lambda x: x IS DISTINCT FROM {sought})"
    return made(arguments, sql, values.type)


def _joined(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    values, separator, *null = arguments
    shown = cast(Bound("x", values.type.items[0]), VARCHAR).sql
    part = f"coalesce({shown}, {null[0].sql})" if null else shown
    sql = f"doris_array_text(list_transform({values.sql}, lambda x: {part}), {separator.sql})"
    return made(arguments, sql, VARCHAR)


def _grown(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        values, new = arguments
        kind = kinds.common(values.type.items[0], new.type)
        whole = cast(values, kinds.array(kind)).sql
        one = cast(new, kind).sql
        pair = f"{whole}, {one}" if name == "list_append" else f"{one}, {whole}"
        return made(arguments, f"{name}({pair})", kinds.array(kind))

    return build


def _slice(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    values, start, *count = (argument.sql for argument in arguments)
    first = f"CASE WHEN {start} < 0 THEN len({values}) + {start} + 1 ELSE {start} END"
    last = f"({first}) + {count[0]} - 1" if count else f"len({values})"
    sql = f"CASE WHEN {start} = 0 OR ({first}) < 1 THEN [] ELSE {values}[({first}):({last})] END"
    return made(arguments, sql, arguments[0].type)


def _range(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    texts = [f"CAST({each.sql} AS BIGINT)" for each in arguments]
    start, end = ("CAST(0 AS BIGINT)", texts[0]) if len(texts) == 1 else (texts[0], texts[1])
    step = texts[2] if len(texts) == 3 else "CAST(1 AS BIGINT)"
    sql = f"CAST(doris_range({start}, {end}, {step}) AS INTEGER[])"
    return made(arguments, sql, kinds.array(INT))


def _joined_arrays(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        kind = common_of(arguments)
        values = [cast(each, kind).sql for each in arguments]
        if name == "union":
            sql = f"list_distinct(list_concat({', '.join(values)}))"
        elif name == "except":
            sql = f"list_distinct(list_filter({values[0]}, lambda x: NOT list_contains({values[1]}, x)))"  # noqa: E501 - one piece of text
        else:
            sql = f"{name}({', '.join(values)})"
        return made(arguments, sql, kinds.BOOLEAN if name == "list_has_any" else kind)

    return build


def _item(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return item(*arguments)


def _size(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return made(arguments, f"CAST(len({arguments[0].sql}) AS BIGINT)", kinds.BIGINT)


def _number(name: str) -> Build:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        element = arguments[0].type.items[0]
        kind = element
        if name == "list_sum":
            is_float = element.kind in kinds.FLOATS
            kind = kinds.DOUBLE if is_float else kinds.BIGINT
            if element.kind is SqlType.DECIMAL:
                kind = kinds.decimal(38, element.scale)
        elif name == "list_avg":
            kind = kinds.DOUBLE
        sql = f"CAST({name}({arguments[0].sql}) AS {kinds.duckdb_name(kind)})"
        return made(arguments, sql, kind)

    return build


_add("array", "A*", "list", lambda call, given: array_of(given), "an array of the values")
_add("size array_size cardinality", "L", "BIGINT", _size, "number of elements")
_add("element_at", "AA", "element", _item, "the element at a position")
_add("array_contains", "LA", "BOOLEAN", _contains, "whether it holds the value")
_add("array_position", "LA", "BIGINT", _position, "the first position of the value, or 0")
_add("array_remove", "LA", "same", _removed, "without the value")
_add("array_join", "LSS?", "VARCHAR", _joined, "texts joined, NULLs left out or replaced")
_add("array_append array_pushback", "LA", "list", _grown("list_append"), "with a value at its end")
_add(
    "array_pushfront",
    "LA",
    "list",
    _grown("list_prepend"),
    "with a value at its front",
)
_add("array_slice", "LII?", "same", _slice, "n elements from a position")
_add("array_range sequence", "II?I?", "ARRAY<INT>", _range, "numbers from a start to before an end")
_add("array_repeat", "AI", "list", "doris_array_repeat", "n times the value")
_add("array_sort", "L", "same", "list_sort({0}, 'ASC', 'NULLS FIRST')", "sorted, NULLs first")
_add("array_reverse_sort", "L", "same", "list_sort({0}, 'DESC', 'NULLS LAST')", "sorted downwards")
_add("array_reverse", "L", "same", "list_reverse", "in reverse order")
_add("array_distinct", "L", "same", "list_distinct", "each value once; the order is not kept")
_add(
    "array_compact",
    "L",
    "same",
    "list_filter({0}, lambda x, i: i = 1 OR x IS DISTINCT FROM {0}[i - 1])",
    "without repetitions of neighbours",
)
_add("array_union", "LL*", "list", _joined_arrays("union"), "values of one of them, each once")
_add("array_intersect", "LL", "list", _joined_arrays("list_intersect"), "values of both")
_add("array_except", "LL", "list", _joined_arrays("except"), "values of the first only")
_add("array_concat", "LL*", "list", _joined_arrays("list_concat"), "one after the other")
_add(
    "arrays_overlap", "LL", "BOOLEAN", _joined_arrays("list_has_any"), "whether they share a value"
)
_add("array_min", "L", "element", _number("list_min"), "smallest element")
_add("array_max", "L", "element", _number("list_max"), "largest element")
_add("array_sum", "L", "number", _number("list_sum"), "sum of the elements")
_add("array_avg", "L", "DOUBLE", _number("list_avg"), "mean of the elements")
_add(
    "array_enumerate",
    "L",
    "ARRAY<INT>",
    lambda call, given: made(
        given, f"CAST(range(1, len({given[0].sql}) + 1) AS INTEGER[])", kinds.array(INT)
    ),
    "positions of the elements",
)
