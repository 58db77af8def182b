"""What `slashetc authority status` shows."""

from collections.abc import Iterator
from pathlib import Path

from coordinator.client import Store
from slashetc.authority import key_store
from slashetc.core import certificates, keys, records
from slashetc.join import rotating


def lines(store: Store, directory: Path) -> Iterator[str]:
    """Yield the lines."""
    known = records.parse({each.key: each.value for each in store.list(keys.PREFIX).entries})
    roots = [each for each in known.authorities() if each.subject == each.issuer]
    for number, root in enumerate(roots):
        what = "signs" if number == 0 else "is trusted, too"
        until = f"{root.not_valid_after_utc:%Y-%m-%d}"
        yield f"authority {certificates.fingerprint(root)[:16]} {what}, until {until}"
    hosts = sorted(each.host for each in known.hosts.values() if each.authority)
    yield f"its key is on {', '.join(hosts) or 'no host of the fleet'}"
    if key_store.exists(directory):
        yield f"here: {directory}; `slashetc authority export --keep` makes a copy for another host"
        if not key_store.Paths(directory).sealed.exists():
            yield "its passphrase is not sealed: who can read the directory has the authority"
    waiting = sorted(known.requests.keys() - known.answers.keys())
    yield f"{len(waiting)} requests wait"
    if roots:
        late = [f"{each} (person)" for each in rotating.behind(store, roots[0])]
        late += [
            each.host
            for each in rotating.hosts(store)
            if each.issuer != certificates.fingerprint(roots[0])
        ]
        if late:
            yield f"with certificates of another authority: {', '.join(late)}"
