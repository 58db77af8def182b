"""Whether a host is healthy after its reboot."""

from locksmith.core import health


def test_only_units_that_failed_since_the_reboot_count() -> None:
    facts = health.HealthFacts(failed_units=("a.service", "b.service"))
    assert health.problems(facts, ("a.service",)) == ("failed since the reboot: b.service",)
    assert health.problems(facts, ("a.service", "b.service")) == ()
    assert "boot-complete" in health.problems(health.HealthFacts(boot_complete=False), ())[0]
