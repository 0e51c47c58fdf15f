"""Setup, access keys, tokens: over the memory store and a clock the test moves."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.access import Access
from anabranch.access.credentials import Credential, check_credential
from anabranch.access.principals import UserId, parse_user_id
from anabranch.access.sealing import TOKEN_LENGTH_MAX, Sealer
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    Conflict,
    Corrupted,
    InvalidInput,
    Kind,
    NotFound,
    Unauthenticated,
)
from anabranch.storage.kv.base import Request, delete, scan_prefix
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from tests.support.fakes import FakeClock, FakeIds

KEY = bytes(range(32))
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Kit:
    """An access over a store of its own, or over another kit's."""

    def __init__(self, other: "Kit | None" = None, key: bytes = KEY) -> None:
        self.clock: FakeClock = other.clock if other else FakeClock()
        self.kv: MemoryKV = other.kv if other else MemoryKV()
        self.writer: GroupWriter = (
            other.writer if other else GroupWriter(self.kv, lambda windows: None)
        )
        self.access = Access(self.kv, self.writer, self.clock, FakeIds(str(id(self))), key)


@pytest.fixture
def kit() -> Kit:
    return Kit()


def test_setup_is_done_once(kit: Kit) -> None:
    assert not kit.access.is_set_up()
    made = kit.access.setup("admin")
    assert (len(made.key_id), len(made.secret)) == (20, 40)
    assert kit.access.is_set_up()
    assert kit.access.authenticate(made.key_id, made.secret).user == "admin"
    assert kit.access.get_user("admin").created_us == made.created_us
    with pytest.raises(Conflict) as caught:
        kit.access.setup("other")
    assert caught.value.kind is Kind.SETUP_DONE


def test_setup_takes_a_chosen_key_and_makes_a_raw_one(kit: Kit) -> None:
    made = kit.access.setup("admin", key_id="AKIAIOSFODNN7EXAMPLE", secret=SECRET)
    assert made.secret == SECRET
    (raw,) = kit.access.raw.list(limit=10)
    found = kit.access.raw.find_credential(raw.key_id)
    assert found is not None
    assert found.secret == raw.secret
    assert kit.access.find_credential(raw.key_id) is None
    assert kit.access.raw.find_credential(made.key_id) is None


@pytest.mark.parametrize(
    ("key_id", "secret"),
    [("ab", SECRET), ("a b c", SECRET), ("abc", "short"), ("abc", "eight ch"), ("abc", None)],
)
def test_setup_refuses_unusable_keys(kit: Kit, key_id: str, secret: str | None) -> None:
    with pytest.raises(InvalidInput):
        kit.access.setup("admin", key_id=key_id, secret=secret)
    assert not kit.access.is_set_up()


def test_a_secret_may_be_as_short_as_eight_characters() -> None:
    check_credential("abc", "x" * 8)
    with pytest.raises(InvalidInput):
        check_credential("abc", "x" * 7)


def test_a_user_name_may_be_as_long_as_the_limit() -> None:
    assert parse_user_id("u" * limits.USER_NAME_LENGTH_MAX)
    for name in ("u" * (limits.USER_NAME_LENGTH_MAX + 1), "", "a b", "a/b", "a\x00"):
        with pytest.raises(InvalidInput):
            parse_user_id(name)


def test_wrong_secrets_and_unknown_keys_are_one_error(kit: Kit) -> None:
    made = kit.access.setup("admin")
    for key_id, secret in ((made.key_id, "x"), ("AKIAUNKNOWN", made.secret), ("", ""), ("a", "é")):
        with pytest.raises(Unauthenticated) as caught:
            kit.access.authenticate(key_id, secret)
        assert caught.value.message == "unknown access key or wrong secret"


def test_secrets_are_sealed_at_rest_and_open_with_this_key_only(kit: Kit) -> None:
    made = kit.access.setup("admin")
    (rows,) = kit.kv.read((), [scan_prefix(b"", limit=100)]).scans
    assert rows
    for row in rows:
        assert made.secret.encode() not in row.value
    other = Kit(kit, key=bytes(32))
    with pytest.raises(Corrupted):
        other.access.find_credential(made.key_id)


def test_nothing_shows_a_secret(kit: Kit) -> None:
    made = kit.access.setup("admin")
    token = kit.access.login(made.key_id, made.secret)
    for shown in (repr(made), str(made), repr(token), repr(Sealer(KEY, FakeIds()))):
        assert made.secret not in shown
        assert token.text not in shown
        assert KEY.hex() not in shown


def test_a_removed_key_stops_within_the_cache_time(kit: Kit) -> None:
    made = kit.access.setup("admin")
    assert kit.access.find_credential(made.key_id) is not None
    kit.kv.apply([Request((), [delete(b"access/credential/" + made.key_id.encode())])])
    assert kit.access.find_credential(made.key_id) is not None
    kit.clock.advance(limits.CREDENTIAL_CACHE_S)
    assert kit.access.find_credential(made.key_id) is None


def test_cached_keys_are_bounded(kit: Kit) -> None:
    user = UserId("u")
    for number in range(limits.CREDENTIAL_CACHE_MAX + 1):
        credential = Credential(f"key{number}", SECRET, user)
        condition, write = kit.access.raw.creation(credential)
        kit.kv.apply([Request([condition], [write])])
        assert kit.access.raw.find_credential(credential.key_id) is not None
    assert len(kit.access.raw._cached) == limits.CREDENTIAL_CACHE_MAX


def test_quickstart_installs_what_is_missing_and_repeats(kit: Kit) -> None:
    wanted = Credential("AKIAIOSFODNN7EXAMPLE", SECRET, UserId("docker"))
    raw = Credential("minioadmin", "minioadmin", UserId("docker"))
    for _ in range(2):
        kit.access.install(wanted, raw)
        assert kit.access.is_set_up()
        assert kit.access.authenticate(wanted.key_id, SECRET).user == "docker"
    with pytest.raises(Conflict):
        kit.access.install(Credential(wanted.key_id, "another-secret", UserId("docker")), raw)


def test_quickstart_joins_an_earlier_setup(kit: Kit) -> None:
    made = kit.access.setup("admin")
    raw = Credential("minioadmin", "minioadmin", UserId("docker"))
    kit.access.install(Credential("AKIAIOSFODNN7EXAMPLE", SECRET, UserId("docker")), raw)
    assert kit.access.authenticate(made.key_id, made.secret).user == "admin"
    assert [user.id for user in kit.access.users.list(amount=10).items] == ["admin", "docker"]


def test_tokens_stand_for_their_user_until_they_expire(kit: Kit) -> None:
    made = kit.access.setup("admin")
    token = kit.access.login(made.key_id, made.secret)
    assert token.expires_s == kit.clock.now_ns() // 10**9 + limits.LOGIN_TOKEN_S
    assert Kit(kit).access.verify_token(token.text).user == "admin"
    kit.clock.advance(limits.LOGIN_TOKEN_S - 1)
    assert kit.access.verify_token(token.text).user == "admin"
    kit.clock.advance(1)
    with pytest.raises(Unauthenticated):
        kit.access.verify_token(token.text)


def test_tokens_of_other_keys_and_changed_tokens_are_refused(kit: Kit) -> None:
    made = kit.access.setup("admin")
    token = kit.access.login(made.key_id, made.secret).text
    with pytest.raises(Unauthenticated):
        Kit(kit, key=bytes(32)).access.verify_token(token)
    head, payload, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for changed in (
        f"{head}.{payload}A.{signature}",
        f"{none}.{payload}.{signature}",
        f"{none}.{payload}.",
        f"{head}.{payload}",
        "é.é.é",
        "",
        "x" * (TOKEN_LENGTH_MAX + 1),
    ):
        with pytest.raises(Unauthenticated):
            kit.access.verify_token(changed)


def test_a_token_of_a_removed_user_is_refused(kit: Kit) -> None:
    made = kit.access.setup("admin")
    token = kit.access.login(made.key_id, made.secret).text
    kit.kv.apply([Request((), [delete(b"access/user/admin")])])
    with pytest.raises(Unauthenticated):
        kit.access.verify_token(token)
    with pytest.raises(NotFound):
        kit.access.get_user("admin")


def test_users_are_listed_in_pages(kit: Kit) -> None:
    kit.access.setup("b")
    raw = Credential("minioadmin", "minioadmin", UserId("a"))
    kit.access.install(Credential("AKIAIOSFODNN7EXAMPLE", SECRET, UserId("a")), raw)
    first = kit.access.users.list(amount=1)
    assert ([user.id for user in first.items], first.next_after) == (["a"], "a")
    second = kit.access.users.list(after="a", amount=1)
    assert ([user.id for user in second.items], second.next_after) == (["b"], None)
    assert kit.access.users.list(prefix="b", amount=5).items == second.items


@given(st.text(max_size=60), st.text(max_size=20))
def test_sealing_is_exact_and_bound(secret: str, name: str) -> None:
    sealer = Sealer(KEY, FakeIds())
    try:
        secret.encode(), name.encode()
    except UnicodeEncodeError:
        return
    sealed = sealer.seal(secret, name)
    assert hmac.compare_digest(sealer.open(sealed, name).encode(), secret.encode())
    with pytest.raises(Corrupted):
        sealer.open(sealed, name + "x")
