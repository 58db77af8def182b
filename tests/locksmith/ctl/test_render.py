"""What `locksmithctl` prints."""

from locksmith.core import group_state
from locksmith.ctl import render
from tests.locksmith.core.test_group_state import fleet


def test_verbose_status_begins_with_the_plain_lines() -> None:
    assert render.status_verbose(group_state.build(fleet(), "web")) == (
        "Available: 1\n"
        "Max: 3\n"
        "Group: web\n"
        "Key: /coreos.com/updateengine/rebootlock/groups/web/semaphore\n"
        "Hosts: 1\n"
        "\n"
        "MACHINE ID  HOST     PHASE    SINCE                 DAEMON\n"
        "aa          alpha    held     2026-03-01T12:30:05Z  alive\n"
        "bb          unknown  unknown  unknown               silent\n"
    )
