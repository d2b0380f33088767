"""What schemathesis can't know: ids that exist, so that its calls reach past the first 404.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), before each call of a test. Generated values
stay as they are in one call of four, and wherever they are not valid: those calls are the test of
the answers 400 and 404. In the other calls each valid id gives way to one of a prepared session,
participant or message. A call that destroys gets something made for it alone, so that the
prepared things live to the end.
"""

import atexit
import collections
import json
import os
import re
import uuid
import zlib

import requests
import schemathesis

BASE = os.environ["ASSISTDECK_URL"]
OWNER = json.loads(os.environ["ASSISTDECK_OWNER"])
GUEST = json.loads(os.environ["ASSISTDECK_GUEST"])

# {route: {status: how often}}, for the runner, which demands a success of every route.
answers = collections.defaultdict(collections.Counter)


@atexit.register
def write_answers():
    with open(os.environ["ASSISTDECK_ANSWERS"], "w", encoding="utf-8") as out:
        json.dump(answers, out)


def call(user, method, path, body=None):
    headers = {"Authorization": f"Bearer {user['token']}"}
    answer = requests.request(method, BASE + path, json=body, headers=headers, timeout=10)
    # 409: the guest is a participant already.
    if answer.status_code not in (200, 201, 409):
        raise RuntimeError(f"preparing: {method} {path}: {answer.status_code} {answer.text}")
    return answer.json()


def new_session(user):
    return call(user, "POST", "/api/chat/sessions", {"title": "prepared"})["id"]


def new_message(session):
    path = f"/api/chat/sessions/{session}/messages"
    return call(OWNER, "POST", path, {"content": "prepared"})["id"]


def add(user, session, guest):
    """Makes the guest a participant of the user's session, whatever went before."""
    path = f"/api/chat/sessions/{session}/participants"
    call(user, "POST", path, {"user_id": guest["user"]["id"]})


class Prepared:
    """A session of the owner's with a participant and messages, made anew when it is gone."""

    def __init__(self):
        self.session = None

    def ensure(self):
        if self.session is None:
            self.session = new_session(OWNER)
            add(OWNER, self.session, GUEST)
            self.message = new_message(self.session)
            for _ in range(3):
                new_message(self.session)
        return self


prepared = Prepared()


def is_uuid(value):
    try:
        return str(uuid.UUID(str(value))) == str(value).lower()
    except ValueError:
        return False


def targets(route):
    """The ids that a call of this route shall hit: (session, what is in it)."""
    if route == "DELETE /api/chat/sessions/{}":
        return new_session(OWNER), None
    if route == "POST /api/chat/sessions/{}/leave":
        session = new_session(GUEST)
        add(GUEST, session, OWNER)
        return session, None
    if route == "POST /api/chat/sessions/{}/participants":
        return new_session(OWNER), None
    session = prepared.ensure().session
    if route == "DELETE /api/chat/sessions/{}/messages/{}":
        return session, new_message(session)
    if route == "DELETE /api/chat/sessions/{}/participants/{}":
        add(OWNER, session, GUEST)
    if "/participants/" in route:
        return session, GUEST["user"]["id"]
    if "/messages/" in route:
        return session, prepared.message
    return session, None


def fill_path(route, case):
    parameters = case.path_parameters
    if parameters and all(is_uuid(value) for value in parameters.values()):
        ids = [value for value in targets(route) if value is not None]
        for name, value in zip(re.findall(r"\{([^}]+)\}", case.path), ids):
            parameters[name] = value


def fill_body(route, body):
    """Makes a valid body name a user who exists."""
    if route == "POST /api/login":
        body["email"], body["password"] = OWNER["user"]["email"], OWNER["password"]
    elif route == "POST /api/chat/sessions/{}/participants" and is_uuid(body.get("user_id")):
        body["user_id"] = GUEST["user"]["id"]


@schemathesis.hook
def before_call(context, case, kwargs):
    keep_short(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        # What is wrong in this case must stay wrong.
        return
    generated = repr((case.path_parameters, case.query, case.body))
    if zlib.crc32(generated.encode()) % 4 == 0:
        return
    route = route_of(case)
    # In a story of several calls the ids come from the answers to the earlier ones.
    if case.meta.phase.name.value != "stateful":
        fill_path(route, case)
    if isinstance(case.body, dict):
        fill_body(route, case.body)
    if route == "GET /api/users" and case.query and "email" in case.query:
        case.query["email"] = GUEST["user"]["email"]


def route_of(case):
    return f"{case.method.upper()} " + re.sub(r"\{[^}]+\}", "{}", case.path)


def keep_short(case):
    """A feed that waits, or never ends, has its own tests; here it would only take the time."""
    if case.query and str(case.query.get("wait", "")).isdigit():
        case.query["wait"] = str(min(int(case.query["wait"]), 0))
    for name in list(case.headers or {}):
        if name.lower() == "accept" and "event-stream" in str(case.headers[name]):
            del case.headers[name]


@schemathesis.hook
def after_call(context, case, response):
    answers[route_of(case)][response.status_code] += 1
    # Schemathesis also learns ids from answers, so it may delete what was prepared.
    deleted = case.method.upper() == "DELETE" and response.status_code == 200
    if deleted and prepared.session in (case.path_parameters or {}).values():
        prepared.session = None
