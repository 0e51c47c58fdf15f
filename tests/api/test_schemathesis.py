"""Generated requests for every offered operation, against a real server.

Whatever is sent: no fault of the server, and only statuses, content types and shapes that the
published document has.
"""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from anabranch.api.openapi import BASE_PATH, document
from tests.support.server import RunningServer, pause, start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REAL = {
    "branch": "main",
    "ref": "main",
    "leftRef": "main~1",
    "rightRef": "main",
    "sourceRef": "dev",
    "destinationBranch": "main",
    "commitId": "main",
    "tag": "v1",
}

BUSY_PAUSES_S = (0.1, 0.2, 0.5, 1, 2, 5)


class Lake:
    """The server and its document, with something in it to be found."""

    def __init__(self, server: RunningServer) -> None:
        key = f"{server.access_key}:{server.secret_key}".encode()
        self.headers = {"authorization": "Basic " + base64.b64encode(key).decode()}
        self.base = server.api_url + BASE_PATH
        self.client = httpx.Client(headers=self.headers, timeout=60)
        self.is_furnished = False
        self.repositories = 0
        self.repository = ""

    def send(self, method: str, path: str, body: object) -> None:
        """Send what a request needs to find; that it is there already is as good."""
        answer = self.client.request(method, f"{self.base}{path}", json=body)
        assert answer.status_code < 300 or answer.status_code in (400, 409), answer.text

    def has_repository(self) -> bool:
        """Tell whether the repository is still there."""
        if not self.repository:
            return False
        path = f"{self.base}/repositories/{self.repository}"
        return self.client.get(path).status_code == 200

    def furnish(self) -> None:
        """Make what generated requests may have removed."""
        if self.is_furnished:
            return
        self.is_furnished = True
        if not self.has_repository():
            # The namespace of a deleted repository still holds its data: both names are new.
            self.repositories += 1
            self.repository = f"generated-{self.repositories}"
            creation = {
                "name": self.repository,
                "storage_namespace": f"s3://{self.repository}",
            }
            self.send("POST", "/repositories", creation)
        root = f"/repositories/{self.repository}"
        self.send("POST", f"{root}/branches/main/objects?path=a", {"any": "bytes"})
        self.send("POST", f"{root}/branches/main/commits", {"message": "generated"})
        self.send("POST", f"{root}/branches", {"name": "dev", "source": "main"})
        self.send("POST", f"{root}/tags", {"id": "v1", "ref": "main"})

    def answer(self, case: Any) -> Any:
        """Call a case as a client would: a server that is busy is asked again a little later."""
        for pause_s in BUSY_PAUSES_S:
            response = case.call(base_url=self.base, headers=self.headers)
            if response.status_code != 503:
                return response
            assert "retry-after" in response.headers, response.text
            pause(pause_s)
        return case.call(base_url=self.base, headers=self.headers)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A server for all generated requests."""
    with start_server(tmp_path_factory.mktemp("server") / "data") as running:
        lake = Lake(running)
        with lake.client:
            yield lake


def offered() -> dict[str, Any]:
    """Return the operations of the document that do something, by their ids."""
    found = {}
    for result in schemathesis.openapi.from_dict(document()).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if any(status.startswith("2") for status in operation.definition.raw["responses"]):
            found[operation.definition.raw["operationId"]] = operation
    return found


OFFERED = offered()


@pytest.mark.parametrize("name", OFFERED)
def test_generated_requests_get_documented_answers(name: str, lake: Lake) -> None:
    @hypothesis.given(case=OFFERED[name].as_strategy())
    @hypothesis.settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(case: Any) -> None:
        lake.furnish()
        # Generated names find nothing: in most requests they stand for what is there.
        real = {**REAL, "repository": lake.repository}
        for parameter, value in dict(case.path_parameters or {}).items():
            if parameter in real and len(str(value)) % 4:
                case.path_parameters[parameter] = real[parameter]
        lake.is_furnished = case.method in ("GET", "HEAD")
        response = lake.answer(case)
        assert response.status_code < 500 or response.status_code == 501, response.text
        checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
        case.validate_response(response, checks=checks)

    check()
