"""Translates the flags and environment variables of Go's locksmith into ours.

In Go's program, global flags come before the sub-command; here they may also come after it. Go's
two programs read variables with different prefixes, so a host's daemon and its operator could work
in different groups. Here each program falls back to the variables of the other one.
"""

from collections.abc import Iterable, Mapping, Sequence

from daemonkit.core.go_flags import normalized

GO_NAMES = {
    "endpoint": "endpoints",
    "etcd-cafile": "ca-file",
    "etcd-certfile": "cert-file",
    "etcd-keyfile": "key-file",
}
# The programs must agree on these: the store and the group.
SHARED = (
    "endpoints",
    "ca-file",
    "cert-file",
    "key-file",
    "etcd-username",
    "etcd-password",
    "group",
)
# `locksmithctl reboot` reboots by the same rules as the host's locksmithd.
REBOOT = (
    "hooks-dir",
    "hook-timeout",
    "deadline",
    "failure-budget",
    "reboot-command",
    "store-member",
)
WITH_VALUE = frozenset({*SHARED, "config"})
SWITCHES = frozenset({"debug", "json", "verbose", "v", "version"})
PREFIXES = ("LOCKSMITHCTL", "LOCKSMITHD", "LOCKSMITH_FLEETLOCK")


def global_flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `locksmithctl` with our flag names, global flags first."""
    flags: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return [*flags, *rest, argument, *left]
        (flags if _is_global(argument) else rest).append(_ours(argument, left))
    return flags + rest


def translated(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a daemon with our flag names, in their order."""
    ours: list[str] = []
    left = iter(arguments)
    for argument in left:
        if _name(argument) == "debug":
            given = normalized(argument, {"--debug"}, ())
            ours += ["--log-level=debug" if word == "--debug" else word for word in given]
        else:
            ours.append(_ours(argument, left))
    return ours


def variables(environment: Mapping[str, str], own: str) -> dict[str, str]:
    """Return the variables `<own>_<OPTION>` that `environment` sets under other names.

    The closest name wins: this program's, then Go's for this program, then the other programs'. An
    empty variable counts as unset.
    """
    prefixes = sorted(PREFIXES, key=lambda prefix: prefix != own)
    found: dict[str, str] = {}
    for option in (*SHARED, *REBOOT) if own == "LOCKSMITHCTL" else SHARED:
        names_of_option = (option, *(go for go, ours in GO_NAMES.items() if ours == option))
        names = [_variable(prefix, each) for prefix in prefixes for each in names_of_option]
        if value := _first(environment, names):
            found[names[0]] = value
    return found


def go_variables(own: str) -> frozenset[str]:
    """Return Go's names of a program's variables."""
    return frozenset(_variable(own, name) for name in GO_NAMES)


def _name(argument: str) -> str:
    """Return our name of a flag; "" if the argument is not a flag."""
    if not argument.startswith("-"):
        return ""
    name = argument.removeprefix("-").removeprefix("-").partition("=")[0]
    return GO_NAMES.get(name, name)


def _is_global(argument: str) -> bool:
    return _name(argument) in WITH_VALUE | SWITCHES


def _ours(argument: str, following: Iterable[str]) -> str:
    name = _name(argument)
    if name not in WITH_VALUE:
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
