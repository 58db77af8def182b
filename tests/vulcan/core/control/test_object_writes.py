"""The writes of the API for one object, and its errors."""

import base64
import json

import pytest

from rig.vulcan_certificates import make_pair
from rig.vulcan_keys import PREFIX, backend, changes, frontend, server
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control.api_requests import ApiError, PutObject
from vulcan.core.control.object_writes import check_delete, parent_of, plan_write
from vulcan.core.keys import ObjectKey, ObjectKind

SEAL_KEYS = SealKeys((b"k" * 32,))
TABLE = Table(PREFIX, seal_keys=SEAL_KEYS).advanced(
    changes(backend("b"), server("s", "http://h:1"), frontend("f", 'Path("/")'), reset=True)
)
NONCE = b"n" * 24


def put(kind: ObjectKind, id_: str, parent: str = "", **document: object) -> PutObject:
    return PutObject(ObjectKey(kind, id_, parent), document, None, None)


def test_a_key_pair_is_sealed_and_not_shown():
    pair = make_pair("a.example")
    given = {
        "Key": base64.b64encode(pair.key).decode(),
        "Cert": base64.b64encode(pair.cert).decode(),
    }
    write = plan_write(put(ObjectKind.HOST, "a.example", Settings={"KeyPair": given}), TABLE, NONCE)
    assert write.shown == {"Settings": {"KeyPair": None}}
    assert SEAL_KEYS.open(json.loads(write.value)["Settings"]["KeyPair"]) == pair


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (put(ObjectKind.SERVER, "s", "b", URL="nowhere"), 400, "expected http://HOST:PORT"),
        (
            put(ObjectKind.HOST, "h", Settings={"KeyPair": {"Key": "?"}}),
            400,
            "Settings.KeyPair",
        ),
    ],
)
def test_an_invalid_object_is_refused_with_status_and_reason(request_, status, reason):
    with pytest.raises(ApiError, match=reason) as refused:
        plan_write(request_, TABLE, NONCE)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("key", "status", "reason"),
    [
        (ObjectKey(ObjectKind.BACKEND, "b"), 409, "is used by frontends: f"),
        (ObjectKey(ObjectKind.BACKEND, "x"), 404, "not found"),
        (ObjectKey(ObjectKind.MIDDLEWARE, "m", "f"), 404, "not found"),
    ],
)
def test_an_object_that_is_used_or_missing_is_not_deleted(key, status, reason):
    with pytest.raises(ApiError, match=reason) as refused:
        check_delete(key, TABLE)
    assert refused.value.status == status


def test_an_object_that_is_not_used_may_be_deleted():
    check_delete(ObjectKey(ObjectKind.FRONTEND, "f"), TABLE)
    check_delete(ObjectKey(ObjectKind.SERVER, "s", "b"), TABLE)


@pytest.mark.parametrize(
    ("request_", "parent"),
    [
        (put(ObjectKind.SERVER, "s", "b"), ObjectKey(ObjectKind.BACKEND, "b")),
        (put(ObjectKind.MIDDLEWARE, "m", "f"), ObjectKey(ObjectKind.FRONTEND, "f")),
        (put(ObjectKind.FRONTEND, "f", BackendId="b"), ObjectKey(ObjectKind.BACKEND, "b")),
        (put(ObjectKind.BACKEND, "b"), None),
        (put(ObjectKind.HOST, "h"), None),
    ],
)
def test_an_object_needs_the_object_that_contains_it_or_gets_its_requests(request_, parent):
    assert parent_of(request_) == parent
