"""The Python client: `lake = anabranch.connect(url, key, secret)`. docs/python.md tells its use."""

from dataclasses import replace
from pathlib import Path
from types import TracebackType

from anabranch.client.connections import Connections
from anabranch.client.finding import find_server
from anabranch.client.repositories import Repositories, Repository
from anabranch.client.transport import Server
from anabranch.kernel.errors import InvalidInput, Unauthenticated
from anabranch.settings import CLIENT_FILE, PREFIX


class Lake:
    """A server's repositories. Threads may share it, and all that comes from it.

    It connects when something is asked for, and keeps what connections it needs at a time until
    `close` or the end of its `with` block; what is asked for after that connects again.
    """

    def __init__(self, server: Server) -> None:
        self._connections = Connections(server)

    @property
    def url(self) -> str:
        """Where the server answers."""
        return self._connections.server.url

    def repository(self, name: str) -> Repository:
        """Return a repository by name, there or not: `Repository.create` makes it."""
        return Repository(self._connections, name)

    def repositories(self, prefix: str = "") -> Repositories:
        """Return all repositories by name."""
        return Repositories(
            self._connections,
            lambda client, amount: client.repositories(prefix=prefix, amount=amount),
            lambda found: Repository(self._connections, found.id),
            f"{self.url} repositories",
        )

    def close(self) -> None:
        """Close its connections."""
        self._connections.close()

    def __enter__(self) -> "Lake":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lake {self.url}>"

    def _repr_html_(self) -> str:
        """Return its repositories as a table."""
        return self.repositories()._repr_html_()


def connect(
    url: str = "",
    access_key: str = "",
    secret_key: str = "",
    *,
    data: Path | str | None = None,
    ca_cert: Path | str | None = None,
) -> Lake:
    """Return a server's lake; it is asked nothing yet.

    What is not given comes from where the commands take it: the variables `ANABRANCH_ENDPOINT`,
    `ANABRANCH_ACCESS_KEY`, `ANABRANCH_SECRET_KEY`, `ANABRANCH_DATA` and `ANABRANCH_CA_CERT`, then
    `~/.anabranch.toml`. `data` names the directory of a server on this machine instead of its
    `url`; `ca_cert` a PEM file with the certificates to trust for https. Raises InvalidInput
    when there is no server to ask, Unauthenticated without keys.
    """
    options = {
        "endpoint": url,
        "access_key": access_key,
        "secret_key": secret_key,
        "data": data,
        "ca_cert": ca_cert,
    }
    try:
        server = find_server(options)
        return Lake(replace(server, source="given to connect") if url else server)
    except Unauthenticated as error:
        raise Unauthenticated(
            error.kind,
            f"{error.message}: pass access_key and secret_key, set {PREFIX}ACCESS_KEY and "
            f"{PREFIX}SECRET_KEY, or write them into {CLIENT_FILE}",
        ) from None
    except InvalidInput as error:
        if url or data:
            raise
        raise InvalidInput(
            error.kind,
            f"{error.message}: pass url or data, set {PREFIX}ENDPOINT, or write endpoint into "
            f"{CLIENT_FILE}",
        ) from None
