"""No secret is shown, and what is shown instead cannot be written back."""

import json

import pytest

from rig.vulcan_certificates import make_pair
from rig.vulcan_keys import PREFIX, changes, entry
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control.api_documents import list_document, object_document
from vulcan.core.control.redaction import redacted, redacted_change
from vulcan.core.control.revision import Change
from vulcan.core.keys import ObjectKey, ObjectKind

SEAL_KEYS = SealKeys((b"k" * 32,))
SECRET = "hunter2"
WEBHOOK = {
    "Type": "webhook",
    "Action": {
        "Method": "POST",
        "URL": f"https://{SECRET}@hooks.example:8443/{SECRET}?token={SECRET}",
        "Headers": {"Authorization": [SECRET]},
        "Form": {"token": [SECRET]},
        "Body": SECRET,
    },
}
BREAKER = {"Condition": "NetworkErrorRatio() > 0.5"}
MIDDLEWARES = {
    "basicauth": {"Username": "ann", "Password": SECRET, "Realm": "r"},
    "auth": {"username": "ann", "password": SECRET, "users": {"bob": SECRET}},
    "headers": {"Request": {"Authorization": SECRET, "X-Api-Key": SECRET, "X-Team": "blue"}},
    "cbreaker": {**BREAKER, "OnTripped": WEBHOOK, "OnStandby": json.dumps(WEBHOOK)},
}


@pytest.mark.parametrize("type_", MIDDLEWARES)
def test_no_secret_of_a_middleware_is_shown(type_: str):
    document = {"Id": "m", "Type": type_, "Middleware": MIDDLEWARES[type_]}
    assert decode("frontends/f/middlewares/m", json.dumps(document))
    shown = redacted(ObjectKind.MIDDLEWARE, document)
    assert SECRET not in json.dumps(shown)
    with pytest.raises(ModelError):
        decode("frontends/f/middlewares/m", json.dumps(shown))


def test_the_rest_of_a_middleware_is_shown():
    def settings(type_: str) -> dict:
        document = {"Type": type_, "Middleware": MIDDLEWARES[type_]}
        return redacted(ObjectKind.MIDDLEWARE, document)["Middleware"]

    assert settings("basicauth") == {"Username": "ann", "Password": None, "Realm": "r"}
    assert settings("auth")["Users"] == {"bob": None}
    assert settings("headers")["Request"]["X-Team"] == "blue"
    action = settings("cbreaker")["OnTripped"]["Action"]
    assert (action["Method"], action["URL"]) == ("POST", "https://hooks.example:8443/…")


def test_the_private_key_of_a_host_is_not_shown():
    sealed = json.loads(SEAL_KEYS.seal(make_pair("a.example"), b"n" * 24))
    host = entry("hosts/a.example/host", {"Settings": {"KeyPair": sealed}})
    table = Table(PREFIX, seal_keys=SEAL_KEYS).advanced(changes(host, reset=True))
    shown = object_document(table, ObjectKey(ObjectKind.HOST, "a.example"))
    assert isinstance(shown, dict)
    assert shown["Settings"]["KeyPair"] is None
    assert list_document(table, ObjectKind.HOST, "") == {"Hosts": [shown]}


@pytest.mark.parametrize("value", [f'{{"{SECRET}":', f'"{SECRET}"', '{"a":' * 3000])
def test_a_value_that_cannot_be_read_is_not_shown(value: str):
    change = redacted_change(Change("frontends/f/middlewares/m", value, None))
    assert (change.before, change.after) == ("…", None)


def test_a_change_of_a_key_shows_no_secret():
    value = json.dumps({"Type": "basicauth", "Middleware": MIDDLEWARES["basicauth"]})
    change = redacted_change(Change("frontends/f/middlewares/m", value, value))
    assert SECRET not in f"{change.before}{change.after}"
    assert json.loads(change.after or "")["Middleware"]["Username"] == "ann"
