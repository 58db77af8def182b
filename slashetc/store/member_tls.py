"""Turns TLS of this host's member of the store on or off, while the cluster serves.

The command runs on one member after the other. It looks at all members first, because the restart
of a second one could stop the store.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from coordinator.client import BadRequest, Tls, Unavailable
from coordinator.client.core.endpoint import parse
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.http_client import HttpClient
from daemonkit.host import atomic_file
from slashetc.core import store_tls
from slashetc.core.store_tls import Mode, PemFiles
from slashetc.host import units
from slashetc.host.checks import CheckFailed
from slashetc.store.cluster_api import ClusterApi, StoreMember

UNIT = "coordinator.service"
HEALTHY_S = 60.0
AGAIN_S = 0.2
PROBE_S = 3.0


class _Health(msgspec.Struct):
    health: str | bool = False
    reason: str = ""


def change(environment: Path, mode: Mode, files: PemFiles | None) -> bool:
    """Give the member another mode of TLS; return whether that changed anything.

    Raises CheckFailed, UnitFailed, StoreError or OSError.
    """
    try:
        text = environment.read_text()
    except FileNotFoundError:
        raise CheckFailed(
            f"{environment} does not exist: name the file of the coordinator's variables with "
            "--environment"
        ) from None
    before = store_tls.options(text)
    files = files or store_tls.pem_files(before)
    if files is None and mode != "off":
        raise CheckFailed(
            f"{environment} names no certificates for the store: give --member-cert, --member-key "
            "and --member-ca"
        )
    after = store_tls.changed(text, mode, files if mode != "off" else None)
    tls = Tls(files.ca, files.cert, files.key) if files else Tls()
    with ClusterApi(_listed(before), tls) as api:
        members = api.members()
        own = _own(members, before)
        _check(members, own, mode, tls)
        if (wanted := store_tls.peer_urls(before, mode)) and sorted(wanted) != sorted(
            own.peer_urls
        ):
            api.update_member(own, wanted)
    if after == text:
        return False
    found = environment.stat()
    staged = environment.with_name(f".{environment.name}.staged")
    staged.unlink(missing_ok=True)
    owner = (found.st_uid, found.st_gid)
    atomic_file.stage(staged, after.encode(), mode=found.st_mode & 0o7777, owner=owner)
    atomic_file.commit(staged, environment)
    units.systemctl("restart", UNIT)
    _wait(store_tls.client_url(store_tls.options(after), mode), tls)
    return True


def _listed(given: dict[str, str]) -> list[str]:
    listed = given.get("LISTEN_CLIENT_URLS") or store_tls.DEFAULT_URL
    return [url.strip() for url in listed.split(",")]


def _own(members: Sequence[StoreMember], given: dict[str, str]) -> StoreMember:
    name = given.get("NAME", "default")
    for each in members:
        if each.name == name:
            return each
    known = ", ".join(each.name or each.id for each in members)
    raise CheckFailed(f"the store has no member {name}; it has {known}: run this on one of them")


def _check(members: Sequence[StoreMember], own: StoreMember, mode: Mode, tls: Tls) -> None:
    """Raise CheckFailed unless the others serve, in a way that fits what this member will do."""
    for each in members:
        if each is own:
            continue
        reasons = []
        for url in each.client_urls:
            asked = url if mode == "prefer" else store_tls.with_scheme(url, mode)
            why = _problem(asked, tls)
            if not why:
                break
            reasons.append(f"{asked} {why}")
        else:
            remedy = (
                "a restart here could stop the store: mend that member first"
                if mode == "prefer"
                else "run `slashetc store-tls prefer` on that host first"
            )
            shown = "; ".join(reasons) or "it publishes no client URL"
            raise CheckFailed(f"member {each.name or each.id}: {shown}: {remedy}")


def _problem(url: str, tls: Tls) -> str:
    """Say why a member cannot serve at a URL; empty if it can."""
    http = HttpClient(tls)
    try:
        parts = urlsplit(url)
        (endpoint,) = parse([f"{parts.scheme}://{parts.netloc}"])
        body = http.open(endpoint, HttpRequest("GET", "/health"), PROBE_S).read()
        found = msgspec.json.decode(body, type=_Health)
    except (EndpointFailed, BadRequest) as failure:
        return str(failure)
    except msgspec.MsgspecError:
        return f"answers {body[:100].decode(errors='replace').strip()}"
    finally:
        http.close()
    return "" if found.health in {True, "true"} else f"is not healthy: {found.reason}"


def _wait(url: str, tls: Tls) -> None:
    end_s = time.monotonic() + HEALTHY_S
    while why := _problem(url, tls):
        if time.monotonic() > end_s:
            raise Unavailable(
                f"the member has restarted, but {url} {why}: `journalctl -u {UNIT}` says why"
            )
        time.sleep(AGAIN_S)
