"""The handlers of queries, settings, SHOW and DDL, joined: bootstrap adds those of other parts."""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.warehouse.handlers.alters import AlterLog
from anabranch.warehouse.handlers.by_id import ByIds
from anabranch.warehouse.handlers.calls import Calls
from anabranch.warehouse.handlers.databases import DatabaseStatements
from anabranch.warehouse.handlers.describing import Describing
from anabranch.warehouse.handlers.queries import Explains, Queries
from anabranch.warehouse.handlers.servers import Servers
from anabranch.warehouse.handlers.settings import Kills, Nothings, Sets, Uses
from anabranch.warehouse.handlers.shows import Shows
from anabranch.warehouse.handlers.tables import Alters, Creations, Drops
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.registry import Handler, Registry
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.admin import (
    AdminSetConfig,
    Call,
    Kill,
    Nothing,
    SetNames,
    SetTransaction,
    SetVariables,
    Use,
)
from anabranch.warehouse.sql.shows import Describe, ShowKind


def standard_handlers(parts: Parts, inserts: Handler | None = None) -> Registry:
    """Return the handlers that need nothing but the parts; `inserts` is for CREATE TABLE AS."""
    reader = Reader(parts)
    log = AlterLog(parts.lake)
    describing = Describing(parts, reader)
    servers = Servers(parts, reader, log)
    shows = Shows(parts, reader)
    settings = Sets(parts)
    databases = DatabaseStatements(parts)
    creations = Creations(parts, reader, inserts)
    nothing = Nothings()
    handlers: Mapping[type[object], Handler] = {
        st.Query: Queries(reader),
        st.Explain: Explains(reader),
        st.CreateDatabase: databases,
        st.DropDatabase: databases,
        st.RenameDatabase: databases,
        st.CreateTable: creations,
        st.CreateTableLike: creations,
        st.DropTable: Drops(parts),
        st.AlterTable: Alters(parts, log),
        Describe: describing,
        Use: Uses(parts),
        SetVariables: settings,
        SetNames: settings,
        SetTransaction: settings,
        Kill: Kills(parts),
        Call: Calls(parts),
        Nothing: nothing,
        AdminSetConfig: nothing,
    }
    by_kind: dict[ShowKind, Handler] = {}
    for each in (describing, servers, shows, ByIds(parts)):
        by_kind |= dict.fromkeys(each.kinds, each)
    return Registry(handlers, by_kind)
