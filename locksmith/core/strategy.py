"""How a host takes its reboots."""

from enum import Enum


class Strategy(Enum):
    """The strategies of Go's locksmithd; its versions after 0.5 have no `best-effort`."""

    ETCD_LOCK = "etcd-lock"  # only with a slot
    BEST_EFFORT = "best-effort"  # with a slot; without one when the store stays away
    REBOOT = "reboot"  # as soon as the host's own rules allow
    OFF = "off"

    @property
    def locks(self) -> bool:
        """Whether a slot is asked for."""
        return self in {Strategy.ETCD_LOCK, Strategy.BEST_EFFORT}
