"""Settings: where each value comes from, and what is refused."""

from pathlib import Path

import pytest

from anabranch.kernel.errors import Forbidden, InvalidInput
from anabranch.settings import (
    Settings,
    decode_settings,
    default_workers,
    describe,
    encode_settings,
    is_loopback,
    load,
    parse_bytes,
)


def test_defaults_are_safe() -> None:
    settings = load({}, environment={})
    assert settings == Settings()
    assert is_loopback(settings.host)
    assert default_workers() >= 1


def test_options_come_before_environment_before_file_before_default(tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text('port = 1\nraw_port = 2\nsql_port = 3\ns3_domain = ["a.b", "c.d"]\n')
    variables = {"ANABRANCH_PORT": "11", "ANABRANCH_RAW_PORT": "12"}
    settings = load({"port": 21, "host": None}, environment=variables, config=config)
    assert (settings.port, settings.raw_port, settings.sql_port) == (21, 12, 3)
    assert settings.doris_port == 8030
    assert settings.s3_domain == ("a.b", "c.d")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("134217728", 128 * 1024**2),
        ("128MiB", 128 * 1024**2),
        ("1.5 GiB", 3 * 1024**3 // 2),
        ("2g", 2 * 1000**3),
        ("1TB", 1000**4),
        ("1024tib", 1024**5),
    ],
)
def test_amounts_of_memory(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes
    assert load({"sql_memory": text}, environment={}).sql_memory_bytes == size_bytes


def test_sql_memory_is_a_part_of_the_machine_unless_told() -> None:
    assert 128 * 1024**2 <= Settings().sql_memory_bytes <= 1024**5


def test_ports_of_a_server_without_sql_are_not_compared() -> None:
    assert load({"port": 9030, "no_sql": True}, environment={}).port == 9030


def test_the_file_may_come_from_the_environment(tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text("workers = 7\n")
    assert load({}, environment={"ANABRANCH_CONFIG": str(config)}).workers == 7


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("QUICKSTART", "true", True),
        ("NO_SQL", "0", False),
        ("S3_DOMAIN", "a.b, c.d", ("a.b", "c.d")),
        ("DATA", "/x/y", Path("/x/y")),
        ("TLS_CERT", "", None),
    ],
)
def test_texts_become_values(name: str, text: str, value: object) -> None:
    settings = load({}, environment={f"ANABRANCH_{name}": text})
    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize(
    "variables",
    [
        {"PORT": "x"},
        {"PORT": "65536"},
        {"PORT": "-1"},
        {"PORT": "9000"},
        {"SQL_PORT": "8000"},
        {"DORIS_PORT": "9030"},
        {"SQL_THREADS": "-1"},
        {"SQL_THREADS": "1025"},
        {"SQL_MEMORY": "much"},
        {"SQL_MEMORY": "127MiB"},
        {"SQL_MEMORY": "2000 TiB"},
        {"CATALOG": "No Name"},
        {"WORKERS": "-1"},
        {"WORKERS": "257"},
        {"QUICKSTART": "perhaps"},
        {"LOG_LEVEL": "loud"},
        {"LOG_FORMAT": "xml"},
        {"HTTP_SERVER": "apache"},
        {"TLS_CERT": "/a"},
        {"TLS_CERT": "/no/such/a", "TLS_KEY": "/no/such/b"},
    ],
)
def test_bad_values_are_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        load({}, environment={f"ANABRANCH_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize("text", ["colour = 1", "port = true", "not toml", "port = 'x'"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "a.toml"
    config.write_text(text)
    with pytest.raises(InvalidInput):
        load({}, environment={}, config=config)
    with pytest.raises(InvalidInput):
        load({}, environment={}, config=tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_quickstart_keys_are_refused_where_others_reach_them(host: str) -> None:
    with pytest.raises(Forbidden, match="anabranch setup"):
        load({"quickstart": True, "host": host}, environment={})
    assert load({"host": host}, environment={}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_quickstart_keys_are_for_loopback(host: str) -> None:
    assert load({"quickstart": True, "host": host}, environment={}).quickstart


def test_settings_reach_child_processes_whole() -> None:
    settings = Settings(
        data=Path("/d"), workers=3, s3_domain=("a",), tls_cert=Path("/c"), tls_key=Path("/k")
    )
    assert decode_settings(encode_settings(settings)) == settings
    assert decode_settings(encode_settings(Settings())) == Settings()


def test_every_setting_is_described() -> None:
    rows = describe()
    assert [name for name, *_ in rows] == list(Settings.__slots__)
    assert all(help.endswith(".") for *_, help in rows)


def test_the_documentation_has_every_setting_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    for name, variable, default, help in describe():
        shown = f"`{default}`" if default and default != "None" else ""
        assert f"| `{name}` | `{variable}` | {shown} | {help} |" in page
