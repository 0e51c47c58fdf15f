"""Every setting of a server, and the only reader of the environment and the configuration file.

A value comes from the command's option, else from the variable `ANABRANCH_<NAME>`, else from the
file given by `--config` (TOML, the names below as keys), else it is the default. Commands that
speak to a server have their own, and read `~/.anabranch.toml`. docs/settings.md lists them all.
"""

import contextlib
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from anabranch.kernel.errors import Forbidden, InvalidInput, Kind
from anabranch.kernel.ids import parse_repository_id

PREFIX = "ANABRANCH_"
CLIENT_FILE = "~/.anabranch.toml"
_PAGER = "less"
HTTP_SERVERS = ("auto", "granian", "uvicorn")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "console", "json")
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off", ""))
_PORT_MAX = 65_535
_WORKERS_MAX = 256
_SQL_THREADS_MAX = 1_024
_SQL_MEMORY_BYTES_MIN = 128 * 1024**2
_SQL_MEMORY_BYTES_MAX = 1024**5
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_BYTES = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?((?:[kmgt]i?)?b?)", re.I)
_UNITS = {
    prefix + infix + unit: base**power
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for infix, base in (("", 1000), ("i", 1024))
    for unit in ("", "b")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one server runs. Build it with `load`, which checks it."""

    data: Annotated[Path, "Directory that holds everything."] = Path("anabranch-data")
    quickstart: Annotated[
        bool, "Install the published quickstart keys and repository; loopback only."
    ] = False
    host: Annotated[str, "Address to listen on."] = "127.0.0.1"
    port: Annotated[int, "Port of REST, S3 and the page; 0 picks a free one."] = 8000
    raw_port: Annotated[int, "Port of the raw store; 0 picks a free one."] = 9000
    sql_port: Annotated[int, "Port of MySQL's protocol; 0 picks a free one."] = 9030
    doris_port: Annotated[int, "Port of Doris's HTTP (stream load); 0 picks a free one."] = 8030
    no_sql: Annotated[bool, "Run without the SQL process and its two ports."] = False
    sql_memory: Annotated[
        str, "What the SQL engine may use, as 4GiB; empty means a quarter of the memory."
    ] = ""
    sql_threads: Annotated[int, "Threads of the SQL engine; 0 means one for each core."] = 0
    catalog: Annotated[str, "Repository of the SQL databases; made when it is not there."] = (
        "warehouse"
    )
    broker: Annotated[
        tuple[str, ...],
        "Broker of LOAD, as name=URL prefix=target URL prefix; may be repeated.",
    ] = ()
    workers: Annotated[int, "HTTP worker processes; 0 means half the cores, at least 1."] = 0
    tls_cert: Annotated[Path | None, "PEM file with the certificate chain; turns TLS on."] = None
    tls_key: Annotated[Path | None, "PEM file with the certificate's private key."] = None
    s3_domain: Annotated[
        tuple[str, ...],
        "Domain whose subdomains are buckets (virtual-host addressing); may be repeated.",
    ] = ()
    import_from: Annotated[
        tuple[str, ...], "URI prefix that imports may read (local:///path/...); may be repeated."
    ] = ()
    default_namespace: Annotated[
        str, "Namespace prefix for repositories made by S3's CreateBucket; empty refuses them."
    ] = ""
    http_server: Annotated[
        str, "granian, uvicorn, or auto: granian, and uvicorn where TLS is on."
    ] = "auto"
    access_log: Annotated[bool, "Log every request, not only failed and slow ones."] = False
    log_level: Annotated[str, "debug, info, warning or error."] = "info"
    log_format: Annotated[str, "console, json, or auto: console on a terminal."] = "auto"

    @property
    def has_tls(self) -> bool:
        """Tell whether the ports speak TLS."""
        return self.tls_cert is not None

    @property
    def scheme(self) -> str:
        """Return the scheme of the HTTP ports."""
        return "https" if self.has_tls else "http"

    @property
    def sql_memory_bytes(self) -> int:
        """Return what the SQL engine may use."""
        return parse_bytes(self.sql_memory) if self.sql_memory else default_sql_memory_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How commands reach a server, and who they are. Build it with `load_client`.

    At most one of `endpoint` and `data` is set; empty means not given.
    """

    endpoint: Annotated[str, "URL of the server, as http://127.0.0.1:8000."] = ""
    data: Annotated[Path | None, "Directory of a server on this machine, instead of its URL."] = (
        None
    )
    access_key: Annotated[str, "Access key id."] = ""
    secret_key: Annotated[str, "Secret of the access key."] = ""
    ca_cert: Annotated[Path | None, "PEM file with the certificates to trust for https."] = None
    pager: Annotated[
        str, "Program that lists go through on a terminal; else PAGER's, else less; cat for none."
    ] = ""


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_workers() -> int:
    """Return how many workers a server has unless told: half the cores it may use."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def default_sql_threads() -> int:
    """Return how many threads the SQL engine has unless told: one for each core it may use."""
    return len(os.sched_getaffinity(0))


def default_sql_memory_bytes() -> int:
    """Return what the SQL engine may use unless told: a quarter of what this process may."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A container's limit is below the machine's memory, or the word "max".
    with contextlib.suppress(OSError, ValueError):
        found = min(found, int(_CGROUP_MEMORY.read_text()))
    return max(_SQL_MEMORY_BYTES_MIN, found // 4)


def parse_bytes(text: str) -> int:
    """Return a number of bytes from `1073741824`, `512MiB`, `1.5 GiB` or `1GB`.

    Raises InvalidInput for anything else and for less than an engine needs to start.
    """
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(Kind.VALUE, f"not an amount of memory, as 4GiB: {text!r}")
    size_bytes = int(float(found[1]) * _UNITS[found[2].lower()])
    if not _SQL_MEMORY_BYTES_MIN <= size_bytes <= _SQL_MEMORY_BYTES_MAX:
        raise InvalidInput(Kind.VALUE, f"sql_memory must be 128MiB to 1PiB: {text!r}")
    return size_bytes


def load(
    options: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    """Return checked settings from options (None: not given), environment, file and defaults.

    Raises InvalidInput that names the setting and where its value came from, and Forbidden when
    the quickstart keys would be reachable from other machines.
    """
    variables = os.environ if environment is None else environment
    if config is None and variables.get(PREFIX + "CONFIG"):
        config = Path(variables[PREFIX + "CONFIG"])
    types = get_type_hints(Settings)
    stored = {} if config is None else _read_file(config, frozenset(types))
    values: dict[str, Any] = {}
    for name in types:
        variable = PREFIX + name.upper()
        if options.get(name) is not None and options[name] != ():
            values[name] = _convert(types[name], options[name], f"--{name.replace('_', '-')}")
        elif variable in variables:
            values[name] = _convert(types[name], variables[variable], variable)
        elif name in stored:
            values[name] = _convert(types[name], stored[name], f"{name} in {config}")
    return _checked(Settings(**values))


def load_client(
    options: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> tuple[ClientSettings, dict[str, str]]:
    """Return the settings of a command, and for each value given where it came from.

    Options go before variables, variables before `~/.anabranch.toml`. An endpoint or a data
    directory given in one place hides both in those after it. Raises InvalidInput.
    """
    variables = os.environ if environment is None else environment
    types = get_type_hints(ClientSettings)
    file = file or Path(os.path.expanduser(CLIENT_FILE))
    stored = _read_file(file, frozenset(types)) if file.is_file() else {}
    places = (
        {f"--{name.replace('_', '-')}": (name, options.get(name)) for name in types},
        {PREFIX + name.upper(): (name, variables.get(PREFIX + name.upper())) for name in types},
        {f"{name} in {CLIENT_FILE}": (name, stored.get(name)) for name in types},
    )
    if options.get("endpoint") and options.get("data"):
        raise InvalidInput(Kind.VALUE, "give --endpoint or --data, not both")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for place in places:
        has_server = not sources.keys().isdisjoint(("endpoint", "data"))
        for source, (name, value) in place.items():
            hidden = name in sources or (name in ("endpoint", "data") and has_server)
            if value in (None, "") or hidden or (name == "data" and "endpoint" in sources):
                continue
            values[name] = _convert(types[name], value, source)
            sources[name] = source
    return ClientSettings(**values), sources


def find_pager(settings: ClientSettings) -> tuple[str, dict[str, str]]:
    """Return the command line that lists on a terminal go through, and its environment."""
    command = settings.pager or os.environ.get("PAGER") or _PAGER
    # One screen is left as it is, colours pass, and what was read stays when the reader leaves.
    return command, {"LESS": "FRX", "LESSCHARSET": "utf-8"} | os.environ


def _read_file(path: Path, known: frozenset[str]) -> dict[str, Any]:
    try:
        stored = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidInput(Kind.VALUE, f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(Kind.VALUE, f"{path} is not TOML: {error}") from None
    unknown = sorted(stored.keys() - known)
    if unknown:
        raise InvalidInput(Kind.VALUE, f"{path} has unknown settings: {', '.join(unknown)}")
    return stored


def _convert(wanted: Any, value: Any, source: str) -> Any:
    try:
        if wanted is bool:
            return _boolean(value)
        if wanted is int:
            if isinstance(value, bool):
                raise ValueError
            return int(value)
        if wanted is str:
            return str(value)
        if wanted == tuple[str, ...]:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
        return Path(value).expanduser() if str(value) else None
    except (TypeError, ValueError):
        raise InvalidInput(
            Kind.VALUE, f"{source}: not a value of this setting: {value!r}"
        ) from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _checked(settings: Settings) -> Settings:
    for name in ("port", "raw_port", "sql_port", "doris_port"):
        if not 0 <= getattr(settings, name) <= _PORT_MAX:
            raise InvalidInput(Kind.VALUE, f"{name} must be 0 to {_PORT_MAX}")
    names = ["port", "raw_port"] + ([] if settings.no_sql else ["sql_port", "doris_port"])
    taken: dict[int, str] = {}
    for name in names:
        number = getattr(settings, name)
        if number and number in taken:
            raise InvalidInput(Kind.VALUE, f"{taken[number]} and {name} must differ")
        taken[number] = name
    if not 0 <= settings.sql_threads <= _SQL_THREADS_MAX:
        raise InvalidInput(Kind.VALUE, f"sql_threads must be 0 to {_SQL_THREADS_MAX}")
    if settings.sql_memory:
        parse_bytes(settings.sql_memory)
    parse_repository_id(settings.catalog)
    if not 0 <= settings.workers <= _WORKERS_MAX:
        raise InvalidInput(Kind.VALUE, f"workers must be 0 to {_WORKERS_MAX}")
    for name, allowed in (
        ("http_server", HTTP_SERVERS),
        ("log_level", LOG_LEVELS),
        ("log_format", LOG_FORMATS),
    ):
        if getattr(settings, name) not in allowed:
            raise InvalidInput(Kind.VALUE, f"{name} must be one of {', '.join(allowed)}")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise InvalidInput(Kind.VALUE, "tls_cert and tls_key are given together or not at all")
    for file in (settings.tls_cert, settings.tls_key):
        if file is not None and not file.is_file():
            raise InvalidInput(Kind.VALUE, f"no such file: {file}")
    if settings.quickstart and not is_loopback(settings.host):
        raise Forbidden(
            Kind.FORBIDDEN,
            f"--quickstart installs keys that everybody knows; refused on {settings.host}: "
            "listen on a loopback address, or start without --quickstart and run `anabranch setup`",
        )
    return settings


def encode_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as values of JSON, for a process of the same server."""
    return {
        each.name: str(value) if isinstance(value, Path) else value
        for each in fields(settings)
        if (value := getattr(settings, each.name)) is not None
    }


def decode_settings(stored: Mapping[str, Any]) -> Settings:
    """Return what `encode_settings` was given."""
    types = get_type_hints(Settings)
    return Settings(**{name: _convert(types[name], stored[name], name) for name in stored})


def describe() -> list[tuple[str, str, str, str]]:
    """Return (name, variable, default, help) of every setting, for the documentation."""
    rows = []
    defaults = Settings()
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        default = getattr(defaults, name)
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        rows.append((name, PREFIX + name.upper(), shown, hint.__metadata__[0]))
    return rows


def child_environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of the same server: its settings come by another way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | dict(added)


def interpreter() -> list[str]:
    """Return the command that starts this Python again, with the same isolation."""
    return [sys.executable, *(["-I"] if sys.flags.isolated else [])]
