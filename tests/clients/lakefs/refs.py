"""Dump and restore of refs, symlink files and user metadata with `lakefs-sdk` 1.88.

Usage: refs.py ENDPOINT KEY_ID SECRET
"""

import sys
import threading
from typing import Any

import lakefs_sdk
from lakefs_sdk.client import LakeFSClient

REPOSITORY = "client-refs"
RESTORED = "client-refs-restored"
NAMESPACE = f"local://{REPOSITORY}"


def refused(status: int, function: Any, *args: Any, **kwargs: Any) -> None:
    """Want a call to fail with a status."""
    found: Any = None
    try:
        function(*args, **kwargs)
    except lakefs_sdk.ApiException as error:
        found = error
    assert found is not None, f"{function} did not fail"
    assert found.status == status, found


def waited(ask: Any, repository: str, task: Any) -> Any:
    """Return the status of a task that is over."""
    pause = threading.Event()
    for _ in range(600):
        status = ask(repository, task_id=task.id)
        if status.done:
            return status
        pause.wait(0.05)
    raise AssertionError("the task does not end")


def create(client: Any, name: str, **more: Any) -> None:
    """Create a repository on the one namespace."""
    creation = lakefs_sdk.RepositoryCreation(name=name, storage_namespace=NAMESPACE)
    client.repositories_api.create_repository(creation, **more)


def fill(client: Any) -> None:
    """Make commits, a branch and a tag."""
    for number in range(3):
        path = f"t/day={number}/part"
        client.objects_api.upload_object(REPOSITORY, "main", path, content=f"{number}".encode())
        creation = lakefs_sdk.CommitCreation(message=f"day {number}", metadata={"n": str(number)})
        client.commits_api.commit(REPOSITORY, "main", creation)
    branch = lakefs_sdk.BranchCreation(name="dev", source="main~1")
    client.branches_api.create_branch(REPOSITORY, branch)
    client.tags_api.create_tag(REPOSITORY, lakefs_sdk.TagCreation(id="v1", ref="main"))


def seen(client: Any, repository: str) -> Any:
    """Return what a repository's refs are."""
    return (
        client.branches_api.list_branches(repository).results,
        client.tags_api.list_tags(repository).results,
        client.refs_api.log_commits(repository, "main").results,
        [one.path for one in client.objects_api.list_objects(repository, "main").results],
    )


def metadata(client: Any) -> None:
    """Replace an object's metadata."""
    api, path = client.objects_api, "t/day=0/part"
    before = api.stat_object(REPOSITORY, "main", path)
    update = lakefs_sdk.UpdateObjectUserMetadata(set={"a": "1"})
    api.update_object_user_metadata(REPOSITORY, "main", path, update)
    after = api.stat_object(REPOSITORY, "main", path)
    assert after.metadata == {"a": "1"}
    assert after.physical_address == before.physical_address
    (change,) = client.branches_api.diff_branch(REPOSITORY, "main").results
    assert (change.type, change.path) == ("changed", path)
    refused(404, api.update_object_user_metadata, REPOSITORY, "main", "none", update)
    client.branches_api.reset_branch(REPOSITORY, "main", lakefs_sdk.ResetCreation(type="reset"))


def symlinks(client: Any) -> None:
    """Write symlink files."""
    found = client.internal_api.create_symlink_file(REPOSITORY, "main", location="t")
    assert found.location == f"{NAMESPACE}/_lakefs/symlinks"
    refused(404, client.internal_api.create_symlink_file, REPOSITORY, "main", location="none")


def main() -> None:
    """Run the tour."""
    endpoint, key_id, secret = sys.argv[1:4]
    client = LakeFSClient(
        lakefs_sdk.Configuration(host=f"{endpoint}/api/v1", username=key_id, password=secret)
    )
    repositories = client.repositories_api
    create(client, REPOSITORY)
    fill(client)
    metadata(client)
    symlinks(client)
    before = seen(client, REPOSITORY)
    dump = client.internal_api.dump_refs(REPOSITORY)
    status = waited(repositories.dump_status, REPOSITORY, repositories.dump_submit(REPOSITORY))
    assert status.error is None
    assert status.refs == dump
    wanted = lakefs_sdk.RefsRestore(**dump.to_dict())
    refused(400, client.internal_api.restore_refs, REPOSITORY, wanted)
    repositories.delete_repository(REPOSITORY)
    create(client, RESTORED, bare=True)
    client.internal_api.restore_refs(RESTORED, wanted)
    assert seen(client, RESTORED) == before
    repositories.delete_repository(RESTORED)
    create(client, REPOSITORY, bare=True)
    lost = lakefs_sdk.RefsRestore(**{**dump.to_dict(), "tags_meta_range_id": "0" * 64})
    refused(404, repositories.restore_submit, REPOSITORY, lost)
    task = repositories.restore_submit(REPOSITORY, wanted)
    assert waited(repositories.restore_status, REPOSITORY, task).error is None
    assert seen(client, REPOSITORY) == before
    assert client.objects_api.get_object(REPOSITORY, "v1", "t/day=2/part") == b"2"
    print("done")


main()
