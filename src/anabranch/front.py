"""Tells REST, S3, page and operator requests apart on one port, and answers when none of them can.

Signed requests are S3's whatever their path: a bucket may have any name.
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Sequence
from typing import Protocol

from anabranch.api.errors import error_response, message_response
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Handler, Request, Response
from anabranch.kernel.errors import AnabranchError, Forbidden, Kind, Unauthenticated
from anabranch.s3 import xml
from anabranch.s3.errors import STATUS
from anabranch.telemetry import Metrics

API = "api"
S3 = "s3"
RAW = "raw"
PAGE = "page"
SYSTEM = "system"

_S3_CODES = {414: "InvalidURI", 431: "RequestHeaderSectionTooLarge"}
_HEALTH = b"/_health"
_METRICS = b"/metrics"


class Authenticate(Protocol):
    """Tells whether an access key is good; `access` does."""

    def __call__(self, key_id: str, secret: str) -> object:
        """Return who has the key; raise Unauthenticated."""
        ...


class Front:
    """The handler of the API port.

    `check` raises when the stores do not answer; `domains` are those whose subdomains are buckets.
    """

    def __init__(
        self,
        *,
        api: Handler,
        s3: Handler,
        page: Handler,
        check: Callable[[], object],
        authenticate: Authenticate,
        metrics: Metrics,
        domains: Sequence[str],
    ) -> None:
        self._handlers: dict[str, Handler] = {
            API: api,
            S3: s3,
            PAGE: page,
            SYSTEM: self._system,
        }
        self._check = check
        self._authenticate = authenticate
        self._metrics = metrics
        self._domains = tuple("." + domain.lower().strip(".") for domain in domains)

    async def __call__(self, request: Request) -> Response:
        """Hand a request to its surface."""
        request.surface = surface = self.surface_of(request)
        return await self._handlers[surface](request)

    def surface_of(self, request: Request) -> str:
        """Return the surface that a request speaks to."""
        authorization = request.header_bytes(b"authorization")
        if authorization is not None and authorization.startswith((b"AWS4-", b"AWS ")):
            return S3
        if request.query_string and _is_presigned(request.query_string):
            return S3
        if self._domains and _host_name(request).endswith(self._domains):
            return S3
        path = request.raw_path
        if path.startswith(b"/api/") or path == b"/openapi.json":
            return API
        if path in (_HEALTH, _METRICS):
            return SYSTEM
        if path.startswith(b"/ui/"):
            return PAGE
        if request.method in ("GET", "HEAD") and b"text/html" in (
            request.header_bytes(b"accept") or b""
        ):
            return PAGE
        return S3

    async def _system(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return message_response(405, "only GET and HEAD here", [(b"allow", b"GET, HEAD")])
        try:
            if request.raw_path == _HEALTH:
                await call_local(self._check)
                return message_response(200, "alive")
            self._admit(request)
            text = await call_thread(self._metrics.text)
        except AnabranchError as error:
            return error_response(error)
        return Response(200, [(b"content-type", b"text/plain; version=0.0.4")], text)

    def _admit(self, request: Request) -> None:
        """Raise unless metrics are asked for from this machine, or with an access key."""
        authorization = request.header("authorization")
        if authorization is None:
            if not _is_loopback(request.client):
                raise Unauthenticated(Kind.CREDENTIALS, "metrics want an access key from elsewhere")
            return
        scheme, _, encoded = authorization.partition(" ")
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            scheme = ""
        if scheme.lower() != "basic":
            raise Forbidden(Kind.FORBIDDEN, "metrics want Basic authorization")
        self._authenticate(key_id, secret)

    def failure(self, request: Request, status: int, message: str) -> Response:
        """Answer what no handler answers, in the words of the request's surface."""
        request.surface = request.surface or self.surface_of(request)
        if request.surface == S3:
            return s3_failure(request, status, message)
        return message_response(status, message)


class RawFront:
    """The handler of the raw store's port: all of it is S3."""

    def __init__(self, s3: Handler) -> None:
        self._s3 = s3

    async def __call__(self, request: Request) -> Response:
        """Hand a request to the raw store."""
        request.surface = RAW
        return await self._s3(request)

    def failure(self, request: Request, status: int, message: str) -> Response:
        """Answer what no handler answers."""
        request.surface = RAW
        return s3_failure(request, status, message)


def s3_failure(request: Request, status: int, message: str) -> Response:
    """Return S3's XML for a failure outside of any operation."""
    code = _S3_CODES.get(status, "InternalError")
    body = xml.document(
        "Error",
        xml.element("Code", code),
        xml.element("Message", message),
        xml.element("RequestId", request.id),
        namespace="",
    )
    headers = [(b"content-type", b"application/xml"), (b"x-amz-request-id", request.id.encode())]
    return Response(STATUS[code], headers, body)


def _is_presigned(query: bytes) -> bool:
    lowered = query.lower()
    return b"x-amz-signature=" in lowered or (
        b"signature=" in lowered and b"awsaccesskeyid=" in lowered
    )


def _host_name(request: Request) -> str:
    return request.host.rsplit(":", 1)[0].lower()


def _is_loopback(client: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
