"""Who asks and about what: Basic authorization of SQL users, names of databases in paths."""

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from typing import Protocol

from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unauthenticated

_CLUSTER = "default_cluster:"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user whose password was right."""

    user: str
    address: str


class Authenticate(Protocol):
    """Judges a password in clear; `access.sql_users` does."""

    def __call__(self, name: str, password: str, *, is_from_loopback: bool) -> object:
        """Return who it is; raise Unauthenticated."""
        ...


def identify(request: Request, authenticate: Authenticate) -> Caller:
    """Return who sends a request; raise Unauthenticated. Blocks for one read of the KV store."""
    name, password = parse_basic(request.header("authorization"))
    # The cluster is a word of old Doris's; names came as user@cluster too.
    user = name.removeprefix(_CLUSTER).removesuffix("@default_cluster")
    authenticate(user, password, is_from_loopback=is_loopback(request.client))
    return Caller(user, request.client)


def parse_basic(value: str | None) -> tuple[str, str]:
    """Return the name and password of a Basic authorization; raise Unauthenticated."""
    scheme, _, encoded = (value or "").strip().partition(" ")
    if scheme.lower() != "basic" or len(encoded) > limits.DORIS_CREDENTIALS_LENGTH_MAX:
        raise Unauthenticated(Kind.CREDENTIALS, "Need auth information.")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    name, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated(Kind.CREDENTIALS, "the authorization is not user:password")
    return name, password


def is_loopback(client: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def database_text(part: str) -> str:
    """Return a path's database, `db` or `db@branch`, without the cluster of old Doris."""
    return part.removeprefix(_CLUSTER)
