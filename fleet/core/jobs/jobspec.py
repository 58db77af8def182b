"""A job: what the [X-Fleet] section of a unit says about where and how often it runs."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import translate
from typing import TypeVar

from fleet.core.jobs import quantities, selector, unitfile
from fleet.core.jobs.selector import EVERYTHING, Selector
from fleet.core.jobs.unitfile import Option, UnitRefused

COUNT_MAX = 100_000
PRIORITY_MAX = 100
PRIORITY = 50
PORTS_MAX = 16
# Half of a processor's hundredth and 16 MB: what an idle service takes, for jobs that say nothing.
CPU_DEFAULT = 10
MEMORY_DEFAULT = 16 << 20
TRUE = frozenset({"true", "yes", "1", "on", "t"})
FALSE = frozenset({"false", "no", "0", "off", "f"})
UNSTOPPABLE = frozenset(
    {("KillMode", "process"), ("KillMode", "none")}
    | {("SendSIGKILL", word) for word in ("no", "false", "0", "off", "n", "f")}
)
T = TypeVar("T")


class Manner(Enum):
    """How hosts are chosen among those that fit."""

    SPREAD = "spread"
    PACK = "pack"
    LEAST_LOAD = "least-load"


class Way(Enum):
    """How a new version replaces the old one."""

    ROLLING = "rolling"  # in its place: down for a moment
    SURGE = "surge"  # beside it, and the old one goes when the new one is ready


@dataclass(frozen=True, slots=True)
class Check:
    """When an instance is ready: `active` for systemd's word, `tcp`, or `http` with a path."""

    kind: str = "active"
    path: str = ""
    every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Update:
    """How versions follow each other."""

    way: Way = Way.ROLLING
    parallel: int = 1
    ready_s: float = 1.0  # how long an instance must be ready to count
    deadline_s: float = 300.0  # a rollout without progress for so long has failed
    revert: bool = True


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance takes of a host. `port` -1: any free one, told in $PORT."""

    cpu: int = CPU_DEFAULT
    memory: int = MEMORY_DEFAULT
    port: int = 0
    ports: tuple[int, ...] = ()

    @property
    def fixed(self) -> tuple[int, ...]:
        """The ports that no other instance on the host may have."""
        return (*self.ports, self.port) if self.port > 0 else self.ports


@dataclass(frozen=True, slots=True)
class Placing:
    """Where instances may and should run."""

    constraint: Selector = EVERYTHING
    machine_id: str = ""
    machine_of: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    manner: Manner = Manner.SPREAD
    spread: str = ""  # a label of hosts, such as zone, to spread over before hosts


@dataclass(frozen=True, slots=True)
class Job:
    """A unit with its [X-Fleet] section understood. `count` None: one named unit, as fleet had."""

    name: str
    count: int | None = None
    everywhere: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    check: Check = Check()
    resources: Resources = Resources()
    placing: Placing = Placing()
    update: Update = Update()
    priority: int = PRIORITY
    available_min: int | None = None
    exclusive: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether its instances have names of their own."""
        return self.count is not None


def parse(name: str, text: str) -> Job:
    """Understand a unit. Raises UnitRefused with the line, ValueError for the name."""
    unitfile.checked_name(name)
    options = unitfile.parse(text)
    job = _Section(name, [each for each in options if each.section == "X-Fleet"]).job()
    if job.exclusive:
        _refuse_what_outlives_a_stop(name, options)
    return job


def _refuse_what_outlives_a_stop(name: str, options: Iterable[Option]) -> None:
    """An exclusive unit must be gone when systemd says that it has stopped."""
    if not name.endswith(".service"):
        raise UnitRefused(1, f"Exclusive= is for a .service, and {name} is none")
    for each in options:
        if (each.name, each.value) in UNSTOPPABLE:
            raise UnitRefused(
                each.line, f"{each.name}={each.value} may leave processes: not with Exclusive="
            )


def conflicting(globs: Iterable[str], name: str) -> bool:
    """Say whether a unit's name is matched by one of the globs."""
    return any(re.fullmatch(translate(glob), name) for glob in globs)


class _Section:
    """Reads options by name and notes which were asked for."""

    def __init__(self, name: str, options: list[Option]) -> None:
        self._name = name
        self._options = options
        self._known: set[str] = set()

    def job(self) -> Job:
        count = self._last("Count", _count)
        everywhere = self._flag("Global")
        job = Job(
            name=self._name,
            count=count,
            everywhere=everywhere,
            labels=self._labels(),
            check=self._last("Check", check) or Check(),
            resources=self._resources(),
            placing=self._placing(),
            update=self._update(),
            priority=_or(self._last("Priority", _between(0, PRIORITY_MAX)), PRIORITY),
            available_min=self._last("MinAvailable", _between(0, COUNT_MAX)),
            exclusive=self._flag("Exclusive"),
        )
        self._refuse_contradictions(job)
        unknown = [each for each in self._options if each.name not in self._known]
        warnings = tuple(f"line {each.line}: {each.name}= is not known" for each in unknown)
        return replace(job, warnings=warnings)

    def _refuse_contradictions(self, job: Job) -> None:
        placing = job.placing
        one_place = {"Count": job.counted, "Global": job.everywhere}
        pinned = {"MachineID": placing.machine_id, "MachineOf": placing.machine_of}
        for exclusive_of in (
            {**one_place, "Replaces": placing.replaces},
            {"Global": job.everywhere, **pinned, "Exclusive": job.exclusive},
            {**pinned, "Replaces": placing.replaces},
            {"MachineID": placing.machine_id, "Conflicts": placing.conflicts},
            {"Replaces": placing.replaces, "Conflicts": placing.conflicts},
        ):
            given = [name for name, value in exclusive_of.items() if value]
            if len(given) > 1:
                raise self._refused(given[-1], f"{given[0]}= and {given[-1]}= exclude each other")
        if job.counted and unitfile.template_of(self._name):
            raise self._refused("Count", "an instance of a template is one: leave Count= out")
        if job.check.kind in ("tcp", "http") and not job.resources.port:
            raise self._refused("Check", "a check by tcp or http needs Port=")

    def _resources(self) -> Resources:
        ports = tuple(
            self._read(each, word, _port) for each in self._all("Ports") for word in _words(each)
        )
        if len(ports) > PORTS_MAX:
            raise self._refused("Ports", f"more than {PORTS_MAX} ports")
        return Resources(
            cpu=_or(self._last("CPU", quantities.millicores), CPU_DEFAULT),
            memory=_or(self._last("Memory", quantities.size_bytes), MEMORY_DEFAULT),
            port=_or(self._last("Port", lambda text: -1 if text == "auto" else _port(text)), 0),
            ports=ports,
        )

    def _placing(self) -> Placing:
        machine_of = self._list("MachineOf", "X-ConditionMachineOf")
        return Placing(
            constraint=self._constraint(),
            machine_id=self._last("MachineID", str)
            or self._last("X-ConditionMachineID", str)
            or self._last("X-ConditionMachineBootID", str)
            or "",
            machine_of=machine_of,
            conflicts=self._list("Conflicts", "X-Conflicts"),
            replaces=self._list("Replaces"),
            manner=self._last("Placement", Manner) or Manner.SPREAD,
            spread=self._last("Spread", lambda text: "" if text == "host" else text) or "",
        )

    def _constraint(self) -> Selector:
        """Our Constraint= and fleet's MachineMetadata=: one key's values OR-ed, keys AND-ed."""
        wanted: dict[str, set[str]] = {}
        line = 0
        for each in (*self._all("MachineMetadata"), *self._all("X-ConditionMachineMetadata")):
            for word in _words(each):
                key, equals, value = word.partition("=")
                if not equals:
                    raise UnitRefused(each.line, f"{word!r} is no metadata: write key=value")
                wanted.setdefault(key, set()).add(value)
                line = each.line
        needs = tuple(
            selector.Requirement(key, selector.Test.IN.value, tuple(sorted(values)))
            for key, values in sorted(wanted.items())
        )
        for need in needs:
            for value in need.values:
                _checked_label(line, need.key, value)
        own = self._last("Constraint", selector.parse) or EVERYTHING
        if own == EVERYTHING and not needs:
            return EVERYTHING
        return Selector(tuple((*conjunction, *needs) for conjunction in own.any_of))

    def _update(self) -> Update:
        plain = Update()
        revert = self._last("UpdateRevert", _flag)
        return Update(
            way=self._last("Update", Way) or plain.way,
            parallel=_or(self._last("UpdateParallel", _between(1, COUNT_MAX)), plain.parallel),
            ready_s=_or(self._last("UpdateReady", quantities.seconds), plain.ready_s),
            deadline_s=_or(self._last("UpdateDeadline", quantities.seconds), plain.deadline_s),
            revert=plain.revert if revert is None else revert,
        )

    def _labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self._all("Labels"):
            for word in _words(each):
                key, equals, value = word.partition("=")
                if not equals:
                    raise UnitRefused(each.line, f"{word!r} is no label: write key=value")
                _checked_label(each.line, key, value)
                found[key] = value
        return found

    def _all(self, name: str) -> list[Option]:
        self._known.add(name)
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

    def _read(self, option: Option, text: str, read: Callable[[str], T]) -> T:
        return _at(option.line, lambda: read(text), f"{option.name}=")

    def _refused(self, name: str, reason: str) -> UnitRefused:
        lines = [each.line for each in self._options if each.name == name]
        return UnitRefused(lines[-1] if lines else 1, reason)


def _at(line: int, read: Callable[[], T], what: str = "") -> T:
    try:
        return read()
    except ValueError as error:
        raise UnitRefused(line, f"{what} {error}".strip()) from None


def _checked_label(line: int, key: str, value: str) -> None:
    _at(line, lambda: selector.checked_label(key, value))


def _words(option: Option) -> list[str]:
    """Split at blanks; fleet's files quote whole pairs."""
    return [word.strip("\"'") for word in option.value.split() if word.strip("\"'")]


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _flag(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() in TRUE


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return read


_count = _between(0, COUNT_MAX)
_port = _between(1, 65_535)


def check(text: str) -> Check:
    """Read a check. Raises ValueError."""
    kind, _, path = text.partition(":")
    if kind not in ("active", "tcp", "http") or (kind != "http" and path):
        raise ValueError(f"{text!r} is no check: write active, tcp or http:/path")
    if kind == "http" and (not path.startswith("/") or not path.isascii() or " " in path):
        raise ValueError(f"{text!r}: the path of an http check begins with /")
    return Check(kind, path)
