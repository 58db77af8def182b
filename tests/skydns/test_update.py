from skydns import update
from skydns.update import Update
from tests.skydns.world import whole


def test_an_update_is_read_as_it_was_written() -> None:
    for told in (
        Update(blind=True),
        Update(blind=False, changes=whole([("/skydns/a", '{"text": "grün"}')])),
    ):
        assert update.decode(update.encode(told)) == told
