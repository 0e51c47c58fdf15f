"""A translated statement: SQL with places for literals, tables and the session's values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.results import Field
from anabranch.warehouse.sql.transforms.catalog import Context, TableName
from anabranch.warehouse.sql.transforms.literals import Literal, replace_encoded
from anabranch.warehouse.types import ColumnType

_PLACE = re.compile("\x02([A-Za-z_]+):([^\x03]*)\x03")
_BRACE = "\x04"  # a brace of a quoted name: braces are the templates' own


def place(kind: str, name: object) -> str:
    """Return the mark of a place to be filled at rendering."""
    return f"\x02{kind}:{name}\x03"


def quoted(name: str) -> str:
    """Return a name as a quoted identifier of DuckDB's."""
    return '"' + name.replace('"', '""').replace("{", _BRACE) + '"'


def quote_text(value: str) -> str:
    """Return a text as a literal of DuckDB's."""
    if "\0" in value:
        parts = (quote_text(part) for part in value.split("\0"))
        return "(" + " || chr(0) || ".join(parts) + ")"
    return "'" + value.replace("'", "''") + "'"


DATABASE = "database"
"""The mark of DATABASE() among wanted values."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column that is one of the values in every row that counts: literals' slots, or marks."""

    column: str
    values: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class TableUse:
    """A table that a statement reads: where its rows go in the SQL, and which columns it uses."""

    number: int
    name: TableName
    columns: tuple[str, ...]
    wanted: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result; its name is a piece of the skeleton."""

    name: str
    type: ColumnType
    table: str = ""
    database: str = ""
    original: str = ""
    is_nullable: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A translation that serves every text of its skeleton with equal `pinned` literals."""

    template: str
    outputs: tuple[Output, ...]
    tables: tuple[TableUse, ...]
    versions: tuple[str, ...]
    pinned: tuple[tuple[int, str], ...]

    def fits(self, literals: Sequence[Literal]) -> bool:
        """Tell whether the literals that the translation depends on are the same."""
        return all(literals[slot].value == value for slot, value in self.pinned)


@dataclass(frozen=True, slots=True)
class Translated:
    """A query ready to run, once it is told what the tables are."""

    plan: Plan
    literals: tuple[Literal, ...]
    context: Context

    @property
    def tables(self) -> tuple[TableUse, ...]:
        """Return the tables read, by number; `name.at` is told with its literals filled in."""
        return self.plan.tables

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the result's columns."""
        return tuple(
            Field(
                name=replace_encoded(output.name, self.literals),
                type=output.type,
                table=output.table,
                database=output.database,
                original_name=output.original,
                is_nullable=output.is_nullable,
            )
            for output in self.plan.outputs
        )

    def wanted(self, use: TableUse) -> list[tuple[str, frozenset[str]]]:
        """Return the texts that columns of a table must be among; other rows do not count."""
        return [(each.column, self._texts(each.values)) for each in use.wanted]

    def _texts(self, marks: Sequence[int | str]) -> frozenset[str]:
        found: set[str] = set()
        for mark in marks:
            if isinstance(mark, int):
                found.add(self.literals[mark].value)
            elif self.context.database is not None:
                found.add(self.context.database)
        return frozenset(found)

    def sql(self, relations: Mapping[int, str]) -> str:
        """Return DuckDB's SQL; `relations` has SQL that can stand in FROM for each table's number.

        Such a relation gives the table's columns by their names.
        """

        def filled(found: re.Match[str]) -> str:
            kind, name = found.groups()
            if kind == "table":
                return relations[int(name)]
            if kind == "session":
                return session_value(name, self.context)
            return _SHAPES[kind](self.literals[int(name)])

        return _PLACE.sub(filled, self.plan.template).replace(_BRACE, "{")


def _value(literal: Literal) -> str:
    return quote_text(literal.value) if literal.is_text else literal.value


def _like(literal: Literal) -> str:
    pattern = literal.value
    if "\\" not in pattern:
        return quote_text(pattern)
    trailing = len(pattern) - len(pattern.rstrip("\\"))
    if trailing % 2:  # a lone backslash at the end stands for itself
        pattern += "\\"
    return quote_text(pattern) + " ESCAPE '\\'"


_STRFTIME = {
    "i": "%M", "s": "%S", "S": "%S", "h": "%I", "I": "%I", "H": "%H", "k": "%-H", "l": "%-I",
    "c": "%-m", "e": "%-d", "M": "%B", "W": "%A", "r": "%I:%M:%S %p", "T": "%H:%M:%S", "v": "%V",
    "x": "%G", "D": "\x01D", "u": "\x01u", "V": "\x01V", "X": "\x01X", "%": "%%",
}  # fmt: skip
_SAME = "YymdbajpfwU"
_NAMED = {
    "yyyy-MM-dd HH:mm:ss": "%Y-%m-%d %H:%i:%s",
    "yyyy-MM-dd": "%Y-%m-%d",
    "yyyyMMdd": "%Y%m%d",
}


def _mapped(pattern: str, table: Mapping[str, str]) -> str:
    pattern = _NAMED.get(pattern, pattern)
    parts: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter != "%":
            parts.append(letter)
            continue
        code = next(letters, "%")
        parts.append(table.get(code) or (f"%{code}" if code in _SAME else code))
    return "".join(parts)


def _date_format(literal: Literal) -> str:
    return "'" + _mapped(literal.value, _STRFTIME).replace("'", "''") + "'"


def _date_parse(literal: Literal) -> str:
    table = {**_STRFTIME, "c": "%m", "e": "%d", "k": "%H", "l": "%I"}
    return "'" + _mapped(literal.value, table).replace("'", "''") + "'"


_TIME = re.compile(
    r"\s*(\d{4}|\d{2})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[ T](\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?)?)?\s*"
)
_COMPACT = re.compile(r"\s*(\d{4}|\d{2})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?()\s*")


def _time(literal: Literal) -> str:
    """Return a text as a time, NULL if it is none: the rules of the macro doris_datetime."""
    found = _TIME.fullmatch(literal.value) or _COMPACT.fullmatch(literal.value)
    if found is None:
        return "CAST(NULL AS TIMESTAMP)"
    first, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if len(found.group(1)) == 2:
        first += 2000 if first < 70 else 1900
    fraction = (found.group(7) or "")[:6].ljust(6, "0")
    try:  # year 0 is a leap year, and Python has none
        checked = datetime(first or 4, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return "CAST(NULL AS TIMESTAMP)"
    return f"TIMESTAMP '{first:04d}-{checked:%m-%d %H:%M:%S}.{fraction}'"


_SHAPES: dict[str, Callable[[Literal], str]] = {
    "literal": _value,
    "like": _like,
    "time": _time,
    "date_format": _date_format,
    "date_parse": _date_parse,
}
_OFFSET = re.compile(r"([+-])(\d{1,2}):(\d{2})")


def offset_seconds(zone: str) -> int | None:
    """Return the seconds east of UTC of a zone like '+08:00'; None for a named zone."""
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return None
    seconds = int(found.group(2)) * 3600 + int(found.group(3)) * 60
    return -seconds if found.group(1) == "-" else seconds


def zone_of(name: str) -> timezone | ZoneInfo:
    """Return a time zone by its name or offset; raise SqlError 1298."""
    seconds = offset_seconds(name)
    if seconds is not None:
        return timezone(timedelta(seconds=seconds))
    aliases = {"CST": "Asia/Shanghai", "PRC": "Asia/Shanghai", "SYSTEM": "UTC"}
    try:
        return ZoneInfo(aliases.get(name, name))
    except (ZoneInfoNotFoundError, ValueError):
        text = f"Unknown or incorrect time zone: '{name}'"
        raise SqlError(1298, "HY000", text) from None


def session_value(name: str, context: Context) -> str:
    """Return SQL of a value of the session."""
    if name == "now":
        return _stamp(context.utc_now.astimezone(zone_of(context.time_zone)))
    if name == "utc_now":
        return _stamp(context.utc_now.astimezone(UTC))
    if name.startswith("@"):
        return _variable(name, context)
    if name == "connection_id":
        return f"CAST({int(context.connection_id)} AS BIGINT)"
    value = {
        "database": context.database,
        "user": context.user,
        "version": context.version,
        "catalog": context.catalog,
        "ref": context.ref,
    }[name]
    return "CAST(NULL AS VARCHAR)" if value is None else quote_text(value)


def _variable(name: str, context: Context) -> str:
    if name.startswith("@@global."):
        found = context.global_variables.get(name.removeprefix("@@global."))
    elif name.startswith("@@"):
        found = context.variables.get(name[2:])
    else:
        found = context.user_variables.get(name[1:])
    if found is None:
        return "NULL"
    if isinstance(found, bool):
        return str(int(found))
    return str(found) if isinstance(found, (int, float)) else quote_text(str(found))


def _stamp(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"


def zone_sql(direction: str, zone: str) -> str:
    """Return SQL with {0} that turns a local time to UTC (`to_utc`) or back (`from_utc`)."""
    seconds = offset_seconds(zone)
    if seconds is not None:
        sign = "-" if direction == "to_utc" else "+"
        return f"({{0}} {sign} INTERVAL '{seconds} seconds')"
    key = quote_text(str(zone_of(zone)))
    if direction == "to_utc":
        return f"timezone('UTC', timezone({key}, {{0}}))"
    return f"timezone({key}, timezone('UTC', {{0}}))"
