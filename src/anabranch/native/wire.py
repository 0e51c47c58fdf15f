"""What wire protocols compute over bodies, by the native library.

CRCs are numbers that can be carried on: `crc_update(name, before, data)` with the CRC of a prefix
(0 for nothing) gives that of the whole, and `crc_combine(name, first, second, second_bytes)` joins
the CRCs of neighbouring runs. Names: `crc32`, `crc32c`, `crc64nvme`. Buffers are contiguous bytes
that nobody writes to meanwhile; from 16 KiB on other threads run during the count.
"""

from anabranch._native import crc_combine, crc_update

__all__ = ["crc_combine", "crc_update"]
