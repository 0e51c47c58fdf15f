"""Spark over s3a, of two generations, on generated data: what a user's job does to a lake.

One session a Spark runs all cases (`program.py`) against one server; the tests judge what it saw.
"""

import contextlib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.clients.conftest import Gateway
from tests.support.environments import environment, jars
from tests.support.recording import Tape, check_capture, recording
from tests.support.server import RunningServer, start_server
from tests.support.spark import S3aEndpoint, write_configuration

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROGRAM = Path(__file__).with_name("program.py")
PROGRAM_TIMEOUT_S = 600.0
REPOSITORY = "example3"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"

TAPES = ("algorithm1", "algorithm2", "magic")
"""The cases of which s3a's requests are taken down."""

VERSIONS = {"33": "3.3.2", "43": "3.5.0"}
"""The hadoop-aws of each Spark."""

RANDOM = {
    r"(?<=_temporary/)\d+|(?<=_)\d{12,}(?=_)": "<number>",
    r"(?<=_)\d{4}(?=_[mr]_)|(?<=spark-staging-)\d+(?=%|$)": "<stage>",
    r"(?<=_[mr]_\d{6}_)\d+": "<task>",
}
"""What is another in each run in the keys that committers write."""

BOTH = ("branching", "partitions", "formats", "multipart", *TAPES[:2], "files", "secure")
CASES = {
    "33": (*BOTH, "markers"),  # the newer one keeps markers whatever it is told
    "43": (*BOTH, "checksums", "magic"),  # the older one has no checksums, and no closures on 3.11
}

Facts = dict[str, Any]


@pytest.fixture(scope="module", params=sorted(CASES))
def spark(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tls_gateway: Gateway,
) -> Iterator[Facts]:
    """Return what all cases of one Spark saw, which Spark it was, and the tapes of some cases."""
    name: str = request.param
    work = tmp_path_factory.mktemp(f"spark{name}")
    with start_server(work / "data") as server, contextlib.ExitStack() as stack:
        tapes = {
            case: stack.enter_context(recording(server.api_url, replaced=RANDOM)) for case in TAPES
        }
        for case, tape in tapes.items():
            stack.enter_context(tape.step(case))
        facts = run_program(name, server, work, tls_gateway, tapes)
        facts["uploads"] = open_uploads(server)
        stack.close()
        yield facts | {"spark": name, "tapes": tapes}


def run_program(
    name: str, server: RunningServer, work: Path, secure: Gateway, tapes: dict[str, Tape]
) -> Facts:
    """Run the cases of Spark `name` against `server`; return their facts by case."""
    api = S3aEndpoint(server.api_url, server.access_key, server.secret_key)
    raw = S3aEndpoint(server.raw_url, server.raw_access_key, server.raw_secret_key)
    configuration = write_configuration(
        work / "conf", api, jars(f"spark{name}"), scratch=work / "scratch", trusted=secure.ca_file
    )
    places: dict[str, dict[str, str]] = {
        side: {"url": at.url, "access_key": at.access_key, "secret_key": at.secret_key}
        for side, at in (("api", api), ("raw", raw))
    }
    places["secure"] = {"url": secure.server.api_url}
    places["tapes"] = {case: tape.url for case, tape in tapes.items()}
    facts = work / "facts.json"
    result = environment(f"spark{name}").run(
        PROGRAM,
        str(facts),
        *CASES[name],
        env=configuration | {"ANABRANCH_CASES": json.dumps(places)},
        cwd=work,
        timeout_s=PROGRAM_TIMEOUT_S,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr[-8000:]}\n{server.read_log()}"
    seen: Facts = json.loads(facts.read_bytes())
    return seen


@contextlib.contextmanager
def s3_client(server: RunningServer, ca_file: Path | None = None) -> Iterator[Any]:
    """Look at a server's gateway without Spark."""
    s3 = boto3.client(
        "s3",
        endpoint_url=server.api_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        verify=str(ca_file) if ca_file else None,
    )
    with contextlib.closing(s3):
        yield s3


def open_uploads(server: RunningServer) -> list[str]:
    """Return the keys of all uploads that nobody completed or aborted."""
    with s3_client(server) as s3:
        found = s3.list_multipart_uploads(Bucket=REPOSITORY).get("Uploads", [])
    return [one["Key"] for one in found]


@pytest.fixture
def branching(spark: Facts) -> Facts:
    """What the case of that name saw."""
    seen: Facts = spark["branching"]
    return seen


def parts(listed: list[Facts]) -> list[Facts]:
    """Return the entries that hold rows."""
    return [each for each in listed if "/part-" in each["path"]]


def objects(raw: dict[str, int]) -> dict[str, int]:
    """Return the raw objects that are not committed metadata."""
    return {key: size for key, size in raw.items() if not key.startswith("_lakefs/")}


def test_an_overwrite_shows_the_part_and_the_marker_of_success(branching: Facts) -> None:
    success, part = branching["listed"]["written, main"]
    assert success["path"] == "events/_SUCCESS"
    assert (success["size"], success["checksum"]) == (0, EMPTY_MD5)
    assert part["path"].startswith("events/part-00000-")
    assert part["size"] > 0
    assert branching["uncommitted"]["written, main"] == [
        ["added", success["path"]],
        ["added", part["path"]],
    ]


def test_each_step_costs_the_objects_that_it_must(branching: Facts) -> None:
    counts = {moment: len(objects(raw)) for moment, raw in branching["raw"].items()}
    assert branching["raw"]["start"].keys() == {"dummy"}
    assert counts["written"] == 6  # five bodies; what is moved by copying is not written again
    assert counts["committed"] == counts["branched"] == 6
    assert counts["appended"] == counts["committed more"] == counts["merged"] == 11


def test_a_commit_writes_a_range_and_its_metarange_and_a_branch_nothing(branching: Facts) -> None:
    raw = branching["raw"]
    metadata = {moment: set(raw[moment]) - set(objects(raw[moment])) for moment in raw}
    assert not metadata["written"]
    assert len(metadata["committed"]) == 2
    assert raw["branched"] == raw["committed"]
    assert len(metadata["committed more"] - metadata["appended"]) == 2


def test_every_address_holds_bytes_of_the_size_listed(branching: Facts) -> None:
    for moment, listed in branching["listed"].items():
        raw = branching["raw"][moment.split(",")[0]]
        sizes = {each["address"]: each["size"] for each in listed}
        assert sizes.items() <= raw.items(), moment


def test_what_is_committed_is_not_a_change(branching: Facts) -> None:
    changes = branching["uncommitted"]
    clean = ("committed, main", "branched, main", "branched, more", "appended, main")
    for moment in (*clean, "committed more, more", "merged, main", "overwritten, main"):
        assert changes[moment] == [], moment
    listed = branching["listed"]
    assert listed["committed, main"] == listed["written, main"] == listed["branched, more"]


def test_an_append_adds_one_part_and_success_written_again_is_no_change(branching: Facts) -> None:
    before = branching["listed"]["branched, more"]
    after = branching["listed"]["appended, more"]
    old, new = {each["path"] for each in before}, {each["path"] for each in after}
    (added,) = new - old
    assert old < new
    assert branching["uncommitted"]["appended, more"] == [["added", added]]
    assert branching["between"] == [["added", added]]
    assert before[0]["address"] != after[0]["address"]
    assert branching["listed"]["committed more, more"] == after


def test_branches_share_the_bytes_of_what_they_share(branching: Facts) -> None:
    shared = parts(branching["listed"]["branched, main"])[0]
    assert shared in branching["listed"]["appended, more"]
    assert shared in branching["listed"]["merged, main"]


def test_each_ref_reads_its_own_rows(branching: Facts) -> None:
    assert branching["rows"]["before"] == [1000, 1500]
    assert branching["rows"]["after"] == [1500, 1500, 1000]  # the last one by the first commit's id


def test_a_merge_publishes_the_branch_and_sums_up_what_it_did(branching: Facts) -> None:
    summary = {"added": 1, "changed": 0, "conflict": 0, "removed": 0}
    assert branching["merge"]["summary"] == summary
    assert parts(branching["listed"]["merged, main"]) == parts(branching["listed"]["merged, more"])
    assert branching["branched"] == branching["first"]["id"]
    assert branching["second"]["parents"] == [branching["first"]["id"]]
    assert branching["log"][0] == branching["merge"]["reference"]
    assert {branching["first"]["id"], *branching["first"]["parents"]} < set(branching["log"])


def test_overwriting_what_is_read_changes_its_branch_alone(branching: Facts) -> None:
    assert branching["rows"]["narrow"] == 1500
    assert branching["columns"] == [["id", "name", "half"], ["id", "name"]]
    assert branching["listed"]["overwritten, main"] == branching["listed"]["merged, main"]
    old = {each["path"] for each in parts(branching["listed"]["merged, main"])}
    new = {each["path"] for each in parts(branching["listed"]["overwritten, narrow"])}
    assert not old & new
    changes = branching["uncommitted"]["overwritten, narrow"]
    found = {(kind, path) for kind, path in changes if "/part-" in path}
    assert found == {("removed", path) for path in old} | {("added", path) for path in new}
    assert all(path.endswith("/") for _, path in changes if "/part-" not in path)


def test_folders_may_have_names_that_need_quoting(spark: Facts) -> None:
    seen = spark["partitions"]
    assert [number for number, _ in seen["rows"]] == list(range(11))
    assert [seen["rows"][n][1] for n in (1, 2, 3, 6)] == ["a b", "a/b", "50%", "é and 雪"]
    assert seen["selected"] == [1, 1, 1]
    folders = [path.split("/")[1] for path in seen["listed"] if "/part-" in path]
    assert {"v=a b", "v=a%2Fb", "v=50%25", "v=a+b", "v=é and 雪"} < set(folders)
    assert seen["listed"] == sorted(seen["listed"], key=str.encode)


def test_text_formats_come_back_whole(spark: Facts) -> None:
    assert spark["formats"] == {"rows": {"json": 300, "csv": 300}, "uncommitted": []}


def test_a_large_file_goes_up_in_parts_and_moves_as_one(spark: Facts) -> None:
    seen = spark["multipart"]
    check_large_file(seen)
    assert seen["renamed"] is True
    assert parts(seen["left"]) == []
    (moved,) = parts(seen["moved"])
    (original,) = parts(seen["listed"])
    assert moved["size"] == original["size"]
    assert moved["path"] == original["path"].replace("big/", "new/", 1)
    assert seen["moved rows"] == seen["rows"][0]


def check_large_file(seen: Facts) -> None:
    """The large file of a case is whole, and its checksum says that it came in parts."""
    (part,) = parts(seen["listed"])
    assert part["size"] > 15_000_000
    digest, _, count = part["checksum"].partition("-")
    assert (len(digest), int(count)) == (32, 4)
    assert seen["rows"][0] == seen["rows"][1] == seen["same"]
    assert seen["sum"][0] == seen["sum"][1]


def test_the_second_committer_writes_one_marker_less(spark: Facts) -> None:
    seen = spark["algorithm2"]
    assert seen["new"][:3] == [0, 0, 0]
    assert len(seen["new"]) == 4
    assert [each["size"] for each in seen["listed"]] == [0, seen["new"][3]]
    assert (seen["rows"], seen["overwritten"]) == (1000, 700)
    # After an overwrite the newer s3a keeps the marker of the folder that was empty meanwhile.
    marker = {"33": [], "43": ["demo/"]}[spark["spark"]]
    check_table(seen["uncommitted"], marker)


def check_table(uncommitted: list[list[str]], markers: list[str]) -> None:
    """A branch holds one table of one file, and these markers."""
    assert {kind for kind, _ in uncommitted} == {"added"}
    *rest, success, part = [path for _, path in uncommitted]
    assert (rest, success) == (markers, "demo/table/_SUCCESS")
    assert part.startswith("demo/table/part-00000-")


REQUESTS = {
    "33": {
        "algorithm1": {"ListObjects": 25, "HeadObject": 25, "PutObject": 5, "CopyObject": 2}
        | {"DeleteObjects": 9, "DeleteObject": 1},
        "algorithm2": {"ListObjects": 19, "HeadObject": 19, "PutObject": 4, "CopyObject": 1}
        | {"DeleteObjects": 6, "DeleteObject": 1},
    },
    "43": {
        "algorithm1": {"ListObjects": 25, "HeadObject": 23, "PutObject": 5, "CopyObject": 2}
        | {"DeleteObjects": 1, "DeleteObject": 2},
        "algorithm2": {"ListObjects": 19, "HeadObject": 18, "PutObject": 4, "CopyObject": 1}
        | {"DeleteObjects": 1, "DeleteObject": 1},
        "magic": {"ListObjects": 16, "HeadObject": 10, "PutObject": 7, "GetObject": 2}
        | {"CreateMultipartUpload": 1, "UploadPart": 1, "CompleteMultipartUpload": 1}
        | {"ListMultipartUploads": 2, "DeleteObjects": 1, "DeleteObject": 3},
    },
}
"""What one write of one file costs with each committer; the magic one copies nothing."""


@pytest.mark.parametrize("case", TAPES)
def test_a_committer_costs_its_requests_and_no_more(spark: Facts, case: str) -> None:
    if case not in spark:
        pytest.skip("pyspark 3.3 runs no closures on this Python")
    tape: Tape = spark["tapes"][case]
    wanted = REQUESTS[spark["spark"]][case]
    assert Counter(request.action for request in tape.requests) == wanted
    level_lengths(tape)
    check_capture(tape, "s3a", VERSIONS[spark["spark"]])


def level_lengths(tape: Tape) -> None:
    """Drop the lengths of what tells of the run itself: reports with times and counts in them."""
    lengths = ("content-length", "x-amz-decoded-content-length", "range")
    for request in tape.requests:
        if re.search(r"\.pending(set)?$|/_SUCCESS$|\?delete$", request.target):
            request.headers = [
                (name, "<length>" if name in lengths else value) for name, value in request.headers
            ]
            request.body_start = re.sub(rb"^[0-9a-f]+(?=;)", b"<length>", request.body_start)


def test_the_first_committer_leaves_the_table_alone(spark: Facts) -> None:
    check_table(spark["algorithm1"]["uncommitted"], [])


def test_files_and_folders_are_handled_as_hadoop_does(spark: Facts) -> None:
    seen = spark["files"]
    assert seen["read"] == ["then kept/é b+%", "d/one"]
    assert seen["levels"] == ["copy", "e", "moved", "é b+%"]
    assert sorted(seen["deep"]) == ["copy", "moved", "three", "é b+%"]
    assert seen["left"] is False
    texts = {"kept/copy": "d/one", "kept/e/f/three": "d/e/f/three", "kept/é b+%": "kept/é b+%"}
    wanted = {
        path: hashlib.md5(f"then {text}".encode()).hexdigest() for path, text in texts.items()
    }
    assert seen["listed"] == wanted
    assert seen["uncommitted"] == [["added", path] for path in wanted]


def test_a_refusal_reaches_the_user(spark: Facts) -> None:
    denied = spark["files"]["tag"].partition("\n\tat ")[0]
    assert "java.nio.file.AccessDeniedException: fixed/table/" in denied
    assert "'fixed' is not a branch, so nothing can be written" in denied
    assert "Path does not exist: s3a://example3/files/never" in spark["files"]["absent"]


def test_the_same_works_over_tls(spark: Facts, tls_gateway: Gateway) -> None:
    assert spark["secure"] == {"rows": 60_000, "sum": 60_000 * 59_999 // 2}
    with s3_client(tls_gateway.server, tls_gateway.ca_file) as s3:
        found = s3.list_objects_v2(Bucket=REPOSITORY, Prefix="main/spark/")["Contents"]
    names = [one["Key"].removeprefix("main/spark/secure/") for one in found]
    success, part = names[-2:]
    assert (success, part[:11]) == ("_SUCCESS", "part-00000-")
    assert found[-1]["ETag"].endswith('-2"')
    # When the second Spark overwrites what the first one wrote, it may leave a folder's marker.
    assert names[:-2] in ([], ["main/spark/"])


def test_no_upload_stays_open(spark: Facts) -> None:
    assert spark["uploads"] == []


def test_markers_that_stay_are_listed_beside_their_children(spark: Facts) -> None:
    if "markers" not in spark:
        pytest.skip("hadoop 3.5 has no other way than to keep markers")
    seen = spark["markers"]
    assert seen["listed"][0] == "deep/er/"
    assert seen["listed"][1] == "deep/er/table/_SUCCESS"
    assert len(seen["listed"]) == 3
    assert seen["rows"] == 700


def test_checksums_that_follow_the_body_are_accepted(spark: Facts) -> None:
    if "checksums" not in spark:
        pytest.skip("hadoop 3.3 cannot send checksums")
    seen = spark["checksums"]
    check_large_file(seen)
    assert seen["small rows"] == 1000


def test_the_magic_committer_leaves_the_lines_and_nothing_else(spark: Facts) -> None:
    if "magic" not in spark:
        pytest.skip("pyspark 3.3 runs no closures on this Python")
    seen = spark["magic"]
    names = [each["path"].rpartition("/")[2] for each in seen["listed"]]
    assert names == ["", "_SUCCESS", "part-r-00000", "part-r-00001"]  # the folder's marker first
    assert seen["listed"][1]["size"] > 0  # this committer's report
    assert [each["checksum"][-2:] for each in seen["listed"][2:]] == ["-2", "-2"]
    assert seen["rows"] == 100


def test_a_failed_job_of_the_magic_committer_shows_nothing(spark: Facts) -> None:
    if "magic" not in spark:
        pytest.skip("pyspark 3.3 runs no closures on this Python")
    seen = spark["magic"]
    assert "Job aborted." in seen["failure"]
    assert "this row is not to be had" in seen["failure"]
    changed = [path for _, path in seen["uncommitted"] if path.startswith("failed/")]
    assert changed == ["failed/"]  # the folder's marker
    assert not [path for _, path in seen["uncommitted"] if "__magic" in path]
