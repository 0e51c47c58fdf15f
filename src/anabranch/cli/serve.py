"""`anabranch serve`."""

import faulthandler
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from anabranch.cli.exits import out, print_json, told
from anabranch.settings import Settings, describe, load
from anabranch.supervisor import Supervisor
from anabranch.telemetry import configure_logs

_STDERR = 2
_HELP = {
    name: f"{help} Default: {default}." if default not in ("", "None", "False") else help
    for name, _, default, help in describe()
}


def _option(name: str, *names: str) -> Any:
    return typer.Option(*names, help=_HELP[name], show_default=False)


def serve(
    context: typer.Context,
    data: Annotated[Path | None, _option("data", "--data")] = None,
    quickstart: Annotated[bool | None, _option("quickstart", "--quickstart")] = None,
    host: Annotated[str | None, _option("host", "--host")] = None,
    port: Annotated[int | None, _option("port", "--port")] = None,
    raw_port: Annotated[int | None, _option("raw_port", "--raw-port")] = None,
    sql_port: Annotated[int | None, _option("sql_port", "--sql-port")] = None,
    doris_port: Annotated[int | None, _option("doris_port", "--doris-port")] = None,
    no_sql: Annotated[bool | None, _option("no_sql", "--no-sql")] = None,
    sql_memory: Annotated[str | None, _option("sql_memory", "--sql-memory")] = None,
    sql_threads: Annotated[int | None, _option("sql_threads", "--sql-threads")] = None,
    catalog: Annotated[str | None, _option("catalog", "--catalog")] = None,
    broker: Annotated[list[str] | None, _option("broker", "--broker")] = None,
    workers: Annotated[int | None, _option("workers", "--workers")] = None,
    tls_cert: Annotated[Path | None, _option("tls_cert", "--tls-cert")] = None,
    tls_key: Annotated[Path | None, _option("tls_key", "--tls-key")] = None,
    s3_domain: Annotated[list[str] | None, _option("s3_domain", "--s3-domain")] = None,
    import_from: Annotated[list[str] | None, _option("import_from", "--import-from")] = None,
    default_namespace: Annotated[
        str | None, _option("default_namespace", "--default-namespace")
    ] = None,
    http_server: Annotated[str | None, _option("http_server", "--http-server")] = None,
    access_log: Annotated[bool | None, _option("access_log", "--access-log")] = None,
    log_level: Annotated[str | None, _option("log_level", "--log-level")] = None,
    log_format: Annotated[str | None, _option("log_format", "--log-format")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings, by these names.")
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print where the server answers as JSON.")
    ] = False,
) -> None:
    """Run a server on one directory until Ctrl-C or SIGTERM.

    Every option is also a variable ANABRANCH_<NAME> and a key of the --config file.
    """
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in context.params.items()
        if name in _HELP
    }
    with told(is_json=is_json):
        settings = load(given, config=config)
        configure_logs(level=settings.log_level, format=settings.log_format, process="supervisor")
        faulthandler.enable(_STDERR)

        def announce(endpoints: dict[str, Any]) -> None:
            if is_json:
                print_json(endpoints)
            else:
                out.print(_panel(settings, endpoints))

        code = Supervisor(settings, announce).run()
    raise typer.Exit(code)


def _panel(settings: Settings, endpoints: dict[str, Any]) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    api, raw = (_url(settings, endpoints[name]) for name in ("api", "raw"))
    table.add_row("S3 and page", api)
    table.add_row("REST", f"{api}/api/v1")
    table.add_row("Raw store", raw)
    if "sql" in endpoints:
        table.add_row("SQL", f"mysql://root@{_address(endpoints['sql'])}")
        table.add_row("Stream load", _url(settings, endpoints["doris"]))
    table.add_row("Data", escape(str(settings.data.absolute())))
    if settings.quickstart:
        table.add_row("", "")
        table.add_row("Access key", _QUICKSTART[0])
        table.add_row("Secret key", _QUICKSTART[1])
        table.add_row("Raw store's keys", f"{_QUICKSTART[2]} / {_QUICKSTART[2]}")
        table.add_row("Repository", "example3, branch main")
    else:
        table.add_row("Keys", "those of its first user, whom `anabranch setup` makes")
    return Panel(table, title="Anabranch answers", title_align="left", expand=False)


# Published, and the same as in bootstrap, which the command must not load: it is large.
_QUICKSTART = (
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "minioadmin",
)


def _url(settings: Settings, endpoint: dict[str, Any]) -> str:
    return f"{settings.scheme}://{_address(endpoint)}"


def _address(endpoint: dict[str, Any]) -> str:
    host = endpoint["host"]
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{endpoint['port']}"
