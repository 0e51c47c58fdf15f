"""Doris's HTTP as clients speak it: curl, connections that break off, both HTTP servers."""

import asyncio
import http.client
import json
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anabranch.access import Access
from anabranch.access.sql_users import hash_password
from anabranch.doris.app import Doris
from anabranch.doris.metadata import Endpoints
from anabranch.edge.granian_server import GranianServer
from anabranch.edge.listening import HttpServer, Port
from anabranch.edge.middleware import Edge
from anabranch.edge.uvicorn_server import UvicornServer
from anabranch.kernel import limits
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from anabranch.telemetry import Metrics
from tests.doris.engine import Loads, Tables
from tests.support.fakes import FakeClock, FakeIds

Kind = type[GranianServer] | type[UvicornServer]
FIELDS = [
    "TxnId", "Label", "Comment", "TwoPhaseCommit", "Status", "Message", "NumberTotalRows",
    "NumberLoadedRows", "NumberFilteredRows", "NumberUnselectedRows", "LoadBytes", "LoadTimeMs",
    "BeginTxnTimeMs", "StreamLoadPutTimeMs", "ReadDataTimeMs", "WriteDataTimeMs",
    "ReceiveDataTimeMs", "CommitAndPublishTimeMs",
]  # fmt: skip  # Doris's order


@dataclass
class Served:
    """A running server; root has no password, `ada` has `pässword`."""

    port: int
    loads: Loads

    def ask(
        self, method: str, path: str, body: Any = None, user: str = "root:", **headers: str
    ) -> tuple[int, Any]:
        """Return the status and the JSON of a request; underscores in names stay."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = dict(headers)
            if user:
                sent["Authorization"] = "Basic " + b64encode(user.encode()).decode()
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if data[:1] in b"{[" else data.decode()
        finally:
            connection.close()

    def curl(self, *arguments: str) -> Any:
        """Return the JSON that curl got."""
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *arguments],
            capture_output=True,
            check=True,
            timeout=30,
        )
        return json.loads(done.stdout)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(kind: Kind, loads: Loads) -> Iterator[Served]:
    kv = MemoryKV()
    access = Access(kv, GroupWriter(kv, lambda windows: None), FakeClock(), FakeIds(), bytes(32))
    access.sql_users.create("ada", hash_password("pässword"))
    port = _free_port()
    app = Doris(
        loads, Tables(), access.sql_users.authenticate, Endpoints(9030, port, "anabranch-test")
    )
    edge = Edge(app, failure=app.failure, metrics=Metrics(), id_prefix="T", has_access_log=False)
    server: HttpServer = kind([Port(edge, "127.0.0.1", port)])
    started = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(started.set)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield Served(port, loads)
    finally:
        if loads.gate is not None:
            loads.gate.set()
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(10)
        app.close()
        assert not thread.is_alive()


@pytest.fixture(params=[GranianServer, UvicornServer])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(request.param, Loads()) as found:
        yield found


LOAD = "/api/d/t/_stream_load"


def test_a_stream_load_answers_as_doris_does(served: Served) -> None:
    status, answer = served.ask("PUT", LOAD, b"1\t2\n3\t4\n", label="l1", comment="c")
    assert status == 200
    assert list(answer) == FIELDS
    assert (answer["TxnId"], answer["Label"], answer["Comment"]) == (41, "l1", "c")
    assert (answer["Status"], answer["Message"]) == ("Success", "OK")
    assert (answer["TwoPhaseCommit"], answer["NumberLoadedRows"]) == ("false", 2)
    assert answer["LoadBytes"] == 8
    (request,) = served.loads.requests
    assert (request.database, request.table, request.user) == ("d", "t", "root")
    assert request.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("/api/d@dev/t/_stream_load", "d@dev"),
        ("/api/d%40dev/t/_stream_load", "d@dev"),
        ("/api/default_cluster:d/t/_stream_load", "d"),
        ("/api/d%2Fdev/t/_stream_load", "d/dev"),
    ],
)
def test_a_database_may_name_a_branch_and_the_old_cluster(
    served: Served, path: str, database: str
) -> None:
    assert served.ask("PUT", path, b"x")[1]["Status"] == "Success"
    assert served.loads.requests[0].database == database


def test_a_used_label_says_what_has_it(served: Served) -> None:
    served.ask("PUT", LOAD, b"1\n", label="l1")
    status, answer = served.ask("PUT", LOAD, b"1\n", label="l1")
    assert status == 200
    assert answer["Status"] == "Label Already Exists"
    assert list(answer)[5] == "ExistingJobStatus"
    assert answer["ExistingJobStatus"] == "FINISHED"
    assert answer["TxnId"] == -1


def test_failures_are_told_in_a_200(served: Served) -> None:
    status, answer = served.ask("PUT", LOAD, b"bad")
    assert (status, answer["Status"]) == (200, "Fail")
    assert list(answer)[-1] == "ErrorURL"
    status, answer = served.ask("PUT", LOAD, b"x", format="xml")
    assert (status, answer["Status"], answer["TxnId"]) == (200, "Fail", -1)
    assert "xml" in answer["Message"]
    status, answer = served.ask("PUT", LOAD, b"defect")
    assert (status, answer["Status"]) == (200, "Fail")
    assert "a defect" not in answer["Message"]
    assert "internal error" in answer["Message"]


def test_passwords_are_wanted(served: Served) -> None:
    for user in ("", "root:x", "ada:", "ada:x", "eve:", "root"):
        status, answer = served.ask("PUT", LOAD, b"x", user=user)
        assert status == 401
        assert answer["code"] == 401
    assert served.loads.requests == []
    assert served.ask("PUT", LOAD, b"x", user="ada:pässword")[1]["Status"] == "Success"
    assert served.ask("PUT", LOAD, b"x", user="default_cluster:root:")[0] == 401
    assert [request.user for request in served.loads.requests] == ["ada"]


def test_curl_loads_a_file_after_100_continue(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "8mb"
    file.write_bytes(b"0123456789abcde\n" * (8 * 1024**2 // 16))
    url = f"http://127.0.0.1:{served.port}{LOAD}"
    answer = served.curl(
        "--location-trusted", "-u", "root:", "-H", "label: big", "-H", "Expect: 100-continue",
        "-T", str(file), url,
    )  # fmt: skip  # a command line
    assert (answer["Status"], answer["LoadBytes"]) == ("Success", 8 * 1024**2)
    assert served.loads.visible["big"] == file.read_bytes()
    again = served.curl(
        "--location-trusted", "-u", "root:", "-H", "label: big", "-H", "Expect: 100-continue",
        "-T", str(file), url,
    )  # fmt: skip  # a command line
    assert again["Status"] == "Label Already Exists"


def test_curl_loads_a_body_of_unknown_length(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1\n" * 100_000)
    url = f"http://127.0.0.1:{served.port}{LOAD}"
    answer = served.curl(
        "-u", "root:", "-H", "Transfer-Encoding: chunked", "-H", "label: c", "-T", str(file), url
    )
    assert (answer["Status"], answer["NumberLoadedRows"]) == ("Success", 100_000)


def test_a_wrong_password_asks_for_no_body(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1\n" * 4_000_000)
    url = f"http://127.0.0.1:{served.port}{LOAD}"
    answer = served.curl("-u", "root:x", "-H", "Expect: 100-continue", "-T", str(file), url)
    assert answer["code"] == 401


def test_a_client_that_goes_away_loads_nothing(served: Served) -> None:
    head = (
        f"PUT {LOAD} HTTP/1.1\r\nhost: a\r\nauthorization: Basic {b64encode(b'root:').decode()}\r\n"
        "label: gone\r\ncontent-length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"1\n" * 1000)
    assert served.loads.ended.wait(10)
    assert served.loads.visible == {}
    assert len(served.loads.failures) == 1
    assert served.ask("PUT", LOAD, b"1\n", label="gone")[1]["Status"] == "Success"


def test_a_load_that_reads_no_more_is_answered_at_once(served: Served) -> None:
    served.loads.read_max = 1
    status, answer = served.ask("PUT", LOAD, b"1\n" * 1_000_000, label="short")
    assert (status, answer["Status"]) == (200, "Success")


def test_a_slow_load_holds_back_the_client(served: Served) -> None:
    served.loads.gate = threading.Event()
    done: list[Any] = []
    body = b"1\n" * (16 * 1024**2)
    asking = threading.Thread(
        target=lambda: done.append(served.ask("PUT", LOAD, body, label="slow"))
    )
    asking.start()
    asking.join(0.5)
    assert done == []
    served.loads.gate.set()
    asking.join(20)
    assert done[0][1]["Status"] == "Success"
    assert served.loads.visible["slow"] == body


def test_a_load_takes_no_longer_than_its_timeout(served: Served) -> None:
    head = (
        f"PUT {LOAD} HTTP/1.1\r\nhost: a\r\nauthorization: Basic {b64encode(b'root:').decode()}\r\n"
        "label: late\r\ntimeout: 1\r\ncontent-length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"1\n")
        assert served.loads.ended.wait(10)
        # Whoever sends on sees the answer.
        connection.sendall(b"x" * 99_998)
        data = b""
        while not data.endswith(b"}"):
            data += connection.recv(65536) or b"}"
    assert b"TIMEOUT" in data
    assert served.loads.visible == {}


def test_a_body_past_the_limit_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAM_LOAD_BYTES_MAX", 1_000)  # nobody sends 100 GiB
    assert served.ask("PUT", LOAD, b"x" * 1_000)[1]["Status"] == "Success"
    served.loads.visible.clear()
    answer = served.ask("PUT", LOAD, b"x" * 1_001)[1]
    assert (answer["Status"], served.loads.visible) == ("Fail", {})
    chunks = iter([b"x" * 600, b"x" * 600])
    assert served.ask("PUT", LOAD, chunks)[1]["Status"] == "Fail"
    assert served.loads.visible == {}


def test_two_phases_end_by_id_or_label(served: Served) -> None:
    answer = served.ask("PUT", LOAD, b"1\n", label="p", two_phase_commit="true")[1]
    assert (answer["TwoPhaseCommit"], answer["TxnId"]) == ("true", 42)
    assert served.loads.visible == {}
    end = "/api/d/_stream_load_2pc"
    told = served.ask("PUT", end, txn_id="42", txn_operation="commit")[1]
    assert told == {"status": "Success", "msg": "transaction [42] commit successfully."}
    assert served.loads.visible == {"p": b"1\n"}
    told = served.ask("PUT", end, txn_id="42", txn_operation="commit")[1]
    assert told["status"] == "Fail"
    assert "is already visible" in told["msg"]
    served.ask("PUT", LOAD, b"2\n", label="q", two_phase_commit="true")
    told = served.ask("PUT", "/api/d/t/_stream_load_2pc", label="q", txn_operation="commit")[1]
    assert told == {"status": "Success", "msg": "label [q] commit successfully."}
    served.ask("PUT", LOAD, b"3\n", label="r", two_phase_commit="true")
    told = served.ask("PUT", end, txn_id="42", txn_operation="ABORT")[1]
    assert told["msg"] == "transaction [42] abort successfully."
    assert "r" not in served.loads.visible


@pytest.mark.parametrize(
    "headers",
    [
        {"txn_id": "1"},
        {"txn_id": "1", "txn_operation": "merge"},
        {"txn_operation": "commit"},
        {"txn_id": "x", "txn_operation": "commit"},
        {"txn_id": "-1", "txn_operation": "abort"},
    ],
)
def test_bad_ends_are_refused(served: Served, headers: dict[str, str]) -> None:
    told = served.ask("PUT", "/api/d/_stream_load_2pc", **headers)[1]
    assert told["status"] == "Fail"


def test_states_cancels_and_error_logs(served: Served) -> None:
    served.ask("PUT", LOAD, b"1\n", label="l1")
    assert served.ask("GET", "/api/d/get_load_state?label=l1")[1]["data"] == "VISIBLE"
    assert served.ask("GET", "/api/d/get_load_state?label=l2")[1]["data"] == "UNKNOWN"
    assert served.ask("GET", "/api/d/get_load_state")[1]["code"] == 1
    assert served.ask("POST", "/api/d/_cancel?label=l2")[1]["status"] == "Fail"
    assert served.ask("GET", "/api/_load_error_log?file=a", user="") == (
        200,
        "Reason: x. src line: [a]; \n",
    )
    assert served.ask("GET", "/api/_load_error_log?file=../b", user="")[0] == 404


def test_connectors_learn_of_servers_and_tables(served: Served) -> None:
    backend = {"ip": "127.0.0.1", "http_port": served.port, "is_alive": True}
    assert served.ask("GET", "/api/backends?is_alive=true")[1]["data"] == {"backends": [backend]}
    assert served.ask("GET", "/api/health", user="")[1]["code"] == 0
    assert served.ask("GET", "/api/bootstrap", user="")[1]["msg"] == "success"
    found = served.ask("GET", "/rest/v2/manager/node/backends")[1]["data"]
    row = dict(zip(found["column_names"], found["rows"][0], strict=True))
    assert (row["Alive"], row["HttpPort"]) == ("true", str(served.port))
    found = served.ask("GET", "/rest/v2/manager/node/frontends")[1]["data"]
    assert "9030" in found["rows"][0]
    found = served.ask("GET", "/rest/v1/system?path=//backends")[1]["data"]
    assert found["rows"][0]["Alive"] == "true"
    schema = served.ask("GET", "/api/d/t/_schema")[1]["data"]
    assert schema["keysType"] == "AGG_KEYS"
    assert schema["properties"] == [
        {"name": "k", "aggregation_type": "", "comment": "key", "type": "INT"},
        {
            "name": "d",
            "aggregation_type": "SUM",
            "comment": "",
            "type": "DECIMAL",
            "precision": "9",
            "scale": "3",
        },
    ]
    assert served.ask("GET", "/api/d/t/_count")[1]["data"] == {"size": 3, "status": 200}
    assert served.ask("GET", "/api/d/x/_schema")[1]["data"]["status"] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/d/t/_stream_load", 404),
        ("POST", "/api/d/t/_query_plan", 501),
        ("PUT", "/api/d/t/_load", 501),
        ("GET", "/api/%ff/t/_schema", 404),
        ("GET", "/rest/v1/other", 404),
        ("PUT", "/x/d/t/_stream_load", 404),
    ],
)
def test_other_paths_are_not_offered(served: Served, method: str, path: str, status: int) -> None:
    assert served.ask(method, path)[0] == status
