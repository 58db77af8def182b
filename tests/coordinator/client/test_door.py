"""`coordinator.client`: every name is there, and light names import no HTTP."""

import subprocess
import sys

import pytest

from coordinator import client

HEAVY = ("http.client", "ssl", "requests", "urllib3", "asyncio")


@pytest.mark.parametrize("name", client.__all__)
def test_every_public_name_is_found(name: str) -> None:
    assert getattr(client, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = client.Nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", ["StoreError, KeyNotFound", "Entry, Store", "Changes, View"])
def test_errors_and_values_are_imported_without_http(names: str) -> None:
    code = f"import sys; from coordinator.client import {names}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)
