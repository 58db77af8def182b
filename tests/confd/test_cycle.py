"""One resource worked: what is written, checked, reloaded, and what is left alone."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from confd import files
from confd.cycle import Cycle, Manner, Outcome, Result
from confd.keys import KeySet
from confd.state import State, StateInUse
from tests.confd.test_keys import key_set
from tests.confd.world import Confdir, staged

KEYS = {"/app/v": "1"}
TEMPLATE = "v={{ getv('/app/v') }}\n"


class World:
    """A confdir with one resource, worked again and again with one state."""

    def __init__(self, directory: Path) -> None:
        self.confdir = Confdir(directory)
        self.directory = directory
        self.log = directory / "log"
        self.state = State(directory / "state")

    def add(self, *lines: str, template: str = TEMPLATE) -> Path:
        return self.confdir.add("a.conf", template, *lines)

    def work(self, keys: dict[str, str] | KeySet = KEYS, manner: Manner | None = None) -> Outcome:
        known = keys if isinstance(keys, KeySet) else key_set(keys)
        [resource] = self.confdir.resources()
        self.result = self.confdir.cycle(self.state, manner).work([resource], known)[resource.name]
        return self.result.outcome

    def restart(self) -> None:
        self.state.close()
        self.state = State(self.directory / "state")

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_file_is_written_once_and_then_left_alone(world: World) -> None:
    dest = world.add()
    assert world.work() is Outcome.WRITTEN
    first = dest.stat()
    assert world.work() is Outcome.UNCHANGED
    again = dest.stat()
    assert (again.st_ino, again.st_ctime_ns) == (first.st_ino, first.st_ctime_ns)
    assert dest.read_text() == "v=1\n"


def test_a_mode_that_strayed_is_set_right(world: World) -> None:
    dest = world.add('mode = "0640"')
    world.work()
    dest.chmod(0o666)
    assert world.work() is Outcome.WRITTEN
    assert dest.stat().st_mode & 0o777 == 0o640


def test_the_check_sees_the_staged_file_and_the_old_one(world: World) -> None:
    dest = world.add(f'check_cmd = "cat {{{{ dest }}}} {{{{ src }}}} > {world.log}"')
    dest.write_text("old ")
    world.work()
    assert world.logged() == "old v=1\n"


def test_a_refused_file_leaves_the_old_one_and_reloads_nothing(world: World) -> None:
    dest = world.add(
        'check_cmd = "echo syntax error; exit 1"', f'reload_cmd = "echo x >> {world.log}"'
    )
    dest.write_text("old")
    assert world.work() is Outcome.CHECK_FAILED
    assert world.result.error == "check_cmd: exit 1: syntax error"
    assert dest.read_text() == "old"
    assert staged(dest.parent) == []
    assert world.logged() == ""


def test_a_failed_rendering_leaves_the_old_file(world: World) -> None:
    dest = world.add()
    dest.write_text("old")
    assert world.work({}) is Outcome.RENDER_FAILED
    assert world.result.error.startswith(
        f"{world.confdir.path}/templates/a.conf.j2:1: key '/app/v'"
    )
    assert dest.read_text() == "old"


def test_a_missing_directory_is_a_failure_that_names_it(world: World) -> None:
    dest = world.add()
    dest.parent.rmdir()
    assert world.work() is Outcome.WRITE_FAILED
    assert str(dest.parent) in world.result.error
    assert "No such file or directory" in world.result.error


def test_a_directory_in_the_place_of_the_file_is_a_failure(world: World) -> None:
    dest = world.add()
    dest.mkdir()
    assert world.work() is Outcome.WRITE_FAILED
    assert staged(dest.parent) == []


def test_a_reload_runs_after_a_change_and_not_without_one(world: World) -> None:
    world.add(f'reload_cmd = "cat {{{{ dest }}}} >> {world.log}"')
    world.work()
    world.work()
    world.work({"/app/v": "2"})
    assert world.logged() == "v=1\nv=2\n"


def test_a_failed_reload_is_owed_until_it_succeeds(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    dest = world.add(f'reload_cmd = "echo x >> {world.log}; test -e {gate}"')
    assert world.work() is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=1\n"
    world.restart()
    assert world.work() is Outcome.RELOAD_FAILED
    gate.touch()
    assert world.work() is Outcome.UNCHANGED
    assert world.work() is Outcome.UNCHANGED
    assert world.logged() == "x\n" * 3


def test_a_debt_survives_a_new_text_that_the_check_refuses(world: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    world.add(
        'check_cmd = "grep -q v=1 {{ src }}"',
        f'reload_cmd = "test -e {gate} && cat {{{{ dest }}}} >> {world.log}"',
    )
    assert world.work() is Outcome.RELOAD_FAILED
    assert world.work({"/app/v": "bad"}) is Outcome.CHECK_FAILED
    gate.touch()
    assert world.work() is Outcome.UNCHANGED
    assert world.logged() == "v=1\n"


def test_a_command_that_takes_too_long_is_a_failure(world: World) -> None:
    world.add('check_cmd = "sleep 300"')
    assert world.work(manner=Manner(check_timeout_s=0.2)) is Outcome.CHECK_FAILED
    world.add('reload_cmd = "sleep 300"')
    assert world.work(manner=Manner(reload_timeout_s=0.2)) is Outcome.RELOAD_FAILED


def test_noop_says_what_it_would_do_and_touches_nothing(world: World) -> None:
    dest = world.add(f'reload_cmd = "echo x >> {world.log}"')
    assert world.work(manner=Manner(noop=True)) is Outcome.WOULD_WRITE
    assert list(dest.parent.iterdir()) == []
    world.work()
    assert world.work(manner=Manner(noop=True)) is Outcome.UNCHANGED
    assert world.logged() == "x\n"


def test_noop_pays_no_debt(world: World, tmp_path: Path) -> None:
    world.add(f'reload_cmd = "echo x >> {world.log}; false"')
    world.work()
    assert world.work(manner=Manner(noop=True)) is Outcome.UNCHANGED
    assert world.logged() == "x\n"


def test_sync_only_writes_and_runs_nothing(world: World) -> None:
    run = f"echo x >> {world.log}; false"
    dest = world.add(f'check_cmd = "{run}"', f'reload_cmd = "{run}"')
    assert world.work(manner=Manner(sync_only=True)) is Outcome.WRITTEN
    assert dest.read_text() == "v=1\n"
    assert world.logged() == ""


def test_a_kept_stage_file_is_what_the_check_refused(world: World) -> None:
    dest = world.add('check_cmd = "false"')
    world.work(manner=Manner(keep_staged=True))
    assert files.kept_path(dest).read_text() == "v=1\n"
    assert staged(dest.parent) == []


def test_noop_with_a_kept_stage_file_shows_the_text(world: World) -> None:
    dest = world.add()
    assert world.work(manner=Manner(noop=True, keep_staged=True)) is Outcome.WOULD_WRITE
    assert files.kept_path(dest).read_text() == "v=1\n"
    assert not dest.exists()


@pytest.mark.parametrize(
    "value", ["{{ 7 }}", "$(touch {pwned})", "`touch {pwned}`", "'; touch {pwned}; '", "a\n\0b"]
)
def test_a_value_reaches_the_file_as_it_is_and_no_shell(
    world: World, tmp_path: Path, value: str
) -> None:
    pwned = tmp_path / "pwned"
    value = value.replace("{pwned}", str(pwned))
    dest = world.add('check_cmd = "test -s {{ src }}"', 'reload_cmd = "test -s {{ dest }}"')
    assert world.work({"/app/v": value}) is Outcome.WRITTEN
    assert dest.read_bytes() == f"v={value}\n".encode()
    assert not pwned.exists()


def test_a_path_with_spaces_and_quotes_reaches_the_commands_whole(tmp_path: Path) -> None:
    directory = tmp_path / "it's a $HOME"
    directory.mkdir()
    world = World(directory)
    dest = world.add('check_cmd = "test -s {{ src }}"', 'reload_cmd = "test -s {{.dest}}"')
    assert world.work() is Outcome.WRITTEN
    assert dest.exists()


def test_a_template_outside_its_directory_is_not_read(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    link = world.confdir.path / "templates" / "link"
    link.symlink_to(tmp_path / "secret")
    (link.parent / "round").symlink_to("round")
    names = ["link", "../../secret", f"{tmp_path}/secret", "x/../../../secret"]
    for name in [*names, "round", ".", "a\\0"]:
        dest = world.add(template=f"{{% include '{name}' %}}")
        assert world.work() is Outcome.RENDER_FAILED
        assert "s3cret" not in world.result.error
        assert not dest.exists()


def test_a_template_that_changed_is_read_anew(world: World) -> None:
    dest = world.add(template="1{% include 'part' %}")
    part = world.confdir.path / "templates" / "part"
    part.write_text("a")
    world.work()
    part.write_text("bb")
    world.work()
    assert dest.read_text() == "1bb"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"ok\n\xff", "not UTF-8 text in its line 2"), (b"x" * (1 << 20 | 1), "larger than")],
)
def test_a_template_that_cannot_be_one_is_refused(
    world: World, content: bytes, reason: str
) -> None:
    world.add()
    (world.confdir.path / "templates" / "a.conf.j2").write_bytes(content)
    assert world.work() is Outcome.RENDER_FAILED
    assert reason in world.result.error


def test_one_process_at_a_time_uses_a_state_directory(world: World, tmp_path: Path) -> None:
    with pytest.raises(StateInUse, match="is in use by another confd"):
        State(tmp_path / "state")
    world.restart()


def test_a_state_directory_is_for_its_owner_alone(world: World, tmp_path: Path) -> None:
    keys_path = world.state.keys_path("/app")
    assert keys_path is not None
    assert keys_path.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_state_directory_a_debt_lives_in_memory() -> None:
    state = State(None)
    state.owe("/a")
    assert state.owes("/a")
    state.settle("/a")
    assert not state.owes("/a")
    assert state.keys_path("/app") is None


def test_a_debt_that_cannot_be_noted_stops_the_write(world: World, tmp_path: Path) -> None:
    dest = world.add('reload_cmd = "true"')
    (tmp_path / "state" / "owed").rmdir()
    assert world.work() is Outcome.WRITE_FAILED
    assert not dest.exists()


def bundle(world: World, *lines: str) -> tuple[Path, Path]:
    shared = ('bundle = "b"', *lines)
    one = world.confdir.add("one", "1 {{ getv('/app/one') }}", *shared)
    two = world.confdir.add("two", "2 {{ getv('/app/two') }}", *shared)
    return one, two


def outcomes(world: World, cycle: Cycle, keys: dict[str, str]) -> list[Outcome]:
    found = cycle.work(world.confdir.resources(), key_set(keys))
    return [found[name].outcome for name in sorted(found)]


GOOD = {"/app/one": "a", "/app/two": "b"}


def test_a_bundle_is_reloaded_once(world: World) -> None:
    one, two = bundle(world, f'reload_cmd = "echo x >> {world.log}"')
    cycle = world.confdir.cycle(world.state)
    assert outcomes(world, cycle, GOOD) == [Outcome.WRITTEN] * 2
    assert (one.read_text(), two.read_text(), world.logged()) == ("1 a", "2 b", "x\n")


def test_one_refused_file_holds_its_whole_bundle(world: World) -> None:
    one, two = bundle(world, 'check_cmd = "! grep -q bad {{ src }}"')
    cycle = world.confdir.cycle(world.state)
    outcomes(world, cycle, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(world, cycle, bad) == [Outcome.HELD, Outcome.CHECK_FAILED]
    assert outcomes(world, cycle, {"/app/one": "x"}) == [Outcome.HELD, Outcome.RENDER_FAILED]
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert staged(one.parent) == []


def test_a_bundle_that_cannot_be_swapped_whole_goes_back(world: World) -> None:
    one, two = bundle(world)
    cycle = world.confdir.cycle(world.state)
    outcomes(world, cycle, GOOD)
    two.unlink()
    two.mkdir()
    new = {"/app/one": "new", "/app/two": "new"}
    assert outcomes(world, cycle, new)[0] in {Outcome.HELD, Outcome.WRITE_FAILED}
    assert one.read_text() == "1 a"


def test_a_failed_reload_brings_the_whole_bundle_back(world: World) -> None:
    check = f"cat {{one}} {{two}} >> {world.log}; ! grep -q bad {{two}}"
    out = world.confdir.out
    one, two = bundle(
        world, f"""reload_cmd = "{check.format(one=out / "one", two=out / "two")}\""""
    )
    cycle = world.confdir.cycle(world.state)
    outcomes(world, cycle, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(world, cycle, bad) == [Outcome.RELOAD_FAILED] * 2
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert world.logged() == "1 a2 b1 new2 bad1 a2 b"
    assert not world.state.owes(str(one))


def test_a_text_whose_reload_failed_stays_out_until_it_changes_or_a_pass_asks(
    world: World,
) -> None:
    dest = world.add(f'reload_cmd = "echo x >> {world.log}; ! grep -q bad {{{{ dest }}}}"')
    cycle = world.confdir.cycle(world.state)
    [resource] = world.confdir.resources()

    def work(value: str) -> Outcome:
        return cycle.work([resource], key_set({"/app/v": value}))[resource.name].outcome

    assert work("1") is Outcome.WRITTEN
    assert work("bad") is Outcome.RELOAD_FAILED
    assert work("bad") is Outcome.QUARANTINED
    assert not Outcome.QUARANTINED.retried
    assert dest.read_text() == "v=1\n"
    assert world.logged() == "x\n" * 3
    cycle.forgive()
    assert work("bad") is Outcome.RELOAD_FAILED
    assert work("2") is Outcome.WRITTEN
    assert dest.read_text() == "v=2\n"


def test_a_file_may_be_kept_although_its_reload_failed(world: World) -> None:
    dest = world.add('reload_cmd = "grep -q 1 {{ dest }}"', 'on_reload_failure = "keep"')
    world.work()
    assert world.work({"/app/v": "2"}) is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=2\n"


def test_what_stood_before_comes_back_after_a_restart(world: World) -> None:
    dest = world.add('reload_cmd = "! grep -q bad {{ dest }}"')
    world.work()
    [resource] = world.confdir.resources()
    cycle = world.confdir.cycle(world.state)
    results = cycle.write([resource], key_set({"/app/v": "bad"}))
    assert results[resource.name].outcome is Outcome.WRITTEN
    world.restart()
    assert world.work({"/app/v": "bad"}) is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=1\n"


def test_equal_reloads_of_different_units_run_once(world: World) -> None:
    for name in ("one", "two"):
        world.confdir.add(name, "x", f'reload_cmd = "echo x >> {world.log}"')
    cycle = world.confdir.cycle(world.state)
    pair = [[resource] for resource in world.confdir.resources()]
    results: dict[str, Result] = {}
    for unit in pair:
        results |= cycle.write(unit, key_set({}))
    assert cycle.reload(pair, results) == {}
    assert world.logged() == "x\n"


def test_a_reload_too_soon_after_another_is_put_off_and_not_dropped(world: World) -> None:
    world.add(f'reload_cmd = "echo x >> {world.log}"', 'min_reload_interval = "30s"')
    [resource] = world.confdir.resources()
    now_s = [100.0]
    cycle = replace(world.confdir.cycle(world.state), clock=lambda: now_s[0])
    for value in "123":
        cycle.work([resource], key_set({"/app/v": value}))
    assert world.logged() == "x\n"
    assert cycle.reload_due_s([resource]) == 130.0
    now_s[0] = 130.0
    cycle.work([resource], key_set({"/app/v": "3"}))
    assert world.logged() == "x\n" * 2
    assert cycle.reload_due_s([resource]) is None


EACH = "{{ item }}={{ getv('/app/' ~ item ~ '/v') }}"


def for_each(world: World, *lines: str) -> Path:
    world.confdir.add("each", EACH, 'for_each = "/app/*"', *lines)
    path = world.confdir.path / "conf.d" / "each.toml"
    path.write_text(path.read_text().replace('out/each"', 'out/{{ item }}.conf"'))
    return world.confdir.out


def test_each_item_has_its_file_and_stale_ones_go(world: World) -> None:
    out = for_each(world, f'reload_cmd = "echo x >> {world.log}"')
    keep = out / "not-ours.conf"
    keep.write_text("")
    world.work({"/app/a/v": "1", "/app/b/v": "2"})
    assert [(out / f"{name}.conf").read_text() for name in "ab"] == ["a=1", "b=2"]
    world.restart()
    assert world.work({"/app/b/v": "2"}) is Outcome.WRITTEN
    assert sorted(path.name for path in out.iterdir()) == ["b.conf", "not-ours.conf"]
    assert world.logged() == "x\n" * 2
    assert world.work({"/app/b/v": "2"}) is Outcome.UNCHANGED
    assert world.work({}) is Outcome.WRITTEN
    assert list(out.iterdir()) == [keep]


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "a;b", "-x", "ä"])
def test_an_item_that_is_no_name_for_a_file_is_refused(world: World, name: str) -> None:
    out = for_each(world)
    assert world.work({f"/app/{name}/v": "1"}) is Outcome.CHECK_FAILED
    assert "no name for a file" in world.result.error
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "value", "reason"),
    [
        ('output_format = "json"', '{"a": \n s3cret', "not json: malformed in line 2"),
        ('output_format = "yaml"', "a: [s3cret", "not yaml: malformed in line"),
        ('output_format = "toml"', "a = s3cret", "not toml: malformed in line 1"),
        ('output_format = "ini"', "s3cret = 1", "not ini: malformed in line 1"),
        ("min_bytes = 100", "s3cret", "min_bytes: 9 bytes are fewer than 100"),
        ('max_shrink = "50%"', "", "max_shrink: from 40 to 3 bytes is more than 50%"),
        ('require = ["/app/up/*"]', "s3cret", "require: no key matches '/app/up/*'"),
    ],
)
def test_a_guard_keeps_the_old_file(world: World, line: str, value: str, reason: str) -> None:
    dest = world.add(line, template="{{ getv('/app/v') }}\n\n\n")
    dest.write_text("x" * 40)
    assert world.work({"/app/v": value}) is Outcome.CHECK_FAILED
    assert world.result.error.startswith(reason)
    assert "s3cret" not in world.result.error
    assert dest.read_text() == "x" * 40


@pytest.mark.parametrize(
    ("kind", "text"),
    [("json", '{"a": 1}'), ("yaml", "a: [1]"), ("toml", "a = 1"), ("ini", "[a]\nb = 1\nc\n")],
)
def test_a_text_of_its_format_is_written(world: World, kind: str, text: str) -> None:
    world.add(f'output_format = "{kind}"', template="{{ getv('/app/v') }}")
    assert world.work({"/app/v": text}) is Outcome.WRITTEN


def test_delimiters_are_the_resources_own(world: World) -> None:
    dest = world.add(
        """delimiters = ["<<", ">>", "<%", "%>", "<#", "#>"]""",
        template="${#A[@]} {{ x }} << getv('/app/v') >><% if true %>!<% endif %><# c #>",
    )
    world.work()
    assert dest.read_text() == "${#A[@]} {{ x }} 1!"


def test_directories_are_made_when_asked(world: World) -> None:
    dest = world.add("make_dirs = true", 'dir_mode = "0750"')
    dest.parent.rmdir()
    assert world.work() is Outcome.WRITTEN
    assert dest.parent.stat().st_mode & 0o777 == 0o750


def test_backups_are_kept_with_index_and_hash_and_no_more_than_asked(world: World) -> None:
    dest = world.add("backups = 2", 'mode = "0640"')
    for index, value in enumerate("1234"):
        keys = key_set({"/app/v": value})
        keys.index = index
        world.work(keys)
    found = sorted(path.name for path in dest.parent.glob(".a.conf.bak-*"))
    digests = [hashlib.sha256(f"v={value}\n".encode()).hexdigest()[:12] for value in "23"]
    assert found == [f".a.conf.bak-{n}-{each}" for n, each in zip((2, 3), digests, strict=True)]
    assert (dest.parent / found[0]).stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_or_followed_as_the_resource_says(world: World, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("old")
    dest = world.add("follow_symlinks = true")
    dest.symlink_to(real)
    world.work()
    assert dest.is_symlink()
    assert real.read_text() == "v=1\n"
    real.write_text("old")
    world.add()
    world.work()
    assert not dest.is_symlink()
    assert (dest.read_text(), real.read_text()) == ("v=1\n", "old")


def test_a_file_written_in_place_stays_the_same_inode(world: World) -> None:
    dest = world.add('write = "in-place"', 'mode = "0600"')
    dest.write_text("a longer text than the new one")
    inode = dest.stat().st_ino
    assert world.work() is Outcome.WRITTEN
    assert (dest.read_text(), dest.stat().st_ino) == ("v=1\n", inode)
    assert dest.stat().st_mode & 0o777 == 0o600
    assert staged(dest.parent) == []


def test_a_command_in_list_form_has_no_shell(world: World) -> None:
    dest = world.add(
        'check_cmd = ["grep", "-q", "v=1", "{{ src }}"]',
        f'reload_cmd = ["cp", "{{{{ dest }}}}", "{world.directory}/$HOME"]',
    )
    assert world.work() is Outcome.WRITTEN
    assert (world.directory / "$HOME").read_text() == dest.read_text()


def test_commands_know_their_file_from_the_environment(world: World) -> None:
    dest = world.add(
        'check_cmd = "grep -q v=1 $CONFD_SRC"', f'reload_cmd = "echo $CONFD_DEST > {world.log}"'
    )
    assert world.work() is Outcome.WRITTEN
    assert world.logged() == f"{dest}\n"


def test_a_resource_has_its_own_time_outs(world: World) -> None:
    world.add('check_cmd = "sleep 300"', 'check_cmd_timeout = "200ms"')
    assert world.work() is Outcome.CHECK_FAILED
    assert "not done within 0.2 s" in world.result.error
