"""A fleet on a virtual clock, with the policy of the daemon."""

import pytest

from rig import reboot_simulation


@pytest.mark.parametrize("seed", range(5))
def test_never_more_hosts_are_down_than_there_are_slots(seed: int) -> None:
    outcome = reboot_simulation.ours(seed, hosts=120, slots=4)
    assert outcome.rebooted == 120, f"seed {seed}"
    assert outcome.most_down <= 4, f"seed {seed}"
    assert outcome.longest_handover_s < 2.0, f"seed {seed}"
