"""What handlers of statements are given: the warehouse's parts, joined once by bootstrap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.ids import RepositoryId
from anabranch.lake import Lake
from anabranch.warehouse.engine import Engine
from anabranch.warehouse.origins.brokers import LOCAL
from anabranch.warehouse.results import Processes
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.sql.transforms.translate import Translator

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.databases import Databases
    from anabranch.warehouse.catalog.publishing import Publisher
    from anabranch.warehouse.catalog.snapshots import Snapshots
    from anabranch.warehouse.catalog.tables import Tables
    from anabranch.warehouse.folds.plans import Folds

DEFAULT_CATALOG = RepositoryId("warehouse")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What SHOW FRONTENDS, BACKENDS and PROC say of this server.

    `brokers` are the names of the configured brokers; `started_us` is the time of the start.
    """

    version: str = "anabranch"
    host: str = "127.0.0.1"
    mysql_port: int = 9030
    http_port: int = 8030
    started_us: int = 0
    data_bytes_max: int = 0
    brokers: tuple[str, ...] = (LOCAL,)


@dataclass(frozen=True, slots=True)
class Parts:
    """The warehouse of one process.

    What comes after `footers` may be absent: handlers that need it are then not registered, and
    without `folds` every rowset is read. Classes of what comes after `folds` are built on this
    one, so they cannot be named here; their handlers know them.
    """

    lake: Lake
    engine: Engine
    translator: Translator
    databases: Databases
    tables: Tables
    snapshots: Snapshots
    publisher: Publisher
    clock: Clock
    ids: IdSource
    footers: Footers = field(default_factory=Footers)
    folds: Folds | None = None
    labels: Any = None
    loader: Any = None
    jobs: Any = None
    users: Any = None
    processes: Processes | None = None
    facts: ServerFacts = field(default_factory=ServerFacts)
    default_catalog: RepositoryId = DEFAULT_CATALOG
