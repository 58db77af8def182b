"""Go locksmith's spellings of flags and variables, turned into ours.

Go's flags stand before the sub-command; here they may stand after it too. Go's two programs
read variables with different prefixes, so that a host's daemon and its operator could work in
different groups; here each program falls back to the other's.
"""

from collections.abc import Iterable, Mapping, Sequence

GO_NAMES = {
    "endpoint": "endpoints",
    "etcd-cafile": "ca-file",
    "etcd-certfile": "cert-file",
    "etcd-keyfile": "key-file",
}
# What both programs must agree on: the store, and the group.
SHARED = (
    "endpoints",
    "ca-file",
    "cert-file",
    "key-file",
    "etcd-username",
    "etcd-password",
    "group",
)
VALUED = frozenset({*SHARED, "config"})
SWITCHES = frozenset({"debug", "json", "verbose", "v", "version"})
PREFIXES = ("LOCKSMITHCTL", "LOCKSMITHD", "LOCKSMITH_FLEETLOCK")


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Return `locksmithctl` arguments with the global flags first and spelled as ours."""
    flags: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return [*flags, *rest, argument, *left]
        (flags if _is_global(argument) else rest).append(_ours(argument, left))
    return flags + rest


def renamed(arguments: Sequence[str]) -> list[str]:
    """Return `locksmithd` arguments, spelled as ours and in their order."""
    left = iter(arguments)
    return [
        "--log-level=debug" if _name(argument) == "debug" else _ours(argument, left)
        for argument in left
    ]


def variables(environment: Mapping[str, str], own: str) -> dict[str, str]:
    """Return the variables `<own>_<OPTION>` that other spellings in `environment` stand for.

    The nearest spelling wins: this program's, Go's for this program, then the other program's.
    An empty variable counts as unset.
    """
    prefixes = sorted(PREFIXES, key=lambda prefix: prefix != own)
    found: dict[str, str] = {}
    for option in SHARED:
        spellings = (option, *(go for go, ours in GO_NAMES.items() if ours == option))
        names = [_variable(prefix, each) for prefix in prefixes for each in spellings]
        if value := _first(environment, names):
            found[names[0]] = value
    return found


def _name(argument: str) -> str:
    """Return our name of a flag; "" for what is none."""
    if not argument.startswith("-"):
        return ""
    name = argument.removeprefix("-").removeprefix("-").partition("=")[0]
    return GO_NAMES.get(name, name)


def _is_global(argument: str) -> bool:
    return _name(argument) in VALUED | SWITCHES


def _ours(argument: str, following: Iterable[str]) -> str:
    name = _name(argument)
    if name not in VALUED:
        return argument
    _, equals, value = argument.partition("=")
    if not equals:
        given = next(iter(following), None)
        return f"--{name}" if given is None else f"--{name}={given}"
    return f"--{name}={value}"


def _variable(prefix: str, option: str) -> str:
    return f"{prefix}_{option.upper().replace('-', '_')}"


def _first(environment: Mapping[str, str], names: Iterable[str]) -> str:
    return next((value for name in names if (value := environment.get(name))), "")
