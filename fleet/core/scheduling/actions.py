"""The actions that the reconciler decides, each with its reason."""

from dataclasses import dataclass

from fleet.core.model import DesiredState, Endpoint


@dataclass(frozen=True, slots=True)
class Place:
    """Place an instance on a host, except those in `avoid`, which already have one.

    The hosts in `after` must still be silent when the plan is written: an exclusive instance ran
    there.
    """

    job: str
    index: int
    why: str
    avoid: frozenset[str] = frozenset()
    failures: int = 0
    host: str = ""  # if set, only this host will do
    after: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an instance."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the allocation of an instance that has stopped."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Update an instance to the newest version on the same host."""

    job: str
    index: int
    version: int
    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """Change the desired state or the endpoints of an instance."""

    job: str
    index: int
    version: int
    host: str
    desired_state: DesiredState
    endpoints: tuple[Endpoint, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Rebuild a host's plan from its status: the store was restored from an older backup."""

    host: str
    why: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin the rollout of a version."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Record that more, or fewer, instances of the newest version are available."""

    job: str
    available: int
    why: str


@dataclass(frozen=True, slots=True)
class Stable:
    """Mark the newest version as stable: all its instances are available."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Mark the rollout as failed: there is no version to go back to."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Revert:
    """Go back to the last stable version: the newest one failed."""

    job: str
    to: int
    why: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove a destroyed job that has stopped everywhere."""

    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing for a job, because a rule forbids it."""

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


def describe(action: Action) -> str:
    """Return one line for logs, events and `fleetctl plan`."""
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
