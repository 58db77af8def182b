"""Whether a host is healthy after its reboot: its problems, found from facts."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What one check of the host found. `failed_units` is None where systemd does not run."""

    boot_complete: bool = True
    failed_units: tuple[str, ...] | None = ()
    scripts: dict[str, str] = field(default_factory=dict)  # name to what is wrong with it


def problems(facts: HealthFacts, failed_before: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is wrong with the host. Units that failed before the reboot do not count."""
    found: list[str] = []
    if not facts.boot_complete:
        found.append("boot-complete.target is not reached")
    new = sorted(set(facts.failed_units or ()) - set(failed_before))
    if new:
        found.append(f"failed since the reboot: {', '.join(new)}")
    return (*found, *(f"{name}: {what}" for name, what in sorted(facts.scripts.items())))
