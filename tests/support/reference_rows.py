"""Rows of MySQL's protocol in plain Python, cell by cell: slow and obvious."""

import datetime
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa

PACKET_PAYLOAD_MAX = 0xFF_FFFF


def sized(data: bytes) -> bytes:
    """Return bytes behind their length."""
    length = len(data)
    if length < 251:
        return bytes([length]) + data
    if length < 1 << 16:
        return b"\xfc" + struct.pack("<H", length) + data
    if length < 1 << 24:
        return b"\xfd" + struct.pack("<I", length)[:3] + data
    return b"\xfe" + struct.pack("<Q", length) + data


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of days since 1970; year 0 is the leap year before 1."""
    if days < -719_162:  # before 0001-01-01, which Python's calendar begins with
        shifted = datetime.date(400, 1, 1).toordinal() + (days + 719_528)
        found = datetime.date.fromordinal(shifted)
        return found.year - 400, found.month, found.day
    found = datetime.date.fromordinal(days + 719_163)
    return found.year, found.month, found.day


def float_text(value: float, is_single: bool) -> str:
    """Return the shortest text that reads back as the number."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if not is_single:
        return repr(value).removesuffix(".0")
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return repr(float(text)).removesuffix(".0")
    raise AssertionError(value)


def clock(micros: int, digits: int) -> str:
    """Return hours, minutes and seconds."""
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{fraction:06}"[: digits + 1] if digits else "")


def raw(column: Any, row: int) -> Any:
    """Return a cell as an integer where Arrow keeps one."""
    kind = column.type
    if pa.types.is_date32(kind):
        return column.cast(pa.int32())[row].as_py()
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        return column.cast(pa.int64())[row].as_py()
    return column[row].as_py()


def text_cell(column: Any, row: int, digits: int) -> bytes:
    """Return a cell of a text row."""
    value, kind = raw(column, row), column.type
    if value is None:
        return b"\xfb"
    if pa.types.is_boolean(kind):
        text = str(int(value))
    elif pa.types.is_integer(kind):
        text = str(value)
    elif pa.types.is_floating(kind):
        text = float_text(value, pa.types.is_float32(kind))
    elif pa.types.is_decimal(kind):
        text = format(Decimal(value), "f")
    elif kind == pa.binary(16):
        text = str(int.from_bytes(value, "big") - (1 << 127))
    elif pa.types.is_date32(kind):
        text = "{:04}-{:02}-{:02}".format(*date_of(value))
    elif pa.types.is_timestamp(kind):
        days, micros = divmod(value, 86_400_000_000)
        text = "{:04}-{:02}-{:02} ".format(*date_of(days)) + clock(micros, digits)
    elif pa.types.is_duration(kind) or pa.types.is_time(kind):
        text = ("-" if value < 0 else "") + clock(abs(value), digits)
    else:
        return sized(value if isinstance(value, bytes) else value.encode())
    return sized(text.encode())


def binary_cell(column: Any, row: int, digits: int) -> bytes:
    """Return a cell of a binary row that is not NULL."""
    value, kind = raw(column, row), column.type
    if pa.types.is_boolean(kind):
        return bytes([value])
    if pa.types.is_integer(kind):
        return int(value).to_bytes(kind.bit_width // 8, "little", signed=True)
    if pa.types.is_floating(kind):
        return struct.pack("<f" if pa.types.is_float32(kind) else "<d", value)
    if pa.types.is_date32(kind):
        return sized(struct.pack("<HBB", *date_of(value)))
    unit = 10 ** (6 - digits)
    if pa.types.is_timestamp(kind):
        days, micros = divmod(value // unit * unit, 86_400_000_000)
        date = struct.pack("<HBB", *date_of(days))
        return sized(date + (binary_clock(micros) if micros else b""))
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        micros = abs(value) // unit * unit
        if not micros:
            return sized(b"")
        days, rest = divmod(micros, 86_400_000_000)
        return sized(struct.pack("<BI", value < 0, days) + binary_clock(rest))
    return text_cell(column, row, digits)


def binary_clock(micros: int) -> bytes:
    """Return the time of a day."""
    seconds, fraction = divmod(micros, 1_000_000)
    text = struct.pack("<BBB", seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + (struct.pack("<I", fraction) if fraction else b"")


def rows(batch: Any, digits: bytes, sequence: int, is_binary: bool) -> tuple[bytes, int]:
    """Return the packets of a batch's rows, and the number after the last."""
    out = []
    for row in range(batch.num_rows):
        cells = list(zip(batch.columns, digits, strict=True))
        if is_binary:
            nulls = bytearray((len(cells) + 9) // 8)
            payload = b""
            for number, (column, places) in enumerate(cells):
                if raw(column, row) is None:
                    nulls[(number + 2) // 8] |= 1 << (number + 2) % 8
                else:
                    payload += binary_cell(column, row, places)
            payload = b"\0" + bytes(nulls) + payload
        else:
            payload = b"".join(text_cell(column, row, places) for column, places in cells)
        while True:
            part, payload = payload[:PACKET_PAYLOAD_MAX], payload[PACKET_PAYLOAD_MAX:]
            out.append(struct.pack("<I", len(part))[:3] + bytes([sequence]) + part)
            sequence = (sequence + 1) % 256
            if len(part) < PACKET_PAYLOAD_MAX:
                break
    return b"".join(out), sequence
