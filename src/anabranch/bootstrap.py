"""Joins the surfaces of a worker to its stores."""

import contextlib
from dataclasses import dataclass

from anabranch import __version__
from anabranch.access.credentials import Credential
from anabranch.access.principals import UserId
from anabranch.api.app import Api
from anabranch.api.operations import ServerView
from anabranch.edge.middleware import Edge
from anabranch.front import Front, RawFront
from anabranch.kernel.errors import AlreadyExists
from anabranch.kernel.ids import Namespace, RepositoryId
from anabranch.s3.app import Gateway
from anabranch.s3.lake_bucket import LakeBuckets
from anabranch.s3.raw_bucket import RawBuckets
from anabranch.settings import Settings
from anabranch.stores import Stores, SystemClock, SystemIds, open_stores
from anabranch.telemetry import Metrics
from anabranch.ui.app import Page

QUICKSTART_USER = "docker"
QUICKSTART_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
QUICKSTART_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105  # published, see below
QUICKSTART_RAW_KEY_ID = "minioadmin"
QUICKSTART_RAW_SECRET = "minioadmin"  # noqa: S105  # published: settings refuse it off loopback
QUICKSTART_REPOSITORY = RepositoryId("example3")
QUICKSTART_NAMESPACE = Namespace("s3://example3")
_ABSENT = b"access/none"


@dataclass(frozen=True, slots=True)
class App:
    """Everything a worker serves: two ASGI applications over one set of stores."""

    stores: Stores
    api_application: Edge
    raw_application: Edge

    @property
    def is_local(self) -> bool:
        """Tell whether short calls may run in the event loop."""
        return self.stores.kv.is_local

    def install_quickstart(self) -> None:
        """Install the published keys and the example repository; what exists stays."""
        now_us = SystemClock().now_ns() // 1_000
        user = UserId(QUICKSTART_USER)
        self.stores.access.install(
            Credential(QUICKSTART_KEY_ID, QUICKSTART_SECRET, user, now_us),
            Credential(QUICKSTART_RAW_KEY_ID, QUICKSTART_RAW_SECRET, user, now_us),
        )
        repositories = self.stores.lake.repositories
        if repositories.find(QUICKSTART_REPOSITORY) is not None:
            return
        # The one that came first is as good.
        with contextlib.suppress(AlreadyExists):
            repositories.create(
                QUICKSTART_REPOSITORY, QUICKSTART_NAMESPACE, committer=QUICKSTART_USER
            )

    def close(self) -> None:
        """Write what is queued and close everything."""
        self.stores.close()


def build(settings: Settings, *, is_metrics_shared: bool = False) -> App:
    """Open the stores and join the surfaces to them."""
    stores = open_stores(settings)
    clock = SystemClock()
    metrics = Metrics(is_shared=is_metrics_shared)
    view = ServerView(
        version=__version__,
        default_namespace_prefix=settings.default_namespace,
        import_prefixes=settings.import_from,
    )
    front = Front(
        api=Api(stores.lake, stores.access, clock, view),
        s3=Gateway(
            LakeBuckets(stores.lake, namespace_prefix=settings.default_namespace),
            stores.access.find_credential,
            clock,
            settings.s3_domain,
        ),
        page=Page(settings.raw_port),
        check=lambda: stores.kv.read([_ABSENT]),
        authenticate=stores.access.authenticate,
        metrics=metrics,
        domains=settings.s3_domain,
    )
    raw = RawFront(
        Gateway(RawBuckets(stores.lake, clock), stores.access.raw.find_credential, clock, ())
    )
    # Half of a request's id is the process's, the other half counts: no process repeats another's.
    prefix = SystemIds().hex32()[:8].upper()
    return App(
        stores,
        Edge(
            front,
            failure=front.failure,
            metrics=metrics,
            id_prefix=prefix,
            has_access_log=settings.access_log,
        ),
        Edge(
            raw,
            failure=raw.failure,
            metrics=metrics,
            id_prefix=prefix[:7] + "R",
            has_access_log=settings.access_log,
        ),
    )
