"""Operations on the server itself: health and configuration."""

import re

from msgspec import UNSET

from anabranch.api import bodies
from anabranch.api.operations import (
    Answer,
    Call,
    Operation,
    ServerView,
    empty_response,
    json_response,
)
from anabranch.edge.http import Response

_TAG = "config"
LAKEFS_VERSION = "1.88.0"
"""The lakeFS release whose API this is: clients refuse calls to servers they take for older."""
_NAMESPACE_REGEX = "^(s3|local)://"


def version_of(view: ServerView) -> bodies.VersionConfig:
    """Return which server this is."""
    return bodies.VersionConfig(
        version=LAKEFS_VERSION,
        version_context=f"anabranch {view.version}",
        upgrade_recommended=False,
    )


def storage_of(view: ServerView) -> bodies.StorageConfig:
    """Return what clients need to know of the block store."""
    sources = "|".join(map(re.escape, view.import_prefixes))
    return bodies.StorageConfig(
        blockstore_type=view.blockstore_type,
        blockstore_namespace_example=view.namespace_example,
        blockstore_namespace_ValidityRegex=_NAMESPACE_REGEX,
        pre_sign_support=False,
        pre_sign_support_ui=False,
        import_support=True,
        # Buckets of the raw store are always allowed sources.
        import_validity_regex=f"^(s3://|{sources})" if sources else "^s3://",
        default_namespace_prefix=view.default_namespace_prefix or UNSET,
    )


async def health_check(_call: Call) -> Response:
    """Answer that the server answers."""
    return empty_response()


async def get_config(call: Call) -> Response:
    """Answer server and store."""
    view = call.services.view
    storage = storage_of(view)
    return json_response(200, bodies.Config(version_of(view), storage, [storage]))


async def get_lakefs_version(call: Call) -> Response:
    """Answer which server this is."""
    return json_response(200, version_of(call.services.view))


async def get_storage_config(call: Call) -> Response:
    """Answer what clients need to know of the block store."""
    return json_response(200, storage_of(call.services.view))


OPERATIONS = (
    Operation(
        "healthCheck",
        "GET",
        "/healthcheck",
        "healthCheck",
        health_check,
        "check that the server answers",
        is_open=True,
        answers={204: Answer()},
    ),
    Operation(
        "getConfig",
        "GET",
        "/config",
        _TAG,
        get_config,
        "get the configuration of server and store",
        answers={200: Answer(bodies.Config)},
    ),
    Operation(
        "getLakeFSVersion",
        "GET",
        "/config/version",
        "internal",
        get_lakefs_version,
        "get the version",
        answers={200: Answer(bodies.VersionConfig)},
    ),
    Operation(
        "getStorageConfig",
        "GET",
        "/config/storage",
        "internal",
        get_storage_config,
        "get the configuration of the store",
        answers={200: Answer(bodies.StorageConfig)},
    ),
)
