"""A tour of `lakefs-sdk` 1.88, whose models are strict about types; failures too.

Usage: sdk.py ENDPOINT KEY_ID SECRET SOURCE
       sdk.py ENDPOINT KEY_ID SECRET issue              prints an address
       sdk.py ENDPOINT KEY_ID SECRET link ADDRESS MD5 SIZE
"""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lakefs_sdk
from lakefs_sdk.client import LakeFSClient

REPOSITORY = "client-two"
LINKED = "client-link"


def connect(endpoint: str, key_id: str, secret: str) -> Any:
    """Return a client."""
    return LakeFSClient(
        lakefs_sdk.Configuration(host=f"{endpoint}/api/v1", username=key_id, password=secret)
    )


def refused(status: int, function: Any, *args: Any, **kwargs: Any) -> str:
    """Return the body of a call that must fail with a status."""
    found: Any = None
    try:
        function(*args, **kwargs)
    except lakefs_sdk.ApiException as error:
        found = error
    assert found is not None, f"{function} did not fail"
    assert found.status == status, found
    return str(found.body)


def create(client: Any, name: str) -> Any:
    """Create a repository."""
    return client.repositories_api.create_repository(
        lakefs_sdk.RepositoryCreation(name=name, storage_namespace=f"local://{name}")
    )


def upload(client: Any, path: str, data: bytes, branch: str = "main", **more: Any) -> Any:
    """Upload as this client does: a form with a part `content`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "content.bin"
        file.write_bytes(data)
        return client.objects_api.upload_object(REPOSITORY, branch, path, content=str(file), **more)


def commit(client: Any, message: str, branch: str = "main", **more: Any) -> Any:
    """Commit a branch."""
    creation = lakefs_sdk.CommitCreation(message=message, **more)
    return client.commits_api.commit(REPOSITORY, branch, creation)


def repositories(client: Any) -> None:
    """Create and describe repositories."""
    api = client.repositories_api
    created = create(client, REPOSITORY)
    assert (created.id, created.default_branch, created.read_only) == (REPOSITORY, "main", False)
    assert created.storage_namespace == f"local://{REPOSITORY}"
    assert api.get_repository(REPOSITORY) == created
    found = api.list_repositories(prefix="client-t", amount=1)
    assert [one.id for one in found.results] == [REPOSITORY]
    assert api.list_repositories(search="t-tw").results == found.results
    pairs = lakefs_sdk.RepositoryMetadataSet(metadata={"a": "1", "b": "2"})
    client.internal_api.set_repository_metadata(REPOSITORY, pairs)
    keys = lakefs_sdk.RepositoryMetadataKeys(keys=["a"])
    client.internal_api.delete_repository_metadata(REPOSITORY, keys)
    assert api.get_repository_metadata(REPOSITORY) == {"b": "2"}
    refused(404, api.get_repository_metadata, "no-such-one")
    refused(501, api.set_branch_protection_rules, REPOSITORY, [])
    overlapping = lakefs_sdk.RepositoryCreation(
        name="other", storage_namespace=f"local://{REPOSITORY}/inside"
    )
    refused(400, api.create_repository, overlapping)


def objects(client: Any) -> None:
    """Write, read, list, copy, describe and delete objects."""
    api = client.objects_api
    stats = upload(client, "data/ü.txt", b"hello")
    assert (stats.size_bytes, stats.path) == (5, "data/ü.txt")
    assert bytes(api.get_object(REPOSITORY, "main", "data/ü.txt")) == b"hello"
    assert bytes(api.get_object(REPOSITORY, "main", "data/ü.txt", range="bytes=-2")) == b"lo"
    head = api.head_object_with_http_info(REPOSITORY, "main", "data/ü.txt")
    assert head.status_code == 200
    assert head.headers["ETag"] == f'"{stats.checksum}"'
    refused(412, upload, client, "data/ü.txt", b"other", if_none_match="*")
    refused(412, upload, client, "data/ü.txt", b"other", if_match='"0"')
    upload(client, "data/ü.txt", b"hello2", if_match=f'"{stats.checksum}"')
    upload(client, "data/empty", b"")
    listing = api.list_objects(REPOSITORY, "main", prefix="data/", user_metadata=False)
    assert [(one.path, one.size_bytes) for one in listing.results] == [
        ("data/empty", 0),
        ("data/ü.txt", 6),
    ]
    listing = api.list_objects(REPOSITORY, "main", delimiter="/")
    assert [(one.path, one.path_type) for one in listing.results] == [("data/", "common_prefix")]
    wanted = lakefs_sdk.UpdateObjectUserMetadata(set={"k": "v"})
    client.experimental_api.update_object_user_metadata(REPOSITORY, "main", "data/empty", wanted)
    assert api.stat_object(REPOSITORY, "main", "data/empty").metadata == {"k": "v"}
    copy = lakefs_sdk.ObjectCopyCreation(src_path="data/empty", src_ref="main", shallow=True)
    assert api.copy_object(REPOSITORY, "main", "copied", copy).metadata == {"k": "v"}
    assert api.get_underlying_properties(REPOSITORY, "main", "copied").storage_class is None
    api.delete_object(REPOSITORY, "main", "copied")
    refused(404, api.stat_object, REPOSITORY, "main", "copied")
    refused(400, api.stat_object, REPOSITORY, "main", "data/empty", presign=True)
    paths = lakefs_sdk.PathList(paths=["data/empty", "missing"])
    assert api.delete_objects(REPOSITORY, "main", paths).errors == []
    too_many = lakefs_sdk.PathList(paths=[f"p{number}" for number in range(1_001)])
    refused(400, api.delete_objects, REPOSITORY, "main", too_many)
    refused(404, api.list_objects, REPOSITORY, "nowhere")


def history(client: Any) -> None:
    """Commit, log, diff, tag."""
    first = commit(client, "first", metadata={"k": "v"})
    assert (first.committer, first.metadata, first.meta_range_id) == ("docker", {"k": "v"}, "")
    assert client.commits_api.get_commit(REPOSITORY, first.id[:12]).id == first.id
    refused(400, commit, client, "nothing")
    empty = commit(client, "empty", allow_empty=True, var_date=86_400)
    assert empty.creation_date == 86_400
    for name in ("a/1", "a/2", "b/1"):
        upload(client, name, name.encode())
        commit(client, name)
    api = client.refs_api

    def messages(**query: Any) -> list[str]:
        return [one.message for one in api.log_commits(REPOSITORY, "main", **query).results]

    assert messages(amount=2) == ["b/1", "a/2"]
    assert messages(prefixes=["a/"]) == ["a/2", "a/1"]
    assert messages(objects=["b/1", "a/1"]) == ["b/1", "a/1"]
    assert messages(amount=1, limit=True) == ["b/1"]
    assert messages(stop_at=first.id)[-1] == "first"
    long_ago = datetime.now(UTC) - timedelta(days=1)
    assert "empty" not in messages(since=long_ago)
    refused(404, api.log_commits, REPOSITORY, "nowhere")
    diff = api.diff_refs(REPOSITORY, "main~2", "main", include_right_stats=True)
    assert [(one.type, one.path, one.right.content_type) for one in diff.results] == [
        ("added", "a/2", "application/octet-stream"),
        ("added", "b/1", "application/octet-stream"),
    ]
    rolled = api.diff_refs(REPOSITORY, "main~3", "main", delimiter="/", type="two_dot")
    assert [(one.path, one.path_type) for one in rolled.results] == [
        ("a/", "common_prefix"),
        ("b/", "common_prefix"),
    ]
    tags = client.tags_api
    assert tags.create_tag(REPOSITORY, lakefs_sdk.TagCreation(id="v1", ref="main~1")).id == "v1"
    refused(409, tags.create_tag, REPOSITORY, lakefs_sdk.TagCreation(id="v1", ref="main"))
    assert [one.id for one in tags.list_tags(REPOSITORY, prefix="v").results] == ["v1"]
    refused(403, upload, client, "x", b"x", "v1")
    tags.delete_tag(REPOSITORY, "v1")
    refused(404, tags.get_tag, REPOSITORY, "v1")


def branches(client: Any) -> None:
    """Branch, merge, conflict, reset, hard reset, revert, cherry-pick."""
    api, refs = client.branches_api, client.refs_api
    creation = lakefs_sdk.BranchCreation(name="feature/one", source="main")
    head = api.create_branch(REPOSITORY, creation)
    assert api.get_branch(REPOSITORY, "feature/one").commit_id == head
    refused(409, api.create_branch, REPOSITORY, creation)
    hidden = lakefs_sdk.BranchCreation(name="hidden", source="main", hidden=True)
    api.create_branch(REPOSITORY, hidden)
    assert [one.id for one in api.list_branches(REPOSITORY).results] == ["feature/one", "main"]
    assert len(api.list_branches(REPOSITORY, show_hidden=True).results) == 3
    for branch in ("main", "feature/one"):
        upload(client, "both", branch.encode(), branch)
        assert api.diff_branch(REPOSITORY, branch).results[0].type == "added"
        commit(client, f"on {branch}", branch)
    assert "both" in refused(409, refs.merge_into_branch, REPOSITORY, "feature/one", "main")
    base = refs.find_merge_base(REPOSITORY, "feature/one", "main")
    assert base.base_commit_id == head
    merge = lakefs_sdk.Merge(message="squashed", strategy="dest-wins", squash_merge=True)
    reference = refs.merge_into_branch(REPOSITORY, "feature/one", "main", merge=merge).reference
    assert client.commits_api.get_commit(REPOSITORY, reference).message == "squashed"
    upload(client, "both", b"dirty")
    refused(400, refs.merge_into_branch, REPOSITORY, "feature/one", "main")
    reset = lakefs_sdk.ResetCreation(type="object", path="both")
    api.reset_branch(REPOSITORY, "main", reset)
    assert bytes(client.objects_api.get_object(REPOSITORY, "main", "both")) == b"main"
    upload(client, "new", b"1", "feature/one")
    picked = commit(client, "picked", "feature/one")
    pick = lakefs_sdk.CherryPickCreation(ref=picked.id)
    assert api.cherry_pick(REPOSITORY, "main", pick).message == "picked"
    api.revert_branch(REPOSITORY, "main", lakefs_sdk.RevertCreation(ref="main", parent_number=0))
    refused(404, client.objects_api.stat_object, REPOSITORY, "main", "new")
    client.experimental_api.hard_reset_branch(REPOSITORY, "main", ref="main~1")
    assert client.objects_api.stat_object(REPOSITORY, "main", "new").size_bytes == 1
    api.delete_branch(REPOSITORY, "feature/one")
    refused(400, api.delete_branch, REPOSITORY, "main")


def imported(client: Any, source: str) -> None:
    """Import a folder and one file without copying them."""
    api = client.import_api
    paths = [
        lakefs_sdk.ImportLocation(type="common_prefix", path=source, destination="in/"),
        lakefs_sdk.ImportLocation(type="object", path=f"{source}one.txt", destination="single.txt"),
    ]
    creation = lakefs_sdk.ImportCreation(
        paths=paths, commit=lakefs_sdk.CommitCreation(message="imported", metadata={"k": "v"})
    )
    started = api.import_start(REPOSITORY, "main", creation)
    while not (status := api.import_status(REPOSITORY, "main", started.id)).completed:
        assert status.error is None, status
    assert status.ingested_objects == 3
    assert status.commit.metadata["k"] == "v"
    assert isinstance(status.update_time, datetime)
    read = client.objects_api.get_object(REPOSITORY, "main", "single.txt")
    assert bytes(read) == b"one"
    elsewhere = lakefs_sdk.ImportLocation(
        type="common_prefix", path="local:///etc/", destination="etc/"
    )
    forbidden = lakefs_sdk.ImportCreation(
        paths=[elsewhere], commit=lakefs_sdk.CommitCreation(message="m")
    )
    refused(403, api.import_start, REPOSITORY, "main", forbidden)


def server(client: Any, endpoint: str, key_id: str, secret: str) -> None:
    """Ask for configuration and metadata; log in with a token."""
    config = client.config_api.get_config()
    assert config.storage_config.pre_sign_support is False
    assert config.storage_config_list[0] == config.storage_config
    assert config.version_config.version
    assert client.internal_api.get_setup_state().state == "initialized"
    setup = lakefs_sdk.Setup(username="again")
    refused(409, client.internal_api.setup, setup)
    client.health_check_api.health_check()
    metarange = client.commits_api.get_commit(REPOSITORY, "main").meta_range_id
    location = client.metadata_api.get_meta_range(REPOSITORY, metarange).location
    assert location == f"local://{REPOSITORY}/_lakefs/{metarange}"
    refused(404, client.metadata_api.get_range, REPOSITORY, "0" * 64)
    login = lakefs_sdk.LoginInformation(access_key_id=key_id, secret_access_key=secret)
    token = client.auth_api.login(login)
    assert token.token_expiration > 0
    with_token = LakeFSClient(
        lakefs_sdk.Configuration(host=f"{endpoint}/api/v1", access_token=token.token)
    )
    assert with_token.auth_api.get_current_user().user.id == "docker"
    refused(501, client.auth_api.list_groups)
    refused(501, client.actions_api.list_repository_runs, REPOSITORY)
    refused(401, connect(endpoint, key_id, "wrong").repositories_api.list_repositories)


def issue(client: Any) -> None:
    """Print an address that takes the bytes of `linked`."""
    create(client, LINKED)
    location = client.staging_api.get_physical_address(LINKED, "main", "linked", presign=False)
    assert location.presigned_url is None
    print(location.physical_address)


def link(client: Any, address: str, checksum: str, size_bytes: str) -> None:
    """Link bytes that somebody wrote to an issued address."""
    api = client.staging_api
    staging = lakefs_sdk.StagingMetadata(
        staging=lakefs_sdk.StagingLocation(physical_address=address),
        checksum=checksum,
        size_bytes=int(size_bytes),
        content_type="text/plain",
        user_metadata={"k": "v"},
    )
    stats = api.link_physical_address(LINKED, "main", "linked", staging)
    assert (stats.physical_address, stats.content_type) == (address, "text/plain")
    assert stats.metadata == {"k": "v"}
    refused(400, api.link_physical_address, LINKED, "main", "linked", staging)
    sys.stdout.write(bytes(client.objects_api.get_object(LINKED, "main", "linked")).decode())


def main(endpoint: str, key_id: str, secret: str, what: str, *more: str) -> None:
    """Run the tour, or one part of linking."""
    client = connect(endpoint, key_id, secret)
    if what == "issue":
        issue(client)
        return
    if what == "link":
        link(client, *more)
        return
    repositories(client)
    objects(client)
    history(client)
    branches(client)
    imported(client, what)
    server(client, endpoint, key_id, secret)
    client.repositories_api.delete_repository(REPOSITORY, force=True)
    refused(404, client.repositories_api.get_repository, REPOSITORY)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
