"""Calls a running server in every way its /openapi.json describes, and checks each answer.

    python schemathesis_run.py [--seed N] [--seconds N] http://HOST:PORT

Registers two users and hands them to schemathesis_hooks.py. Fails on: an answer 5xx, a status, a
content type, a header or a body that the description does not have, wrong input that is accepted,
right input that is refused, a method that is not described and works, a call that works without
its token, something deleted that can still be read; and on a route that never once succeeded.

The seed is fixed and printed: the same server gives the same calls. Time is bounded: coverage of
the schema runs first and whole; fuzzing and stories of several calls share what is left.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from pathlib import Path

import requests

# Adjusted only where the contract says otherwise, each with its reason.
SETTINGS = """
[checks.positive_data_acceptance]
# Beyond the defaults, 400 and 413: rules that a schema can't state make a body that fits it
# wrong all the same (blank after trimming, among the most common passwords, bytes not characters).
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "429"]

# A plain request to the WebSocket's address is right in all it says and still has to upgrade.
[[operations]]
include-path = "/ws"
checks.positive_data_acceptance.expected-statuses = ["400", "401", "403", "404", "426", "429"]

[checks.negative_data_rejection]
# Beyond the defaults, 413: too long is its own answer. Not 5xx: nothing a client sends may
# cause one.
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "426", "429"]

# The check "what was created can be used" takes any 404 for "the session is gone". In these routes
# 404 also says that a user, a participant or a message does not exist.
[[operations]]
include-name-regex = "(POST .*/participants|/participants/[{]|/messages/[{])"
checks.ensure_resource_availability.enabled = false

[phases.coverage]
# TRACE never reaches the routes: the HTTP library refuses it.
unexpected-methods = ["GET", "PUT", "POST", "DELETE", "PATCH"]
"""


# Routes of which no call succeeds here, each with its reason.
NEVER_SUCCEEDS = {
    "PUT /api/users/password": "a success ends the token that all other calls use",
    "GET /ws": "a plain request is no handshake",
}


def register(base, name):
    password = "a long enough pass phrase"
    email = f"{name}-{uuid.uuid4()}@example.com"
    body = {"name": name, "email": email, "password": password}
    answer = requests.post(f"{base}/api/register", json=body, timeout=10)
    if answer.status_code != 201:
        sys.exit(f"register: {answer.status_code} {answer.text}")
    return {**answer.json(), "password": password}


def main():
    parser = argparse.ArgumentParser(description="the server against its own description")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=75)
    parser.add_argument("url")
    arguments = parser.parse_args()
    base = arguments.url.rstrip("/")
    here = Path(__file__).resolve().parent

    owner, guest = register(base, "owner"), register(base, "guest")
    environment = {
        **os.environ,
        "PYTHONPATH": str(here),
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "ASSISTDECK_URL": base,
        "ASSISTDECK_OWNER": json.dumps(owner),
        "ASSISTDECK_GUEST": json.dumps(guest),
    }
    with tempfile.TemporaryDirectory() as scratch:
        settings = Path(scratch) / "schemathesis.toml"
        settings.write_text(SETTINGS)
        command = [
            str(Path(sysconfig.get_path("scripts")) / "schemathesis"),
            f"--config-file={settings}",
            "run",
            f"{base}/openapi.json",
            f"--header=Authorization: Bearer {owner['token']}",
            f"--seed={arguments.seed}",
            f"--max-time={arguments.seconds}",
            "--workers=1",
            "--request-timeout=10",
            "--continue-on-failure",
        ]
        answers = Path(scratch) / "answers.json"
        environment["ASSISTDECK_ANSWERS"] = str(answers)
        # In the scratch folder: the example database that it writes must not steer a later run.
        done = subprocess.run(command, env=environment, cwd=scratch, check=False)
        unreached = routes_without_success(base, json.loads(answers.read_text()))
    for route in unreached:
        print(f"never answered with a success, so hardly tested: {route}")
    print(f"schemathesis: seed {arguments.seed}, exit status {done.returncode}")
    sys.exit(done.returncode or bool(unreached))


def routes_without_success(base, answers):
    """A run that meets nothing but 400 and 404 proves little, however green it is."""
    description = requests.get(f"{base}/openapi.json", timeout=10).json()
    missing = []
    for path, operations in description["paths"].items():
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            route = f"{method.upper()} " + re.sub(r"\{[^}]+\}", "{}", path)
            succeeded = any(status.startswith("2") for status in answers.get(route, {}))
            if not succeeded and route not in NEVER_SUCCEEDS:
                missing.append(route)
    return sorted(missing)


if __name__ == "__main__":
    main()
