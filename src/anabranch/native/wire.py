"""What wire protocols compute over bodies and rows, by the native library.

CRCs are numbers that can be carried on: `crc_update(name, before, data)` with the CRC of a prefix
(0 for nothing) gives that of the whole, and `crc_combine(name, first, second, second_bytes)` joins
the CRCs of neighbouring runs. Names: `crc32`, `crc32c`, `crc64nvme`. Buffers are contiguous bytes
that nobody writes to meanwhile; from 16 KiB on other threads run during the count.

`mysql_rows(batch, digits, sequence, is_binary)` returns the packets of a record batch's rows in
MySQL's text or binary form, the first of them numbered `sequence`, and the number after the last.
Columns are bool, int8 to int64, float, double, decimal128, date32, timestamp[us], time64[us],
utf8 or binary (large ones too) or null; `digits` has the fractional digits of each column's times,
one byte a column. Raises ValueError for any other type. Other threads run meanwhile.
"""

from anabranch._native import crc_combine, crc_update, mysql_rows

__all__ = ["crc_combine", "crc_update", "mysql_rows"]
