"""Doris's column types and their names; `physical_types` has what stores them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris


class SqlType(StrEnum):
    """The kinds of types, by Doris's names. NULL and BINARY are of results alone."""

    BOOLEAN = "BOOLEAN"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INT = "INT"
    BIGINT = "BIGINT"
    LARGEINT = "LARGEINT"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    DECIMAL = "DECIMAL"
    DATE = "DATE"
    DATETIME = "DATETIME"
    TIME = "TIME"
    CHAR = "CHAR"
    VARCHAR = "VARCHAR"
    STRING = "STRING"
    JSON = "JSON"
    VARIANT = "VARIANT"
    ARRAY = "ARRAY"
    MAP = "MAP"
    STRUCT = "STRUCT"
    IPV4 = "IPV4"
    IPV6 = "IPV6"
    HLL = "HLL"
    BITMAP = "BITMAP"
    QUANTILE_STATE = "QUANTILE_STATE"
    AGG_STATE = "AGG_STATE"
    NULL = "NULL"
    BINARY = "BINARY"


CHAR_LENGTH_MAX = limits.CHAR_LENGTH_MAX
VARCHAR_LENGTH_MAX = limits.VARCHAR_LENGTH_MAX
DECIMAL_PRECISION_MAX = 38
DATETIME_SCALE_MAX = 6

INTEGERS = frozenset(
    {SqlType.TINYINT, SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT, SqlType.LARGEINT}
)
TEXTS = frozenset({SqlType.CHAR, SqlType.VARCHAR, SqlType.STRING})
NESTED = frozenset({SqlType.ARRAY, SqlType.MAP, SqlType.STRUCT})
OPAQUE = frozenset({SqlType.HLL, SqlType.BITMAP})
"""Values that only their own functions understand."""
STORABLE = frozenset(SqlType) - {
    SqlType.TIME,
    SqlType.VARIANT,
    SqlType.IPV4,
    SqlType.IPV6,
    SqlType.QUANTILE_STATE,
    SqlType.AGG_STATE,
    SqlType.NULL,
    SqlType.BINARY,
}
"""What a column of a table may be."""

BITS = {
    SqlType.TINYINT: 8,
    SqlType.SMALLINT: 16,
    SqlType.INT: 32,
    SqlType.BIGINT: 64,
    SqlType.LARGEINT: 128,
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type with its parameters.

    `length` is of CHAR and VARCHAR in bytes, `precision` and `scale` of DECIMAL, `scale` of
    DATETIME and TIME in fractional digits; `items` are element, key and value, or the types of
    `names`.
    """

    kind: SqlType
    length: int = 0
    precision: int = 0
    scale: int = 0
    items: tuple[ColumnType, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the canonical text; `parse_type` is the inverse."""
        match self.kind:
            case SqlType.CHAR | SqlType.VARCHAR:
                return f"{self.kind}({self.length})"
            case SqlType.DECIMAL:
                return f"DECIMAL({self.precision},{self.scale})"
            case SqlType.DATETIME | SqlType.TIME if self.scale:
                return f"{self.kind}({self.scale})"
            case SqlType.ARRAY | SqlType.MAP:
                return f"{self.kind}<{','.join(item.text for item in self.items)}>"
            case SqlType.STRUCT:
                pairs = zip(self.names, self.items, strict=True)
                return f"STRUCT<{','.join(f'`{name}`:{item.text}' for name, item in pairs)}>"
        return str(self.kind)

    @property
    def shown(self) -> str:
        """Return what DESC and SHOW CREATE TABLE print."""
        match self.kind:
            case SqlType.STRING:
                return "text"
            case SqlType.ARRAY | SqlType.MAP:
                return f"{self.kind.lower()}<{','.join(item.shown for item in self.items)}>"
            case SqlType.STRUCT:
                pairs = zip(self.names, self.items, strict=True)
                return f"struct<{','.join(f'{name}:{item.shown}' for name, item in pairs)}>"
        return self.text.lower()

    @property
    def is_complex(self) -> bool:
        """Tell whether it can be no key, group, order or equality (nested, sketches, JSON)."""
        return self.kind in NESTED | OPAQUE | {
            SqlType.JSON,
            SqlType.VARIANT,
            SqlType.QUANTILE_STATE,
            SqlType.AGG_STATE,
        }

    @property
    def duckdb(self) -> str:
        """Return DuckDB's name of the type that the engine computes with."""
        return to_duckdb(self)


_ALIASES = {
    "BOOL": "BOOLEAN",
    "INTEGER": "INT",
    "REAL": "DOUBLE",
    "DECIMALV2": "DECIMAL",
    "DECIMALV3": "DECIMAL",
    "NUMERIC": "DECIMAL",
    "DATEV1": "DATE",
    "DATEV2": "DATE",
    "DATETIMEV1": "DATETIME",
    "DATETIMEV2": "DATETIME",
    "TIMESTAMP": "DATETIME",
    "TEXT": "STRING",
    "TINYTEXT": "STRING",
    "MEDIUMTEXT": "STRING",
    "LONGTEXT": "STRING",
    "JSONB": "JSON",
}
_WIDTHS = INTEGERS | {SqlType.BOOLEAN}
_STATE_ONLY = {SqlType.NULL, SqlType.BINARY}


def is_type_name(word: str) -> bool:
    """Tell whether a type may begin with `word`."""
    name = word.upper()
    name = _ALIASES.get(name, name)
    return name in SqlType.__members__ and SqlType(name) not in _STATE_ONLY


def make_type(name: str, arguments: tuple[int, ...] = ()) -> ColumnType:
    """Return a type without items by one of Doris's names for it; raise SqlError if it cannot be.

    Display widths of integers are accepted and forgotten. DECIMAL alone is DECIMAL(38,9), VARCHAR
    alone VARCHAR(65533), CHAR alone CHAR(1).
    """
    if not is_type_name(name):
        raise doris(f"Unknown data type: {name}")
    upper = name.upper()
    kind = SqlType(_ALIASES.get(upper, upper))
    if kind in NESTED:
        raise doris(f"{kind} needs the types of its items")
    limit = 2 if kind in {SqlType.DECIMAL, SqlType.FLOAT, SqlType.DOUBLE} else 1
    takes = _WIDTHS | {
        *TEXTS,
        SqlType.DECIMAL,
        SqlType.FLOAT,
        SqlType.DOUBLE,
        SqlType.DATETIME,
        SqlType.TIME,
    }
    if arguments and (kind not in takes or len(arguments) > limit):
        raise doris(f"{kind} does not take ({', '.join(map(str, arguments))})")
    match kind:
        case SqlType.CHAR | SqlType.VARCHAR:
            return _text_type(kind, arguments)
        case SqlType.DECIMAL:
            return _decimal_type(arguments)
        case SqlType.DATETIME | SqlType.TIME:
            scale = arguments[0] if arguments else 0
            if not 0 <= scale <= DATETIME_SCALE_MAX:
                raise doris(
                    f"Scale of Datetime/Time must between 0 and 6. Scale was set to: {scale}"
                )
            return ColumnType(kind, scale=scale)
    return ColumnType(kind)


def _text_type(kind: SqlType, arguments: tuple[int, ...]) -> ColumnType:
    longest = CHAR_LENGTH_MAX if kind is SqlType.CHAR else VARCHAR_LENGTH_MAX
    length = arguments[0] if arguments else (1 if kind is SqlType.CHAR else longest)
    if length < 1:
        raise doris(f"{kind} size must be > 0: {length}")
    if length > longest:
        raise doris(f"{kind} size must be <= {longest}: {length}")
    return ColumnType(kind, length=length)


def _decimal_type(arguments: tuple[int, ...]) -> ColumnType:
    precision = arguments[0] if arguments else DECIMAL_PRECISION_MAX
    scale = arguments[1] if len(arguments) > 1 else (0 if arguments else 9)
    if not 1 <= precision <= DECIMAL_PRECISION_MAX:
        raise doris(
            f"Precision of decimal must between 1 and 38. Precision was set to: {precision}."
        )
    if not 0 <= scale <= precision:
        raise doris(f"Scale of decimal must between 0 and {precision}. Scale was set to: {scale}.")
    return ColumnType(SqlType.DECIMAL, precision=precision, scale=scale)


def array_type(item: ColumnType) -> ColumnType:
    """Return ARRAY of `item`."""
    return _nested(ColumnType(SqlType.ARRAY, items=(item,)))


def map_type(key: ColumnType, value: ColumnType) -> ColumnType:
    """Return MAP from `key` to `value`."""
    return _nested(ColumnType(SqlType.MAP, items=(key, value)))


def struct_type(fields: Iterable[tuple[str, ColumnType]]) -> ColumnType:
    """Return STRUCT of named fields, whose names differ without regard to case."""
    pairs = tuple(fields)
    names = tuple(name for name, _ in pairs)
    if len({name.lower() for name in names}) != len(names):
        raise doris(f"Duplicate field name in struct: {', '.join(names)}")
    return _nested(ColumnType(SqlType.STRUCT, items=tuple(item for _, item in pairs), names=names))


def _nested(made: ColumnType) -> ColumnType:
    for item in made.items:
        if item.kind in OPAQUE or item.kind not in STORABLE:
            raise doris(f"Unsupported data type: {made.text}")
    if _depth(made) > limits.TYPE_DEPTH_MAX:
        raise doris(f"Type exceeds the maximum nesting depth of {limits.TYPE_DEPTH_MAX}")
    return made


def _depth(made: ColumnType) -> int:
    return 1 + max((_depth(item) for item in made.items), default=-1)


_WORDS = re.compile(r"\s*(?:`([^`\x00]+)`|([A-Za-z_][\w]*)|(\d+)|([(),:<>\[\]]))")


def parse_type(text: str) -> ColumnType:
    """Return the type that `text` names: the inverse of `ColumnType.text`, in any case."""
    words: list[str] = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _WORDS.match(stripped, at)
        if found is None:
            raise doris(f"Unknown data type: {text[:200]}")
        words.append(found.group(1) or found.group().strip())
        at = found.end()
    reader = _Words(words, text[:200])
    made = reader.read(0)
    if reader.at != len(words):
        raise reader.refusal()
    return made


class _Words:
    """Recursive descent over the words of a type."""

    def __init__(self, words: list[str], text: str) -> None:
        self._words = words
        self._text = text
        self.at = 0

    def refusal(self) -> SqlError:
        return doris(f"Unknown data type: {self._text}")

    def read(self, depth: int) -> ColumnType:
        if depth > limits.TYPE_DEPTH_MAX:
            raise doris(f"Type exceeds the maximum nesting depth of {limits.TYPE_DEPTH_MAX}")
        name = self._next().upper()
        if name == "ARRAY" and self._accept("<"):
            item = self.read(depth + 1)
            self._expect(">")
            return array_type(item)
        if name == "MAP" and self._accept("<"):
            key = self.read(depth + 1)
            self._expect(",")
            value = self.read(depth + 1)
            self._expect(">")
            return map_type(key, value)
        if name == "STRUCT" and self._accept("<"):
            return self._struct(depth)
        arguments: list[int] = []
        if self._accept("("):
            while True:
                word = self._next()
                if not word.isdecimal():
                    raise self.refusal()
                arguments.append(int(word[:9]))
                if not self._accept(","):
                    break
            self._expect(")")
        return make_type(name, tuple(arguments))

    def _struct(self, depth: int) -> ColumnType:
        fields: list[tuple[str, ColumnType]] = []
        while True:
            name = self._next()
            self._expect(":")
            fields.append((name, self.read(depth + 1)))
            if not self._accept(","):
                break
        self._expect(">")
        return struct_type(fields)

    def _next(self) -> str:
        if self.at >= len(self._words):
            raise self.refusal()
        self.at += 1
        return self._words[self.at - 1]

    def _accept(self, word: str) -> bool:
        if self.at < len(self._words) and self._words[self.at] == word:
            self.at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self.refusal()


_DUCKDB = {
    SqlType.LARGEINT: "HUGEINT",
    SqlType.INT: "INTEGER",
    SqlType.DATETIME: "TIMESTAMP",
    SqlType.TIME: "INTERVAL",
    SqlType.CHAR: "VARCHAR",
    SqlType.VARCHAR: "VARCHAR",
    SqlType.STRING: "VARCHAR",
    SqlType.JSON: "VARCHAR",
    SqlType.VARIANT: "VARCHAR",
    SqlType.IPV4: "UINTEGER",
    SqlType.NULL: '"NULL"',
}
_BYTES = OPAQUE | {
    SqlType.IPV6,
    SqlType.QUANTILE_STATE,
    SqlType.AGG_STATE,
    SqlType.BINARY,
}


def to_duckdb(made: ColumnType) -> str:
    """Return the type that the engine computes with: HUGEINT for LARGEINT, BLOB for sketches."""
    match made.kind:
        case SqlType.DECIMAL:
            return made.text
        case SqlType.ARRAY:
            return f"{to_duckdb(made.items[0])}[]"
        case SqlType.MAP:
            return f"MAP({to_duckdb(made.items[0])}, {to_duckdb(made.items[1])})"
        case SqlType.STRUCT:
            pairs = zip(made.names, made.items, strict=True)
            inner = ", ".join(f"{quote_duckdb(name)} {to_duckdb(item)}" for name, item in pairs)
            return f"STRUCT({inner})"
    return "BLOB" if made.kind in _BYTES else _DUCKDB.get(made.kind, str(made.kind))


def quote_duckdb(name: str) -> str:
    """Return `name` as a quoted identifier of DuckDB's SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def integer_bounds(kind: SqlType) -> tuple[int, int]:
    """Return the smallest and largest value of an integer type."""
    half = 1 << (BITS[kind] - 1)
    return -half, half - 1
