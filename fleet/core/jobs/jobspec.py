"""A job: where and how a unit runs, parsed from its [X-Fleet] section."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import translate
from typing import TypeVar

from daemonkit.core import durations, sizes
from fleet.core.fields import COUNT_MAX
from fleet.core.jobs import quantities, selector, unitfile
from fleet.core.jobs.selector import EVERYTHING, Selector
from fleet.core.jobs.unitfile import UnitOption, UnitRefused

PRIORITY_MAX = 100
PRIORITY = 50
PORTS_MAX = 16
# The requests of a job without CPU= and Memory=: the needs of an idle service.
CPU_DEFAULT = 10
MEMORY_DEFAULT = 16 << 20
TRUE = frozenset({"true", "yes", "1", "on", "t"})
FALSE = frozenset({"false", "no", "0", "off", "f"})
UNSTOPPABLE = frozenset(
    {("KillMode", "process"), ("KillMode", "none")}
    | {("SendSIGKILL", word) for word in ("no", "false", "0", "off", "n", "f")}
)
T = TypeVar("T")


class PlacementStrategy(Enum):
    """How a host is chosen among those that can run an instance."""

    SPREAD = "spread"
    PACK = "pack"
    LEAST_LOAD = "least-load"


class UpdateStrategy(Enum):
    """How a new version replaces the old one."""

    ROLLING = "rolling"  # the old one stops, then the new one starts
    SURGE = "surge"  # the new one starts, then the old one stops when the new one is ready


@dataclass(frozen=True, slots=True)
class ReadinessCheck:
    """When an instance is ready: `active` in systemd, `tcp`, `http` or `https` with a path."""

    kind: str = "active"
    path: str = ""
    every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class UpdatePolicy:
    """How an update proceeds."""

    strategy: UpdateStrategy = UpdateStrategy.ROLLING
    parallel: int = 1
    ready_s: float = 1.0  # how long an instance must be ready to be available
    deadline_s: float = 300.0  # a rollout without progress for this long has failed
    revert: bool = True


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that an instance requests. `port` -1 is any free port, passed in $PORT."""

    cpu: int = CPU_DEFAULT
    memory: int = MEMORY_DEFAULT
    port: int = 0
    ports: tuple[int, ...] = ()

    @property
    def fixed(self) -> tuple[int, ...]:
        """The ports that only one instance on a host can have."""
        return (*self.ports, self.port) if self.port > 0 else self.ports


@dataclass(frozen=True, slots=True)
class PlacementSpec:
    """Where instances may run, and where they should."""

    constraint: Selector = EVERYTHING
    machine_id: str = ""
    machine_of: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    strategy: PlacementStrategy = PlacementStrategy.SPREAD
    spread: str = ""  # a host label such as zone: instances are spread over its values first


@dataclass(frozen=True, slots=True)
class Job:
    """A unit with its [X-Fleet] section parsed. Without `count` it is one unit, as in fleet."""

    name: str
    count: int | None = None
    is_global: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    check: ReadinessCheck = ReadinessCheck()
    resources: Resources = Resources()
    placement: PlacementSpec = PlacementSpec()
    update: UpdatePolicy = UpdatePolicy()
    priority: int = PRIORITY
    available_min: int | None = None
    exclusive: bool = False

    @property
    def counted(self) -> bool:
        """Whether it has Count=: then each instance has its own name."""
        return self.count is not None


def parse(name: str, text: str) -> Job:
    """Parse a unit. Raises UnitRefused for the text, ValueError for the name."""
    unitfile.checked_name(name)
    options = unitfile.parse(text)
    job = _FleetSection(name, [each for each in options if each.section == "X-Fleet"]).job()
    if job.exclusive:
        _refuse_unstoppable(name, options)
    return job


def _refuse_unstoppable(name: str, options: Iterable[UnitOption]) -> None:
    """Refuse an exclusive unit that may leave processes when systemd says that it has stopped."""
    if not name.endswith(".service"):
        raise UnitRefused(1, f"Exclusive= is for a .service only, and {name} is not one")
    for each in options:
        if (each.name, each.value) in UNSTOPPABLE:
            raise UnitRefused(
                each.line,
                f"{each.name}={each.value} may leave processes behind: "
                "it cannot be used with Exclusive=",
            )


def conflicting(globs: Iterable[str], name: str) -> bool:
    """Return whether one of the globs matches a unit's name."""
    return any(re.fullmatch(translate(glob), name) for glob in globs)


class _FleetSection:
    """Reads options by name, and notes which names it asked for."""

    def __init__(self, name: str, options: list[UnitOption]) -> None:
        self._name = name
        self._options = options
        self.known: set[str] = set()

    def job(self) -> Job:
        count = self._last("Count", _count)
        is_global = self._flag("Global")
        job = Job(
            name=self._name,
            count=count,
            is_global=is_global,
            labels=self._labels(),
            check=self._last("Check", parse_check) or ReadinessCheck(),
            resources=self._resources(),
            placement=self._placement(),
            update=self._update(),
            priority=_or(self._last("Priority", _between(0, PRIORITY_MAX)), PRIORITY),
            available_min=self._last("MinAvailable", _between(0, COUNT_MAX)),
            exclusive=self._flag("Exclusive"),
        )
        self._refuse_contradictions(job)
        return job

    def _refuse_contradictions(self, job: Job) -> None:
        placement = job.placement
        one_place = {"Count": job.counted, "Global": job.is_global}
        pinned = {"MachineID": placement.machine_id, "MachineOf": placement.machine_of}
        for exclusive_of in (
            {**one_place, "Replaces": placement.replaces},
            {"Global": job.is_global, **pinned, "Exclusive": job.exclusive},
            {**pinned, "Replaces": placement.replaces},
            {"MachineID": placement.machine_id, "Conflicts": placement.conflicts},
            {"Replaces": placement.replaces, "Conflicts": placement.conflicts},
        ):
            given = [name for name, value in exclusive_of.items() if value]
            if len(given) > 1:
                raise self._refused(
                    given[-1], f"{given[0]}= and {given[-1]}= cannot be used together"
                )
        if job.counted and unitfile.template_of(self._name):
            raise self._refused(
                "Count", "an instance of a template is a single unit: remove Count="
            )
        if (size := _unit_name_size(job)) > unitfile.NAME_MAX:
            excess = size - unitfile.NAME_MAX
            raise UnitRefused(1, f"the job's name is too long by {excess} characters")
        if job.check.kind != "active" and not job.resources.port:
            raise self._refused("Check", "a tcp, http or https check needs Port=")

    def _resources(self) -> Resources:
        ports = tuple(
            self._read(each, word, _port) for each in self._all("Ports") for word in _words(each)
        )
        if len(ports) > PORTS_MAX:
            raise self._refused("Ports", f"more than {PORTS_MAX} ports")
        return Resources(
            cpu=_or(self._last("CPU", quantities.millicores), CPU_DEFAULT),
            memory=_or(self._last("Memory", sizes.parse), MEMORY_DEFAULT),
            port=_or(self._last("Port", lambda text: -1 if text == "auto" else _port(text)), 0),
            ports=ports,
        )

    def _placement(self) -> PlacementSpec:
        machine_of = self._list("MachineOf", "X-ConditionMachineOf")
        return PlacementSpec(
            constraint=self._constraint(),
            machine_id=self._last("MachineID", str)
            or self._last("X-ConditionMachineID", str)
            or self._last("X-ConditionMachineBootID", str)
            or "",
            machine_of=machine_of,
            conflicts=self._list("Conflicts", "X-Conflicts"),
            replaces=self._list("Replaces"),
            strategy=self._last("Placement", PlacementStrategy) or PlacementStrategy.SPREAD,
            spread=self._last("Spread", lambda text: "" if text == "host" else text) or "",
        )

    def _constraint(self) -> Selector:
        """Join Constraint= and fleet's MachineMetadata=: values of a key by OR, keys by AND."""
        wanted: dict[str, set[str]] = {}
        line = 0
        for each in (*self._all("MachineMetadata"), *self._all("X-ConditionMachineMetadata")):
            for word in _words(each):
                key, equals, value = word.partition("=")
                if not equals:
                    raise UnitRefused(each.line, f"{word!r} is not metadata: write key=value")
                wanted.setdefault(key, set()).add(value)
                line = each.line
        requirements = tuple(
            selector.Requirement(key, selector.Operator.IN.value, tuple(sorted(values)))
            for key, values in sorted(wanted.items())
        )
        for requirement in requirements:
            for value in requirement.values:
                _checked_label(line, requirement.key, value)
        own = self._last("Constraint", selector.parse) or EVERYTHING
        if own == EVERYTHING and not requirements:
            return EVERYTHING
        return Selector(tuple((*conjunction, *requirements) for conjunction in own.any_of))

    def _update(self) -> UpdatePolicy:
        plain = UpdatePolicy()
        revert = self._last("UpdateRevert", _flag)
        return UpdatePolicy(
            strategy=self._last("Update", UpdateStrategy) or plain.strategy,
            parallel=_or(self._last("UpdateParallel", _between(1, COUNT_MAX)), plain.parallel),
            ready_s=_or(self._last("UpdateReady", _duration_s), plain.ready_s),
            deadline_s=_or(self._last("UpdateDeadline", _duration_s), plain.deadline_s),
            revert=plain.revert if revert is None else revert,
        )

    def _labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self._all("Labels"):
            for word in _words(each):
                key, equals, value = word.partition("=")
                if not equals:
                    raise UnitRefused(each.line, f"{word!r} is not a label: write key=value")
                _checked_label(each.line, key, value)
                found[key] = value
        return found

    def _all(self, name: str) -> list[UnitOption]:
        self.known.add(name)
        return [each for each in self._options if each.name == name and each.value]

    def _list(self, *names: str) -> tuple[str, ...]:
        return tuple(
            unitfile.expand(word, self._name)
            for name in names
            for each in self._all(name)
            for word in _words(each)
        )

    def _last(self, name: str, read: Callable[[str], T]) -> T | None:
        found = self._all(name)
        if not found:
            return None
        return self._read(found[-1], unitfile.expand(found[-1].value, self._name), read)

    def _flag(self, name: str) -> bool:
        return bool(self._last(name, _flag))

    def _read(self, option: UnitOption, text: str, read: Callable[[str], T]) -> T:
        return _at(option.line, lambda: read(text), f"{option.name}=")

    def _refused(self, name: str, reason: str) -> UnitRefused:
        lines = [each.line for each in self._options if each.name == name]
        return UnitRefused(lines[-1] if lines else 1, reason)


def _unit_name_size(job: Job) -> int:
    """Return the size of the longest name of a unit that an instance has in systemd."""
    longest = len(job.name)
    if job.counted:
        longest += len("fleet--12345678-") + len(str(COUNT_MAX))
    return longest + len("fleet-fence-.timer") * job.exclusive


def _at(line: int, read: Callable[[], T], what: str = "") -> T:
    try:
        return read()
    except ValueError as error:
        raise UnitRefused(line, f"{what} {error}".strip()) from None


def _checked_label(line: int, key: str, value: str) -> None:
    _at(line, lambda: selector.checked_label(key, value))


def _words(option: UnitOption) -> list[str]:
    """Split at blanks. The unit files of fleet quote whole pairs."""
    return [word.strip("\"'") for word in option.value.split() if word.strip("\"'")]


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _flag(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"{text!r} is not a boolean: write yes or no")
    return text.lower() in TRUE


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return read


def _duration_s(text: str) -> float:
    return durations.parse(text, bare_seconds=True)


_count = _between(0, COUNT_MAX)
_port = _between(1, 65_535)


def parse_check(text: str) -> ReadinessCheck:
    """Parse a check. Raises ValueError."""
    kind, _, path = text.partition(":")
    has_path = kind in ("http", "https")
    if kind not in ("active", "tcp", "http", "https") or (path and not has_path):
        raise ValueError(f"{text!r} is not a check: write active, tcp, http:/path or https:/path")
    if has_path and (not path.startswith("/") or not path.isascii() or " " in path):
        raise ValueError(
            f"{text!r}: the path of an {kind} check must start with / and be ASCII without blanks"
        )
    return ReadinessCheck(kind, path)


def _fleet_options() -> frozenset[str]:
    empty = _FleetSection("empty.service", [])
    empty.job()
    return frozenset(empty.known)


# The names of all options of [X-Fleet].
FLEET_OPTIONS = _fleet_options()
