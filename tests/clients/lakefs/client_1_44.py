"""A tour of `lakefs_client` 1.44.0: what the notebook calls, the rest of its API, failures.

Usage: client_1_44.py ENDPOINT KEY_ID SECRET SOURCE
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import lakefs_client
from lakefs_client import models
from lakefs_client.api import (
    auth_api,
    branches_api,
    commits_api,
    config_api,
    health_check_api,
    import_api,
    metadata_api,
    objects_api,
    refs_api,
    repositories_api,
    staging_api,
    tags_api,
)
from lakefs_client.client import LakeFSClient

REPOSITORY = "client-one"


def connect(endpoint: str, key_id: str, secret: str) -> tuple[Any, Any]:
    """Return the high-level client and a plain one over the same configuration."""
    configuration = lakefs_client.Configuration(host=endpoint, username=key_id, password=secret)
    client = LakeFSClient(configuration)
    return client, lakefs_client.ApiClient(configuration)


def refused(status: int, function: Any, *args: Any, **kwargs: Any) -> str:
    """Return the message of a call that must fail with a status."""
    found: Any = None
    try:
        function(*args, **kwargs)
    except lakefs_client.ApiException as error:
        found = error
    assert found is not None, f"{function} did not fail"
    assert found.status == status, found
    assert '"message"' in found.body, found.body
    return str(found.body)


def upload(api: Any, path: str, data: bytes, branch: str = "main") -> Any:
    """Upload as this client does: a form with a part `content`."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        with open(file.name, "rb") as content:
            return api.upload_object(REPOSITORY, branch, path, content=content)


def repositories(plain: Any) -> None:
    """Create and read repositories."""
    api = repositories_api.RepositoriesApi(plain)
    creation = models.RepositoryCreation(
        name=REPOSITORY, storage_namespace=f"s3://{REPOSITORY}", default_branch="main"
    )
    created = api.create_repository(creation)
    assert created.to_dict() == {
        "id": REPOSITORY,
        "creation_date": created.creation_date,
        "default_branch": "main",
        "storage_namespace": f"s3://{REPOSITORY}",
        "read_only": False,
    }
    refused(409, api.create_repository, creation)
    assert REPOSITORY in [one.id for one in api.list_repositories().results]
    assert api.get_repository(REPOSITORY).id == REPOSITORY
    assert api.get_repository_metadata(REPOSITORY).to_dict() == {}
    refused(404, api.get_repository, "no-such-one")
    refused(501, api.get_gc_rules, REPOSITORY)


def objects(plain: Any) -> None:
    """Write, read, list, copy and delete objects."""
    api = objects_api.ObjectsApi(plain)
    stats = upload(api, "data/a b.txt", b"hello")
    assert stats.to_dict() == {
        "path": "data/a b.txt",
        "path_type": "object",
        "physical_address": stats.physical_address,
        "checksum": "5d41402abc4b2a76b9719d911017c592",
        "mtime": stats.mtime,
        "size_bytes": 5,
        "content_type": "application/octet-stream",
    }
    upload(api, "data/large.bin", bytes(3 * 1024**2))
    assert api.get_object(REPOSITORY, "main", "data/a b.txt").read() == b"hello"
    part = api.get_object(REPOSITORY, "main", "data/a b.txt", range="bytes=1-3")
    assert part.read() == b"ell"
    api.head_object(REPOSITORY, "main", "data/a b.txt")
    found = api.stat_object(REPOSITORY, "main", "data/large.bin")
    assert found.size_bytes == 3 * 1024**2
    copy = models.ObjectCopyCreation(src_path="data/a b.txt")
    copied = api.copy_object(REPOSITORY, "main", "copy.txt", copy)
    assert copied.physical_address == stats.physical_address
    listing = api.list_objects(REPOSITORY, "main", delimiter="/")
    assert [(one.path, one.path_type) for one in listing.results] == [
        ("copy.txt", "object"),
        ("data/", "common_prefix"),
    ]
    listing = api.list_objects(REPOSITORY, "main", amount=1)
    assert listing.pagination.to_dict() == {
        "has_more": True,
        "next_offset": "copy.txt",
        "results": 1,
        "max_per_page": 1000,
    }
    assert api.get_underlying_properties(REPOSITORY, "main", "copy.txt").to_dict() == {}
    api.delete_object(REPOSITORY, "main", "copy.txt")
    paths = models.PathList(paths=["data/large.bin", "missing"])
    assert api.delete_objects(REPOSITORY, "main", paths).errors == []
    refused(404, api.stat_object, REPOSITORY, "main", "copy.txt")
    refused(404, api.get_object, REPOSITORY, "nowhere", "copy.txt")
    refused(416, api.get_object, REPOSITORY, "main", "data/a b.txt", range="bytes=9-")


def notebook(client: Any, plain: Any) -> None:
    """Do what the notebook does, by its calls."""
    assert [one.id for one in client.branches.list_branches(REPOSITORY).results] == ["main"]
    listed = client.objects.list_objects(REPOSITORY, "main").results
    assert [one.path for one in listed] == ["data/a b.txt"]
    branches = branches_api.BranchesApi(plain)
    diff = branches.diff_branch(REPOSITORY, "main")
    assert diff.pagination.results == 1
    assert diff.results[0].to_dict() == {
        "path": "data/a b.txt",
        "path_type": "object",
        "size_bytes": 5,
        "type": "added",
    }
    creation = models.CommitCreation(message="first", metadata={"foo": "bar"})
    commit = commits_api.CommitsApi(plain).commit(REPOSITORY, "main", creation)
    assert set(commit.to_dict()) == {
        "committer", "creation_date", "id", "message", "meta_range_id", "metadata", "parents",
    }  # fmt: skip
    assert (commit.committer, commit.meta_range_id) == ("docker", "")
    assert branches.diff_branch(REPOSITORY, "main").pagination.results == 0
    made = branches.create_branch(REPOSITORY, models.BranchCreation(name="dev", source="main"))
    assert made == commit.id
    upload(objects_api.ObjectsApi(plain), "new.txt", b"12", "dev")
    commits_api.CommitsApi(plain).commit(REPOSITORY, "dev", models.CommitCreation(message="two"))
    merged = client.refs.merge_into_branch(
        repository=REPOSITORY, source_ref="dev", destination_branch="main"
    )
    assert merged.to_dict()["summary"] == {"added": 1, "changed": 0, "conflict": 0, "removed": 0}
    assert client.refs.log_commits(REPOSITORY, "main").results[0].id == merged.reference


def refs(plain: Any) -> None:
    """Branch, diff, merge with conflict, reset, revert, cherry-pick, tag."""
    branches, commits = branches_api.BranchesApi(plain), commits_api.CommitsApi(plain)
    files, all_refs = objects_api.ObjectsApi(plain), refs_api.RefsApi(plain)
    refused(
        409, branches.create_branch, REPOSITORY, models.BranchCreation(name="dev", source="main")
    )
    assert branches.get_branch(REPOSITORY, "dev").id == "dev"
    for branch in ("main", "dev"):
        upload(files, "both.txt", branch.encode(), branch)
        commits.commit(REPOSITORY, branch, models.CommitCreation(message=f"on {branch}"))
    changes = all_refs.diff_refs(REPOSITORY, "main", "dev").results
    assert [(one.type, one.path) for one in changes] == [("added", "both.txt")]
    conflict = refused(409, all_refs.merge_into_branch, REPOSITORY, "dev", "main")
    assert "both.txt" in conflict
    base = all_refs.find_merge_base(REPOSITORY, "dev", "main")
    assert base.base_commit_id == commits.get_commit(REPOSITORY, "dev~1").id
    merge = models.Merge(message="dev wins", strategy="source-wins")
    all_refs.merge_into_branch(REPOSITORY, "dev", "main", merge=merge)
    assert files.get_object(REPOSITORY, "main", "both.txt").read() == b"dev"
    upload(files, "forgotten.txt", b"x")
    branches.reset_branch(REPOSITORY, "main", models.ResetCreation(type="reset"))
    refused(404, files.stat_object, REPOSITORY, "main", "forgotten.txt")
    revert = models.RevertCreation(ref="main", parent_number=1)
    branches.revert_branch(REPOSITORY, "main", revert)
    assert files.get_object(REPOSITORY, "main", "both.txt").read() == b"main"
    upload(files, "picked.txt", b"p", "dev")
    commits.commit(REPOSITORY, "dev", models.CommitCreation(message="to be picked"))
    picked = branches.cherry_pick(REPOSITORY, "main", models.CherryPickCreation(ref="dev"))
    assert picked.message == "to be picked"
    tags = tags_api.TagsApi(plain)
    assert tags.create_tag(REPOSITORY, models.TagCreation(id="v1", ref="main")).id == "v1"
    assert [one.id for one in tags.list_tags(REPOSITORY).results] == ["v1"]
    assert tags.get_tag(REPOSITORY, "v1").commit_id == picked.id
    tags.delete_tag(REPOSITORY, "v1")
    refused(404, tags.get_tag, REPOSITORY, "v1")
    refused(400, commits.commit, REPOSITORY, "main", models.CommitCreation(message="nothing"))
    branches.delete_branch(REPOSITORY, "dev")
    refused(404, branches.get_branch, REPOSITORY, "dev")


def imported(plain: Any, source: str) -> None:
    """Import a folder without copying it."""
    api = import_api.ImportApi(plain)
    location = models.ImportLocation(type="common_prefix", path=source, destination="in/")
    creation = models.ImportCreation(
        paths=[location], commit=models.CommitCreation(message="imported")
    )
    started = api.import_start(REPOSITORY, "main", creation)
    while not (status := api.import_status(REPOSITORY, "main", started.id)).completed:
        assert "error" not in status.to_dict(), status
    assert status.ingested_objects == 2
    assert status.commit.message == "imported"
    found = objects_api.ObjectsApi(plain).get_object(REPOSITORY, "main", "in/one.txt")
    assert found.read() == b"one"
    refused(409, api.import_cancel, REPOSITORY, "main", started.id)
    refused(404, api.import_status, REPOSITORY, "main", "0" * 32)


def rest(plain: Any) -> None:
    """Ask for configuration, metadata files and addresses; log in."""
    config = config_api.ConfigApi(plain).get_config()
    assert config.storage_config.pre_sign_support is False
    assert config.storage_config.blockstore_type == "local"
    health_check_api.HealthCheckApi(plain).health_check()
    commit = commits_api.CommitsApi(plain).get_commit(REPOSITORY, "main")
    location = metadata_api.MetadataApi(plain).get_meta_range(REPOSITORY, commit.meta_range_id)
    assert location.location == f"s3://{REPOSITORY}/_lakefs/{commit.meta_range_id}"
    address = staging_api.StagingApi(plain).get_physical_address(REPOSITORY, "main", "linked")
    assert address.physical_address.startswith(f"s3://{REPOSITORY}/")
    metadata = models.StagingMetadata(
        staging=models.StagingLocation(physical_address=address.physical_address),
        checksum="0" * 32,
        size_bytes=1,
    )
    staging = staging_api.StagingApi(plain)
    refused(400, staging.link_physical_address, REPOSITORY, "main", "linked", metadata)
    assert auth_api.AuthApi(plain).get_current_user().user.id == "docker"
    refused(501, auth_api.AuthApi(plain).list_users)


def strangers(endpoint: str) -> None:
    """Be refused without a valid key."""
    _, plain = connect(endpoint, "nobody", "nothing")
    refused(401, repositories_api.RepositoriesApi(plain).list_repositories)


def main(endpoint: str, key_id: str, secret: str, source: str) -> None:
    """Run the tour."""
    client, plain = connect(endpoint, key_id, secret)
    repositories(plain)
    objects(plain)
    notebook(client, plain)
    refs(plain)
    imported(plain, source)
    rest(plain)
    strangers(endpoint)
    repositories_api.RepositoriesApi(plain).delete_repository(REPOSITORY)
    refused(404, repositories_api.RepositoriesApi(plain).get_repository, REPOSITORY)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
