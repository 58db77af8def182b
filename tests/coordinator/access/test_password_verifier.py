import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from coordinator.core.auth.guess_limits import ADDRESS_GUESSES_MAX
from coordinator.server.access import password_verifier
from coordinator.server.access.password_verifier import Login, PasswordVerifier, Verdict
from daemonkit.core import passwords

SECRET = passwords.hashed(b"right", "salt")
RIGHT = Login("10.0.0.1", "alice", b"right", SECRET)
Case = Callable[[PasswordVerifier], Coroutine[Any, Any, None]]


def run(case: Case) -> None:
    async def main() -> None:
        verifier = PasswordVerifier(asyncio.get_running_loop())
        try:
            await case(verifier)
        finally:
            verifier.close()

    asyncio.run(main())


async def verdict(verifier: PasswordVerifier, login: Login) -> tuple[Verdict, float]:
    decided: asyncio.Future[tuple[Verdict, float]] = asyncio.get_running_loop().create_future()
    verifier.verify(login, lambda *found: decided.set_result(found))
    return await asyncio.wait_for(decided, 10)


def test_a_password_is_checked_once_and_then_known_in_microseconds():
    async def case(verifier: PasswordVerifier) -> None:
        known = "alice", b"right", SECRET
        assert not verifier.is_verified(*known)
        assert await verdict(verifier, RIGHT) == (Verdict.RIGHT, 0.0)
        began = time.perf_counter()
        for _ in range(1000):
            assert verifier.is_verified(*known)
        assert (time.perf_counter() - began) / 1000 < 0.000_1

    run(case)


def test_a_password_is_known_for_its_own_user_and_its_own_secret_only():
    async def case(verifier: PasswordVerifier) -> None:
        await verdict(verifier, RIGHT)
        assert not verifier.is_verified("alice", b"wrong", SECRET)
        assert not verifier.is_verified("bob", b"right", SECRET)
        assert not verifier.is_verified("alice", b"right", passwords.hashed(b"right", "other"))
        assert not verifier.is_verified("alice", b"right", "")

    run(case)


def test_a_wrong_password_and_an_unknown_user_are_the_same_work(monkeypatch: pytest.MonkeyPatch):
    real, work = hashlib.scrypt, list[object]()

    def noted(password: bytes, *, salt: bytes, **how: int) -> bytes:
        work.append((len(password), len(salt), how))
        return real(password, salt=salt, **how)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    real_secret = passwords.hashed(b"right", secrets.token_hex(password_verifier.SALT_BYTES))
    work.clear()

    async def case(verifier: PasswordVerifier) -> None:
        wrong = replace(RIGHT, password=b"wrong", secret=real_secret)
        for login in (wrong, replace(wrong, user="nobody", secret="")):
            assert await verdict(verifier, login) == (Verdict.WRONG, 0.0)

    run(case)
    assert len(work) == 2
    assert work[0] == work[1]


def test_guesses_from_one_address_are_refused_before_they_cost_anything():
    async def case(verifier: PasswordVerifier) -> None:
        for number in range(ADDRESS_GUESSES_MAX):
            found = await verdict(verifier, replace(RIGHT, password=b"guess%d" % number))
            assert found == (Verdict.WRONG, 0.0)
        found, wait_s = await verdict(verifier, RIGHT)
        assert found is Verdict.TOO_MANY
        assert 0 < wait_s <= 5.0
        assert verifier.refused == ADDRESS_GUESSES_MAX + 1
        elsewhere = replace(RIGHT, address="10.0.0.2")
        assert (await verdict(verifier, elsewhere))[0] is Verdict.RIGHT

    run(case)


def test_the_same_password_on_many_connections_at_once_is_one_guess():
    async def case(verifier: PasswordVerifier) -> None:
        found = await asyncio.gather(*(verdict(verifier, RIGHT) for _ in range(64)))
        assert {each for each, _ in found} == {Verdict.RIGHT}
        assert verifier.refused == 0

    run(case)


def test_checks_and_known_passwords_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(password_verifier, "CHECKS_MAX", 1)
    monkeypatch.setattr(password_verifier, "VERIFIED_MAX", 1)
    secret = passwords.hashed(b"other", "salt")

    async def case(verifier: PasswordVerifier) -> None:
        first = asyncio.ensure_future(verdict(verifier, RIGHT))
        await asyncio.sleep(0)
        second = Login("10.0.0.2", "bob", b"other", secret)
        assert (await verdict(verifier, second))[0] is Verdict.BUSY
        assert (await first)[0] is Verdict.RIGHT
        assert (await verdict(verifier, second))[0] is Verdict.RIGHT
        assert verifier.is_verified("bob", b"other", secret)
        assert not verifier.is_verified("alice", b"right", SECRET)

    run(case)


def test_a_new_password_becomes_a_secret_of_its_own_salt():
    async def case(verifier: PasswordVerifier) -> None:
        made: list[str] = []
        both = asyncio.Event()

        def add(secret: str) -> None:
            made.append(secret)
            if len(made) == 2:
                both.set()

        for _ in range(2):
            assert verifier.hash(b"new", add)
        await asyncio.wait_for(both.wait(), 10)
        assert made[0] != made[1]
        assert all(passwords.matches(secret, b"new") for secret in made)

    run(case)
