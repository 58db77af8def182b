"""A template that never ends: its resource fails, its file stays, and the others are rendered."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest

from confd.apply.time_limit import TimeLimitExceeded, time_limit
from confd.core.changes.outcome import Outcome
from confd.settings import ApplyOptions
from rig.processes import wait_until
from tests.confd.apply.resource_fixture import OneResource

ENDLESS = """first line
{% if getv('/app/v') == 'loop' %}{% for a in range(99999) %}
{% for b in range(99999) %}{% for c in range(99999) %}{% set d = c %}{% endfor %}{% endfor %}
{% endfor %}{% endif %}"""


def test_an_endless_template_fails_and_names_its_line(tmp_path: Path) -> None:
    site = OneResource(tmp_path)
    dest = site.add(template=ENDLESS)
    options = ApplyOptions(render_timeout_s=0.5)
    assert site.work(options=options) is Outcome.WRITTEN
    before = dest.read_text()
    began_s = time.monotonic()
    assert site.work({"/app/v": "loop"}, options) is Outcome.RENDER_FAILED
    assert time.monotonic() - began_s < 20.0
    assert site.result.error.endswith(
        "a.conf.j2:3: the rendering takes longer than --render-timeout"
    )
    assert dest.read_text() == before
    assert site.work({"/app/v": "2"}, options) is Outcome.UNCHANGED


def spin() -> None:
    while True:
        pass


def test_a_block_that_never_ends_is_interrupted_and_no_other() -> None:
    for _ in range(100):
        with suppress(TimeLimitExceeded), time_limit(0.001):
            pass
    with time_limit(40.0), pytest.raises(TimeLimitExceeded), time_limit(0.1):
        spin()
    wait_until(lambda: not any(isinstance(each, Timer) for each in threading.enumerate()), "none")
