"""The keys of objects in the store."""

import pytest

from vulcan.core.keys import (
    ObjectKey,
    ObjectKind,
    history_directory,
    history_key,
    parse_path,
    status_directory,
    status_key,
)

PATHS = {
    "hosts/h/host": ObjectKey(ObjectKind.HOST, "h"),
    "listeners/l": ObjectKey(ObjectKind.LISTENER, "l"),
    "backends/b/backend": ObjectKey(ObjectKind.BACKEND, "b"),
    "backends/b/servers/s": ObjectKey(ObjectKind.SERVER, "s", "b"),
    "frontends/f/frontend": ObjectKey(ObjectKind.FRONTEND, "f"),
    "frontends/f/middlewares/m": ObjectKey(ObjectKind.MIDDLEWARE, "m", "f"),
}


@pytest.mark.parametrize("path", PATHS)
def test_the_path_of_an_object_is_parsed_to_the_key_that_writes_it(path: str):
    key = parse_path(path)
    assert key == PATHS[path]
    assert key.path == path


@pytest.mark.parametrize("path", ["", "backends", "backends/b", "backends/b/servers", "other/x/y"])
def test_other_paths_are_no_keys_of_objects(path: str):
    assert parse_path(path) is None


def test_an_object_with_keys_below_it_is_a_directory():
    directories = {key.directory for key in PATHS.values() if key.is_directory}
    assert directories == {"hosts/h", "backends/b", "frontends/f"}


def test_status_and_history_are_outside_the_watched_tree():
    assert status_key("/vulcand", "n1") == f"{status_directory('/vulcand')}/n1"
    assert history_key("/vulcand", 7) == f"{history_directory('/vulcand')}/000000000007"
    assert not status_directory("/vulcand").startswith("/vulcand/")
    assert not history_directory("/vulcand").startswith("/vulcand/")
