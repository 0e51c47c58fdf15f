"""Setup, login, and who may ask."""

import base64

import pytest

from tests.api.rest import KEY_ID, SECRET, USER, Rest, basic


def test_setup_makes_the_first_user_once(fresh: Rest) -> None:
    state = fresh.call("GET", "/setup_lakefs", is_anonymous=True)
    assert state.json["state"] == "not_initialized"
    reply = fresh.call("POST", "/setup_lakefs", body={"username": "me"}, is_anonymous=True)
    assert reply.status == 200
    made = reply.json
    assert set(made) == {"access_key_id", "secret_access_key", "creation_date"}
    header = basic(made["access_key_id"], made["secret_access_key"])
    user = fresh.call("GET", "/user", headers=[header], is_anonymous=True)
    assert user.json["user"]["id"] == "me"
    state = fresh.call("GET", "/setup_lakefs", is_anonymous=True)
    assert state.json["state"] == "initialized"
    again = fresh.call("POST", "/setup_lakefs", body={"username": "you"}, is_anonymous=True)
    assert again.status == 409


def test_setup_with_a_key_of_ones_own(fresh: Rest) -> None:
    key = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    reply = fresh.call(
        "POST", "/setup_lakefs", body={"username": "me", "key": key}, is_anonymous=True
    )
    assert (reply.json["access_key_id"], reply.json["secret_access_key"]) == (KEY_ID, SECRET)
    assert fresh.get("/user").json["user"]["id"] == "me"


def test_setup_state_takes_no_other_method(fresh: Rest) -> None:
    assert fresh.call("PUT", "/setup_lakefs", is_anonymous=True).status == 405


@pytest.mark.parametrize(
    "body, word",
    [
        ({}, "username"),
        ({"username": ""}, "username"),
        ({"username": "me", "key": {"access_key_id": "a"}}, "secret_access_key"),
        ({"username": "a b"}, "user"),
    ],
)
def test_setup_refuses(fresh: Rest, body: object, word: str) -> None:
    reply = fresh.call("POST", "/setup_lakefs", body=body, is_anonymous=True)
    assert reply.status == 400
    assert word in reply.message
    assert fresh.call("GET", "/setup_lakefs").json["state"] == "not_initialized"


def login(rest: Rest) -> tuple[str, str]:
    """Return a token and the cookie that came with it."""
    body = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    reply = rest.call("POST", "/auth/login", body=body, is_anonymous=True)
    assert reply.status == 200
    assert type(reply.json["token_expiration"]) is int
    cookie = reply.header("set-cookie") or ""
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
        assert attribute in cookie
    return reply.json["token"], cookie.partition(";")[0]


def test_login_gives_a_token(rest: Rest) -> None:
    token, _ = login(rest)
    headers = {"authorization": f"Bearer {token}"}
    reply = rest.call("GET", "/user", headers=headers, is_anonymous=True)
    assert reply.json["user"]["id"] == USER


def test_login_gives_a_cookie_for_pages_of_this_site(rest: Rest) -> None:
    _, cookie = login(rest)
    same = {"cookie": cookie, "host": "lake:8000", "origin": "http://lake:8000"}
    other = {**same, "origin": "http://evil.example"}
    crossing = {**same, "sec-fetch-site": "cross-site"}
    body = {"name": "second", "storage_namespace": "s3://second"}
    assert rest.call("GET", "/user", headers=other, is_anonymous=True).status == 200
    for headers in (other, crossing):
        reply = rest.call("POST", "/repositories", body=body, headers=headers, is_anonymous=True)
        assert reply.status == 403
    reply = rest.call("POST", "/repositories", body=body, headers=same, is_anonymous=True)
    assert reply.status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example", "host": "lake:8000"},
        {"origin": "null", "host": "lake:8000"},
    ],
)
def test_pages_of_other_sites_change_nothing(
    fresh: Rest, rest: Rest, headers: dict[str, str]
) -> None:
    # A browser adds a remembered password too, and a fresh server asks for nothing.
    body = {"username": "me"}
    reply = fresh.call("POST", "/setup_lakefs", body=body, headers=headers, is_anonymous=True)
    assert reply.status == 403
    assert "another site" in reply.message
    assert rest.call("DELETE", "/repositories/example", headers=headers).status == 403
    assert rest.call("GET", "/repositories/example", headers=headers).status == 200


def test_a_stranger_may_send_64_kib_and_no_more(rest: Rest) -> None:
    head = b'{"access_key_id": "a", "secret_access_key": "'
    for size_bytes, status in ((64 * 1024, 401), (64 * 1024 + 1, 413)):
        body = head + b"x" * (size_bytes - len(head) - 2) + b'"}'
        assert len(body) == size_bytes
        assert rest.call("POST", "/auth/login", body=body, is_anonymous=True).status == status


def test_login_refuses(rest: Rest) -> None:
    body = {"access_key_id": KEY_ID, "secret_access_key": "wrong"}
    reply = rest.call("POST", "/auth/login", body=body, is_anonymous=True)
    assert reply.status == 401
    assert reply.header("set-cookie") is None
    assert rest.call("POST", "/auth/login", body={}, is_anonymous=True).status == 400


def test_a_token_ends(rest: Rest) -> None:
    token, _ = login(rest)
    rest.clock.advance(25 * 3_600)
    headers = {"authorization": f"Bearer {token}"}
    assert rest.call("GET", "/user", headers=headers, is_anonymous=True).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        dict([basic(KEY_ID, "wrong")]),
        dict([basic("nobody", SECRET)]),
        {"authorization": "Basic"},
        {"authorization": "Basic ???"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"authorization": "Bearer x.y.z"},
        {"authorization": "Digest x"},
        {"cookie": "internal_auth_session=forged"},
        {"cookie": "other=1; =;;"},
    ],
)
def test_who_is_unknown_gets_401(rest: Rest, headers: dict[str, str]) -> None:
    reply = rest.call("GET", "/user", headers=headers, is_anonymous=True)
    assert reply.status == 401
    assert "Basic" in (reply.header("www-authenticate") or "")
    assert reply.message


def test_get_current_user(rest: Rest) -> None:
    reply = rest.get("/user")
    assert reply.json == {
        "user": {"id": USER, "creation_date": reply.json["user"]["creation_date"]}
    }
    assert type(reply.json["user"]["creation_date"]) is int
