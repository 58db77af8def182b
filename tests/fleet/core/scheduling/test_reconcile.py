"""What the scheduler does, on a simulated fleet."""

import pytest

from fleet.core.model import DesiredState, Drain, Plan, TargetState
from fleet.core.scheduling.actions import Hold, Stop
from fleet.core.scheduling.reconcile import reconcile
from rig.fleet_simulator import Simulator
from tests.fleet.core.fleets import fleet, unit


def settled(sim: Simulator, name: str = "web.service", for_s: float = 10.0) -> list[str]:
    sim.run(for_s)
    return sim.running(name)


def drain(sim: Simulator, host: str, *, overdue: bool = False) -> None:
    sim.cluster.hosts[host].drain = Drain(reason="test", deadline_s=0.0 if overdue else 300.0)


def test_three_instances_run_on_three_hosts() -> None:
    sim = fleet("h1", "h2", "h3", "h4")
    sim.submit("web.service", unit(Count=3))
    assert len(set(settled(sim))) == 3
    assert sim.ready("web.service") == 3


def test_a_fleet_at_rest_needs_no_actions() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=2))
    sim.submit("log.service", unit(Global="yes"))
    sim.run(10)
    assert reconcile(sim.cluster) == []
    assert sim.cluster.jobs["web.service"].rollout.state == "stable"
    assert sim.running("log.service") == ["h1", "h2", "h3"]


def test_instances_spread_over_zones_before_hosts() -> None:
    sim = fleet("a1@a", "a2@a", "a3@a", "b1@b")
    sim.submit("web.service", unit(Count=4, Spread="zone"))
    assert settled(sim).count("b1") == 2


def test_scaling_down_stops_the_highest_indexes() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(10)
    sim.change("web.service", count=1)
    assert len(settled(sim)) == 1
    allocations = [
        each.allocation for host in sim.cluster.hosts.values() for each in host.instances
    ]
    assert [allocation.index for allocation in allocations] == [0]


def test_a_destroyed_job_stops_and_is_removed() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit())
    sim.run(10)
    sim.change("web.service", target=TargetState.DESTROYED)
    assert settled(sim) == []
    assert not sim.cluster.jobs
    assert not sim.cluster.hosts["h1"].plan.allocations


def test_a_stopped_job_is_removed_when_it_is_destroyed() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit())
    sim.run(10)
    sim.change("web.service", target=TargetState.INACTIVE)
    assert settled(sim) == []
    sim.change("web.service", target=TargetState.DESTROYED)
    sim.run(2)
    assert not sim.cluster.jobs


def test_a_loaded_job_is_placed_but_not_started() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit(), target=TargetState.LOADED)
    assert settled(sim) == []
    assert sim.cluster.hosts["h1"].plan.allocations[0].desired_state is DesiredState.LOAD
    sim.change("web.service", target=TargetState.LAUNCHED)
    assert settled(sim) == ["h1"]


def test_instances_move_from_a_lost_host_but_not_from_a_suspect_one() -> None:
    sim = fleet("h1", "h2", "h3", "h4")
    sim.submit("web.service", unit(Count=3))
    sim.run(10)
    gone = sim.running("web.service")[0]
    sim.machines[gone].is_up = False
    sim.machines[gone].running.clear()
    sim.run(60)
    assert sim.writes == 3
    sim.run(60)
    assert sim.ready("web.service") == 3
    assert sum(sim.placements.values()) == 4


def test_a_lost_host_that_comes_back_stops_its_duplicate_instance() -> None:
    sim = fleet("h1", "h2", "h3", "h4")
    sim.submit("web.service", unit(Count=3))
    sim.run(10)
    gone = sim.running("web.service")[0]
    sim.machines[gone].is_heard = False
    sim.run(120)
    assert len(sim.running("web.service")) == 4
    sim.machines[gone].is_heard = True
    sim.run(20)
    assert len(sim.running("web.service")) == 3


def test_nothing_moves_while_more_than_a_third_of_the_hosts_are_silent() -> None:
    sim = fleet("h1", "h2", "h3", "h4", "h5")
    sim.submit("web.service", unit(Count=5))
    sim.run(10)
    for name in ("h1", "h2"):
        sim.machines[name].is_heard = False
    sim.run(300)
    assert sim.failures.storm
    assert sum(sim.placements.values()) == 5


def test_an_exclusive_job_never_runs_twice_while_hosts_come_and_go() -> None:
    sim = fleet("h1", "h2", "h3", "h4")
    sim.submit("db.service", unit(Count=1, Exclusive="yes"))
    sim.run(10)
    for _ in range(4):
        here = sim.running("db.service")[0]
        sim.machines[here].is_heard = False
        sim.run(130)
        assert sim.running("db.service") not in ([], [here])
        sim.machines[here].is_heard = True
        sim.run(1200)
        assert len(sim.running("db.service")) == 1


def test_a_rolling_update_replaces_one_instance_at_a_time() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(10)
    sim.submit("web.service", unit("/bin/false", Count=3))
    least = 3
    for _ in range(40):
        sim.tick()
        least = min(least, sim.ready("web.service"))
    assert least == 2
    assert sim.ready("web.service") == 3
    assert sim.cluster.jobs["web.service"].rollout.stable == 2


def test_a_surge_update_keeps_all_instances_ready() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3, Update="surge"))
    sim.run(10)
    sim.submit("web.service", unit("/bin/false", Count=3, Update="surge"))
    for _ in range(40):
        sim.tick()
        assert sim.ready("web.service") >= 3
    record = sim.cluster.jobs["web.service"].record
    allocations = [
        each.allocation for host in sim.cluster.hosts.values() for each in host.instances
    ]
    assert {allocation.unit for allocation in allocations} == {record.unit}


def test_a_surge_update_keeps_instances_on_separate_hosts() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3, Update="surge"))
    sim.run(10)
    for command in ("/bin/true", "/bin/false", "/bin/cat", "/bin/ls"):
        sim.submit("web.service", unit(command, Count=3, Update="surge"))
        sim.run(40)
        assert sorted(sim.running("web.service")) == ["h1", "h2", "h3"]


def test_a_failing_version_is_reverted_to_the_last_stable_one_once() -> None:
    sim = fleet("h1", "h2", "h3")
    good, bad = unit(Count=3), unit("/bin/false", Count=3)
    sim.submit("web.service", good)
    sim.run(10)
    sim.submit("web.service", bad)
    sim.dying.add(sim.cluster.jobs["web.service"].record.unit)
    sim.run(60)
    desired = sim.cluster.jobs["web.service"]
    assert desired.record.version == 3
    assert desired.text == good
    assert sim.ready("web.service") == 3
    assert "reverted to version 1" in desired.record.note


def test_two_failing_versions_do_not_alternate() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit())
    sim.run(10)
    sim.submit("web.service", unit("/bin/false"))
    sim.dying |= {sim.cluster.jobs["web.service"].record.unit}
    sim.dying |= {sim.cluster.hosts["h1"].plan.allocations[0].unit}
    sim.run(300)
    assert sim.cluster.jobs["web.service"].record.version == 3
    assert sim.cluster.jobs["web.service"].rollout.state == "failed"


def test_a_paused_rollout_waits() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(10)
    sim.submit("web.service", unit("/bin/false", Count=3))
    sim.change("web.service", paused=True)
    sim.run(30)
    assert sum(sim.placements.values()) == 3
    sim.change("web.service", paused=False)
    sim.run(30)
    assert sim.cluster.jobs["web.service"].rollout.state == "stable"


def test_a_drain_moves_instances_and_keeps_min_available() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=2))
    sim.submit("log.service", unit(Global="yes"))
    sim.run(10)
    leaving = sim.running("web.service")[0]
    drain(sim, leaving)
    for _ in range(20):
        sim.tick()
        assert sim.ready("web.service") >= 2
    assert leaving not in sim.running("web.service")
    assert leaving not in sim.running("log.service")
    assert not sim.cluster.hosts[leaving].plan.allocations
    sim.cluster.hosts[leaving].drain = None
    sim.run(10)
    assert leaving in sim.running("log.service")


def test_a_drain_stops_instances_that_cannot_move_at_its_deadline() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit())
    sim.run(10)
    drain(sim, "h1")
    sim.run(10)
    assert sim.running("web.service") == ["h1"]
    drain(sim, "h1", overdue=True)
    sim.run(10)
    assert sim.running("web.service") == []


def test_a_drain_respects_the_budget_of_an_exclusive_job() -> None:
    sim = fleet("h1", "h2")
    sim.submit("db.service", unit(Count=1, Exclusive="yes", MinAvailable=1))
    sim.run(10)
    here = sim.running("db.service")[0]
    drain(sim, here)
    sim.run(10)
    assert sim.running("db.service") == [here]
    drain(sim, here, overdue=True)
    sim.run(20)
    assert sim.running("db.service") not in ([], [here])


def test_an_emptied_store_stops_nothing() -> None:
    sim = fleet("h1", "h2")
    sim.submit("web.service", unit(Count=2))
    sim.run(10)
    before = sim.running("web.service")
    sim.cluster.jobs.clear()
    for host in sim.cluster.hosts.values():
        host.plan = Plan()
        host.join()
    sim.epoch = 2
    sim.run(30)
    assert sim.running("web.service") == before
    assert {
        each.desired_state for host in sim.cluster.hosts.values() for each in host.plan.allocations
    } == {DesiredState.RUN}


def test_a_store_restored_from_an_old_backup_stops_nothing() -> None:
    sim = fleet("h1", "h2")
    sim.submit("web.service", unit(Count=1))
    sim.run(10)
    plans = {name: host.plan for name, host in sim.cluster.hosts.items()}
    old = sim.cluster.jobs["web.service"].record
    sim.change("web.service", count=2)
    sim.run(10)
    before = sim.running("web.service")
    sim.cluster.jobs["web.service"].record = old
    for name, host in sim.cluster.hosts.items():
        host.plan = plans[name]
        host.join()
    sim.run(30)
    assert sim.running("web.service") == before
    assert [type(each) for each in reconcile(sim.cluster)] == [Hold]


def test_conflicting_units_run_on_different_hosts() -> None:
    sim = fleet("h1", "h2")
    for n in (1, 2):
        sim.submit(f"web@{n}.service", unit(Conflicts="web@*.service"))
    sim.run(10)
    assert sim.running("web@1.service") != sim.running("web@2.service")
    sim.submit("web@3.service", unit(Conflicts="web@*.service"))
    sim.run(10)
    assert sim.running("web@3.service") == []
    assert "conflicts with" in sim.outcome.unplaced[0].why


def test_a_replaced_unit_moves_to_another_host() -> None:
    sim = fleet("h1", "h2")
    sim.submit("old.service", unit())
    (here,) = settled(sim, "old.service")
    sim.submit("new.service", unit(Replaces="old.service", Constraint=f"hostname={here}"))
    assert settled(sim, "new.service") == [here]
    assert settled(sim, "old.service") == [{"h1": "h2", "h2": "h1"}[here]]
    assert reconcile(sim.cluster) == []


def test_a_unit_with_machine_of_runs_on_the_host_of_the_other_unit() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit())
    sim.submit("side.service", unit(MachineOf="web.service"))
    sim.run(10)
    assert sim.running("side.service") == sim.running("web.service")
    drain(sim, sim.running("web.service")[0])
    sim.run(30)
    assert sim.running("side.service") == sim.running("web.service") != []


def test_a_unit_with_machine_id_waits_for_its_machine() -> None:
    sim = fleet("h1", "h2")
    sim.submit("web.service", unit(MachineID="h2"))
    assert settled(sim) == ["h2"]


def test_constraints_match_the_labels_of_hosts() -> None:
    sim = fleet("a@north", "b@south", "c@south")
    sim.submit("web.service", unit(Count=4, Constraint="zone in (south)"))
    assert set(settled(sim)) == {"b", "c"}


def test_an_instance_that_fits_nowhere_is_unplaced_with_the_reason() -> None:
    sim = fleet("h1", "h2", cpu=1000)
    sim.submit("web.service", unit(Count=3, CPU="800m"))
    assert len(settled(sim)) == 2
    assert "processors" in sim.outcome.unplaced[0].why


def test_a_fixed_port_is_used_by_one_instance_per_host() -> None:
    sim = fleet("h1", "h2")
    sim.submit("web.service", unit(Count=3, Port=80))
    assert len(settled(sim)) == 2
    assert "port 80 is taken" in sim.outcome.unplaced[0].why


def test_jobs_of_higher_priority_are_placed_first() -> None:
    sim = fleet("h1", cpu=1000)
    sim.submit("low.service", unit(CPU="800m", Priority=10))
    sim.submit("high.service", unit(CPU="800m", Priority=90))
    sim.run(5)
    assert sim.running("high.service") == ["h1"]
    assert sim.running("low.service") == []


@pytest.mark.parametrize("way", ["rolling", "surge"])
def test_a_broken_version_does_not_block_the_next_one(way: str) -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit("/bad", Count=3, Update=way))
    sim.dying.add(sim.cluster.jobs["web.service"].record.unit)
    sim.run(60)
    sim.submit("web.service", unit(Count=3, Update=way))
    sim.run(60)
    assert sim.ready("web.service") == 3


def test_every_stop_has_a_reason() -> None:
    sim = fleet("h1")
    sim.submit("web.service", unit())
    sim.run(10)
    sim.change("web.service", target=TargetState.INACTIVE)
    assert [each.why for each in reconcile(sim.cluster) if isinstance(each, Stop)] == [
        "its target state is inactive"
    ]


@pytest.mark.parametrize("ahead_s", [360.0, -360.0])
def test_a_scheduler_with_another_clock_does_not_revert_a_healthy_rollout(ahead_s: float) -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(30)
    sim.start_s = 40.0
    sim.submit("web.service", unit("/bin/false", Count=3))
    sim.run(20)
    sim.fail_over(ahead_s)
    sim.run(200)
    job = sim.cluster.jobs["web.service"]
    assert (job.record.version, job.rollout and job.rollout.state) == (2, "stable")


@pytest.mark.parametrize("ahead_s", [360.0, -360.0])
def test_a_rollout_without_progress_fails_by_the_clock_of_the_new_scheduler(
    ahead_s: float,
) -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(30)
    sim.start_s = 10_000.0
    sim.submit("web.service", unit("/bin/false", Count=3))
    sim.run(20)
    sim.fail_over(ahead_s)
    sim.run(290)
    assert sim.cluster.jobs["web.service"].record.version == 2
    sim.run(20)
    assert sim.cluster.jobs["web.service"].record.version == 3


def test_the_time_of_a_paused_rollout_does_not_run() -> None:
    sim = fleet("h1", "h2", "h3")
    sim.submit("web.service", unit(Count=3))
    sim.run(30)
    sim.start_s = 400.0
    sim.submit("web.service", unit("/bin/false", Count=3))
    sim.change("web.service", paused=True)
    sim.run(1000)
    sim.change("web.service", paused=False)
    sim.run(60)
    assert sim.cluster.jobs["web.service"].record.version == 2


def ports(sim: Simulator, name: str) -> dict[str, int]:
    """Return the port of a job's instance, by host."""
    return {
        host.id: each.allocation.port
        for host in sim.cluster.hosts.values()
        for each in host.instances
        if each.allocation.job == name
    }


def first_auto_port(name: str) -> int:
    sim = fleet("h1")
    sim.submit(name, unit(Port="auto"))
    sim.run(5)
    return ports(sim, name)["h1"]


@pytest.mark.parametrize("option", ["Port", "Ports"])
def test_an_automatic_port_is_none_that_another_job_on_the_host_has(option: str) -> None:
    port = first_auto_port("web.service")
    sim = fleet("h1")
    sim.submit("db.service", unit(**{option: port}))
    sim.run(5)
    sim.submit("web.service", unit(Port="auto"))
    sim.run(5)
    assert ports(sim, "web.service")["h1"] not in (0, port)


def test_an_automatic_port_is_none_of_the_jobs_own_ports() -> None:
    port = first_auto_port("web.service")
    sim = fleet("h1")
    sim.submit("web.service", unit(Port="auto", Ports=f"{port} {port + 1}"))
    sim.run(5)
    assert ports(sim, "web.service")["h1"] not in (0, port, port + 1)


@pytest.mark.parametrize("option", ["Port", "Ports"])
def test_a_fixed_port_is_not_free_where_an_instance_has_it_automatically(option: str) -> None:
    port = first_auto_port("web.service")
    sim = fleet("h1", "h2")
    sim.submit("web.service", unit(Port="auto"))
    sim.run(5)
    sim.submit("db.service", unit(Count=2, **{option: port}))
    sim.run(5)
    assert set(ports(sim, "db.service")) == {"h1", "h2"} - set(ports(sim, "web.service"))
