"""How a host will take its reboots."""

from enum import Enum


class Strategy(Enum):
    """The strategies of Go's locksmithd, without the deprecated `best-effort`."""

    ETCD_LOCK = "etcd-lock"
    REBOOT = "reboot"
    OFF = "off"
