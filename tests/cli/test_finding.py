"""Which server a command asks, and as whom: options, variables, file, directory."""

from pathlib import Path

import pytest

from anabranch.kernel.errors import InvalidInput
from anabranch.settings import ClientSettings, load_client
from tests.cli.commands import Commands
from tests.support.certificates import make_certificate
from tests.support.server import start_server

LIST = ("repo", "list", "--prefix", "example3")
NOTHING: dict[str, str | None] = {
    "ANABRANCH_ENDPOINT": None,
    "ANABRANCH_ACCESS_KEY": None,
    "ANABRANCH_SECRET_KEY": None,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of all settings."""
    path = tmp_path / "client.toml"
    path.write_text('endpoint = "http://f"\naccess_key = "fk"\nsecret_key = "fs"\n')
    return path


def test_options_before_variables_before_file(file: Path) -> None:
    variables = {"ANABRANCH_ENDPOINT": "http://v", "ANABRANCH_ACCESS_KEY": "vk"}
    settings, sources = load_client({"access_key": "ok"}, environment=variables, file=file)
    assert settings == ClientSettings(endpoint="http://v", access_key="ok", secret_key="fs")
    assert sources == {
        "access_key": "--access-key",
        "endpoint": "ANABRANCH_ENDPOINT",
        "secret_key": "secret_key in ~/.anabranch.toml",
    }


def test_a_directory_hides_endpoints_of_later_places(file: Path) -> None:
    settings, _ = load_client({"data": Path("d")}, environment={}, file=file)
    assert (settings.data, settings.endpoint) == (Path("d"), "")
    settings, _ = load_client({}, environment={"ANABRANCH_DATA": "d"}, file=file)
    assert (settings.data, settings.endpoint) == (Path("d"), "")
    settings, _ = load_client({"endpoint": "o"}, environment={"ANABRANCH_DATA": "d"}, file=file)
    assert (settings.data, settings.endpoint) == (None, "o")


def test_an_endpoint_goes_before_a_directory_of_the_same_place(tmp_path: Path) -> None:
    both = {"ANABRANCH_DATA": "d", "ANABRANCH_ENDPOINT": "e"}
    settings, _ = load_client({}, environment=both, file=tmp_path / "none")
    assert (settings.data, settings.endpoint) == (None, "e")
    with pytest.raises(InvalidInput, match="not both"):
        load_client({"endpoint": "e", "data": Path("d")}, environment={}, file=tmp_path / "none")


def test_unknown_keys_of_the_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_text('endpont = "http://f"\n')
    with pytest.raises(InvalidInput, match="endpont"):
        load_client({}, environment={}, file=path)


def test_the_file_of_the_home_is_read(commands: Commands) -> None:
    file = commands.home / ".anabranch.toml"
    server = commands.server
    file.write_text(
        f'data = "{server.data}"\naccess_key = "{server.access_key}"\nsecret_key = "wrong"\n'
    )
    try:
        refused = commands("repo", "list", environment=NOTHING, code=3)
        assert "wrong secret" in refused.stderr
        told = commands(*LIST, "--secret-key", server.secret_key, environment=NOTHING)
        assert told.stdout.startswith("example3  main  ")
    finally:
        file.unlink()


def test_a_directory_tells_where_but_not_who(commands: Commands) -> None:
    data = ("--data", str(commands.server.data))
    only_keys: dict[str, str | None] = {"ANABRANCH_ENDPOINT": None}
    assert commands(*LIST, *data, environment=only_keys).stdout.startswith("example3")
    refused = commands("repo", "list", *data, environment=NOTHING, code=3)
    assert "no access key and no secret key given" in refused.stderr
    assert "ANABRANCH_ACCESS_KEY" in refused.stderr
    half: dict[str, str | None] = {"ANABRANCH_SECRET_KEY": None}
    assert "no secret key given" in commands("repo", "list", environment=half, code=3).stderr


def test_the_usual_directory_is_found(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "anabranch-data").symlink_to(commands.server.data)
    found = commands(*LIST, environment={"ANABRANCH_ENDPOINT": None})
    assert found.stdout.startswith("example3")


def test_no_server(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = commands("repo", "list", environment={"ANABRANCH_ENDPOINT": None}, code=2)
    assert "--endpoint" in nowhere.stderr
    stopped = commands("repo", "list", "--data", str(tmp_path), code=6)
    assert f"anabranch serve --data {tmp_path}" in stopped.stderr
    silent = commands("repo", "list", "--endpoint", "http://127.0.0.1:1", "--json", code=6)
    assert '"kind": "busy"' in silent.stderr
    assert silent.stdout == ""
    other = commands("repo", "list", "--endpoint", commands.server.raw_url, code=2)
    assert "check the endpoint" in other.stderr
    plain = commands.server.api_url.replace("http://", "https://")
    mistaken = commands("repo", "list", "--endpoint", plain, code=6)
    assert "does not speak https" in mistaken.stderr
    commands("repo", "list", "--endpoint", "https://x", "--ca-cert", f"{tmp_path}/no", code=2)


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key), "--workers", "1")
    with start_server(tmp_path / "data", *tls) as server:
        commands = Commands(server, tmp_path)
        distrusted = commands("repo", "list", code=6)
        assert "self-signed" in distrusted.stderr
        assert "--ca-cert" in distrusted.stderr
        trusted = ("--ca-cert", str(certificate))
        assert commands("repo", "list", *trusted).stdout.startswith("example3")
        commands("fs", "cp", str(certificate), "lake://example3/main/c.pem", *trusted)
        by_directory = ("--data", str(server.data))
        said = commands("fs", "cat", "example3/main/c.pem", *by_directory)
        assert said.stdout_bytes == certificate.read_bytes()
