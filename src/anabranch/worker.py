"""One HTTP worker: all HTTP ports in one process, on one event loop."""

import asyncio
import gc
import importlib
import os
import signal
import sys

import uvloop

from anabranch.bootstrap import App, build
from anabranch.edge import blocking
from anabranch.edge.granian_server import GranianServer
from anabranch.edge.listening import Application, HttpServer, Port
from anabranch.kernel.errors import AnabranchError
from anabranch.processes import Plan, begin, say_ready
from anabranch.settings import Settings
from anabranch.telemetry import configure_logs, logger

DRAIN_S = 3.0
"""How long requests that run at SIGTERM may take; then the process ends all the same."""


def main() -> None:
    """Serve as the plan on stdin says; ends with code 0 after SIGTERM."""
    plan = begin()
    settings = plan.settings
    configure_logs(level=settings.log_level, format=settings.log_format, process=plan.process)
    try:
        app = build(settings, is_metrics_shared=True)
        if plan.index == 0 and settings.quickstart:
            app.install_quickstart()
    except AnabranchError as error:
        logger("worker").error("cannot start", reason=error.message, kind=error.kind)
        sys.exit(1)
    uvloop.run(_serve(app, plan))


async def _serve(app: App, plan: Plan) -> None:
    """Serve until SIGTERM, give requests that run then some time, and end the process.

    It ends inside the loop: requests cut short see their connection close. Were the loop to end
    first, their tasks would be cancelled, and the server below would answer that with a 500.
    """
    settings = plan.settings
    blocking.configure(is_local=app.is_local)
    server = _http_server(
        settings,
        [
            _port(settings, app.api_application, settings.port),
            _port(settings, app.raw_application, settings.raw_port),
        ],
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    # What lives now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    serving = asyncio.ensure_future(server.serve(say_ready))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopped.cancel()
        serving.result()
        raise SystemExit(1)
    server.stop()
    done, _ = await asyncio.wait([serving], timeout=DRAIN_S)
    app.close()
    if not done:
        # Threads of requests that hang must not keep the process.
        logger("worker").warning("requests cut short", after_s=DRAIN_S)
    sys.stderr.flush()
    os._exit(0)


def _port(settings: Settings, application: Application, number: int) -> Port:
    return Port(application, settings.host, number, settings.tls_cert, settings.tls_key)


def _http_server(settings: Settings, ports: list[Port]) -> HttpServer:
    kind = settings.http_server
    if kind == "auto":
        # granian bounds no TLS handshake in time (docs/design/001-http-server.md).
        kind = "uvicorn" if settings.has_tls else "granian"
    if kind == "granian":
        return GranianServer(ports)
    # Imported where it is used alone: most workers never do.
    server: HttpServer = importlib.import_module("anabranch.edge.uvicorn_server").UvicornServer(
        ports
    )
    return server


if __name__ == "__main__":
    main()
