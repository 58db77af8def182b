from rig.dns_packets import whole
from skydns.core import ipc
from skydns.core.ipc import Update


def test_an_update_is_read_as_it_was_written() -> None:
    for told in (
        Update(blind=True),
        Update(blind=False, changes=whole([("/skydns/a", '{"text": "grün"}')])),
    ):
        assert ipc.decode(ipc.encode(told)) == told
