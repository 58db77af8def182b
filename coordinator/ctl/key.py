"""`coordctl get ls set mk update mkdir setdir updatedir rm rmdir watch exec-watch`."""

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.ctl.go_flags import ExecCommand, GoCommand
from daemonkit import options

if TYPE_CHECKING:
    from coordinator.core.ctl.key_requests import ReadOptions
    from coordinator.ctl.key_commands import KeyCommands

app = options.program("Keys.")

Key = Annotated[list[str] | None, typer.Argument(metavar="KEY", show_default=False)]
KeyValue = Annotated[list[str] | None, typer.Argument(metavar="KEY VALUE", show_default=False)]
KeyProgram = Annotated[
    list[str] | None, typer.Argument(metavar="KEY [--] COMMAND [ARGS]", show_default=False)
]
Ttl = Annotated[
    int, typer.Option("--ttl", metavar="SECONDS", help="Time until the key expires; 0 means never.")
]
Sort = Annotated[bool, typer.Option("--sort", help="Sort by key.")]
Quorum = Annotated[
    bool,
    typer.Option("--quorum", "-q", help="Read the latest value that is confirmed by a majority."),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Include everything below the key.")
]
AfterIndex = Annotated[
    int, typer.Option("--after-index", min=0, help="Start after this index; 0 starts now.")
]
Forever = Annotated[bool, typer.Option("--forever", "-f", help="Continue until interrupted.")]
IfValue = Annotated[str, typer.Option(help="Succeed only if this is the current value.")]
IfIndex = Annotated[
    int, typer.Option(min=0, help="Succeed only if this is the modified index; 0 means any.")
]


@app.command("get", cls=GoCommand)
def get(
    context: typer.Context, words: Key = None, *, sort: Sort = False, quorum: Quorum = False
) -> None:
    """Print the value of KEY."""
    _commands(context).get(words, _read_options(sort=sort, quorum=quorum))


@app.command("ls", cls=GoCommand)
def ls(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: Key = None,
    *,
    sort: Sort = False,
    recursive: Recursive = False,
    slashes: Annotated[bool, typer.Option("-p", help="Mark directories with a slash.")] = False,
    quorum: Quorum = False,
) -> None:
    """List the keys in directory KEY, or in the root."""
    how = _read_options(sort=sort, recursive=recursive, quorum=quorum)
    _commands(context).ls(words[0] if words else "/", how, slashes=slashes)


@app.command("set", cls=GoCommand)
def put(
    context: typer.Context,
    words: KeyValue = None,
    ttl: Ttl = 0,
    swap_with_value: IfValue = "",
    swap_with_index: IfIndex = 0,
) -> None:
    """Set KEY to VALUE, or to what is read from standard input."""
    index = _index(swap_with_index)
    _commands(context).put(words, ttl, prevValue=swap_with_value, prevIndex=index)


@app.command("mk", cls=GoCommand)
def make(
    context: typer.Context,
    words: KeyValue = None,
    ttl: Ttl = 0,
    *,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Create a key below KEY, named in ascending order.")
    ] = False,
) -> None:
    """Create KEY with VALUE; fail if it exists."""
    if in_order:
        _commands(context).create_in_order(words, ttl)
    else:
        _commands(context).put(words, ttl, prevExist="false")


@app.command("update", cls=GoCommand)
def update(context: typer.Context, words: KeyValue = None, ttl: Ttl = 0) -> None:
    """Set KEY to VALUE; fail if it does not exist."""
    _commands(context).put(words, ttl, prevExist="true")


@app.command("mkdir", cls=GoCommand)
def make_directory(context: typer.Context, words: Key = None, ttl: Ttl = 0) -> None:
    """Create directory KEY; fail if it exists."""
    _commands(context).put_directory(words, ttl, "false")


@app.command("setdir", cls=GoCommand)
def set_directory(context: typer.Context, words: Key = None, ttl: Ttl = 0) -> None:
    """Create directory KEY, also in the place of a file."""
    _commands(context).put_directory(words, ttl)


@app.command("updatedir", cls=GoCommand)
def update_directory(context: typer.Context, words: Key = None, ttl: Ttl = 0) -> None:
    """Give directory KEY a new TTL, or remove its TTL."""
    _commands(context).put_directory(words, ttl, "true")


@app.command("rm", cls=GoCommand)
def remove(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    words: Key = None,
    *,
    directory: Annotated[
        bool, typer.Option("--dir", help="Also remove an empty directory.")
    ] = False,
    recursive: Recursive = False,
    with_value: IfValue = "",
    with_index: IfIndex = 0,
) -> None:
    """Remove KEY."""
    _commands(context).delete(
        words,
        dir=_flag(directory),
        recursive=_flag(recursive),
        prevValue=with_value,
        prevIndex=_index(with_index),
    )


@app.command("rmdir", cls=GoCommand)
def remove_directory(context: typer.Context, words: Key = None) -> None:
    """Remove KEY if it is a file or an empty directory."""
    _commands(context).delete(words, dir="true")


@app.command("watch", cls=GoCommand)
def watch(
    context: typer.Context,
    words: Key = None,
    after_index: AfterIndex = 0,
    *,
    recursive: Recursive = False,
    forever: Forever = False,
) -> None:
    """Print the next change of KEY."""
    _commands(context).watch(words, after_index, recursive=recursive, forever=forever)


@app.command("exec-watch", cls=ExecCommand)
def exec_watch(
    context: typer.Context,
    words: KeyProgram = None,
    after_index: AfterIndex = 0,
    *,
    recursive: Recursive = False,
) -> None:
    """Run COMMAND [ARGS] for each change of KEY.

    The variables ETCD_WATCH_ACTION, _KEY, _VALUE and _MODIFIED_INDEX describe the change.
    """
    _commands(context).exec_watch(words, after_index, recursive=recursive)


def _commands(context: typer.Context) -> "KeyCommands":
    from coordinator.ctl.invocation import invocation
    from coordinator.ctl.key_commands import KeyCommands

    return KeyCommands(invocation(context))


def _read_options(*, sort: bool, quorum: bool, recursive: bool = False) -> "ReadOptions":
    from coordinator.core.ctl.key_requests import ReadOptions

    return ReadOptions(quorum=quorum, recursive=recursive, sort=sort)


def _index(index: int) -> str:
    return str(index) if index else ""


def _flag(on: bool) -> str:  # noqa: FBT001
    return "true" if on else ""
