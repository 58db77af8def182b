"""What the program does once its options are read, and its exit codes."""

import signal
import sys
from collections.abc import Sequence

from confd.apply import onetime as once
from confd.apply.state_dir import State, StateInUse
from confd.core.config.resource import ResourceError, TemplateResource
from confd.daemon import Confd
from confd.settings import STORE, Settings
from confd.sources import confdir
from coordinator.client import Tls, connect
from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from coordinator.client.memory_store import MemoryStore
from daemonkit import options
from daemonkit.process import lifecycle

EXIT_FAILED = 1
EXIT_NO_STORE = 3


def run(settings: Settings, endpoints: str, tls: Tls, *, onetime: bool) -> int:
    """Carry out the settings; return the exit code. Raises options.Failure."""
    store: Store
    try:
        store = connect(endpoints, tls=tls) if STORE in settings.sources else MemoryStore()
        resources = confdir.resources(settings.confdir, settings.prefix)
        state = State(settings.state_dir)
    except (ResourceError, StateInUse, StoreError) as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    except OSError as error:
        place = f"{error.filename or settings.state_dir}"
        raise options.Failure(f"{place}: {error.strerror}", options.EXIT_USAGE) from error
    if onetime:
        return _once(settings, resources, store, state)
    daemon = Confd(settings, resources, store, state)
    return lifecycle.run(daemon, drain_s=settings.drain_s)


def _once(
    settings: Settings, resources: Sequence[TemplateResource], store: Store, state: State
) -> int:
    # As SIGINT does: what is staged is removed, and a running command's group ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return 0 if once.run(settings, resources, store, state) else EXIT_FAILED
    except StoreError as error:
        raise options.Failure(str(error), EXIT_NO_STORE) from error
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
