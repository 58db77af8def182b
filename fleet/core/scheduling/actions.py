"""What the difference between desired and current asks for. Each action says why."""

from dataclasses import dataclass

from fleet.core.model import Endpoint, Want


@dataclass(frozen=True, slots=True)
class Place:
    """An instance needs a host; `avoid` has one of it already.

    `after` must be silent still when this is written: an exclusive instance ran there.
    """

    job: str
    index: int
    why: str
    avoid: frozenset[str] = frozenset()
    failures: int = 0
    host: str = ""  # set: only there
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stop:
    """An instance shall end."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """An instance has ended, and its order can go."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Replace:
    """An instance shall go over to the newest version where it is."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """An order shall say something else about the same instance."""

    job: str
    index: int
    version: int
    host: str
    want: Want
    endpoints: tuple[Endpoint, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """The store went back behind what the host follows: its plan is made anew from its status."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Begin:
    """A version begins to roll out."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Advance:
    """More, or fewer, instances of the newest version are ready."""

    job: str
    settled: int
    why: str


@dataclass(frozen=True, slots=True)
class Stable:
    """All instances of the newest version are ready."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The newest version does not come up, and there is nothing to go back to."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Revert:
    """The newest version does not come up: back to the last that did."""

    job: str
    to: int
    why: str


@dataclass(frozen=True, slots=True)
class Forget:
    """A destroyed job has ended everywhere."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Something would be done, and a rule forbids it."""

    job: str
    why: str


Action = (
    Place
    | Stop
    | Drop
    | Replace
    | Change
    | Adopt
    | Begin
    | Advance
    | Stable
    | Fail
    | Revert
    | Forget
    | Hold
)


def described(action: Action) -> str:
    """Return one line for logs, events and plans."""
    verb = type(action).__name__.lower()
    match action:
        case Place(job, index, why):
            return f"place {job}[{index}]: {why}"
        case Stop() | Drop() | Replace() | Change():
            what = f"{action.job}[{action.index}] v{action.version} on {action.host[:8]}"
            return f"{verb} {what}: {action.why}"
        case Adopt(host, why):
            return f"adopt {host[:8]}: {why}"
        case Revert(job, to, why):
            return f"revert {job} to v{to}: {why}"
        case _:
            return f"{verb} {action.job}: {action.why}"
