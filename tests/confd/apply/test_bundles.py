"""Several files that stand or fall together, and files for each item."""

from pathlib import Path

import pytest

from confd.apply.engine import Engine
from confd.core.changes.outcome import Outcome, Result
from tests.confd.apply.resource_fixture import World
from tests.confd.confdir_fixture import staged
from tests.confd.core.keyspace.key_sets import key_set


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bundle(world: World, *lines: str) -> tuple[Path, Path]:
    shared = ('bundle = "b"', *lines)
    one = world.confdir.add("one", "1 {{ getv('/app/one') }}", *shared)
    two = world.confdir.add("two", "2 {{ getv('/app/two') }}", *shared)
    return one, two


def outcomes(world: World, engine: Engine, keys: dict[str, str]) -> list[Outcome]:
    found = engine.apply(world.confdir.read_resources(), key_set(keys))
    return [found[name].outcome for name in sorted(found)]


GOOD = {"/app/one": "a", "/app/two": "b"}


def test_a_bundle_is_reloaded_once(world: World) -> None:
    one, two = bundle(world, f'reload_cmd = "echo x >> {world.log}"')
    engine = world.confdir.engine(world.state)
    assert outcomes(world, engine, GOOD) == [Outcome.WRITTEN] * 2
    assert (one.read_text(), two.read_text(), world.logged()) == ("1 a", "2 b", "x\n")


def test_one_refused_file_holds_its_whole_bundle(world: World) -> None:
    one, two = bundle(world, 'check_cmd = "! grep -q bad {{ src }}"')
    engine = world.confdir.engine(world.state)
    outcomes(world, engine, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(world, engine, bad) == [Outcome.HELD, Outcome.CHECK_FAILED]
    assert outcomes(world, engine, {"/app/one": "x"}) == [Outcome.HELD, Outcome.RENDER_FAILED]
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert staged(one.parent) == []


def test_a_bundle_that_cannot_be_swapped_whole_goes_back(world: World) -> None:
    one, two = bundle(world)
    engine = world.confdir.engine(world.state)
    outcomes(world, engine, GOOD)
    two.unlink()
    two.mkdir()
    new = {"/app/one": "new", "/app/two": "new"}
    assert outcomes(world, engine, new)[0] in {Outcome.HELD, Outcome.WRITE_FAILED}
    assert one.read_text() == "1 a"


def test_a_failed_reload_brings_the_whole_bundle_back(world: World) -> None:
    check = f"cat {{one}} {{two}} >> {world.log}; ! grep -q bad {{two}}"
    out = world.confdir.out
    one, two = bundle(
        world, f"""reload_cmd = "{check.format(one=out / "one", two=out / "two")}\""""
    )
    engine = world.confdir.engine(world.state)
    outcomes(world, engine, GOOD)
    bad = {"/app/one": "new", "/app/two": "bad"}
    assert outcomes(world, engine, bad) == [Outcome.RELOAD_FAILED] * 2
    assert (one.read_text(), two.read_text()) == ("1 a", "2 b")
    assert world.logged() == "1 a2 b1 new2 bad1 a2 b"
    assert not world.state.is_reload_owed(str(one))


def test_a_text_whose_reload_failed_stays_out_until_it_changes_or_a_pass_asks(
    world: World,
) -> None:
    dest = world.add(f'reload_cmd = "echo x >> {world.log}; ! grep -q bad {{{{ dest }}}}"')
    engine = world.confdir.engine(world.state)
    [resource] = world.confdir.read_resources()

    def work(value: str) -> Outcome:
        return engine.apply([resource], key_set({"/app/v": value}))[resource.name].outcome

    assert work("1") is Outcome.WRITTEN
    assert work("bad") is Outcome.RELOAD_FAILED
    assert work("bad") is Outcome.QUARANTINED
    assert not Outcome.QUARANTINED.is_retried
    assert dest.read_text() == "v=1\n"
    assert world.logged() == "x\n" * 3
    engine.release_quarantine()
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
    [resource] = world.confdir.read_resources()
    engine = world.confdir.engine(world.state)
    results = engine.write([resource], key_set({"/app/v": "bad"}))
    assert results[resource.name].outcome is Outcome.WRITTEN
    world.restart()
    assert world.work({"/app/v": "bad"}) is Outcome.RELOAD_FAILED
    assert dest.read_text() == "v=1\n"


def test_equal_reloads_of_different_units_run_once(world: World) -> None:
    for name in ("one", "two"):
        world.confdir.add(name, "x", f'reload_cmd = "echo x >> {world.log}"')
    engine = world.confdir.engine(world.state)
    pair = [[resource] for resource in world.confdir.read_resources()]
    results: dict[str, Result] = {}
    for unit in pair:
        results |= engine.write(unit, key_set({}))
    assert engine.reload(pair, results) == {}
    assert world.logged() == "x\n"


def test_a_reload_too_soon_after_another_is_put_off_and_not_dropped(world: World) -> None:
    world.add(f'reload_cmd = "echo x >> {world.log}"', 'min_reload_interval = "30s"')
    [resource] = world.confdir.read_resources()
    now_s = [100.0]
    engine = world.confdir.engine(world.state, clock=lambda: now_s[0])
    for value in "123":
        engine.apply([resource], key_set({"/app/v": value}))
    assert world.logged() == "x\n"
    assert engine.next_reload_due_s([resource]) == 130.0
    now_s[0] = 130.0
    engine.apply([resource], key_set({"/app/v": "3"}))
    assert world.logged() == "x\n" * 2
    assert engine.next_reload_due_s([resource]) is None


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
