"""Bundles, whose files change together or not at all, and files for each item."""

from pathlib import Path

import pytest

from confd.apply.engine import Engine
from confd.core.changes.outcome import Outcome, Result
from tests.confd.apply.resource_fixture import OneResource
from tests.confd.confdir_fixture import apply, staged
from tests.confd.core.keyspace.key_sets import key_set


@pytest.fixture
def site(tmp_path: Path) -> OneResource:
    return OneResource(tmp_path)


def bundle(site: OneResource, *lines: str) -> tuple[Path, Path]:
    shared = ('bundle = "b"', *lines)
    one = site.confdir.add("one", "1 {{ getv('/app/one') }}", *shared)
    two = site.confdir.add("two", "2 {{ getv('/app/two') }}", *shared)
    return one, two


def outcomes(site: OneResource, engine: Engine, keys: dict[str, str]) -> list[Outcome]:
    found = apply(engine, site.confdir.resources(), key_set(keys))
    return [found[name].outcome for name in sorted(found)]


GOOD = {"/app/one": "a", "/app/two": "b"}


def test_a_bundle_is_reloaded_once(site: OneResource) -> None:
    one, two = bundle(site, f'reload_cmd = "echo x >> {site.log}"')
    engine = site.confdir.engine(site.state)
    assert outcomes(site, engine, GOOD) == [Outcome.WRITTEN] * 2
    assert (one.read_text(), two.read_text(), site.logged()) == ("1 a", "2 b", "x\n")


def test_one_failed_check_holds_the_whole_bundle(site: OneResource) -> None:
    one, two = bundle(site, 'check_cmd = "! grep -q bad {{ src }}"')
    engine = site.confdir.engine(site.state)
    outcomes(site, engine, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(site, engine, bad) == [Outcome.HELD, Outcome.CHECK_FAILED]
    assert outcomes(site, engine, {"/app/one": "x"}) == [Outcome.HELD, Outcome.RENDER_FAILED]
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert staged(one.parent) == []


def test_a_bundle_that_cannot_be_swapped_completely_is_rolled_back(site: OneResource) -> None:
    one, two = bundle(site)
    engine = site.confdir.engine(site.state)
    outcomes(site, engine, GOOD)
    two.unlink()
    two.mkdir()
    new = {"/app/one": "new", "/app/two": "new"}
    assert outcomes(site, engine, new)[0] in {Outcome.HELD, Outcome.WRITE_FAILED}
    assert one.read_text() == "1 a"


def test_a_failed_reload_restores_the_whole_bundle(site: OneResource) -> None:
    check = f"cat {{one}} {{two}} >> {site.log}; ! grep -q bad {{two}}"
    out = site.confdir.out
    one, two = bundle(site, f"""reload_cmd = "{check.format(one=out / "one", two=out / "two")}\"""")
    engine = site.confdir.engine(site.state)
    outcomes(site, engine, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(site, engine, bad) == [Outcome.RELOAD_FAILED] * 2
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert site.logged() == "1 a2 b1 new2 bad1 a2 b"
    assert not site.state.is_reload_owed(str(one))


def test_a_quarantined_text_is_written_again_only_after_a_change_or_a_pass(
    site: OneResource,
) -> None:
    dest = site.add(f'reload_cmd = "echo x >> {site.log}; ! grep -q bad {{{{ dest }}}}"')
    engine = site.confdir.engine(site.state)
    [resource] = site.confdir.resources()

    def work(value: str) -> Outcome:
        return apply(engine, [resource], key_set({"/app/v": value}))[resource.name].outcome

    assert work("1") is Outcome.WRITTEN
    assert work("bad") is Outcome.RELOAD_FAILED
    assert work("bad") is Outcome.QUARANTINED
    assert not Outcome.QUARANTINED.is_retried
    assert dest.read_text() == "v=1\n"
    assert site.logged() == "x\n" * 3
    engine.release_quarantine()
    assert work("bad") is Outcome.RELOAD_FAILED
    assert work("2") is Outcome.WRITTEN
    assert dest.read_text() == "v=2\n"


def test_a_quarantine_outlives_a_restart(site: OneResource) -> None:
    dest = site.add(f'reload_cmd = "echo x >> {site.log}; ! grep -q bad {{{{ dest }}}}"')
    site.work()
    assert site.work({"/app/v": "bad"}) is Outcome.RELOAD_FAILED
    reloads = site.logged()
    for _ in range(2):
        site.restart()
        assert site.work({"/app/v": "bad"}) is Outcome.QUARANTINED
    assert (dest.read_text(), site.logged()) == ("v=1\n", reloads)
    assert site.work({"/app/v": "2"}) is Outcome.WRITTEN
    site.restart()
    assert site.work({"/app/v": "bad"}) is Outcome.RELOAD_FAILED


def test_a_file_can_be_kept_although_its_reload_failed(site: OneResource) -> None:
    dest = site.add('reload_cmd = "grep -q 1 {{ dest }}"', 'on_reload_failure = "keep"')
    site.work()
    assert site.work({"/app/v": "2"}) is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=2\n"


def test_the_last_good_file_is_restored_after_a_restart(site: OneResource) -> None:
    dest = site.add('reload_cmd = "! grep -q bad {{ dest }}"')
    site.work()
    [resource] = site.confdir.resources()
    engine = site.confdir.engine(site.state)
    results = engine.write([resource], key_set({"/app/v": "bad"}))
    assert results[resource.name].outcome is Outcome.WRITTEN
    site.restart()
    assert site.work({"/app/v": "bad"}) is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=1\n"


def test_equal_reloads_of_different_units_run_once(site: OneResource) -> None:
    for name in ("one", "two"):
        site.confdir.add(name, "x", f'reload_cmd = "echo x >> {site.log}"')
    engine = site.confdir.engine(site.state)
    pair = [[resource] for resource in site.confdir.resources()]
    results: dict[str, Result] = {}
    for unit in pair:
        results |= engine.write(unit, key_set({}))
    assert engine.reload(pair, results) == {}
    assert site.logged() == "x\n"


def test_a_reload_too_soon_after_another_is_postponed_and_not_dropped(site: OneResource) -> None:
    site.add(f'reload_cmd = "echo x >> {site.log}"', 'min_reload_interval = "30s"')
    [resource] = site.confdir.resources()
    now_s = [100.0]
    engine = site.confdir.engine(site.state, clock=lambda: now_s[0])
    for value in "123":
        apply(engine, [resource], key_set({"/app/v": value}))
    assert site.logged() == "x\n"
    assert engine.next_reload_due_s([resource]) == 130.0
    now_s[0] = 130.0
    apply(engine, [resource], key_set({"/app/v": "3"}))
    assert site.logged() == "x\n" * 2
    assert engine.next_reload_due_s([resource]) is None


EACH = "{{ item }}={{ getv('/app/' ~ item ~ '/v') }}"


def for_each(site: OneResource, *lines: str) -> Path:
    site.confdir.add("each", EACH, 'for_each = "/app/*"', *lines)
    path = site.confdir.path / "conf.d" / "each.toml"
    path.write_text(path.read_text().replace('out/each"', 'out/{{ item }}.conf"'))
    return site.confdir.out


def test_each_item_has_its_file_and_stale_files_are_removed(site: OneResource) -> None:
    out = for_each(site, f'reload_cmd = "echo x >> {site.log}"')
    keep = out / "not-ours.conf"
    keep.write_text("")
    site.work({"/app/a/v": "1", "/app/b/v": "2"})
    assert [(out / f"{name}.conf").read_text() for name in "ab"] == ["a=1", "b=2"]
    site.restart()
    assert site.work({"/app/b/v": "2"}) is Outcome.WRITTEN
    assert sorted(path.name for path in out.iterdir()) == ["b.conf", "not-ours.conf"]
    assert site.logged() == "x\n" * 2
    assert site.work({"/app/b/v": "2"}) is Outcome.UNCHANGED


@pytest.mark.parametrize("left", [{}, {"/other/v": "1"}])
def test_losing_every_item_removes_no_file(site: OneResource, left: dict[str, str]) -> None:
    out = for_each(site, f'reload_cmd = "echo x >> {site.log}"')
    site.work({"/app/a/v": "1", "/app/b/v": "2"})
    site.restart()
    assert site.work(left) is Outcome.CHECK_FAILED
    assert site.result.error == (
        "for_each: no key matches '/app/*', and 2 files would be removed: "
        'if this is intended, remove them, or set on_no_items = "remove"'
    )
    assert sorted(path.name for path in out.iterdir()) == ["a.conf", "b.conf"]
    assert site.work({"/app/b/v": "3"}) is Outcome.WRITTEN
    assert [path.read_text() for path in out.iterdir()] == ["b=3"]
    (out / "b.conf").unlink()
    assert site.work(left) is Outcome.WRITTEN
    assert site.work(left) is Outcome.UNCHANGED


def test_the_last_item_can_be_removed_by_choice(site: OneResource) -> None:
    out = for_each(site, 'on_no_items = "remove"')
    site.work({"/app/a/v": "1"})
    assert site.work({}) is Outcome.WRITTEN
    assert list(out.iterdir()) == []


def test_too_many_items_are_not_lost_at_once(site: OneResource) -> None:
    out = for_each(site, 'max_shrink = "40%"')
    site.work({f"/app/{name}/v": "1" for name in "abcd"})
    assert site.work({f"/app/{name}/v": "1" for name in "ab"}) is Outcome.CHECK_FAILED
    assert "max_shrink: from 4 to 2 files is more than 40%" in site.result.error
    assert len(list(out.iterdir())) == 4
    assert site.work({f"/app/{name}/v": "1" for name in "abc"}) is Outcome.WRITTEN
    assert len(list(out.iterdir())) == 3


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "a;b", "-x", "ä"])
def test_an_item_that_cannot_be_in_a_file_name_is_rejected(site: OneResource, name: str) -> None:
    out = for_each(site)
    assert site.work({f"/app/{name}/v": "1"}) is Outcome.CHECK_FAILED
    assert "cannot be part of a file name" in site.result.error
    assert list(out.iterdir()) == []
