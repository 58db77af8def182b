"""Options, each declared once: its flag, environment variable, TOML key, help and type.

Order of precedence: flag, environment (`<PROGRAM>_<OPTION>`), TOML file (`--config`), the defaults
in `~/.config/slashetc/options.toml` and `/etc/slashetc/options.toml`, the program's own default.
Long flags may be written with one dash, as Go programs have them.
"""

import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar, get_type_hints

import typer

from daemonkit.core import addresses, go_flags, variable_names
from daemonkit.core.terminal_text import LINES, printable

if TYPE_CHECKING:
    from daemonkit.core.option_defaults import Default

T = TypeVar("T")
HOST_DEFAULTS = "/etc/slashetc/options.toml"
OPERATOR_DEFAULTS = ".config/slashetc/options.toml"

EXIT_NO = 1
EXIT_USAGE = 2


class Failure(Exception):  # noqa: N818 - an answer, not a bug
    """Ends a command with a message on stderr and an exit code."""

    def __init__(self, message: str, code: int = EXIT_NO) -> None:
        super().__init__(message)
        self.code = code


def parse_address(text: str, option: str | None = None) -> tuple[str, int]:
    """Split HOST:PORT. Raises typer.BadParameter naming the value, and the option if it is given.

    A callback of an option need not give it.
    """
    try:
        return addresses.parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _address(text: str) -> str:
    if text:
        parse_address(text)
    return text


def _load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Read the TOML file: its values win over defaults, and lose to flags and environment."""
    if path is None:
        return None
    import tomllib

    try:
        values = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    known = {
        _toml_key(parameter): parameter
        for parameter in context.command.params
        if parameter.name and parameter.name != "config"
    }
    unknown = sorted(set(values) - set(known))
    if unknown:
        names = ", ".join(sorted(known))
        raise typer.BadParameter(f"{path}: unknown key {unknown[0]!r}; the keys are {names}")
    given = {str(known[key].name): _given(context, path, known[key], values[key]) for key in values}
    context.default_map = {**(context.default_map or {}), **given}
    return path


def _given(context: typer.Context, path: Path, parameter: Any, value: object) -> str | list[str]:
    """Return a TOML value as the command line would have it, and check it while we know its place.

    Converted from its TOML type, `workers = 2.5` would quietly be 2.
    """
    try:
        given = _spelled(value)
        if isinstance(given, list) and not parameter.multiple:
            given = ",".join(given)
        parameter.process_value(context, given)
    except typer.BadParameter as error:
        place = f"{path}: {_toml_key(parameter)} = {value!r}"
        raise typer.BadParameter(f"{place}: {error.message}") from None
    return given


def _spelled(value: object) -> str | list[str]:
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case list() if not any(isinstance(each, list | dict) for each in value):
            return [str(_spelled(each)) for each in value]
        case _:
            raise typer.BadParameter("write a string, a number, a boolean or a list of them")


def _toml_key(parameter: Any) -> str:
    flags = [name for name in parameter.opts if name.startswith("--")]
    return flags[0].removeprefix("--") if flags else str(parameter.name)


Endpoints = Annotated[
    str,
    typer.Option(
        "--endpoints", metavar="URL,URL", help="Client URLs of the store, separated by commas."
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", help="CA certificates that verify the store's certificate."),
]
CertFile = Annotated[
    Path | None, typer.Option("--cert-file", help="Client certificate to present to the store.")
]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="Private key of --cert-file.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=_load_config,
        help="TOML file whose keys are long option names.",
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", help="Lowest level to log."),
]
LogFormat = Annotated[
    Literal["text", "json"], typer.Option("--log-format", help="Format of log lines.")
]
StatusAddr = Annotated[
    str,
    typer.Option(
        "--status-addr",
        metavar="HOST:PORT",
        callback=_address,
        help="Address that serves /health, /ready, /metrics and /debug/state; empty for none.",
    ),
]
TlsRequired = Literal["off", "require"]
StatusTls = Annotated[
    TlsRequired,
    typer.Option(
        "--status-tls",
        help="Whether --status-addr requires TLS, and a certificate of this host or of a viewer.",
    ),
]


def _require_tls(wanted: bool) -> bool:  # noqa: FBT001 - typer's form
    if wanted:
        from daemonkit.process.listening_socket import refuse_open

        refuse_open(wanted=True)
    return wanted


RequireTls = Annotated[
    bool,
    typer.Option(
        "--require-tls",
        callback=_require_tls,
        help="Refuse to listen beyond loopback without TLS, where the daemon would only warn.",
    ),
]
HOST_WHITELIST = "--host-whitelist"
HostWhitelist = Annotated[
    str,
    typer.Option(
        HOST_WHITELIST,
        metavar="NAME,NAME",
        help=(
            "Host names that HTTP requests without TLS may use besides IP addresses, localhost, "
            "names without a dot, this host's name and advertised names; * for every name."
        ),
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="Server certificate; without it, no TLS."),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Private key of --tls-cert.")]
ClientCa = Annotated[
    Path | None,
    typer.Option("--client-ca", help="CA certificates that verify the certificates of clients."),
]
RevokedFile = Annotated[
    Path | None,
    typer.Option(
        "--revoked-file",
        help="List of hosts and users whose certificates are refused, also on open connections.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=64, help="Number of worker processes.")
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        help="Directory for the last good copy of the keys; without it, none is kept.",
    ),
]
DrainS = Annotated[
    float,
    typer.Option(
        "--drain-timeout",
        metavar="SECONDS",
        min=0.0,
        help="Time limit for finishing work in flight before exit.",
    ),
]


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    """The files by which a listener shows who it is, and knows who its clients are."""

    ca: Path
    cert: Path
    key: Path
    revoked: Path | None = None


def identity_files(
    option: str,
    wanted: TlsRequired,
    files: tuple[Path | None, Path | None, Path | None],
    revoked: Path | None,
    names: str = "--ca-file, --cert-file and --key-file",
) -> IdentityFiles | None:
    """Return the files of a listener: authority, certificate and key; None if it has no TLS.

    Raises BadParameter if one is missing; `names` are the options that give them.
    """
    if wanted == "off":
        return None
    ca, cert, key = files
    if ca is None or cert is None or key is None:
        raise typer.BadParameter(f"{option} require needs {names}")
    return IdentityFiles(ca, cert, key, revoked)


def host_names(whitelist: str) -> tuple[str, ...]:
    """Return the names of --host-whitelist."""
    return tuple(name.strip() for name in whitelist.split(",") if name.strip())


def installed_version() -> str:
    """Return the installed version; "unknown" in a checkout that is not installed."""
    from importlib import metadata

    try:
        return metadata.version("slashetc")
    except metadata.PackageNotFoundError:
        return "unknown"


def _print_version(context: typer.Context, wanted: bool) -> None:  # noqa: FBT001 - typer's form
    if wanted:
        typer.echo(f"{context.find_root().info_name} version {installed_version()}")
        raise typer.Exit


ShowVersion = Annotated[
    bool,
    typer.Option(
        "--version",
        is_eager=True,
        allow_from_autoenv=False,
        callback=_print_version,
        help="Print the version and exit.",
    ),
]


def of_value(kind: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Make a command of a function that takes all of its options as one value.

    Each field of the dataclass `kind` is an option: its annotation and default are those of a
    parameter. `--help` shows the fields of `kind` itself before those that it inherits.
    """
    hints = get_type_hints(kind, include_extras=True)
    own = set(inspect.get_annotations(kind))
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in sorted(fields(kind), key=lambda field: field.name not in own)  # type: ignore[arg-type]
    ]

    def decorate(function: Callable[[T], None]) -> Callable[..., None]:
        def command(**given: Any) -> None:
            function(kind(**given))

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def program(about: str) -> typer.Typer:
    """Return a command line program without commands; `about` begins its --help."""
    return typer.Typer(
        help=about,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run(
    app: typer.Typer,
    prog: str,
    argv: Sequence[str] | None = None,
    *,
    variables: Collection[str] = (),
    takes_defaults: bool = True,
) -> NoReturn:
    """Run a console script: parse, call, exit.

    Wrong use exits with 2, a Failure with its code; a command says any other code by
    `raise typer.Exit(code)`. `variables` are those with the program's prefix that are no options.
    `takes_defaults` says that the files `options.toml` hold for the program's options.
    """
    command = command_of(app, prog)
    known = {*_variables(command, variable_prefix(prog)), *variables}
    for warning in variable_names.unknown(os.environ, known, variable_prefix(prog)):
        sys.stderr.write(f"{prog}: {printable(warning)}\n")
    if takes_defaults:
        _take_defaults(command, prog)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command(
            args=usual_spelling(command, arguments),
            prog_name=prog,
            auto_envvar_prefix=variable_prefix(prog),
        )
    except Failure as failure:
        if str(failure):
            sys.stderr.write(f"{prog}: {printable(str(failure), LINES)}\n")
        sys.exit(failure.code)
    sys.exit(0)


def _take_defaults(command: Any, prog: str) -> None:
    """Let the files of defaults say what options are that nobody gives."""
    # A service of root must not act with the credentials of an operator that logs in as root.
    is_service = os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())
    home = "" if is_service else os.environ.get("HOME", "")
    places = [*([f"{home}/{OPERATOR_DEFAULTS}"] if home.startswith("/") else []), HOST_DEFAULTS]
    found = [Path(place) for place in places if os.path.lexists(place)]
    if not found:
        return
    # Most programs start without such a file; they need not wait for these.
    from daemonkit.core.option_defaults import merged
    from daemonkit.host.options_files import load

    files = load(found, home)
    for each in files:
        if each.warning:
            sys.stderr.write(f"{prog}: {printable(each.warning)}\n")
    _set_defaults(command, merged(files))


def _set_defaults(command: Any, defaults: "Mapping[str, Default]") -> None:
    for parameter in command.params:
        default = defaults.get(_toml_key(parameter))
        if default is None or parameter.param_type_name != "option":
            continue
        # A file that cannot be used matters only if a command asks for a value of it.
        parameter.default = _raising(default.problem) if default.problem else default.value
        parameter.show_default = True
    children: dict[str, Any] = getattr(command, "commands", {})
    for child in children.values():
        _set_defaults(child, defaults)


def _raising(problem: str) -> Callable[[], NoReturn]:
    def default() -> NoReturn:
        raise Failure(problem, EXIT_USAGE)

    return default


def command_of(app: typer.Typer, prog: str) -> Any:
    """Return the command of a program, as Typer makes it of the declared options."""
    command = typer.main.get_command(app)
    # Typer shows the program's own text only when it has several commands.
    command.help = command.help or app.info.help
    _share_variables(command, variable_prefix(prog))
    return command


def variable_prefix(prog: str) -> str:
    """Return what the names of a program's environment variables begin with."""
    return prog.upper().replace("-", "_")


def _variables(command: Any, prefix: str) -> Iterator[str]:
    """Yield the names of the environment variables that set options of a program."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.allow_from_autoenv:
            yield f"{prefix}_{parameter.name.upper()}"
        declared = parameter.envvar or ()
        yield from [declared] if isinstance(declared, str) else declared
    children: dict[str, Any] = getattr(command, "commands", {})
    for child in children.values():
        yield from _variables(child, prefix)


def _share_variables(command: Any, prefix: str) -> None:
    """Name the variables of a sub-command like the program's, without the sub-command's name."""
    children: dict[str, Any] = getattr(command, "commands", {})
    for child in children.values():
        child.context_settings["auto_envvar_prefix"] = prefix
        _share_variables(child, prefix)


def usual_spelling(command: Any, arguments: Sequence[str]) -> list[str]:
    """Write options in Go's spelling, such as `-data-dir X` and `-b=x`, as the parser reads them.

    Up to the name of a sub-command, the options of all sub-commands are known.
    """
    known = _flags(command)
    out: list[str] = []
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            return [*out, word, *remaining]
        flag = go_flags.declared(word, known)
        if flag is not None and known[flag] and remaining:
            out += [flag, remaining.pop(0)]
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            known = _flags(command)
            out.append(word)
        else:
            out += go_flags.normalized(word, known, [name for name in known if known[name]])
    return out


def _flags(command: Any) -> dict[str, bool]:
    """Return the flags of a command and its sub-commands, and which of them take a value."""
    flags = {"--help": False}
    for parameter in command.params:
        takes_value = not getattr(parameter, "is_flag", False)
        flags |= dict.fromkeys((*parameter.opts, *parameter.secondary_opts), takes_value)
    for child in getattr(command, "commands", {}).values():
        flags = {**_flags(child), **flags}
    return {flag: takes_value for flag, takes_value in flags.items() if flag.startswith("-")}
