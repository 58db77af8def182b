"""One resource: when its file is written, checked and reloaded, and when not."""

import hashlib
from pathlib import Path

import pytest

from confd.apply import files
from confd.apply.state_dir import StateDir, StateInUse
from confd.core.changes.outcome import Outcome
from confd.settings import ApplyOptions
from tests.confd.apply.resource_fixture import OneResource
from tests.confd.confdir_fixture import staged
from tests.confd.core.keyspace.key_sets import key_set


@pytest.fixture
def site(tmp_path: Path) -> OneResource:
    return OneResource(tmp_path)


def test_an_unchanged_file_is_not_written_again(site: OneResource) -> None:
    dest = site.add()
    assert site.work() is Outcome.WRITTEN
    first = dest.stat()
    assert site.work() is Outcome.UNCHANGED
    again = dest.stat()
    assert (again.st_ino, again.st_ctime_ns) == (first.st_ino, first.st_ctime_ns)
    assert dest.read_text() == "v=1\n"


def test_a_changed_mode_is_corrected(site: OneResource) -> None:
    dest = site.add('mode = "0640"')
    site.work()
    dest.chmod(0o666)
    assert site.work() is Outcome.WRITTEN
    assert dest.stat().st_mode & 0o777 == 0o640


def test_the_check_gets_the_staged_file_and_the_current_one(site: OneResource) -> None:
    dest = site.add(f'check_cmd = "cat {{{{ dest }}}} {{{{ src }}}} > {site.log}"')
    dest.write_text("old ")
    site.work()
    assert site.logged() == "old v=1\n"


def test_a_file_that_fails_its_check_is_not_written_or_reloaded(site: OneResource) -> None:
    dest = site.add(
        'check_cmd = "echo syntax error; exit 1"', f'reload_cmd = "echo x >> {site.log}"'
    )
    dest.write_text("old")
    assert site.work() is Outcome.CHECK_FAILED
    assert site.result.error == "check_cmd: exit 1: syntax error"
    assert dest.read_text() == "old"
    assert staged(dest.parent) == []
    assert site.logged() == ""


def test_a_failed_rendering_leaves_the_old_file(site: OneResource) -> None:
    dest = site.add()
    dest.write_text("old")
    assert site.work({}) is Outcome.RENDER_FAILED
    assert site.result.error.startswith(f"{site.confdir.path}/templates/a.conf.j2:1: key '/app/v'")
    assert dest.read_text() == "old"


def test_the_error_names_a_missing_directory(site: OneResource) -> None:
    dest = site.add()
    dest.parent.rmdir()
    assert site.work() is Outcome.WRITE_FAILED
    assert str(dest.parent) in site.result.error
    assert "No such file or directory" in site.result.error


def test_a_directory_at_the_destination_is_an_error(site: OneResource) -> None:
    dest = site.add()
    dest.mkdir()
    assert site.work() is Outcome.WRITE_FAILED
    assert staged(dest.parent) == []


def test_a_reload_runs_only_after_a_change(site: OneResource) -> None:
    site.add(f'reload_cmd = "cat {{{{ dest }}}} >> {site.log}"')
    site.work()
    site.work()
    site.work({"/app/v": "2"})
    assert site.logged() == "v=1\nv=2\n"


def test_a_failed_reload_is_owed_until_it_succeeds(site: OneResource, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    dest = site.add(f'reload_cmd = "echo x >> {site.log}; test -e {gate}"')
    assert site.work() is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=1\n"
    site.restart()
    assert site.work() is Outcome.RELOAD_FAILED
    gate.touch()
    assert site.work() is Outcome.UNCHANGED
    assert site.work() is Outcome.UNCHANGED
    assert site.logged() == "x\n" * 3


def test_an_owed_reload_stays_owed_when_the_next_text_fails_its_check(
    site: OneResource, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    site.add(
        'check_cmd = "grep -q v=1 {{ src }}"',
        f'reload_cmd = "test -e {gate} && cat {{{{ dest }}}} >> {site.log}"',
    )
    assert site.work() is Outcome.RELOAD_FAILED
    assert site.work({"/app/v": "bad"}) is Outcome.CHECK_FAILED
    gate.touch()
    assert site.work() is Outcome.UNCHANGED
    assert site.logged() == "v=1\n"


def test_a_command_that_times_out_has_failed(site: OneResource) -> None:
    site.add('check_cmd = "sleep 300"')
    assert site.work(options=ApplyOptions(check_timeout_s=0.2)) is Outcome.CHECK_FAILED
    site.add('reload_cmd = "sleep 300"')
    assert site.work(options=ApplyOptions(reload_timeout_s=0.2)) is Outcome.RELOAD_FAILED


def test_noop_reports_a_change_and_writes_nothing(site: OneResource) -> None:
    dest = site.add(f'reload_cmd = "echo x >> {site.log}"')
    assert site.work(options=ApplyOptions(noop=True)) is Outcome.WOULD_WRITE
    assert list(dest.parent.iterdir()) == []
    site.work()
    assert site.work(options=ApplyOptions(noop=True)) is Outcome.UNCHANGED
    assert site.logged() == "x\n"


def test_noop_runs_no_owed_reload(site: OneResource, tmp_path: Path) -> None:
    site.add(f'reload_cmd = "echo x >> {site.log}; false"')
    site.work()
    assert site.work(options=ApplyOptions(noop=True)) is Outcome.UNCHANGED
    assert site.logged() == "x\n"


def test_sync_only_writes_and_runs_nothing(site: OneResource) -> None:
    run = f"echo x >> {site.log}; false"
    dest = site.add(f'check_cmd = "{run}"', f'reload_cmd = "{run}"')
    assert site.work(options=ApplyOptions(sync_only=True)) is Outcome.WRITTEN
    assert dest.read_text() == "v=1\n"
    assert site.logged() == ""


def test_keep_stage_file_keeps_the_text_that_failed_its_check(site: OneResource) -> None:
    dest = site.add('check_cmd = "false"')
    site.work(options=ApplyOptions(keep_staged=True))
    assert files.kept_path(dest).read_text() == "v=1\n"
    assert staged(dest.parent) == []


def test_noop_with_keep_stage_file_keeps_the_text(site: OneResource) -> None:
    dest = site.add()
    assert site.work(options=ApplyOptions(noop=True, keep_staged=True)) is Outcome.WOULD_WRITE
    assert files.kept_path(dest).read_text() == "v=1\n"
    assert not dest.exists()


@pytest.mark.parametrize(
    "value", ["{{ 7 }}", "$(touch {pwned})", "`touch {pwned}`", "'; touch {pwned}; '", "a\n\0b"]
)
def test_a_value_reaches_the_file_unchanged_and_never_a_shell(
    site: OneResource, tmp_path: Path, value: str
) -> None:
    pwned = tmp_path / "pwned"
    value = value.replace("{pwned}", str(pwned))
    dest = site.add('check_cmd = "test -s {{ src }}"', 'reload_cmd = "test -s {{ dest }}"')
    assert site.work({"/app/v": value}) is Outcome.WRITTEN
    assert dest.read_bytes() == f"v={value}\n".encode()
    assert not pwned.exists()


def test_a_path_with_spaces_and_quotes_reaches_the_commands_intact(tmp_path: Path) -> None:
    directory = tmp_path / "it's a $HOME"
    directory.mkdir()
    site = OneResource(directory)
    dest = site.add('check_cmd = "test -s {{ src }}"', 'reload_cmd = "test -s {{.dest}}"')
    assert site.work() is Outcome.WRITTEN
    assert dest.exists()


def test_a_template_outside_its_directory_is_not_read(site: OneResource, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    link = site.confdir.path / "templates" / "link"
    link.symlink_to(tmp_path / "secret")
    (link.parent / "round").symlink_to("round")
    names = ["link", "../../secret", f"{tmp_path}/secret", "x/../../../secret"]
    for name in [*names, "round", ".", "a\\0"]:
        dest = site.add(template=f"{{% include '{name}' %}}")
        assert site.work() is Outcome.RENDER_FAILED
        assert "s3cret" not in site.result.error
        assert not dest.exists()


def test_a_changed_template_is_read_again(site: OneResource) -> None:
    dest = site.add(template="1{% include 'part' %}")
    part = site.confdir.path / "templates" / "part"
    part.write_text("a")
    site.work()
    part.write_text("bb")
    site.work()
    assert dest.read_text() == "1bb"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"ok\n\xff", "not UTF-8 text in its line 2"), (b"x" * (1 << 20 | 1), "larger than")],
)
def test_a_file_that_is_not_a_template_is_rejected(
    site: OneResource, content: bytes, reason: str
) -> None:
    site.add()
    (site.confdir.path / "templates" / "a.conf.j2").write_bytes(content)
    assert site.work() is Outcome.RENDER_FAILED
    assert reason in site.result.error


def test_only_one_process_can_use_a_state_directory(site: OneResource, tmp_path: Path) -> None:
    with pytest.raises(StateInUse, match="is in use by another confd"):
        StateDir(tmp_path / "state")
    site.restart()


def test_only_the_owner_can_read_a_state_directory(site: OneResource, tmp_path: Path) -> None:
    keys_path = site.state.keys_path("/app")
    assert keys_path is not None
    assert keys_path.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_state_directory_owed_reloads_are_in_memory() -> None:
    state = StateDir(None)
    state.owe_reload("/a")
    assert state.is_reload_owed("/a")
    state.reload_done("/a")
    assert not state.is_reload_owed("/a")
    assert state.keys_path("/app") is None


def test_nothing_is_written_if_the_owed_reload_cannot_be_recorded(
    site: OneResource, tmp_path: Path
) -> None:
    dest = site.add('reload_cmd = "true"')
    (tmp_path / "state" / "owed").rmdir()
    assert site.work() is Outcome.WRITE_FAILED
    assert not dest.exists()


@pytest.mark.parametrize(
    ("line", "value", "reason"),
    [
        ('output_format = "json"', '{"a": \n s3cret', "not json: malformed in line 2"),
        ('output_format = "yaml"', "a: [s3cret", "not yaml: malformed in line"),
        ('output_format = "toml"', "a = s3cret", "not toml: malformed in line 1"),
        ('output_format = "ini"', "s3cret = 1", "not ini: malformed in line 1"),
        ("min_bytes = 100", "s3cret", "min_bytes: the file would have 9 bytes, fewer than 100"),
        ('max_shrink = "50%"', "", "max_shrink: from 40 to 3 bytes is more than 50%"),
        ('require = ["/app/up/*"]', "s3cret", "require: no key matches '/app/up/*'"),
    ],
)
def test_a_guard_keeps_the_old_file(site: OneResource, line: str, value: str, reason: str) -> None:
    dest = site.add(line, template="{{ getv('/app/v') }}\n\n\n")
    dest.write_text("x" * 40)
    assert site.work({"/app/v": value}) is Outcome.CHECK_FAILED
    assert site.result.error.startswith(reason)
    assert "s3cret" not in site.result.error
    assert dest.read_text() == "x" * 40


@pytest.mark.parametrize(
    ("kind", "text"),
    [("json", '{"a": 1}'), ("yaml", "a: [1]"), ("toml", "a = 1"), ("ini", "[a]\nb = 1\nc\n")],
)
def test_a_well_formed_text_is_written(site: OneResource, kind: str, text: str) -> None:
    site.add(f'output_format = "{kind}"', template="{{ getv('/app/v') }}")
    assert site.work({"/app/v": text}) is Outcome.WRITTEN


def test_a_resource_can_set_its_own_delimiters(site: OneResource) -> None:
    dest = site.add(
        """delimiters = ["<<", ">>", "<%", "%>", "<#", "#>"]""",
        template="${#A[@]} {{ x }} << getv('/app/v') >><% if true %>!<% endif %><# c #>",
    )
    site.work()
    assert dest.read_text() == "${#A[@]} {{ x }} 1!"


def test_missing_directories_are_created_with_make_dirs(site: OneResource) -> None:
    dest = site.add("make_dirs = true", 'dir_mode = "0750"')
    dest.parent.rmdir()
    assert site.work() is Outcome.WRITTEN
    assert dest.parent.stat().st_mode & 0o777 == 0o750


def test_backups_have_index_and_hash_in_their_names_and_are_limited(site: OneResource) -> None:
    dest = site.add("backups = 2", 'mode = "0640"')
    for index, value in enumerate("1234"):
        keys = key_set({"/app/v": value})
        keys.index = index
        site.work(keys)
    found = sorted(path.name for path in dest.parent.glob(".a.conf.bak-*"))
    digests = [hashlib.sha256(f"v={value}\n".encode()).hexdigest()[:12] for value in "23"]
    assert found == [f".a.conf.bak-{n}-{each}" for n, each in zip((2, 3), digests, strict=True)]
    assert (dest.parent / found[0]).stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_unless_the_resource_follows_links(
    site: OneResource, tmp_path: Path
) -> None:
    real = tmp_path / "real"
    real.write_text("old")
    dest = site.add("follow_symlinks = true")
    dest.symlink_to(real)
    site.work()
    assert dest.is_symlink()
    assert real.read_text() == "v=1\n"
    real.write_text("old")
    site.add()
    site.work()
    assert not dest.is_symlink()
    assert (dest.read_text(), real.read_text()) == ("v=1\n", "old")


def test_a_file_written_in_place_keeps_its_inode(site: OneResource) -> None:
    dest = site.add('write = "in-place"', 'mode = "0600"')
    dest.write_text("a longer text than the new one")
    inode = dest.stat().st_ino
    assert site.work() is Outcome.WRITTEN
    assert (dest.read_text(), dest.stat().st_ino) == ("v=1\n", inode)
    assert dest.stat().st_mode & 0o777 == 0o600
    assert staged(dest.parent) == []


def test_a_command_in_list_form_runs_without_a_shell(site: OneResource) -> None:
    dest = site.add(
        'check_cmd = ["grep", "-q", "v=1", "{{ src }}"]',
        f'reload_cmd = ["cp", "{{{{ dest }}}}", "{site.directory}/$HOME"]',
    )
    assert site.work() is Outcome.WRITTEN
    assert (site.directory / "$HOME").read_text() == dest.read_text()


def test_commands_find_their_paths_in_the_environment(site: OneResource) -> None:
    dest = site.add(
        'check_cmd = "grep -q v=1 $CONFD_SRC"', f'reload_cmd = "echo $CONFD_DEST > {site.log}"'
    )
    assert site.work() is Outcome.WRITTEN
    assert site.logged() == f"{dest}\n"


def test_a_resource_can_set_its_own_time_outs(site: OneResource) -> None:
    site.add('check_cmd = "sleep 300"', 'check_cmd_timeout = "200ms"')
    assert site.work() is Outcome.CHECK_FAILED
    assert "timed out after 0.2 s" in site.result.error
