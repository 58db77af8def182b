"""The directory of trusted keys, and the numbers of the commands that have run."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleet.agent import done_requests, trusted_keys
from fleet.agent.done_requests import DoneRequests
from fleet.agent.trusted_keys import KEY_BYTES_MAX, KEYS_MAX, TrustedKeyFiles
from fleet.core.signed_request import RequestRefused
from tests.fleet.agent.memory_agent import trust

PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes(*PEM)


def test_files_come_and_go(tmp_path: Path) -> None:
    found = TrustedKeyFiles(trust(tmp_path / "keys"))
    assert found.are_required
    assert not found.keys
    (tmp_path / "keys/alice.pem").write_bytes(public())
    assert found.refresh()
    assert set(found.keys) == {"alice"}
    before = found.keys["alice"]
    (tmp_path / "keys/alice.pem").write_bytes(public())
    assert found.refresh()
    assert found.keys["alice"] != before
    assert not found.refresh()
    (tmp_path / "keys/alice.pem").unlink()
    assert found.refresh()
    assert not found.keys


def test_a_directory_that_goes_trusts_nobody_until_it_is_back(tmp_path: Path) -> None:
    found = TrustedKeyFiles(trust(tmp_path / "keys", Ed25519PrivateKey.generate()))
    (tmp_path / "keys").rename(tmp_path / "away")
    assert found.refresh()
    assert not found.keys
    (tmp_path / "away").rename(tmp_path / "keys")
    assert found.refresh()
    assert len(found.keys) == 1


def test_a_missing_directory_is_refused_unless_it_is_the_one_of_slashetc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "keys"
    with pytest.raises(OSError, match="there is no such directory"):
        TrustedKeyFiles(place)
    monkeypatch.setattr(trusted_keys, "DIRECTORY", place)
    found = TrustedKeyFiles(place)
    assert found.are_required
    trust(place, Ed25519PrivateKey.generate())
    assert found.refresh()
    assert len(found.keys) == 1


def test_a_file_that_holds_no_key_is_left_out(tmp_path: Path) -> None:
    place = trust(tmp_path / "keys", Ed25519PrivateKey.generate())
    rsa = generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (place / "rsa.pem").write_bytes(rsa.public_bytes(*PEM))
    (place / "broken.pem").write_bytes(b"-----BEGIN PUBLIC KEY-----\n")
    (place / "empty.pem").touch()
    (place / "large.pem").write_bytes(public() + b"\n" * KEY_BYTES_MAX)
    (place / "directory.pem").mkdir()
    (place / "dangling.pem").symlink_to("nothing")
    (place / ".hidden.pem").write_bytes(public())
    (place / "bob.pem.staged").write_bytes(public())
    os.mkfifo(place / "pipe.pem")
    found = TrustedKeyFiles(place)
    assert set(found.keys) == {"key0"}
    assert set(found.ignored) == {"rsa.pem", "broken.pem", "empty.pem", "large.pem"}
    assert "not an Ed25519 key" in found.ignored["rsa.pem"]


def test_a_host_trusts_a_bounded_number_of_keys(tmp_path: Path) -> None:
    place = trust(tmp_path / "keys")
    for number in range(KEYS_MAX + 1):
        (place / f"{number:04}.pem").write_bytes(public())
    found = TrustedKeyFiles(place)
    assert len(found.keys) == KEYS_MAX
    assert set(found.ignored) == {f"{KEYS_MAX:04}.pem"}


def test_a_command_runs_once_also_after_a_restart(tmp_path: Path) -> None:
    DoneRequests(tmp_path).take("7", until=100.0, now=10.0)
    again = DoneRequests(tmp_path)
    with pytest.raises(RequestRefused, match="has run already"):
        again.take("7", until=100.0, now=20.0)
    again.take("8", until=100.0, now=20.0)
    again.take("7", until=300.0, now=200.0)  # its signature is of another time


def test_the_numbers_of_commands_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(done_requests, "REQUESTS_MAX", 2)
    done = DoneRequests(tmp_path)
    done.take("1", until=100.0, now=0.0)
    done.take("2", until=100.0, now=0.0)
    with pytest.raises(RequestRefused, match="try again later"):
        done.take("3", until=100.0, now=0.0)
    done.take("3", until=200.0, now=101.0)


def test_a_command_does_not_run_if_its_number_cannot_be_kept(tmp_path: Path) -> None:
    done = DoneRequests(tmp_path / "away")
    with pytest.raises(RequestRefused, match="cannot keep"):
        done.take("1", until=100.0, now=0.0)


@pytest.mark.parametrize("saved", [b"", b"null", b'{"7": "x"}', b"\xff", b"[" * 3000])
def test_any_saved_numbers_can_be_read(tmp_path: Path, saved: bytes) -> None:
    (tmp_path / done_requests.NAME).write_bytes(saved)
    DoneRequests(tmp_path).take("7", until=100.0, now=0.0)
