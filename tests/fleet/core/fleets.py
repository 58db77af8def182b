"""Simulated fleets: hosts by name, jobs in one line."""

from fleet.core.model import Facts
from rig.fleet_simulator import Simulator


def fleet(*names: str, cpu: int = 4000, memory: int = 8 << 30, **labels: str) -> Simulator:
    """Return a simulated fleet; a name may carry its zone, as in `h1@north`."""
    facts = []
    for name in names:
        host, _, zone = name.partition("@")
        own = {**labels, **({"zone": zone} if zone else {})}
        facts.append(Facts(host, host, f"10.0.0.{len(facts) + 1}", cpu, memory, own))
    return Simulator(facts)


def unit(command: str = "/bin/true", **options: object) -> str:
    """Return a unit with an [X-Fleet] section."""
    lines = [f"{name}={value}" for name, value in options.items()]
    return "\n".join(["[Service]", f"ExecStart={command}", "[X-Fleet]", *lines, ""])
