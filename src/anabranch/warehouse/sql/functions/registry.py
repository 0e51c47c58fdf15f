"""How a function is listed: its name, what it takes, what it gives and what it becomes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast, numeric, text
from anabranch.warehouse.sql.functions.kinds import Bound, Type, is_text, is_time
from anabranch.warehouse.types import SqlType


class Call(Protocol):
    """One call in a statement: what a translation may ask beside its arguments."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> tuple[Bound, ...]: ...

    def pin(self, argument: Bound) -> str | None:
        """Return a literal's value, on which the translation then depends; None if not literal."""
        ...

    def shaped(self, argument: Bound, shape: str) -> str | None:
        """Return SQL of a literal rewritten at rendering by `shape`; None if it is none."""
        ...

    def variable(self, name: str) -> str:
        """Return SQL of a value of the session: now, database, user, ..."""
        ...


Build = Callable[[Call, tuple[Bound, ...]], Bound]
RESULTS = {
    "BOOLEAN": kinds.BOOLEAN,
    "TINYINT": kinds.TINYINT,
    "SMALLINT": kinds.SMALLINT,
    "INT": kinds.INT,
    "BIGINT": kinds.BIGINT,
    "LARGEINT": kinds.LARGEINT,
    "DOUBLE": kinds.DOUBLE,
    "VARCHAR": kinds.VARCHAR,
    "STRING": kinds.STRING,
    "DATE": kinds.DATE,
    "DATETIME": kinds.DATETIME,
    "JSON": kinds.JSON,
    "HLL": kinds.HLL,
    "BITMAP": kinds.BITMAP,
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the allow-list.

    `takes` has one letter a parameter (see `coerce`), of which the last `optional` may be left
    out and the last one repeats when `is_variadic`. `kind` is scalar, aggregate or window.
    """

    name: str
    family: str
    kind: str
    takes: str
    optional: int
    is_variadic: bool
    gives: str
    build: Build
    summary: str

    @property
    def signature(self) -> str:
        """Return the parameters as the documentation shows them."""
        shown = [_SHOWN[letter] for letter in self.takes]
        required = len(shown) - self.optional
        parts = [*shown[:required], *(f"[{part}]" for part in shown[required:])]
        return f"{self.name}({', '.join(parts)}{', ...' if self.is_variadic else ''})"

    def bind(self, call: Call) -> Bound:
        """Return the call in DuckDB's SQL; raise SqlError for wrong arguments."""
        given = len(call.arguments)
        most = given if self.is_variadic else len(self.takes)
        if not len(self.takes) - self.optional <= given <= most:
            raise wrong_arity(self.name, given)
        letters = self.takes + self.takes[-1:] * (given - len(self.takes))
        pairs = zip(call.arguments, letters, strict=False)
        return self.build(call, tuple(coerce(value, letter, self.name) for value, letter in pairs))


_SHOWN = {
    "S": "text",
    "I": "integer",
    "N": "number",
    "D": "double",
    "A": "any",
    "B": "condition",
    "T": "datetime",
    "L": "array",
    "J": "json",
    "H": "hll",
    "M": "bitmap",
    "U": "unit",
    "F": "lambda",
    "G": "groupable",
}


def unknown_function(name: str) -> SqlError:
    """Return Doris's answer to a function that is not listed."""
    return doris(f"Can not found function '{name}'")


def wrong_arity(name: str, given: int) -> SqlError:
    """Return Doris's answer to a wrong number of arguments."""
    candidates = f"Candidate functions are: [{name}]"
    return doris(f"Can not found function '{name}' which has {given} arity. {candidates}")


def wrong_type(name: str, kind: Type) -> SqlError:
    """Return the answer to an argument that no cast makes right."""
    return doris(f"No matching function with signature: {name}({kind.text.lower()})")


SKETCH_PARAMETERS = (
    "HLL_UNION, HLL_UNION_AGG, HLL_RAW_AGG and HLL_CARDINALITY's params must be hll column"
)
COMPLEX = (
    "Doris hll, bitmap, array, map, struct, jsonb, variant column must use with specific function, "
    "and don't support filter, group by or order by. please run 'help hll' or 'help bitmap' "
    "or 'help array' or 'help map' or 'help struct' or 'help jsonb' or 'help variant' "
    "in your mysql client."
)


def coerce(value: Bound, letter: str, name: str) -> Bound:
    """Return an argument as a parameter wants it."""
    kind = value.type
    match letter:
        case "A" | "U" | "F":
            return value
        case "G":
            if kind.is_complex:
                raise doris(COMPLEX)
            return value
        case "H" | "M":
            return _opaque(value, letter, name)
        case "L":
            if kind.kind is SqlType.NULL:
                return cast(value, kinds.array(kinds.TINYINT))
            if kind.kind is not SqlType.ARRAY:
                raise wrong_type(name, kind)
            return value
    if kind.kind in kinds.OPAQUE or kind.kind is SqlType.ARRAY:
        if kind.kind is SqlType.HLL and letter == "N":
            raise doris(COMPLEX)
        raise wrong_type(name, kind)
    return _scalar(value, letter)


def _scalar(value: Bound, letter: str) -> Bound:
    kind = value.type
    match letter:
        case "S" | "J":
            return text(value)
        case "I":
            return value if kinds.is_integer(kind) else cast(value, kinds.BIGINT)
        case "D":
            return cast(value, kinds.DOUBLE)
        case "N":
            return numeric(value)
        case "B":
            return cast(value, kinds.BOOLEAN)
        case "T":
            return value if is_time(kind) else cast(value, time_of(value))
    raise AssertionError(letter)


def time_of(value: Bound) -> Type:
    """Return the DATETIME type that text is read as: with a fraction only if a literal has one."""
    return Type(SqlType.DATETIME, scale=value.type.scale if is_text(value.type) else 0)


def _opaque(value: Bound, letter: str, name: str) -> Bound:
    wanted = kinds.HLL if letter == "H" else kinds.BITMAP
    if value.type.kind is SqlType.NULL:
        return cast(value, wanted)
    if value.type.kind is wanted.kind:
        return value
    if letter == "H":
        raise doris(SKETCH_PARAMETERS)
    raise wrong_type(name, value.type)


def result_type(gives: str, arguments: tuple[Bound, ...]) -> Type:
    """Return the type that a function's `gives` means for its arguments."""
    match gives:
        case "same":
            return arguments[0].type
        case "element":
            return arguments[0].type.items[0]
        case "list":
            return kinds.array(arguments[0].type)
    return RESULTS[gives]


class Family:
    """Collects the functions of one family, and the macros that they use."""

    def __init__(self, name: str, macros: Iterable[str] = ()) -> None:
        self.name = name
        self.macros = tuple(macros)
        self.functions: list[Function] = []

    def add(self, names: str, takes: str, gives: str, template: str | Build, summary: str) -> None:
        """List scalar functions: `takes` as in Function, with `?` for optional and `*` to repeat.

        A template is the name of a macro or function of DuckDB's, or a text with {0}, {1}, {args}.
        """
        self._list("scalar", names, takes, gives, template, summary)

    def aggregate(
        self, names: str, takes: str, gives: str, template: str | Build, summary: str
    ) -> None:
        """List aggregates: a text has {distinct}, {order} and {over} as well."""
        self._list("aggregate", names, takes, gives, template, summary)

    def window(
        self, names: str, takes: str, gives: str, template: str | Build, summary: str
    ) -> None:
        """List functions that need OVER."""
        self._list("window", names, takes, gives, template, summary)

    def _list(
        self, kind: str, names: str, takes: str, gives: str, template: str | Build, summary: str
    ) -> None:
        letters = takes.replace("?", "").replace("*", "")
        build = template if callable(template) else _from_template(template, gives)
        for name in names.split():
            self.functions.append(
                Function(
                    name, self.name, kind, letters, takes.count("?"), "*" in takes, gives, build,
                    summary,
                )
            )  # fmt: skip


def _from_template(template: str, gives: str) -> Build:
    is_name = "(" not in template and "{" not in template

    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        texts = [argument.sql for argument in arguments]
        args = ", ".join(texts)
        if is_name:
            sql = f"{template}({args})"
        else:
            sql = template.replace("{args}", args)
            for number, part in enumerate(texts):
                sql = sql.replace(f"{{{number}}}", part)
        return made(arguments, sql, result_type(gives, arguments))

    return build


def made(arguments: Iterable[Bound], sql: str, kind: Type) -> Bound:
    """Return the expression that a call becomes."""
    return Bound(sql, kind, has_aggregate=any(each.has_aggregate for each in arguments))


def common_of(arguments: Iterable[Bound]) -> Type:
    """Return the type that holds all arguments."""
    kind = kinds.NULL
    for argument in arguments:
        kind = kinds.common(kind, argument.type)
    return kind
