from rig.dns_packets import CONFIG, reset_to
from skydns.core import ipc
from skydns.core.ipc import WorkerSettings, WorkerUpdate


def test_an_update_is_read_as_it_was_written() -> None:
    for update in (
        WorkerUpdate(store_down=True),
        WorkerUpdate(store_down=False, changes=reset_to([("/skydns/a", '{"text": "grün"}')])),
    ):
        assert ipc.decode_update(ipc.encode(update)) == update


def test_the_settings_of_a_worker_are_read_as_they_were_written() -> None:
    settings = WorkerSettings(CONFIG, "http://127.0.0.1:2379", ("", "", ""), "info", "text")
    assert ipc.decode_settings(ipc.encode(settings)) == settings
