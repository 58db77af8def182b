"""Makes join tokens, with the signing key of an operator. No host is asked for it."""

import secrets
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from slashetc.core import host_files, tokens
from slashetc.core.tokens import Payload
from slashetc.host import checks
from slashetc.join import credentials

TTL_S = 3600.0


def join_line(
    directory: Path,
    agents: Sequence[str],
    host: str,
    *,
    ttl_s: float = TTL_S,
    member: bool | None = None,
) -> str:
    """Return the command that lets a host join. Raises NoCredentials, CheckFailed."""
    signer = credentials.signer(directory)
    now = time.time()
    payload = Payload(
        id=secrets.token_hex(8),
        host=checks.host_name(host),
        fleet=signer.fleet,
        ca=signer.ca,
        issued=now,
        expires=now + ttl_s,
        signer=signer.name,
        member=member,
    )
    text = tokens.make(payload, signer.key)
    return shlex.join(["slashetc", "join", agents[0], "--token", text])


def agent_urls(endpoints: str) -> list[str]:
    """Return the URLs of the agents beside the members of a store."""
    found = (each.strip() for each in endpoints.split(","))
    hosts = [each.rpartition(":")[0] for each in found if each.startswith("https://")]
    return [f"{each}:{host_files.JOIN_PORT}" for each in hosts]
