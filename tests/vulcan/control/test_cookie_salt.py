"""How nodes agree on the salt of sticky cookies."""

import asyncio
from pathlib import Path

from coordinator.client.memory_store import MemoryStore
from rig.processes import Coordinator, free_port, wait_until
from rig.vulcan_keys import PREFIX, backend, changes
from rig.vulcan_site import Origin, Site, Vulcand, respond_text, site
from vulcan.control.cookie_salt import CookieSalt
from vulcan.core.config.table import Table

KEY = "/vulcand-salt"
STICKY = Table(PREFIX).advanced(changes(backend("b", Sticky={"Cookie": "at"})))


def agree(store: MemoryStore, copy: Path | None = None, table: Table = STICKY) -> bytes:
    """Return the salt of a node that starts with this table."""

    async def run() -> bytes:
        node = CookieSalt(store, PREFIX, copy, lambda _: None)
        node.follow(table)
        task = asyncio.create_task(node.run())
        if table is STICKY:
            await asyncio.wait_for(task, 10)
        task.cancel()
        return node.salt

    return asyncio.run(run())


def test_the_first_node_writes_the_salt_and_the_others_take_it():
    store = MemoryStore()
    salt = agree(store)
    assert len(salt) >= 32
    assert store.get(KEY).value.encode() == salt == agree(store)
    assert agree(MemoryStore()) != salt


def test_without_a_sticky_backend_nothing_is_written():
    store = MemoryStore()
    assert agree(store, table=Table(PREFIX)) == b""
    assert store.list("/").entries == ()


def test_a_node_brings_its_copy_to_an_empty_store_and_obeys_another_one(tmp_path: Path):
    copy = tmp_path / "state" / "vulcand.salt"
    salt = agree(MemoryStore(), copy)
    assert copy.read_bytes() == salt
    assert copy.stat().st_mode & 0o777 == 0o600
    empty = MemoryStore()
    agree(empty, copy)
    assert empty.get(KEY).value.encode() == salt
    copy.write_bytes(b"\xff")  # no salt of ours
    assert agree(empty, copy) == salt == copy.read_bytes()


def cookie(vulcand: Vulcand) -> str | None:
    return vulcand.get().headers["Set-Cookie"]


def test_cookies_are_the_same_on_all_nodes_and_after_a_restart_without_the_store(tmp_path: Path):
    kept = ("--state-dir", str(tmp_path / "state"))
    port = free_port()
    with Origin(respond_text("one")) as origin:
        with Coordinator(tmp_path, port=port) as store, site(tmp_path, store.url, *kept) as live:
            write_sticky(live, origin)
            wait_until(lambda: cookie(live.vulcand), "a sticky route")
            live.store.get(KEY)
            with Vulcand(tmp_path, store.url) as other:
                given = cookie(other.serving())
            assert given
            wait_until(lambda: cookie(live.vulcand) == given, "the same name on both nodes")
        with Vulcand(tmp_path, f"http://127.0.0.1:{port}", *kept) as again:
            assert cookie(again.serving()) == given


def write_sticky(live: Site, origin: Origin) -> None:
    live.backend("b", Sticky={"Cookie": "at"})
    live.server("s", origin.url)
    live.frontend("f", 'Path("/")')
