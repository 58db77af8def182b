"""The settings of `locksmithd`, parsed and grouped for those that use them."""

from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from daemonkit.options import IdentityFiles, identity_files, installed_version
from locksmith.core import window
from locksmith.core.policy import Rules
from locksmith.core.reboot_probes import PROBES
from locksmith.core.window import Calendar, InvalidWindow
from locksmith.host.blockers import Blockers, split_list
from locksmith.host.reboot_required import RebootSources
from locksmith.settings import Settings
from locksmith.store import store_quorum
from locksmith.store.store_quorum import StoreQuorum


class InvalidSetting(ValueError):  # noqa: N818 - the message is read by an operator
    """The value of an option cannot be used; the message shows a valid one."""


@dataclass(frozen=True, slots=True)
class RebootOptions:
    """How a reboot is made: the hooks, the command, and how long each part may take.

    A grant is valid for `deadline`, hooks included. After that, others may call the host lost.
    """

    hooks_dir: Path
    hook_timeout_s: float
    healthy_timeout_s: float
    settle_s: float
    deadline: timedelta
    command: str = ""
    priority: int = 0
    reclaim_max: int = 0


@dataclass(frozen=True, slots=True)
class Configuration:
    """The parsed settings, except those of the store."""

    group: str
    status_addr: str
    state_dir: Path | None
    version: str
    rules: Rules
    sources: RebootSources
    blockers: Blockers
    reboot: RebootOptions
    quorum: StoreQuorum
    webhooks: tuple[str, ...] = ()
    status_tls: IdentityFiles | None = None


def parse(given: Settings, machine_id: str) -> Configuration:
    """Return the configuration of a host. Raises InvalidSetting."""
    if given.users not in {"wait", "ignore"}:
        raise InvalidSetting(f"--users {given.users!r}: write wait or ignore")
    try:
        rules, reboot = _rules(given, machine_id), _reboot(given)
    except InvalidWindow as error:
        raise InvalidSetting(str(error)) from None
    return Configuration(
        group=given.group or "",
        status_addr=given.status_addr,
        status_tls=identity_files(
            "--status-tls",
            given.status_tls,
            (given.ca_file, given.cert_file, given.key_file),
            given.revoked_file,
        ),
        state_dir=given.state_dir,
        version=installed_version(),
        rules=rules,
        sources=RebootSources(
            tuple(map(Path, split_list(given.sentinel))), _probes(given.probe), given.need_command
        ),
        blockers=Blockers(
            commands=split_list(given.gate_command),
            urls=split_list(given.gate_url),
            prometheus=given.prometheus_url,
            ignored_alerts=given.ignore_alerts,
            ignore_users=given.users == "ignore",
        ),
        reboot=reboot,
        quorum=StoreQuorum(
            given.urls,
            given.store_member,
            store_quorum.host_addresses(),
            given.tls,
            (given.etcd_username, given.etcd_password),
        ),
        webhooks=split_list(given.notify_url),
    )


def _rules(given: Settings, machine_id: str) -> Rules:
    calendar = Calendar(
        _zone(given.time_zone),
        tuple(window.parse_window(each) for each in window.split_windows(given.window)),
        tuple(window.parse_excluded(each) for each in split_list(given.exclude)),
        window.parse_duration(given.window_remaining),
        window.parse_duration(given.spread),
    )
    return Rules(
        strategy=given.strategy,
        calendar=calendar,
        share=_share(machine_id),
        max_deferral=window.parse_duration(given.max_deferral) if given.max_deferral else None,
        best_effort_wait_s=_seconds(given.best_effort_wait),
        failures_max=given.failure_budget,
    )


def _reboot(given: Settings) -> RebootOptions:
    return RebootOptions(
        hooks_dir=given.hooks_dir,
        hook_timeout_s=_seconds(given.hook_timeout),
        healthy_timeout_s=_seconds(given.healthy_timeout),
        settle_s=_seconds(given.settle),
        deadline=window.parse_duration(given.deadline),
        command=given.reboot_command,
        priority=given.priority,
        reclaim_max=given.reclaim_lost,
    )


def _seconds(text: str) -> float:
    return window.parse_duration(text).total_seconds()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else _local_zone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSetting(
            f"--time-zone {name!r}: write an IANA name such as Europe/Berlin"
        ) from None


def _local_zone() -> tzinfo:
    """Return the zone of /etc/localtime, with its clock changes."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _share(machine_id: str) -> float:
    """Return this host's position in a spread: the same in each window, different per host."""
    return int.from_bytes(machine_id.encode()[-4:], "big") % 1000 / 1000


def _probes(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip()) - {"none"}
    if unknown := names - set(PROBES):
        raise InvalidSetting(f"--probe {min(unknown)!r}: write {', '.join(PROBES)} or none")
    return names
