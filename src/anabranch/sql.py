"""The SQL process: MySQL's protocol and Doris's HTTP over one warehouse.

The only process with an engine; its memory is one setting. It holds no state of its own: killed at
any time, the next one finds everything in the stores.
"""

import asyncio
import gc
import os
import signal
import ssl
import sys

import uvloop

from anabranch import __version__
from anabranch.doris.app import Doris
from anabranch.doris.metadata import Endpoints
from anabranch.edge import blocking
from anabranch.edge.granian_server import GranianServer
from anabranch.edge.listening import HttpServer, Port, listen_on
from anabranch.edge.middleware import Edge
from anabranch.edge.uvicorn_server import UvicornServer
from anabranch.kernel.errors import AnabranchError
from anabranch.mysql.server import MysqlServer
from anabranch.processes import begin, say_ready
from anabranch.settings import Settings
from anabranch.stores import Stores, SystemIds, open_stores
from anabranch.telemetry import Metrics, configure_logs, logger
from anabranch.warehousing import Warehousing, build_warehouse

DRAIN_S = 2.0
"""How long statements and loads that run at SIGTERM may take; then the process ends."""

EXPIRE_S = 5.0
"""Between two looks for transactions whose time is over."""


def main() -> None:
    """Serve as the plan on stdin says; ends with code 0 after SIGTERM."""
    plan = begin()
    settings = plan.settings
    configure_logs(level=settings.log_level, format=settings.log_format, process=plan.process)
    try:
        stores = open_stores(settings)
        warehousing = build_warehouse(settings, stores)
    except AnabranchError as error:
        logger("sql").error("cannot start", reason=error.message, kind=error.kind)
        sys.exit(1)
    is_drained = uvloop.run(_serve(settings, stores, warehousing))
    if is_drained:
        warehousing.close()
        stores.close()
    else:
        # Threads of statements that hang must not keep the process; the stores bear its death.
        logger("sql").warning("statements cut short", after_s=DRAIN_S)
    sys.stderr.flush()
    os._exit(0)


async def _serve(settings: Settings, stores: Stores, warehousing: Warehousing) -> bool:
    """Serve until SIGTERM; tell whether everything that ran then has ended in time."""
    blocking.configure(is_local=stores.kv.is_local)
    users = stores.access.sql_users
    mysql = MysqlServer(warehousing.statements, users, tls=_tls(settings))
    warehousing.connections.join(mysql)
    doris = Doris(
        warehousing.loads,
        warehousing.tables,
        users.authenticate,
        Endpoints(settings.sql_port, settings.doris_port, f"anabranch-{__version__}"),
    )
    http = _http_server(settings, doris)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await mysql.start(listen_on(settings.host, settings.sql_port))
    warehousing.start()
    gc.collect()
    gc.freeze()
    expiring = asyncio.ensure_future(_expire(warehousing))
    serving = asyncio.ensure_future(http.serve(say_ready))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopped.cancel()
        serving.result()
        raise SystemExit(1)
    expiring.cancel()
    http.stop()
    doris.close()
    ending = asyncio.ensure_future(mysql.stop())
    _, late = await asyncio.wait([serving, ending], timeout=DRAIN_S)
    return not late


async def _expire(warehousing: Warehousing) -> None:
    """Give up loads and two-phase transactions whose time is over, again and again."""
    while True:
        await asyncio.sleep(EXPIRE_S)
        try:
            await blocking.call_thread(warehousing.expire)
        except AnabranchError as error:
            logger("sql").warning("expiry failed", reason=error.message, kind=error.kind)


def _http_server(settings: Settings, doris: Doris) -> HttpServer:
    edge = Edge(
        doris,
        failure=doris.failure,
        metrics=Metrics(is_shared=True),
        id_prefix=SystemIds().hex32()[:7].upper() + "D",
        has_access_log=settings.access_log,
    )
    port = Port(edge, settings.host, settings.doris_port, settings.tls_cert, settings.tls_key)
    kind = settings.http_server
    if kind == "auto":
        # granian bounds no TLS handshake in time (docs/design/001-http-server.md).
        kind = "uvicorn" if settings.has_tls else "granian"
    return UvicornServer([port]) if kind == "uvicorn" else GranianServer([port])


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what MySQL's clients may turn on within a connection."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


if __name__ == "__main__":
    main()
