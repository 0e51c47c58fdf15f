"""`anabranch doctor --verify` finds every kind of damage, and names what is damaged."""

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anabranch.kernel.commits import Commit
from anabranch.kernel.ids import BranchId, CommitId, RepositoryId, TagId, UploadId
from anabranch.lake import keyspace, records
from anabranch.lake.upload_records import decode_part
from anabranch.lake.values import Repository
from anabranch.maintenance import Verifier
from anabranch.settings import Settings
from anabranch.storage.blocks import index
from anabranch.storage.blocks.base import Extent
from anabranch.storage.kv.base import Request, Row, delete, put, scan_prefix
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.stores import open_stores
from tests.kills.bodies import make_body, state_of
from tests.kills.client import REPOSITORY
from tests.kills.objects import completion
from tests.kills.wire import S3, Key, Rest
from tests.support.server import start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_PART_BYTES = 5 * 1024**2
_LARGE_BYTES = 200_000


@dataclass(frozen=True)
class Filled:
    """A directory with one of everything; `upload` is open and has one part."""

    data: Path
    upload: UploadId

    @contextlib.contextmanager
    def kv(self) -> Iterator[SqliteKV]:
        """Open the KV store to damage it."""
        opened = SqliteKV(self.data / "kv.db")
        yield opened
        opened.close()

    def repository(self, kv: SqliteKV) -> Repository:
        """Return the record of the repository."""
        name = RepositoryId(REPOSITORY)
        row = kv.read((keyspace.repository(name),)).values[0]
        assert row is not None
        return records.decode_repository(name, row.value, row.version)

    def address(self, path: str) -> str:
        """Return the physical address of an object of main."""
        return (self.data.parent / "addresses" / path).read_text()

    def files(self, address: str) -> list[Path]:
        """Return the files that an object's bytes are in."""
        return [self.file(extent) for extent in self.extents(address)]

    def extents(self, address: str) -> tuple[Extent, ...]:
        """Return where an object's bytes are."""
        with self.kv() as kv:
            block = index.find_block(kv, address)
        assert block is not None
        return block.extents

    def file(self, extent: Extent) -> Path:
        """Return the file of an extent."""
        (found,) = (self.data / "blocks").rglob(extent.file[-32:])
        return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Fill a directory through a real server, once."""
    folder = tmp_path_factory.mktemp("sound")
    with start_server(folder / "data") as server:
        stopping = threading.Event()
        ports = (server.endpoints["api"]["port"], server.endpoints["raw"]["port"])
        api = Key("127.0.0.1", ports[0], server.access_key, server.secret_key)
        raw = Key("127.0.0.1", ports[1], server.raw_access_key, server.raw_secret_key)
        lake, rest = S3(api, REPOSITORY, stopping), Rest(api, stopping)
        for number in range(5):
            lake.send("PUT", f"main/small/{number}", body=b"s" * (100 + number))
        lake.send("PUT", "main/large", body=make_body("large", 1, _LARGE_BYTES))
        parts = [make_body("multi", 1, _PART_BYTES), make_body("multi", 2, 100_000)]
        upload = _upload(lake, "main/multi", parts)
        body = completion([state_of(part)[0] for part in parts])
        assert lake.send("POST", "main/multi", {"uploadId": upload}, body).status == 200
        here = f"repositories/{REPOSITORY}"
        made = rest.send("POST", f"{here}/branches/main/commits", {"message": "one"})
        rest.send("POST", f"{here}/tags", {"id": "one", "ref": made.json["id"]})
        lake.send("PUT", "main/staged", body=b"staged")
        open_upload = _upload(lake, "main/open", [make_body("open", 1, _LARGE_BYTES)])
        plain = S3(raw, "plain", stopping)
        plain.send("PUT", "")
        plain.send("PUT", "file", body=make_body("file", 1, _LARGE_BYTES))
        for path in ("small/2", "large", "multi", "staged"):
            found = rest.send("GET", f"{here}/refs/main/objects/stat", query={"path": path})
            target = folder / "addresses" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(found.json["physical_address"])
        for connection in (lake, rest, plain):
            connection.close()
    return Filled(folder / "data", UploadId(open_upload))


def _upload(s3: S3, path: str, parts: list[bytes]) -> str:
    upload = s3.send("POST", path, {"uploads": ""}).xml.findtext("UploadId") or ""
    for number, part in enumerate(parts, 1):
        query = {"partNumber": str(number), "uploadId": upload}
        assert s3.send("PUT", path, query, part).status == 200
    return upload


@pytest.fixture
def filled(sound: Filled, tmp_path: Path) -> Filled:
    """A copy to damage."""
    shutil.copytree(sound.data.parent, tmp_path / "copy")
    return Filled(tmp_path / "copy" / "data", sound.upload)


def verify(data: Path, *options: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "anabranch", "doctor", "--data", str(data), "--verify", "--json"]
        + list(options),
        capture_output=True,
        check=False,
        timeout=120,
    )
    said = done.stdout.decode() + done.stderr.decode()
    if done.returncode in (0, 1):
        # What is wrong is told by findings, not by a failure of the command.
        problems = [one for one in json.loads(done.stdout) if one["is_good"] is False]
        assert bool(problems) == bool(done.returncode), said
    return done.returncode, said


def _problems(filled: Filled, *, has_checksums: bool = False) -> list[str]:
    """Verify without a process of its own, which is all that takes time."""
    stores = open_stores(Settings(data=filled.data))
    try:
        reports = Verifier(stores, has_checksums=has_checksums).reports()
        return [problem for report in reports for problem in report.problems]
    finally:
        stores.close()


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def _head(filled: Filled, kv: SqliteKV) -> Commit:
    incarnation = filled.repository(kv).incarnation
    branch = kv.read((keyspace.branch(incarnation, BranchId("main")),)).values[0]
    assert branch is not None
    head = records.decode_branch(branch.value).head
    row = kv.read((keyspace.commit(incarnation, head),)).values[0]
    assert row is not None
    return records.decode_commit_record(head, row.value)[0]


def _staged(filled: Filled, kv: SqliteKV) -> Row:
    incarnation = filled.repository(kv).incarnation
    branch = kv.read((keyspace.branch(incarnation, BranchId("main")),)).values[0]
    assert branch is not None
    prefix = keyspace.staging(records.decode_branch(branch.value).token)
    (row,) = kv.read((), [scan_prefix(prefix, limit=2)]).scans[0]
    return row


def _metadata_address(filled: Filled, *, is_range: bool) -> str:
    with filled.kv() as kv:
        metarange = f"s3://{REPOSITORY}/_lakefs/{_head(filled, kv).metarange}"
        found = index.list_blocks(kv, REPOSITORY, prefix="_lakefs/", after="", amount=10).items
    (other,) = [block.address for block in found if block.address != metarange]
    return other if is_range else metarange


# Each damages a directory and returns what the report has to name.
Damage = Callable[[Filled], str]


def delete_a_file(filled: Filled) -> str:
    (file,) = filled.files(filled.address("large"))
    file.unlink()
    return "large: "


def shorten_a_file(filled: Filled) -> str:
    (file,) = filled.files(filled.address("large"))
    file.write_bytes(file.read_bytes()[:-1])
    return "large: "


def delete_the_first_part(filled: Filled) -> str:
    filled.files(filled.address("multi"))[0].unlink()
    return "multi: "


def truncate_a_segment(filled: Filled) -> str:
    (extent,) = filled.extents(filled.address("small/2"))
    with filled.file(extent).open("r+b") as file:
        file.truncate(extent.offset + extent.length - 1)
    return "small/2: "


def flip_a_byte_of_a_range(filled: Filled) -> str:
    address = _metadata_address(filled, is_range=True)
    (file,) = filled.files(address)
    _flip(file, file.read_bytes().index(b"small/0"))
    return address.rpartition("/")[2]


def delete_the_file_of_a_metarange(filled: Filled) -> str:
    address = _metadata_address(filled, is_range=False)
    filled.files(address)[0].unlink()
    with filled.kv() as kv:
        return f"commit {_head(filled, kv).id}"


def remove_the_index_row_of_an_object(filled: Filled) -> str:
    return _remove_index_row(filled, filled.address("small/2"))


def remove_the_index_row_of_what_is_staged(filled: Filled) -> str:
    return _remove_index_row(filled, filled.address("staged"))


def remove_the_index_row_of_a_range(filled: Filled) -> str:
    return _remove_index_row(filled, _metadata_address(filled, is_range=True)).rpartition("/")[2]


def _remove_index_row(filled: Filled, address: str) -> str:
    with filled.kv() as kv:
        kv.apply([Request((), [delete(index.object_key(address))])])
    return address


def remove_a_head(filled: Filled) -> str:
    with filled.kv() as kv:
        head = _head(filled, kv).id
        incarnation = filled.repository(kv).incarnation
        kv.apply([Request((), [delete(keyspace.commit(incarnation, head))])])
    return f"branch main: no commit {head}"


def remove_the_commit_of_a_tag(filled: Filled) -> str:
    remove_a_head(filled)
    return "tag one: no commit"


def remove_a_parent(filled: Filled) -> str:
    with filled.kv() as kv:
        commit = _head(filled, kv)
        incarnation = filled.repository(kv).incarnation
        kv.apply([Request((), [delete(keyspace.commit(incarnation, commit.parents[0]))])])
    return f"commit {commit.id}: no parent {commit.parents[0]}"


def point_a_tag_nowhere(filled: Filled) -> str:
    with filled.kv() as kv:
        key = keyspace.tag(filled.repository(kv).incarnation, TagId("one"))
        row = kv.read((key,)).values[0]
        assert row is not None
        value = row.value.replace(_head(filled, kv).id.encode(), CommitId("f" * 64).encode())
        assert value != row.value
        kv.apply([Request((), [put(key, value)])])
    return f"tag one: no commit {'f' * 64}"


def damage_a_staging_row(filled: Filled) -> str:
    with filled.kv() as kv:
        row = _staged(filled, kv)
        kv.apply([Request((), [put(row.key, row.value[:-3])])])
    return "staged: "


def damage_a_branch(filled: Filled) -> str:
    with filled.kv() as kv:
        key = keyspace.branch(filled.repository(kv).incarnation, BranchId("main"))
        kv.apply([Request((), [put(key, b"\x01\xc1")])])
    return "branch main: "


def delete_a_file_of_the_raw_store(filled: Filled) -> str:
    filled.files("s3://plain/file")[0].unlink()
    return "s3://plain/file: "


def delete_a_part_of_an_open_upload(filled: Filled) -> str:
    key = keyspace.upload_part(filled.upload, 1)
    with filled.kv() as kv:
        row = kv.read((key,)).values[0]
        assert row is not None
        part = decode_part(1, row.value, row.version)
    filled.file(part.extents[0]).unlink()
    return f"part 1 of upload {filled.upload}"


DAMAGES: tuple[Damage, ...] = (
    delete_a_file,
    shorten_a_file,
    delete_the_first_part,
    truncate_a_segment,
    flip_a_byte_of_a_range,
    delete_the_file_of_a_metarange,
    remove_the_index_row_of_an_object,
    remove_the_index_row_of_what_is_staged,
    remove_the_index_row_of_a_range,
    remove_a_head,
    remove_the_commit_of_a_tag,
    remove_a_parent,
    point_a_tag_nowhere,
    damage_a_staging_row,
    damage_a_branch,
    delete_a_file_of_the_raw_store,
    delete_a_part_of_an_open_upload,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(filled: Filled, damage: Damage) -> None:
    assert not _problems(filled)
    named = damage(filled)
    problems = _problems(filled)
    assert any(named in problem for problem in problems), problems


@pytest.mark.parametrize(
    "damage",
    [
        delete_a_file,
        flip_a_byte_of_a_range,
        truncate_a_segment,
        remove_the_index_row_of_an_object,
        delete_a_file_of_the_raw_store,
    ],
)
def test_the_command_names_damage_and_ends_with_1(filled: Filled, damage: Damage) -> None:
    named = damage(filled)
    code, said = verify(filled.data)
    assert code == 1, said
    assert named in said


def test_a_sound_directory_has_no_problem(filled: Filled) -> None:
    code, said = verify(filled.data, "--checksums")
    assert code == 0, said


@pytest.mark.parametrize("path", ["small/2", "large", "multi"])
def test_a_flipped_byte_is_found_by_checksums(filled: Filled, path: str) -> None:
    extent = filled.extents(filled.address(path))[0]
    _flip(filled.file(extent), extent.offset + 10)
    assert not _problems(filled)
    (problem,) = _problems(filled, has_checksums=True)
    assert problem.startswith(f"{path}: {filled.address(path)}: MD5")


@pytest.mark.parametrize("is_range", [True, False], ids=["range", "metarange"])
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.97])
def test_any_flipped_byte_of_metadata_is_found_by_checksums(
    filled: Filled, place: float, is_range: bool
) -> None:
    address = _metadata_address(filled, is_range=is_range)
    (file,) = filled.files(address)
    _flip(file, int(file.stat().st_size * place))
    problems = _problems(filled, has_checksums=True)
    assert any(address.rpartition("/")[2] in problem for problem in problems), problems


def test_a_damaged_store_ends_with_an_error(filled: Filled) -> None:
    (filled.data / "kv.db").write_bytes(b"no database" * 1_000)
    code, said = verify(filled.data)
    assert code == 1, said
    assert "kv.db" in said


@pytest.mark.parametrize("is_range", [True, False], ids=["range", "metarange"])
def test_lost_metadata_does_not_make_objects_absent(filled: Filled, is_range: bool) -> None:
    _remove_index_row(filled, _metadata_address(filled, is_range=is_range))
    with start_server(filled.data) as server:
        key = Key(
            "127.0.0.1", server.endpoints["api"]["port"], server.access_key, server.secret_key
        )
        with contextlib.closing(S3(key, REPOSITORY, threading.Event())) as lake:
            assert lake.send("GET", "main/large").status == 500
            assert lake.send("GET", "", {"list-type": "2", "prefix": "main/"}).status == 500
