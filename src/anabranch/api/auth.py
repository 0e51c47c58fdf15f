"""Who asks: Basic with an access key, a login token as Bearer, or the cookie that login sets."""

import base64
import binascii
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from anabranch.access import Access
from anabranch.access.principals import Principal
from anabranch.edge.http import Request
from anabranch.kernel.errors import Forbidden, Kind, Unauthenticated

SESSION_COOKIE = "internal_auth_session"
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def authenticate(access: Access, request: Request) -> Principal:
    """Return who asks; raise Unauthenticated."""
    header = request.header("authorization")
    if header is not None:
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "basic":
            key_id, secret = _decode_basic(value.strip())
            return access.authenticate(key_id, secret)
        if scheme.lower() == "bearer":
            return access.verify_token(value.strip())
        raise Unauthenticated(Kind.CREDENTIALS, f"unknown authentication scheme {scheme!r}")
    token = _session_token(request)
    if token is None:
        raise Unauthenticated(Kind.CREDENTIALS, "no credentials: send an access key or log in")
    return access.verify_token(token)


def session_cookie(token: str, *, expires_s: int, is_secure: bool) -> bytes:
    """Return the Set-Cookie value that keeps a browser logged in."""
    secure = "; Secure" if is_secure else ""
    return (
        f"{SESSION_COOKIE}={token}; Path=/; Max-Age={expires_s}; HttpOnly; SameSite=Strict{secure}"
    ).encode()


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated(Kind.CREDENTIALS, "the Authorization header is malformed") from None
    key_id, separator, secret = text.partition(":")
    if not separator:
        raise Unauthenticated(Kind.CREDENTIALS, "the Authorization header is malformed")
    return key_id, secret


def _session_token(request: Request) -> str | None:
    header = request.header("cookie")
    if header is None:
        return None
    try:
        cookie = SimpleCookie(header).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def refuse_other_sites(request: Request) -> None:
    """Raise Forbidden when a browser says that another site's page wants to change something.

    Browsers add cookies and remembered passwords by themselves, and a server that was not set up
    asks for neither. Programs send none of these headers.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.header("sec-fetch-site")
    origin = request.header("origin")
    is_other = site is not None and site not in ("same-origin", "none")
    if origin is not None and urlsplit(origin).netloc != request.host:
        is_other = True
    if is_other:
        raise Forbidden(Kind.FORBIDDEN, "the request comes from another site")
