"""Which reloads are owed, and when they run."""

from confd.core.changes.candidate import FileState
from confd.core.changes.reload_ledger import Destinations, ReloadLedger, digest_of
from confd.core.config.resource import Command, TemplateResource, Timing
from confd.core.keyspace.scope import Scope

DEFAULT_S = 60.0


def destinations(
    dest: str, reload: str = "", *also: str, every_s: float = 0.0, timeout_s: float | None = None
) -> Destinations:
    command = Command(reload) if reload else None
    resource = TemplateResource(
        dest,
        "src",
        dest,
        Scope("", ()),
        reload=command,
        reload_timeout_s=timeout_s,
        timing=Timing(reload_interval_min_s=every_s),
    )
    return Destinations(resource, (dest, *also))


def always(_dest: str) -> bool:
    return True


def state(content: bytes) -> FileState:
    return FileState(content, 0o644, 0, 0)


def test_only_owed_reloads_are_due() -> None:
    units = [destinations("/a", "x"), destinations("/b", "y"), destinations("/c")]
    found = ReloadLedger().due(units, {"/b", "/c"}.__contains__, 0.0, DEFAULT_S)
    assert [(command.line, command.dests) for command in found] == [("y", ("/b",))]


def test_equal_commands_run_once_for_all_their_files() -> None:
    units = [destinations("/a", "x"), destinations("/b", "x"), destinations("/c", "x {{ dest }}")]
    found = ReloadLedger().due(units, always, 0.0, DEFAULT_S)
    assert [(command.line, command.dests) for command in found] == [
        ("x", ("/a", "/b")),
        ("x /c", ("/c",)),
    ]


def test_a_reload_has_the_time_out_of_its_resource_or_the_default() -> None:
    units = [destinations("/a", "x", timeout_s=5.0), destinations("/b", "y")]
    found = ReloadLedger().due(units, always, 0.0, DEFAULT_S)
    assert [command.timeout_s for command in found] == [5.0, DEFAULT_S]


def test_a_reload_waits_for_its_interval_and_is_then_due() -> None:
    ledger = ReloadLedger()
    unit = [destinations("/a", "x", every_s=30.0)]
    assert ledger.next_due_s(unit, always) is None
    ledger.started(["/a"], 100.0)
    assert ledger.due(unit, always, 129.0, DEFAULT_S) == []
    assert ledger.next_due_s(unit, always) == 130.0
    assert ledger.due(unit, always, 130.0, DEFAULT_S) != []
    ledger.forget("/a")
    assert ledger.due(unit, always, 101.0, DEFAULT_S) != []


def test_a_reload_that_is_not_owed_is_not_postponed() -> None:
    ledger = ReloadLedger()
    ledger.started(["/a"], 100.0)
    assert ledger.next_due_s([destinations("/a", "x")], set[str]().__contains__) is None


def test_each_text_and_each_destination_changes_the_digest() -> None:
    texts = [{"/a": b"x"}, {"/a": b"y"}, {"/b": b"x"}, {"/a": b"x", "/b": b""}, {"/a": b"x/b"}]
    found = {digest_of({dest: state(text) for dest, text in each.items()}) for each in texts}
    assert len(found) == len(texts)
    assert digest_of({"/a": state(b"x"), "/gone": None}) == digest_of({"/a": state(b"x")})
