"""Health and configuration."""

import re

from tests.api.rest import Rest

STORAGE_FIELDS = {
    "blockstore_type",
    "blockstore_namespace_example",
    "blockstore_namespace_ValidityRegex",
    "pre_sign_support",
    "pre_sign_support_ui",
    "import_support",
    "import_validity_regex",
}


def test_health_needs_no_credentials(fresh: Rest) -> None:
    reply = fresh.call("GET", "/healthcheck", is_anonymous=True)
    assert (reply.status, reply.body) == (204, b"")


def test_health_takes_no_other_method(fresh: Rest) -> None:
    assert fresh.call("POST", "/healthcheck", is_anonymous=True).status == 405


def test_config_tells_the_store(rest: Rest) -> None:
    config = rest.get("/config").json
    # Clients compare it with the lakeFS release that brought what they want to call.
    assert config["version_config"]["version"] == "1.88.0"
    assert config["version_config"]["version_context"] == "anabranch 1.2.3"
    storage = config["storage_config"]
    assert set(storage) == STORAGE_FIELDS
    assert storage["blockstore_type"] == "local"
    assert storage["pre_sign_support"] is False
    allowed = re.compile(storage["blockstore_namespace_ValidityRegex"])
    assert allowed.match("s3://bucket/a")
    assert allowed.match("local://bucket")
    assert not allowed.match("gs://bucket")
    assert config["storage_config_list"] == [storage]


def test_config_wants_credentials(rest: Rest) -> None:
    for path in ("/config", "/config/version", "/config/storage"):
        assert rest.call("GET", path, is_anonymous=True).status == 401


def test_version_and_storage_alone(rest: Rest) -> None:
    config = rest.get("/config").json
    assert rest.get("/config/version").json == config["version_config"]
    assert rest.get("/config/storage").json == config["storage_config"]
