"""From host and path to bucket and key, in path style or by virtual host; from key to ref."""

from typing import NamedTuple

from anabranch.kernel import limits
from anabranch.s3.errors import Refused

KEY_BYTES_MAX = limits.REF_EXPRESSION_LENGTH_MAX + 1 + limits.PATH_BYTES_MAX
"""A lake's key is a ref, a slash and a path; the parts have their own limits."""


class Address(NamedTuple):
    """What a request is about; `bucket` is empty for the service, `key` for a bucket."""

    bucket: str
    key: str
    is_virtual_host: bool = False


def parse_address(host: str, path: str, domains: tuple[str, ...]) -> Address:
    """Return the bucket and key of a decoded path; `domains` are the names of virtual hosts.

    Everything after the bucket's slash is the key, exactly. Raises InvalidURI for a path that is
    not UTF-8, KeyTooLongError.
    """
    bucket = bucket_of_host(host, domains) if domains else ""
    rest = path[1:] if path.startswith("/") else path
    if bucket:
        address = Address(bucket, rest, is_virtual_host=True)
    else:
        bucket, _, key = rest.partition("/")
        address = Address(bucket, key)
    check_key(address.bucket)
    check_key(address.key)
    return address


def bucket_of_host(host: str, domains: tuple[str, ...]) -> str:
    """Return the bucket in front of one of our domains, or nothing."""
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    for domain in domains:
        if name.endswith(f".{domain.lower()}"):
            return name[: -len(domain) - 1]
    return ""


def check_key(key: str) -> str:
    """Return a key that is UTF-8 and not too long; raise InvalidURI, KeyTooLongError."""
    if key.isascii():
        size_bytes = len(key)
    else:
        try:
            size_bytes = len(key.encode())
        except UnicodeEncodeError:
            raise Refused("InvalidURI", "Couldn't parse the specified URI.") from None
    if size_bytes > KEY_BYTES_MAX:
        raise Refused(
            "KeyTooLongError",
            "Your key is too long",
            Size=size_bytes,
            MaxSizeAllowed=KEY_BYTES_MAX,
        )
    return key


def split_key(key: str) -> tuple[str, str | None]:
    """Return (ref, path) of a lake's key; path is None without a slash, empty for `ref/`."""
    ref, slash, path = key.partition("/")
    return ref, path if slash else None
