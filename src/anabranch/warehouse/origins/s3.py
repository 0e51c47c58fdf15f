"""`s3://` with an endpoint: objects of another server, by obstore.

The statement names endpoint and keys; the endpoint's URL of the object must lie under a configured
root, so that a statement cannot make this server talk to a place of its own choice. Credentials
are the statement's or none: the server's own never leave it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError
from obstore.store import S3Store

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Forbidden, InvalidInput, Kind, Unavailable
from anabranch.warehouse.origins.base import Options, OriginFile, Roots

_NAMES = {
    "endpoint": ("s3.endpoint", "aws_endpoint", "fs.s3a.endpoint", "endpoint"),
    "region": ("s3.region", "aws_region", "region"),
    "access_key": ("s3.access_key", "aws_access_key", "fs.s3a.access.key", "access_key"),
    "secret_key": ("s3.secret_key", "aws_secret_key", "fs.s3a.secret.key", "secret_key"),
    "session_token": ("s3.session_token", "aws_token", "session_token"),
}


def endpoint_of(options: Options) -> str:
    """Return the endpoint that a statement names as a URL, empty when it names none."""
    endpoint = _option(options, "endpoint")
    return endpoint if not endpoint or "://" in endpoint else f"https://{endpoint}"


class S3Origin:
    """Reads objects of one endpoint, addressed by path."""

    def __init__(self, roots: Roots, options: Options) -> None:
        self._roots = roots
        self._options = options
        self._endpoint = endpoint_of(options).rstrip("/")
        self._stores: dict[str, S3Store] = {}

    def find(self, url: str) -> OriginFile | None:
        """Return the object at a URL; raise Forbidden outside the roots."""
        store, key = self._open(url)
        if not key:
            return None
        try:
            meta = obstore.head(store, key)
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError as error:
            raise _failed(url, error) from error
        return OriginFile(url, int(meta["size"]), lambda: _read(store, key, url))

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield objects and common prefixes of a prefix that ends with a slash."""
        store, prefix = self._open(url)
        try:
            found = obstore.list_with_delimiter(store, prefix.rstrip("/") or None)
        except BaseError as error:
            raise _failed(url, error) from error
        for folder in found["common_prefixes"]:
            name = folder.rstrip("/").rpartition("/")[2]
            yield OriginFile(f"{url}{name}/", is_folder=True)
        for meta in found["objects"]:
            yield self._file(store, url, str(meta["path"]), int(meta["size"]))

    def _file(self, store: S3Store, folder: str, key: str, size_bytes: int) -> OriginFile:
        url = f"{folder}{key.rpartition('/')[2]}"
        return OriginFile(url, size_bytes, lambda: _read(store, key, url))

    def _open(self, url: str) -> tuple[S3Store, str]:
        bucket, _, key = url.partition("://")[2].partition("/")
        if not bucket or "@" in bucket:
            raise InvalidInput(Kind.IMPORT_SOURCE, f"no bucket in {url!r}")
        self._roots.check(f"{self._endpoint}/{quote(bucket)}/{quote(key)}")
        store = self._stores.get(bucket)
        if store is None:
            store = self._stores[bucket] = self._store(bucket)
        return store, key

    def _store(self, bucket: str) -> S3Store:
        access, secret = (_option(self._options, name) for name in ("access_key", "secret_key"))
        options: dict[str, object] = {
            "region": _option(self._options, "region") or "us-east-1",
            "endpoint": self._endpoint,
            "virtual_hosted_style_request": False,
            "access_key_id": access,
            "secret_access_key": secret,
            "skip_signature": not (access and secret),
        }
        if token := _option(self._options, "session_token"):
            options["session_token"] = token
        return S3Store(
            bucket,
            config=options,  # type: ignore[arg-type]  # its TypedDict is not built key by key
            client_options={
                "allow_http": urlsplit(self._endpoint).scheme == "http",
                "connect_timeout": timedelta(seconds=limits.ORIGIN_CONNECT_S),
                "timeout": timedelta(seconds=limits.LOAD_TIMEOUT_S),
            },
            retry_config={
                "max_retries": 3,
                "retry_timeout": timedelta(seconds=limits.ORIGIN_READ_S),
            },
        )


def _read(store: S3Store, key: str, url: str) -> Iterator[bytes]:
    try:
        for data in obstore.get(store, key).stream(min_chunk_size=limits.WINDOW_BYTES):
            yield bytes(data)
    except BaseError as error:
        raise _failed(url, error) from error


def _failed(url: str, error: Exception) -> AnabranchError:
    text = f"{url!r} cannot be read: {str(error)[: limits.ERROR_TEXT_MAX]}"
    if isinstance(error, PermissionDeniedError):
        return Forbidden(Kind.IMPORT_SOURCE, text)
    return Unavailable(Kind.STORE_FAILED, text)


def _option(options: Options, name: str) -> str:
    return next((options[one] for one in _NAMES[name] if options.get(one)), "")
