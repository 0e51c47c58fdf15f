"""The CRCs of S3 in plain Python: bit by bit from their definitions, slow and obvious."""

POLYNOMIALS = {
    "crc32": (0xEDB88320, 32),
    "crc32c": (0x82F63B78, 32),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 64),
}
"""Name -> (reflected polynomial, width); all three start and end inverted."""


def crc(name: str, data: bytes) -> int:
    """Return the CRC of `data`."""
    polynomial, width = POLYNOMIALS[name]
    mask = (1 << width) - 1
    register = mask
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
    return register ^ mask
