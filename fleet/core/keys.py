"""The keys of fleet, all below /fleet/v1; each has one kind of writer."""

PREFIX = "/fleet/v1"
LEADER = f"{PREFIX}/leader"
# Outlives the lease: agents compare a plan's epoch with it.
EPOCH = f"{PREFIX}/epoch"


def job(name: str) -> str:
    """What should run; written by users, and by the scheduler when it reverts."""
    return f"{PREFIX}/jobs/{name}/spec"


def version(name: str, number: int) -> str:
    """One version of a job, never changed once written."""
    return f"{PREFIX}/jobs/{name}/v/{number}"


def rollout(name: str) -> str:
    """How far the newest version is; written by the scheduler."""
    return f"{PREFIX}/jobs/{name}/rollout"


def whole_job(name: str) -> str:
    """All keys of a job."""
    return f"{PREFIX}/jobs/{name}"


def unit(digest: str) -> str:
    """A unit's text under its SHA-256."""
    return f"{PREFIX}/units/{digest}"


def signature(digest: str) -> str:
    """Signatures of a unit's text."""
    return f"{PREFIX}/signatures/{digest}"


def facts(host: str) -> str:
    """What a host is; written by its agent, and stays when the host goes."""
    return f"{PREFIX}/hosts/{host}/facts"


def status(host: str) -> str:
    """What a host does; its TTL tells whether the host lives."""
    return f"{PREFIX}/hosts/{host}/status"


def inbox(host: str) -> str:
    """All that a host's agent watches: its plan, and questions to it."""
    return f"{PREFIX}/hosts/{host}/inbox"


def plan(host: str) -> str:
    """What a host shall do; written by the leading scheduler."""
    return f"{inbox(host)}/plan"


def ask(host: str, number: str) -> str:
    """A question of `logs` or `exec`; lives for a minute."""
    return f"{inbox(host)}/ask/{number}"


def answer(number: str) -> str:
    """The host's answer."""
    return f"{PREFIX}/answers/{number}"


def cordon(host: str) -> str:
    """Nothing new comes to this host."""
    return f"{PREFIX}/hosts/{host}/cordon"


def drain(host: str) -> str:
    """All goes from this host."""
    return f"{PREFIX}/hosts/{host}/drain"


def service(fqdn: str) -> str:
    """A name for what a selector finds."""
    return f"{PREFIX}/services/{fqdn}"


def event(place: int) -> str:
    """One place in the ring of decisions."""
    return f"{PREFIX}/events/{place:04}"


def dns(fqdn: str, label: str) -> str:
    """Where skydns looks for one endpoint of a service."""
    return "/skydns/" + "/".join([*reversed(fqdn.lower().rstrip(".").split(".")), label])


def backend(fqdn: str) -> str:
    """Where the proxy looks for the service's backend."""
    return f"/vulcand/backends/{fqdn}/backend"


def server(fqdn: str, label: str) -> str:
    """Where the proxy looks for one endpoint of a service."""
    return f"/vulcand/backends/{fqdn}/servers/{label}"


def frontend(fqdn: str) -> str:
    """Where the proxy looks for the service's routes."""
    return f"/vulcand/frontends/{fqdn}/frontend"
