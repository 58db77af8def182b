import pytest

from rig.vulcan_keys import PREFIX, backend, changes, frontend, server
from vulcan.core.config.table import Table
from vulcan.core.control.api_documents import list_document, object_document
from vulcan.core.control.api_requests import ApiError
from vulcan.core.keys import ObjectKey, ObjectKind

TABLE = Table(PREFIX).advanced(
    changes(
        backend("b1"),
        server("s2", "http://h:2", "b1"),
        server("s1", "http://h:1", "b1"),
        server("s9", "http://h:9", "implied"),
        frontend("f1", 'Path("/")', "b1"),
        reset=True,
    )
)


def listed(kind: ObjectKind, parent: str = ""):
    (objects,) = list_document(TABLE, kind, parent).values()
    return objects


def test_backends_are_listed_by_id_with_those_that_only_have_servers():
    assert [each["Id"] for each in listed(ObjectKind.BACKEND)] == ["b1", "implied"]
    assert object_document(TABLE, ObjectKey(ObjectKind.BACKEND, "b1"))["Type"] == "http"


def test_the_servers_of_a_backend_are_listed_by_id():
    assert list_document(TABLE, ObjectKind.SERVER, "b1") == {
        "Servers": [{"Id": "s1", "URL": "http://h:1"}, {"Id": "s2", "URL": "http://h:2"}]
    }
    key = ObjectKey(ObjectKind.SERVER, "s2", "b1")
    assert object_document(TABLE, key) == {"Id": "s2", "URL": "http://h:2"}


def test_a_frontend_is_listed_and_shown_alike():
    (document,) = listed(ObjectKind.FRONTEND)
    assert object_document(TABLE, ObjectKey(ObjectKind.FRONTEND, "f1")) == document
    assert document["Route"] == 'Path("/")'


@pytest.mark.parametrize(
    "key",
    [
        ObjectKey(ObjectKind.BACKEND, "x"),
        ObjectKey(ObjectKind.SERVER, "x", "b1"),
        ObjectKey(ObjectKind.SERVER, "s1", "x"),
        ObjectKey(ObjectKind.FRONTEND, "x"),
    ],
)
def test_an_object_that_does_not_exist_is_404(key):
    with pytest.raises(ApiError, match="Object not found") as missing:
        object_document(TABLE, key)
    assert missing.value.status == 404


def test_the_servers_of_a_missing_backend_are_404():
    with pytest.raises(ApiError, match="Object not found"):
        list_document(TABLE, ObjectKind.SERVER, "x")
