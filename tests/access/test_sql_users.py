"""Users of SQL: what is kept of a password, who may log in from where, who may do what."""

import threading
from dataclasses import replace

import pytest
from pymysql import _auth

from anabranch.access import Access
from anabranch.access.sql_users import (
    NO_PASSWORD,
    ROOT,
    HashedPassword,
    Level,
    SqlUsers,
    hash_password,
    is_password,
    parse_native_hash,
)
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AlreadyExists,
    Corrupted,
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    Unauthenticated,
)
from anabranch.mysql import handshake
from anabranch.storage.kv.base import Request, put, scan_prefix
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from tests.support.fakes import FakeClock, FakeIds

KEY = bytes(range(32))


class Kit:
    """Users over a store of their own, or over another kit's with another key."""

    def __init__(self, kv: MemoryKV | None = None, key: bytes = KEY) -> None:
        self.kv = kv or MemoryKV()
        self.writer = GroupWriter(self.kv, lambda windows: None)
        access = Access(self.kv, self.writer, FakeClock(), FakeIds(key.hex()[:4]), key)
        self.users: SqlUsers = access.sql_users


@pytest.fixture
def kit() -> Kit:
    return Kit()


def test_root_is_there_without_a_password_and_only_from_this_machine(kit: Kit) -> None:
    root = kit.users.get(ROOT)
    assert root.is_empty
    assert kit.users.authenticate(ROOT, "", is_from_loopback=True) == root
    with pytest.raises(Unauthenticated):
        kit.users.authenticate(ROOT, "", is_from_loopback=False)
    with pytest.raises(Unauthenticated):
        kit.users.authenticate(ROOT, "x", is_from_loopback=True)
    assert kit.users.may_write(ROOT)
    assert kit.users.may_administer(ROOT)


def test_root_gets_a_password_and_is_then_known_from_anywhere(kit: Kit) -> None:
    kit.users.set_password(ROOT, hash_password("s3cret"))
    assert kit.users.authenticate(ROOT, "s3cret", is_from_loopback=False).level is Level.ADMIN
    with pytest.raises(Unauthenticated):
        kit.users.authenticate(ROOT, "", is_from_loopback=True)
    kit.users.set_password(ROOT, NO_PASSWORD)
    assert kit.users.get(ROOT).is_empty


def test_root_is_never_dropped_lowered_or_made(kit: Kit) -> None:
    with pytest.raises(Forbidden):
        kit.users.drop(ROOT)
    with pytest.raises(Forbidden):
        kit.users.set_level(ROOT, Level.FULL)
    with pytest.raises(AlreadyExists):
        kit.users.create(ROOT, NO_PASSWORD)


def test_a_new_user_may_read_and_levels_can_be_set(kit: Kit) -> None:
    kit.users.create("ada", hash_password("x"), comment="one")
    assert kit.users.authenticate("ada", "x", is_from_loopback=False).comment == "one"
    assert not kit.users.may_write("ada")
    kit.users.set_level("ada", Level.FULL)
    assert kit.users.may_write("ada")
    assert not kit.users.may_administer("ada")
    assert [user.name for user in kit.users.list()] == ["ada", "root"]
    kit.users.drop("ada")
    assert kit.users.find_user("ada") is None
    assert not kit.users.may_write("ada")
    with pytest.raises(NotFound):
        kit.users.drop("ada")
    with pytest.raises(NotFound):
        kit.users.set_level("ada", Level.FULL)


def test_a_user_is_made_once(kit: Kit) -> None:
    kit.users.create("ada", NO_PASSWORD)
    with pytest.raises(AlreadyExists):
        kit.users.create("ada", NO_PASSWORD)


def test_racing_changes_are_all_kept(kit: Kit) -> None:
    kit.users.create("ada", NO_PASSWORD)

    def append() -> None:
        for _ in range(20):
            kit.users.change("ada", lambda user: replace(user, comment=user.comment + "x"))

    threads = [threading.Thread(target=append) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kit.users.get("ada").comment) == 60


@pytest.mark.parametrize("name", ["", "a b", "a\0", "ä", "-a", "a" * 129, "a/b"])
def test_bad_names_are_refused_and_unknown(kit: Kit, name: str) -> None:
    with pytest.raises(InvalidInput):
        kit.users.create(name, NO_PASSWORD)
    assert kit.users.find_user(name) is None
    with pytest.raises(Unauthenticated):
        kit.users.authenticate(name, "", is_from_loopback=True)


def test_names_and_comments_have_limits(kit: Kit) -> None:
    kit.users.create("a" * limits.USER_NAME_LENGTH_MAX, NO_PASSWORD)
    kit.users.create("b", NO_PASSWORD, comment="c" * limits.COMMENT_LENGTH_MAX)
    with pytest.raises(LimitExceeded):
        kit.users.create("c", NO_PASSWORD, comment="c" * (limits.COMMENT_LENGTH_MAX + 1))


def test_there_is_a_limit_of_users(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SQL_USERS_MAX", 3)  # thousands of users take too long to make
    kit.users.create("a", NO_PASSWORD)
    kit.users.create("b", NO_PASSWORD)
    with pytest.raises(LimitExceeded) as raised:
        kit.users.create("c", NO_PASSWORD)
    assert raised.value.kind is Kind.TOO_MANY
    assert len(kit.users.list()) == 3


def test_what_is_kept_is_what_the_protocol_judges() -> None:
    kept, nonce = hash_password("pass-wörd 1"), b"n" * 20
    assert not kept.is_empty
    native = _auth.scramble_native_password("pass-wörd 1".encode(), nonce)
    assert handshake.is_native_answer(native, nonce, kept.sha1)
    sha2 = _auth.scramble_caching_sha2("pass-wörd 1".encode(), nonce)
    assert handshake.is_sha2_answer(sha2, nonce, kept.sha256)
    assert hash_password("") == NO_PASSWORD


def test_native_hashes_are_taken_and_judged() -> None:
    kept = parse_native_hash("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19")  # MySQL's of "password"
    assert kept.sha256 == b""
    assert is_password("password", kept)
    assert not is_password("Password", kept)
    assert parse_native_hash("") == NO_PASSWORD
    for text in ("*24", "2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "*" + "g" * 40):
        with pytest.raises(InvalidInput):
            parse_native_hash(text)


def test_passwords_are_sealed_and_never_shown(kit: Kit) -> None:
    kept = hash_password("hunter2")
    kit.users.create("ada", kept)
    (rows,) = kit.kv.read([], [scan_prefix(b"access/sql_user/", limit=10)]).scans
    assert kept.sha1.hex().encode() not in rows[0].value
    assert kept.sha256.hex().encode() not in rows[0].value
    shown = repr(kit.users.get("ada"))
    assert kept.sha1.hex() not in shown
    assert repr(kept.sha1) not in shown


def test_a_record_moved_to_another_name_or_server_does_not_open(kit: Kit) -> None:
    kit.users.create("ada", hash_password("x"))
    with pytest.raises(Corrupted):
        Kit(kit.kv, bytes(32)).users.get("ada")
    (stored,) = kit.kv.read([b"access/sql_user/ada"]).values
    assert stored is not None
    kit.kv.apply([Request([], [put(b"access/sql_user/eve", stored.value)])])
    with pytest.raises(Corrupted):
        kit.users.get("eve")


def test_a_hash_that_is_missing_does_not_let_anybody_in() -> None:
    assert not is_password("", HashedPassword(False, b"", b""))
