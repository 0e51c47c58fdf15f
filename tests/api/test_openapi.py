"""The published document, and the page that says what proves each operation."""

import ast
import re
from pathlib import Path
from typing import Any

from anabranch.api.openapi import document
from anabranch.api.table import OPERATIONS
from tests.api.rest import Rest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
_ROW = re.compile(r"\| `(\w+)` \| `(\w+) ([^`]+)` \| (\w+) \| (.*) \|")


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of each operation of the document."""
    return {
        item["operationId"]: (method.upper(), path, item)
        for path, methods in document()["paths"].items()
        for method, item in methods.items()
    }


def rows() -> dict[str, tuple[str, str, str, list[str]]]:
    """Return method, path, state and tests of each row of the page."""
    found = (_ROW.fullmatch(line) for line in PAGE.read_text().splitlines())
    return {
        row[1]: (row[2], row[3], row[4], re.findall(r"`([^`]+)`", row[5])) for row in found if row
    }


def test_the_document_is_served_to_anyone(rest: Rest) -> None:
    reply = rest.call("GET", "/openapi.json", base="", is_anonymous=True)
    assert reply.status == 200
    assert reply.json["openapi"] == "3.1.0"
    assert rest.call("POST", "/openapi.json", base="").status == 405


def test_the_document_has_every_operation_once() -> None:
    assert set(operations()) == {operation.id for operation in OPERATIONS}


def test_all_references_of_the_document_lead_somewhere() -> None:
    found = document()
    schemas = found["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/([\w.]+)", str(found)):
        assert name in schemas, name


def test_path_parameters_are_those_of_the_path() -> None:
    for name, (_, path, item) in operations().items():
        declared = [one["name"] for one in item["parameters"] if one["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path), name


def test_open_operations_are_few_and_known() -> None:
    is_open = {name for name, (_, _, item) in operations().items() if item.get("security") == []}
    assert is_open == {
        "externalPrincipalLogin",
        "getAuthCapabilities",
        "getSetupState",
        "healthCheck",
        "login",
        "oauthCallback",
        "setup",
        "setupCommPrefs",
        "stsLogin",
    }


def test_compatibility_page_lists_what_the_document_has() -> None:
    offered = {one.id: "yes" if one.handler else "501" for one in OPERATIONS}
    page = rows()
    assert {name: state for name, (_, _, state, _) in page.items()} == offered
    described = {name: (method, path) for name, (method, path, _) in operations().items()}
    assert {name: (row[0], row[1]) for name, row in page.items()} == described


def test_compatibility_page_names_tests_that_exist() -> None:
    for name, (_, _, state, tests) in rows().items():
        # A behaviour and a bad input; one parametrized test covers all that is not offered.
        assert len(tests) >= (2 if state == "yes" else 1), name
        for test in tests:
            path, _, function = test.partition("::")
            tree = ast.parse((ROOT / path).read_text())
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert function in names, f"{name}: {test}"
