"""Prepared statements of one connection: their ids, long data, and the values of parameters."""

import datetime
import struct
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from anabranch.kernel import limits
from anabranch.mysql.errors import (
    malformed,
    parameter_too_long,
    too_many_statements,
    unknown_statement,
)
from anabranch.mysql.packets import Reader
from anabranch.warehouse.results import Prepared

Parameter = (
    None | int | float | Decimal | str | bytes
    | datetime.date | datetime.datetime | datetime.timedelta
)  # fmt: skip

_TINY, _SHORT, _LONG, _FLOAT, _DOUBLE, _NULL = 1, 2, 3, 4, 5, 6
_TIMESTAMP, _LONGLONG, _INT24, _DATE, _TIME, _DATETIME, _YEAR = 7, 8, 9, 10, 11, 12, 13
_INTEGER_BYTES = {_TINY: 1, _SHORT: 2, _YEAR: 2, _LONG: 4, _INT24: 4, _LONGLONG: 8}
_TEXTS = {0, 15, 16, 245, 246, 247, 248, 253, 254}
_BLOBS = {249, 250, 251, 252, 255}
_DECIMALS = {0, 246}
_UNSIGNED = 0x80


@dataclass(slots=True)
class Statement:
    """A prepared statement: its text, and what the client sent for its next execution."""

    text: str
    prepared: Prepared
    types: list[int] = field(default_factory=list)
    long_data: dict[int, bytearray] = field(default_factory=dict)
    is_too_long: bool = False

    def append(self, parameter: int, data: bytes) -> None:
        """Add a piece of a long parameter; what is wrong with it is said at execution."""
        if not 0 <= parameter < self.prepared.parameter_count or self.is_too_long:
            return
        whole = sum(map(len, self.long_data.values())) + len(data)
        if whole > limits.MYSQL_PACKET_BYTES_MAX:
            self.is_too_long = True
            self.long_data.clear()
            return
        self.long_data.setdefault(parameter, bytearray()).extend(data)

    def reset(self) -> None:
        """Forget the long parameters."""
        self.long_data.clear()
        self.is_too_long = False

    def parameters(self, reader: Reader) -> list[Parameter]:
        """Return the values of an execution, whose packet stands behind its iteration count."""
        if self.is_too_long:
            raise parameter_too_long()
        count = self.prepared.parameter_count
        if count == 0:
            return []
        nulls = reader.take((count + 7) // 8)
        if reader.integer(1):
            self.types = [reader.integer(2) for _ in range(count)]
        if len(self.types) != count:
            raise malformed()
        return [self._parameter(number, nulls, reader) for number in range(count)]

    def _parameter(self, number: int, nulls: bytes, reader: Reader) -> Parameter:
        code = self.types[number] & 0xFF
        if number in self.long_data:
            data = bytes(self.long_data[number])
            return data if code in _BLOBS else _text_or_bytes(data)
        if nulls[number // 8] >> (number % 8) & 1:
            return None
        return decode_value(reader, code, is_unsigned=bool(self.types[number] >> 8 & _UNSIGNED))


class Statements:
    """The prepared statements of a connection, by id."""

    def __init__(self) -> None:
        self._statements: dict[int, Statement] = {}
        self._last_id = 0

    def add(self, text: str, prepared: Prepared) -> int:
        """Keep a statement and return its id."""
        self._last_id += 1
        self._statements[self._last_id] = Statement(text, prepared)
        return self._last_id

    def check_room(self) -> None:
        """Raise SqlError when no further statement may be kept."""
        if len(self._statements) >= limits.MYSQL_STATEMENTS_MAX:
            raise too_many_statements(len(self._statements))

    def find(self, statement_id: int) -> Statement | None:
        """Return a statement."""
        return self._statements.get(statement_id)

    def get(self, statement_id: int, command: str) -> Statement:
        """Return a statement; raise SqlError when there is none."""
        statement = self._statements.get(statement_id)
        if statement is None:
            raise unknown_statement(statement_id, command)
        return statement

    def remove(self, statement_id: int) -> None:
        """Forget a statement, if there is one."""
        self._statements.pop(statement_id, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._statements.clear()


def _text_or_bytes(data: bytes) -> str | bytes:
    # Some clients send bytes under a text's type.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def decode_value(reader: Reader, code: int, *, is_unsigned: bool) -> Parameter:
    """Return one value in the binary form of its type.

    Dates that Python's calendar lacks (year 0, day 0) come back as text.
    """
    if code == _NULL:
        return None
    if code in _INTEGER_BYTES:
        return reader.integer(_INTEGER_BYTES[code], is_signed=not is_unsigned)
    if code == _FLOAT:
        return float(struct.unpack("<f", reader.take(4))[0])
    if code == _DOUBLE:
        return float(struct.unpack("<d", reader.take(8))[0])
    if code in (_DATE, _DATETIME, _TIMESTAMP):
        return _decode_datetime(reader, is_date=code == _DATE)
    if code == _TIME:
        return _decode_time(reader)
    if code in _BLOBS:
        return reader.sized()
    if code not in _TEXTS:
        raise malformed()
    text = _text_or_bytes(reader.sized())
    if code in _DECIMALS:
        try:
            return Decimal(str(text))
        except InvalidOperation:
            raise malformed() from None
    return text


def _decode_datetime(reader: Reader, *, is_date: bool) -> Parameter:
    length = reader.length()
    if length not in (0, 4, 7, 11):
        raise malformed()
    year, month, day = struct.unpack("<HBB", reader.take(4)) if length else (0, 0, 0)
    hour, minute, second = struct.unpack("<BBB", reader.take(3)) if length > 4 else (0, 0, 0)
    micros = reader.integer(4) if length > 7 else 0
    try:
        if is_date and length <= 4:
            return datetime.date(year, month, day)
        return datetime.datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - SQL's have no zone
    except ValueError:
        date = f"{year:04}-{month:02}-{day:02}"
        if is_date:
            return date
        return f"{date} {hour:02}:{minute:02}:{second:02}.{micros:06}"


def _decode_time(reader: Reader) -> Parameter:
    length = reader.length()
    if length == 0:
        return datetime.timedelta()
    if length not in (8, 12):
        raise malformed()
    is_negative, days, hour, minute, second = struct.unpack("<BIBBB", reader.take(8))
    micros = reader.integer(4) if length > 8 else 0
    if days > 999_999:
        raise malformed()
    found = datetime.timedelta(
        days=days, hours=hour, minutes=minute, seconds=second, microseconds=micros
    )
    return -found if is_negative else found
