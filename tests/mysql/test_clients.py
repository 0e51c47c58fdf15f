"""Real clients: mysql-connector-python, SQLAlchemy, the mariadb command line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import mysql.connector
import pytest
import sqlalchemy

from tests.mysql.serving import SECRET, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tls_folder=tmp_path_factory.mktemp("tls")) as found:
        yield found


def connect(served: Served, **options: Any) -> Any:
    """Return a mysql-connector-python connection."""
    options = {"user": "ada", "password": SECRET, "use_pure": True} | options
    return mysql.connector.connect(host="127.0.0.1", port=served.port, **options)


@pytest.mark.parametrize("user", ["ada", "native", "sha2", "root"])
@pytest.mark.parametrize("ssl_disabled", [True, False])
def test_connector_python_logs_in(served: Served, user: str, ssl_disabled: bool) -> None:
    password = "" if user == "root" else SECRET
    with (
        connect(served, user=user, password=password, ssl_disabled=ssl_disabled) as client,
        client.cursor() as cursor,
    ):
        cursor.execute("select 1, 'é', null")
        assert cursor.fetchall() == [(1, "é", None)]


def test_connector_python_refused(served: Served) -> None:
    for options in ({"password": "wrong"}, {"user": "nobody"}, {"database": "absent"}):
        with pytest.raises(mysql.connector.Error) as failure:
            connect(served, **options)
        assert failure.value.errno == (1049 if "database" in options else 1045)


def test_connector_python_changes_its_user_and_resets(served: Served) -> None:
    with connect(served) as client, client.cursor() as cursor:
        client.cmd_change_user("native", SECRET, "test")
        cursor.execute("select 3")
        assert cursor.fetchall() == [(3,)]
        client.cmd_reset_connection()
        cursor.execute("select 4")
        assert cursor.fetchall() == [(4,)]
        assert served.engine.sessions[-1].user == "native"
        with pytest.raises(mysql.connector.Error) as failure:
            client.cmd_change_user("sha2", "wrong")
        assert failure.value.errno == 1045


def test_connector_python_loads_a_local_file(served: Served, tmp_path: Any) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(b"1\n2\n")
    with connect(served, allow_local_infile=True) as client, client.cursor() as cursor:
        cursor.execute(f"load data local infile '{file}' into table x")
        assert cursor.rowcount == 2


def test_sqlalchemy_connects_and_selects(served: Served) -> None:
    url = f"mysql+pymysql://root@127.0.0.1:{served.port}/test"
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            text = sqlalchemy.text("select id, name from people where id >= :first order by id")
            assert connection.execute(text, {"first": 1}).all() == [(1, "Ada"), (2, None)]
            with pytest.raises(sqlalchemy.exc.OperationalError, match="nowhere"):
                connection.execute(sqlalchemy.text("select * from nowhere"))
    finally:
        engine.dispose()


def mariadb(served: Served, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line with a text on its standard input."""
    program = shutil.which("mariadb")
    if program is None:
        pytest.skip("needs the mariadb command line (Debian: mariadb-client)")
    return subprocess.run(
        [program, "--no-defaults", "-h127.0.0.1", f"-P{served.port}", *options],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_mariadb_command_line(served: Served, tmp_path: Any) -> None:
    file = tmp_path / "y.csv"
    file.write_bytes(b"1\n2\n3\n")
    text = (
        "select 1 as a, 'é' as b, null as c, 1.50::decimal(9,2) as d;\n"
        f"load data local infile '{file}' into table x;\nselect range from range(3);\n"
    )
    found = mariadb(served, "-uroot", "--local-infile=1", "test", text=text)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "a\tb\tc\td\n1\té\tNULL\t1.50\nrange\n0\n1\n2\n"
    assert served.engine.files[str(file)] == b"1\n2\n3\n"


def test_the_mariadb_command_line_over_tls_and_refused(served: Served) -> None:
    ca = f"--ssl-ca={served.certificate}"
    found = mariadb(served, "-uada", f"-p{SECRET}", ca, "-e", "select 5 as five")
    assert (found.stdout, found.stderr) == ("five\n5\n", "")
    found = mariadb(served, "-usha2", f"-p{SECRET}", ca, "-N", "-e", "select 6")
    assert (found.stdout, found.stderr) == ("6\n", "")
    found = mariadb(served, "-uada", "-pwrong", "-e", "select 5")
    assert "ERROR 1045 (28000): Access denied for user 'ada'@'127.0.0.1'" in found.stderr
    found = mariadb(served, "-uroot", "absent", "-e", "select 5")
    assert "ERROR 1049 (42000): Unknown database 'absent'" in found.stderr
