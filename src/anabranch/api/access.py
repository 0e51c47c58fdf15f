"""Operations on who may ask: first user, login, the current user."""

from anabranch.api import bodies, requests
from anabranch.api.auth import session_cookie
from anabranch.api.operations import Answer, Call, Operation, json_response
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response

_SETUP = "/setup_lakefs"
_LOGIN_CONFIG = bodies.LoginConfig(
    RBAC="none", login_url="/auth/login", logout_url="/logout", login_cookie_names=[]
)


async def get_setup_state(call: Call) -> Response:
    """Answer whether the first user exists."""
    is_set_up = await call_local(call.services.access.is_set_up)
    state = bodies.SetupState(
        state="initialized" if is_set_up else "not_initialized",
        comm_prefs_missing=False,
        login_config=_LOGIN_CONFIG,
    )
    return json_response(200, state)


async def setup(call: Call) -> Response:
    """Make the first user and its key; works once."""
    wanted = call.body(requests.Setup)
    credential = await call_thread(
        call.services.access.setup,
        wanted.username,
        key_id=wanted.key.access_key_id if wanted.key else None,
        secret=wanted.key.secret_access_key if wanted.key else None,
    )
    made = bodies.CredentialsWithSecret(
        access_key_id=credential.key_id,
        secret_access_key=credential.secret,
        creation_date=bodies.seconds(call.services.clock.now_ns() // 1_000),
    )
    return json_response(200, made)


async def login(call: Call) -> Response:
    """Answer a token for an access key, and set it as a cookie for browsers."""
    wanted = call.body(requests.LoginInformation)
    token = await call_thread(
        call.services.access.login, wanted.access_key_id, wanted.secret_access_key
    )
    now_s = bodies.seconds(call.services.clock.now_ns() // 1_000)
    cookie = session_cookie(
        token.text,
        expires_s=max(0, token.expires_s - now_s),
        is_secure=call.request.scheme == "https",
    )
    return json_response(
        200, bodies.AuthenticationToken(token.text, token.expires_s), [(b"set-cookie", cookie)]
    )


async def get_current_user(call: Call) -> Response:
    """Answer who asks."""
    user = await call_local(call.services.access.get_user, call.user)
    return json_response(
        200, bodies.CurrentUser(bodies.User(user.id, bodies.seconds(user.created_us)))
    )


OPERATIONS = (
    Operation(
        "getSetupState",
        "GET",
        _SETUP,
        "internal",
        get_setup_state,
        "get whether the first user exists",
        is_open=True,
        answers={200: Answer(bodies.SetupState)},
    ),
    Operation(
        "setup",
        "POST",
        _SETUP,
        "internal",
        setup,
        "make the first user",
        body=requests.Setup,
        is_open=True,
        answers={200: Answer(bodies.CredentialsWithSecret)},
        errors=(409,),
    ),
    Operation(
        "login",
        "POST",
        "/auth/login",
        "auth",
        login,
        "get a token for an access key",
        body=requests.LoginInformation,
        is_open=True,
        answers={200: Answer(bodies.AuthenticationToken)},
        errors=(401,),
    ),
    Operation(
        "getCurrentUser",
        "GET",
        "/user",
        "auth",
        get_current_user,
        "get who asks",
        answers={200: Answer(bodies.CurrentUser)},
    ),
)
