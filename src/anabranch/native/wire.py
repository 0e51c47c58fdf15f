"""What wire protocols compute over requests, bodies and rows, by the native library.

CRCs are numbers that can be carried on: `crc_update(name, before, data)` with the CRC of a prefix
(0 for nothing) gives that of the whole, and `crc_combine(name, first, second, second_bytes)` joins
the CRCs of neighbouring runs. Names: `crc32`, `crc32c`, `crc64nvme`. Buffers are contiguous bytes
that nobody writes to meanwhile; from 16 KiB on other threads run during the count.

`mysql_rows(batch, digits, sequence, is_binary)` returns the packets of a record batch's rows in
MySQL's text or binary form, the first of them numbered `sequence`, and the number after the last.
Columns are bool, int8 to int64, float, double, decimal128, date32, timestamp[us], time64[us],
utf8 or binary (large ones too) or null; `digits` has the fractional digits of each column's times,
one byte a column. Raises ValueError for any other type. Other threads run meanwhile.

`signature_claim(headers, raw_query, presign_s_max)` reads what a request says of its Signature
Version 4, by header or presigned: a `SignatureClaim`, or the number of what is wrong with it
(`sigv4::Problem`); NOT_VERSION_4 when there is none. Names of headers are lower-case, in the order
sent. `is_signed_by(keys, secret, method, raw_path)` verifies the claim in constant time, and is
false too when an `x-amz-` header was sent unsigned; `SigningKeys` keeps derived keys, a bounded
number of them, and `texts` are the canonical request and the string that the key signs.

`listing_contents(batch, head, owner, is_coded)` returns the `Contents` elements of a page of S3's
ListObjects, from a range's entries or any batch with their columns path, checksum, checksum2
(utf8), size_bytes (int64) and mtime (timestamp[us]). `head` stands before each path; `owner` is
XML; `is_coded` percent-codes keys. Raises ValueError for other columns.
"""

from anabranch._native import (
    SignatureClaim,
    SigningKeys,
    crc_combine,
    crc_update,
    listing_contents,
    mysql_rows,
    signature_claim,
)

__all__ = [
    "NOT_VERSION_4",
    "TWO_MECHANISMS",
    "SignatureClaim",
    "SigningKeys",
    "crc_combine",
    "crc_update",
    "listing_contents",
    "mysql_rows",
    "signature_claim",
]

NOT_VERSION_4 = 0
TWO_MECHANISMS = 1
