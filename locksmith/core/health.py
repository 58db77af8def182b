"""Is a host that has rebooted healthy? Facts in, verdict out."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in one look. `failed_units` is None where no systemd runs."""

    boot_complete: bool = True
    failed_units: tuple[str, ...] | None = ()
    scripts: dict[str, str] = field(default_factory=dict)  # name to what is wrong with it


def faults(facts: Facts, failed_before: tuple[str, ...]) -> tuple[str, ...]:
    """Return what speaks against the host; a unit that was broken before is no fault."""
    found: list[str] = []
    if not facts.boot_complete:
        found.append("boot-complete.target is not reached")
    new = sorted(set(facts.failed_units or ()) - set(failed_before))
    if new:
        found.append(f"failed since the reboot: {', '.join(new)}")
    return (*found, *(f"{name}: {what}" for name, what in sorted(facts.scripts.items())))
