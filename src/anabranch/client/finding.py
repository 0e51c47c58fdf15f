"""Which server to ask, and as whom: by what settings say, else the directory of a local one."""

import ssl
from typing import Any

from anabranch.client.transport import Server, parse_endpoint
from anabranch.directory import Directory
from anabranch.kernel.errors import InvalidInput, Kind, Unauthenticated, Unavailable
from anabranch.settings import CLIENT_FILE, PREFIX, ClientSettings, Settings, load_client


def find_server(options: dict[str, Any]) -> Server:
    """Return where to ask and as whom; raise InvalidInput or Unauthenticated with what to give."""
    return server_of(*load_client(options))


def server_of(settings: ClientSettings, sources: dict[str, str]) -> Server:
    """Return where settings say to ask; `sources` tells where each came from."""
    keys = ("access_key", "secret_key")
    missing = [name for name in keys if not getattr(settings, name)]
    if settings.endpoint:
        scheme, host, port = parse_endpoint(settings.endpoint)
        source = sources["endpoint"]
    else:
        scheme, host, port, source = _find_local(settings, sources)
    if missing:
        options_text = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        variables = " and ".join(PREFIX + name.upper() for name in missing)
        raise Unauthenticated(
            Kind.CREDENTIALS,
            f"no {' and no '.join(name.replace('_', ' ') for name in missing)} given",
            hint=f"give {options_text}, set {variables}, or write them into {CLIENT_FILE}; "
            "`anabranch setup` makes the first, and `anabranch serve --quickstart` prints its own",
        )
    return Server(
        scheme,
        host,
        port,
        settings.access_key,
        settings.secret_key,
        source,
        tls_context(settings) if scheme == "https" else None,
    )


def tls_context(settings: ClientSettings) -> ssl.SSLContext:
    """Return what to trust: the given certificates, else the system's.

    A server found by its directory is ours, on our machine, by address: it has no name to compare.
    """
    if settings.ca_cert is None and not settings.endpoint:
        return ssl._create_unverified_context()  # noqa: S323  # by address, on this machine
    try:
        return ssl.create_default_context(cafile=settings.ca_cert)
    except OSError as error:
        raise InvalidInput(
            Kind.VALUE, f"cannot use the certificates in {settings.ca_cert}: {error}"
        ) from None


def _find_local(settings: ClientSettings, sources: dict[str, str]) -> tuple[str, str, int, str]:
    path = settings.data or Settings().data
    directory = Directory(path.absolute())
    endpoints = directory.find_endpoints()
    if endpoints is None:
        if settings.data is None:
            raise InvalidInput(
                Kind.VALUE,
                "no server to ask",
                hint=f"give --endpoint or --data, set {PREFIX}ENDPOINT, or write endpoint into "
                f"{CLIENT_FILE}",
            )
        raise Unavailable(
            Kind.BUSY,
            f"no server runs on {settings.data} ({sources['data']})",
            hint=f"start one with `anabranch serve --data {settings.data}`",
        )
    api = endpoints["api"]
    scheme = "https" if api.get("tls") else "http"
    return scheme, str(api["host"]), int(api["port"]), str(directory.endpoints)
