"""From the failures of a command to a sentence and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

from daemonkit.options import Failure


@contextmanager
def explained() -> Iterator[None]:
    """Turn what an operator can meet into a Failure with its sentence."""
    from coordinator.client import StoreError
    from daemonkit.host.machine_id import NoMachineId
    from slashetc.authority.key_store import NoAuthority
    from slashetc.core.admission import Refused
    from slashetc.core.tokens import BadToken
    from slashetc.host.checks import CheckFailed
    from slashetc.host.places import NotInFleet
    from slashetc.host.units import UnitFailed
    from slashetc.join.credentials import NoCredentials
    from slashetc.join.join_client import JoinFailed

    told = (
        BadToken, CheckFailed, JoinFailed, NoAuthority, NoCredentials, NoMachineId, NotInFleet,
        Refused, StoreError, UnitFailed,
    )  # fmt: skip
    try:
        yield
    except told as error:
        raise Failure(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(
            f"{where}{error.strerror or error}: run this as root, on a disk with space"
        ) from None
