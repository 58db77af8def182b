"""The command line of `coordctl`. Commands, options and outputs are those of etcdctl's v2 API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from coordinator.ctl import backup
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, give_up
from coordinator.ctl.global_options import Globals
from coordinator.ctl.go_flags import Launcher, Program, Verb, duration_s
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.core.ctl.key_requests import Look
    from coordinator.ctl.invocation import Session

PROG = "coordctl"
ENDPOINTS = "http://127.0.0.1:2379,http://127.0.0.1:4001"


def _variables(name: str) -> list[str]:
    return [f"COORDCTL_{name}", f"ETCDCTL_{name}"]


Endpoints = Annotated[
    str,
    typer.Option(
        "--endpoints",
        metavar="URL,URL",
        envvar=_variables("ENDPOINTS"),
        help=f"Client URLs of the cluster. [{ENDPOINTS}]",
    ),
]
Endpoint = Annotated[
    str,
    typer.Option("--endpoint", hidden=True, envvar=_variables("ENDPOINT"), help="--endpoints."),
]
Peers = Annotated[
    str,
    typer.Option("--peers", "-C", hidden=True, envvar=_variables("PEERS"), help="--endpoints."),
]
CertFile = Annotated[
    str, typer.Option(envvar=_variables("CERT_FILE"), help="Certificate to show the server.")
]
KeyFile = Annotated[str, typer.Option(envvar=_variables("KEY_FILE"), help="Key of --cert-file.")]
CaFile = Annotated[
    str, typer.Option(envvar=_variables("CA_FILE"), help="CA that the server's is checked by.")
]
Username = Annotated[
    str,
    typer.Option(
        "--username",
        "-u",
        metavar="NAME[:PASSWORD]",
        envvar=_variables("USERNAME"),
        help="Who asks; a password that is not given is asked for.",
    ),
]
Timeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long one server may take to answer.")
]
TotalTimeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long a command may take, watches excepted.")
]
NoSync = Annotated[
    bool, typer.Option("--no-sync", help="Keep to --endpoints, do not ask for the members' URLs.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the requests as curl commands.")]
Output = Annotated[
    Literal["simple", "extended", "json"], typer.Option("--output", "-o", help="Form of answers.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, whatever the command; errors too.")]

KeyWord = Annotated[list[str] | None, typer.Argument(metavar="KEY", show_default=False)]
KeyValue = Annotated[list[str] | None, typer.Argument(metavar="KEY VALUE", show_default=False)]
NameUrl = Annotated[list[str] | None, typer.Argument(metavar="NAME URL", show_default=False)]
MemberId = Annotated[list[str] | None, typer.Argument(metavar="ID", show_default=False)]
IdUrls = Annotated[list[str] | None, typer.Argument(metavar="ID URL,URL", show_default=False)]
Ignored = Annotated[list[str] | None, typer.Argument(hidden=True)]
Ttl = Annotated[int, typer.Option("--ttl", metavar="SECONDS", help="How long the key lives.")]
Sort = Annotated[bool, typer.Option("--sort", help="Sort by key.")]
Quorum = Annotated[bool, typer.Option("--quorum", "-q", help="Read what a majority agrees on.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="With all below the key.")]
AfterIndex = Annotated[
    int, typer.Option("--after-index", min=0, help="Begin behind this index; 0: from now on.")
]
Forever = Annotated[bool, typer.Option("--forever", "-f", help="Go on until interrupted.")]

app = options.program("Read and change keys of a coordinator, or of any etcd with the v2 API.")
member_app = options.program("The members of the cluster.")
dump_app = options.program("What a coordinator keeps, in words.")
app.add_typer(member_app, name="member")
app.add_typer(dump_app, name="dump")
app.add_typer(backup.app, name="backup")


@app.callback(cls=Program, invoke_without_command=True)
def begin(  # noqa: PLR0913, PLR0917 - one parameter an option
    context: typer.Context,
    endpoints: Endpoints = "",
    endpoint: Endpoint = "",
    peers: Peers = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    ca_file: CaFile = "",
    username: Username = "",
    timeout: Timeout = "2s",
    total_timeout: TotalTimeout = "5s",
    no_sync: NoSync = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002
    output: Output = "simple",
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Read and change keys of a coordinator, or of any etcd with the v2 API."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return
    context.obj = Globals(
        endpoints or endpoint or peers or ENDPOINTS,
        (ca_file, cert_file, key_file),
        username,
        duration_s(timeout),
        duration_s(total_timeout),
        no_sync,
        debug,
        output,
        as_json,
    )


@member_app.callback(invoke_without_command=True)
@dump_app.callback(invoke_without_command=True)
def list_commands(context: typer.Context) -> None:
    """Show what there is when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("get", cls=Verb)
def get(
    context: typer.Context, words: KeyWord = None, *, sort: Sort = False, quorum: Quorum = False
) -> None:
    """Print the value of KEY."""
    _session(context).get(words, _look(sort=sort, quorum=quorum))


@app.command("ls", cls=Verb)
def ls(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: KeyWord = None,
    *,
    sort: Sort = False,
    recursive: Recursive = False,
    slashes: Annotated[bool, typer.Option("-p", help="Mark directories with a slash.")] = False,
    quorum: Quorum = False,
) -> None:
    """Print the keys in directory KEY, or in the root."""
    look = _look(sort=sort, recursive=recursive, quorum=quorum)
    _session(context).ls(words[0] if words else "/", look, slashes=slashes)


@app.command("set", cls=Verb)
def put(
    context: typer.Context,
    words: KeyValue = None,
    ttl: Ttl = 0,
    swap_with_value: Annotated[str, typer.Option(help="Only if this is the value.")] = "",
    swap_with_index: Annotated[
        int, typer.Option(min=0, help="Only if this is the modified index.")
    ] = 0,
) -> None:
    """Set KEY to VALUE, or to what standard input holds."""
    _session(context).put(words, ttl, prevValue=swap_with_value, prevIndex=_number(swap_with_index))


@app.command("mk", cls=Verb)
def make(
    context: typer.Context,
    words: KeyValue = None,
    ttl: Ttl = 0,
    *,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Create a key below KEY, named in order.")
    ] = False,
) -> None:
    """Create KEY with VALUE; it must not exist."""
    if in_order:
        _session(context).put_in_order(words, ttl)
    else:
        _session(context).put(words, ttl, prevExist="false")


@app.command("update", cls=Verb)
def update(context: typer.Context, words: KeyValue = None, ttl: Ttl = 0) -> None:
    """Set KEY to VALUE; it must exist."""
    _session(context).put(words, ttl, prevExist="true")


@app.command("mkdir", cls=Verb)
def make_directory(context: typer.Context, words: KeyWord = None, ttl: Ttl = 0) -> None:
    """Create directory KEY; it must not exist."""
    _session(context).put_directory(words, ttl, "false")


@app.command("setdir", cls=Verb)
def set_directory(context: typer.Context, words: KeyWord = None, ttl: Ttl = 0) -> None:
    """Create directory KEY; a file of that name becomes one."""
    _session(context).put_directory(words, ttl)


@app.command("updatedir", cls=Verb)
def update_directory(context: typer.Context, words: KeyWord = None, ttl: Ttl = 0) -> None:
    """Give directory KEY a new TTL, or none."""
    _session(context).put_directory(words, ttl, "true")


@app.command("rm", cls=Verb)
def remove(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: KeyWord = None,
    *,
    directory: Annotated[
        bool, typer.Option("--dir", help="Remove an empty directory too.")
    ] = False,
    recursive: Recursive = False,
    with_value: Annotated[str, typer.Option(help="Only if this is the value.")] = "",
    with_index: Annotated[int, typer.Option(min=0, help="Only if this is the modified index.")] = 0,
) -> None:
    """Remove KEY."""
    _session(context).delete(
        words,
        dir=_flag(directory),
        recursive=_flag(recursive),
        prevValue=with_value,
        prevIndex=_number(with_index),
    )


@app.command("rmdir", cls=Verb)
def remove_directory(context: typer.Context, words: KeyWord = None) -> None:
    """Remove KEY if it is a file or an empty directory."""
    _session(context).delete(words, dir="true")


@app.command("watch", cls=Verb)
def watch(
    context: typer.Context,
    words: KeyWord = None,
    after_index: AfterIndex = 0,
    *,
    recursive: Recursive = False,
    forever: Forever = False,
) -> None:
    """Print the next change of KEY."""
    with _until_interrupted():
        _session(context).watch(words, after_index, recursive=recursive, forever=forever)


@app.command("exec-watch", cls=Launcher)
def exec_watch(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY [--] COMMAND [ARGS]", show_default=False)
    ] = None,
    after_index: AfterIndex = 0,
    *,
    recursive: Recursive = False,
) -> None:
    """Run COMMAND [ARGS] for each change of KEY, told of it by ETCD_WATCH_ variables."""
    with _until_interrupted():
        _session(context).exec_watch(words, after_index, recursive=recursive)


@app.command("cluster-health", cls=Verb)
def cluster_health(context: typer.Context, _: Ignored = None, *, forever: Forever = False) -> None:
    """Ask every member whether it is well."""
    from coordinator.ctl import cluster_health as standing

    session = _session(context)
    with _until_interrupted():
        cluster = session.cluster(sync=False)
        raise typer.Exit(standing.health(cluster, as_json=session.as_json, forever=forever))


@member_app.command("list", cls=Verb)
def list_members(context: typer.Context, words: Ignored = None) -> None:
    """Print the members and who leads."""
    from coordinator.ctl import cluster_health as standing

    if words:
        give_up("No arguments accepted", BAD_ARGUMENTS)
    session = _session(context)
    standing.members(session.cluster(), as_json=session.as_json)


@member_app.command("add", cls=Verb)
def add_member(context: typer.Context, words: NameUrl = None) -> None:
    """Add a member: a learner at first, that gets its vote when it has caught up."""
    from coordinator.ctl import member

    if words is None or len(words) != 2:
        give_up("Provide a name and a single member peerURL", BAD_ARGUMENTS)
    session = _session(context)
    member.add(session.cluster(), *words, as_json=session.as_json)


@member_app.command("remove", cls=Verb)
def remove_member(context: typer.Context, words: MemberId = None) -> None:
    """Remove a member for ever; its process ends."""
    from coordinator.ctl import member

    if words is None or len(words) != 1:
        give_up("Provide a single member ID", BAD_ARGUMENTS)
    member.remove(_session(context).cluster(), *words)


@member_app.command("update", cls=Verb)
def update_member(context: typer.Context, words: IdUrls = None) -> None:
    """Give a member other peer URLs, separated by commas."""
    from coordinator.ctl import member

    if words is None or len(words) != 2:
        give_up("Provide an ID and a list of comma separated peerURL", BAD_ARGUMENTS)
    member.update(_session(context).cluster(), *words)


@member_app.command("promote", cls=Verb)
def promote_member(context: typer.Context, words: MemberId = None) -> None:
    """Give a learner its vote now."""
    from coordinator.ctl import member

    if words is None or len(words) != 1:
        give_up("Provide a single member ID", BAD_ARGUMENTS)
    member.promote(_session(context).cluster(), *words)


@app.command("move-leader", cls=Verb)
def move_leader(context: typer.Context, words: MemberId = None) -> None:
    """Hand leadership to a member, or to any other one when none is named."""
    from coordinator.ctl import member

    member.move_leader(_session(context).cluster(), *(words or [""])[:1])


@app.command("migrate")
def migrate(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="URL,URL", help="The store to copy.")],
    target: Annotated[str, typer.Option("--to", metavar="URL,URL", help="The store to fill.")],
    prefix: Annotated[str, typer.Option(metavar="KEY", help="Copy what is below it.")] = "/",
    *,
    run: Annotated[
        bool, typer.Option("--run", help="Copy; without it only say what would be done.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on copying changes until Ctrl-C, then verify.")
    ] = False,
    patience: Annotated[
        str, typer.Option(metavar="DURATION", help="Wait so long for the source to stand still.")
    ] = "60s",
) -> None:
    """Copy a tree from one store to another while it is in use, and verify the copy."""
    from coordinator.ctl import migrate as migrating

    move = migrating.Move(source, target, prefix)
    until = migrating.interrupted() if follow else None
    _session(context).migrate(move, run=run, until=until, patience_s=duration_s(patience))


@dump_app.command("wal")
def dump_log(context: typer.Context, directory: Path) -> None:
    """Print each record of the log in DIRECTORY, a --data-dir; the coordinator may be running."""
    from coordinator.ctl import dump

    _session(context).print_lines(dump.wal(directory))


@dump_app.command("snapshot")
def dump_snapshot(context: typer.Context, file: Path) -> None:
    """Print each key of a snapshot FILE."""
    from coordinator.ctl import dump

    _session(context).print_lines(dump.snapshot_file(file))


@dump_app.command("state")
def dump_state(context: typer.Context, url: str) -> None:
    """Print the state of the coordinator whose --status-addr is at URL."""
    from coordinator.ctl import dump

    _session(context).print_state(dump.state(url))


app.command("recover")(backup.recover)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the console script."""
    options.run(app, PROG, argv)


def _session(context: typer.Context) -> "Session":
    from coordinator.ctl.invocation import Session

    session = Session(context.obj)
    context.call_on_close(session.close)
    return session


def _look(*, sort: bool, quorum: bool, recursive: bool = False) -> "Look":
    from coordinator.core.ctl.key_requests import Look

    return Look(quorum=quorum, recursive=recursive, sort=sort)


def _number(index: int) -> str:
    return str(index) if index else ""


def _flag(on: bool) -> str:  # noqa: FBT001
    return "true" if on else ""


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
