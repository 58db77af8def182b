"""`slashetc join` and `slashetc leave`: a host comes into a fleet, and goes.

The files of a step are there before the next one begins, so a second run goes on where the first
one ended.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from daemonkit.host import machine_id
from slashetc.core import certificates, host_files, tokens, trust
from slashetc.core.fleet_file import FleetFile
from slashetc.core.requests import JoinAnswer, JoinRequest
from slashetc.core.tokens import BadToken, Payload
from slashetc.host import checks, units
from slashetc.host.checks import CheckFailed
from slashetc.host.places import NotInFleet, Places, write
from slashetc.join import credentials, own_requests
from slashetc.join.founding import LOCAL, MEMBER_DATA, Say, check_free, daemons_without
from slashetc.join.join_client import JoinClient, JoinFailed
from slashetc.join.own_requests import own_certificates, utc_now

T = TypeVar("T")
# Between two attempts while the authority or the store is away.
RETRY_S = 2.0
# What a host leaves in /etc/slashetc are its operator's files.
_LEFT = ("fleet.toml", "options.toml", "environment", "pki", "trusted-keys")


@dataclass(frozen=True, slots=True)
class Joining:
    """The options of `slashetc join`."""

    places: Places
    url: str
    token: str
    address: str = ""
    member: bool | None = None
    without: tuple[str, ...] = ()
    wait_s: float = 600.0
    # How long nobody may answer: an agent may restart, but the URL may also be wrong.
    reach_s: float = 20.0


def join(options: Joining, say: Say) -> FleetFile:
    """Join. Raises CheckFailed, JoinFailed, BadToken, UnitFailed, OSError."""
    checks.check_root()
    checks.check_systemd()
    payload = tokens.read(options.token).payload
    file = _known(options.places, payload)
    if file is None:
        file = _admitted(options, payload, say)
        say(f"{file.host} is {'a member' if file.member else 'a host'} of {file.fleet}")
    options.places.write_host_files(file)
    _root_options(file)
    wanted = host_files.units(file)
    units.enable(wanted)
    if file.member:
        units.start(["coordinator.service"])
    units.start(wanted)
    say(f"running: {', '.join(each.removesuffix('.service') for each in wanted)}")
    return file


def _known(places: Places, payload: Payload) -> FleetFile | None:
    """Return what this host is, if it has joined with this token's name already."""
    try:
        file = places.read()
    except NotInFleet:
        if places.fleet_file.exists():
            raise
        return None
    if (file.fleet, file.host) != (payload.fleet, payload.host):
        raise CheckFailed(
            f"this host is in the fleet {file.fleet} as {file.host}, and the token is for "
            f"{payload.host} in {payload.fleet}: run `slashetc leave` first"
        )
    now = utc_now()
    ends = [each.not_valid_after_utc for each in own_certificates(places).values()]
    with contextlib.suppress(OSError, ValueError):
        authorities = certificates.bundle(places.ca.read_text())
        is_ours = payload.ca in map(certificates.fingerprint, authorities)
        if is_ours and ends and min(ends) > now and not _is_evicted(places, file):
            return file
    return None


def _is_evicted(places: Places, file: FleetFile) -> bool:
    """Return whether the last list that this host has read refuses this host itself."""
    own = own_certificates(places)["host"].not_valid_before_utc.timestamp()
    listed = msgspec.json.decode(places.revoked.read_bytes())["identities"]
    return any(
        each["name"] == file.host and not each.get("user") and own <= each["before"]
        for each in listed
    )


def _admitted(options: Joining, payload: Payload, say: Say) -> FleetFile:
    if options.places.fleet_file.exists():
        # Its member, if it had one, is of no use: this host was evicted, or slept too long.
        units.systemctl("stop", "coordinator.service", check=False)
    client = JoinClient(options.url)
    trusted = _repeated(
        lambda: client.pin(payload.ca, utc_now), min(options.wait_s, options.reach_s), say
    )
    if refusal := tokens.date_refusal(payload, utc_now().timestamp()):
        raise BadToken(refusal)
    file = FleetFile(
        fleet=payload.fleet,
        host=payload.host,
        machine=machine_id.read(),
        address=checks.address(options.address),
        domain="",
        member=payload.member is not False and options.member is not False,
        daemons=daemons_without(options.without),
    )
    check_free(options.places, file)
    places = options.places
    places.make()
    request = JoinRequest(
        machine=file.machine,
        address=file.address,
        requests=own_requests.signing_requests(places, file.fleet, file.host),
        wants_member=options.member,
        token=options.token.strip(),
    )
    answer = _repeated(lambda: client.send(request), options.wait_s, say)
    write(places.ca, "".join(map(certificates.pem_of, trusted)))
    write(places.revoked, trust.revoked_file([]))
    own_requests.write_certificates(places, answer)
    return _described(file, answer)


def _described(file: FleetFile, answer: JoinAnswer) -> FleetFile:
    known = msgspec.structs.replace(
        file, member=answer.member, domain=answer.domain, endpoints=answer.endpoints
    )
    if not answer.member:
        return known
    _put_aside(MEMBER_DATA)
    cluster = {**answer.cluster, known.host: [known.peer_url]}
    return msgspec.structs.replace(known, cluster=cluster)


def _put_aside(directory: Path) -> None:
    """Move the data of an earlier member away: it is of another store, or of one that is gone."""
    if directory.exists():
        directory.rename(directory.with_name(f"{directory.name}.{int(time.time())}"))


def _repeated(call: Callable[[], T], wait_s: float, say: Say) -> T:
    """Repeat what fails for now; say why, once for each reason."""
    end_s, said = time.monotonic() + wait_s, ""
    while True:
        try:
            return call()
        except JoinFailed as failure:
            if not failure.temporary or time.monotonic() >= end_s:
                raise
            if str(failure) != said:
                said = str(failure)
                say(f"waiting: {said}")
            time.sleep(RETRY_S)


def _root_options(file: FleetFile) -> None:
    """Let root's commands on a member use its socket."""
    path = credentials.directory_of("root")[0] / "options.toml"
    if file.member and not path.exists():
        write(path, f'# Written by slashetc.\nendpoints = ["{LOCAL}"]\n')


def leave(places: Places, say: Say, *, force: bool) -> None:
    """Leave. Raises CheckFailed, NotInFleet, UnitFailed."""
    checks.check_root()
    checks.check_systemd()
    file = places.read()
    if file.authority and not force:
        raise CheckFailed(
            f"the key of the fleet's authority is on this host, in {places.authority}: without it "
            "no host can join or renew. Move it by `slashetc authority export` here and `slashetc "
            "authority import` on another member first, or leave with --force"
        )
    others = [url for url in file.endpoints if url != file.client_url]
    reason = _say_goodbye(places, others) if others else ""
    if reason:
        say(f"the fleet does not know yet ({reason}): run `slashetc evict {file.host}` there")
    wanted = host_files.units(file)
    units.disable(wanted)
    for name in _LEFT:
        path = places.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    Path(host_files.SOCKET_DROP_IN).unlink(missing_ok=True)
    units.systemctl("daemon-reload", check=False)
    root = credentials.directory_of("root")[0] / "options.toml"
    if root.exists() and root.read_text().splitlines()[1:] == [f'endpoints = ["{LOCAL}"]']:
        root.unlink()
    if file.member:
        _put_aside(MEMBER_DATA)
    say(f"{file.host} has left {file.fleet}; its daemons are stopped, its keys are removed")


def _say_goodbye(places: Places, endpoints: list[str]) -> str:
    """Ask the authority to forget this host; return why it does not, "" if it does."""
    reasons = []
    for endpoint in endpoints:
        url = f"{endpoint.rpartition(':')[0]}:{host_files.JOIN_PORT}"
        try:
            client = JoinClient(url)
            client.trust(certificates.bundle(places.ca.read_text()))
            client.send(own_requests.leaving(places))
        except (JoinFailed, OSError, ValueError) as error:
            reasons.append(str(error))
        else:
            return ""
    return "; ".join(dict.fromkeys(reasons))
