"""The keys of fleet, below /fleet/v1. Each has one kind of writer."""

PREFIX = "/fleet/v1"
LEADER = f"{PREFIX}/leader"
# Outlives the lease. Agents compare the epoch of a plan with it.
EPOCH = f"{PREFIX}/epoch"
EVENTS = f"{PREFIX}/events"
# What the leader holds of the hosts that are not ready.
HEALTH = f"{PREFIX}/health"


def job(name: str) -> str:
    """What should run. Written by users, and by the scheduler when it reverts a version."""
    return f"{PREFIX}/jobs/{name}/spec"


def versions(name: str) -> str:
    """The versions of a job, of which the scheduler deletes all but the newest."""
    return f"{PREFIX}/jobs/{name}/v"


def version(name: str, number: int) -> str:
    """One version of a job. It never changes."""
    return f"{PREFIX}/jobs/{name}/v/{number}"


def rollout(name: str) -> str:
    """The progress of the newest version. Written by the scheduler."""
    return f"{PREFIX}/jobs/{name}/rollout"


def whole_job(name: str) -> str:
    """All keys of a job."""
    return f"{PREFIX}/jobs/{name}"


def unit(digest: str) -> str:
    """The text of a unit, under its SHA-256."""
    return f"{PREFIX}/units/{digest}"


def signature(digest: str) -> str:
    """The signatures of a unit's text."""
    return f"{PREFIX}/signatures/{digest}"


def facts(host: str) -> str:
    """The resources and labels of a host. Written by its agent; kept when the host is gone."""
    return f"{PREFIX}/hosts/{host}/facts"


def status(host: str) -> str:
    """What an agent reports. Its TTL shows whether the host is alive."""
    return f"{PREFIX}/hosts/{host}/status"


def endpoints(host: str) -> str:
    """The keys of a host's endpoints. Written by its agent; the scheduler removes them with it."""
    return f"{PREFIX}/hosts/{host}/endpoints"


def inbox(host: str) -> str:
    """What an agent watches: its plan and the requests to it."""
    return f"{PREFIX}/hosts/{host}/inbox"


def plan(host: str) -> str:
    """What a host should run. Written by the scheduler that is the leader."""
    return f"{inbox(host)}/plan"


def request(host: str, number: str) -> str:
    """A request of `fleetctl logs` or `exec`. Expires after a minute."""
    return f"{inbox(host)}/ask/{number}"


def response(number: str) -> str:
    """The agent's response to a request."""
    return f"{PREFIX}/answers/{number}"


def cordon(host: str) -> str:
    """A host that takes no new instances."""
    return f"{PREFIX}/hosts/{host}/cordon"


def drain(host: str) -> str:
    """A host that all instances leave."""
    return f"{PREFIX}/hosts/{host}/drain"


def service(fqdn: str) -> str:
    """A DNS name for the jobs that a selector matches."""
    return f"{PREFIX}/services/{fqdn}"


def event(position: int) -> str:
    """One position in the ring of the scheduler's decisions."""
    return f"{EVENTS}/{position:04}"


def dns(fqdn: str, label: str) -> str:
    """One endpoint of a service, for skydns."""
    return "/skydns/" + "/".join([*reversed(fqdn.lower().rstrip(".").split(".")), label])


def backend(fqdn: str) -> str:
    """The backend of a service, for the proxy."""
    return f"/vulcand/backends/{fqdn}/backend"


def server(fqdn: str, label: str) -> str:
    """One endpoint of a service, for the proxy."""
    return f"/vulcand/backends/{fqdn}/servers/{label}"


def frontend(fqdn: str) -> str:
    """The frontend of a service, for the proxy."""
    return f"/vulcand/frontends/{fqdn}/frontend"
