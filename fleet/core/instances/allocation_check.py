"""Whether an allocation fits the unit that it names.

Anyone who can write to the store can write a plan, but a plan only chooses a host, an index and a
port. How the unit is called and how it runs follows from the job's name and the unit's text, which
a signature may cover. So both are derived again, on the host where the unit is to run.
"""

from fleet.core.jobs import jobspec, unitfile
from fleet.core.model import Allocation, unit_name


def misfit(allocation: Allocation, text: str) -> str:
    """Return how an allocation differs from the unit with this text, "" if it fits."""
    try:
        job = jobspec.parse(allocation.job, text)
    except ValueError as error:
        return str(error)
    if unitfile.is_template(allocation.job) and not job.counted:
        return f"{allocation.job} is a template, and cannot run itself"
    counted, unit = job.counted, allocation.unit
    name = unit_name(allocation.job, allocation.index, unit, counted=counted)
    if allocation.name != name:
        return f"the plan calls its unit {allocation.name}, but {allocation.job} makes it {name}"
    if allocation.exclusive is not job.exclusive:
        return "the plan and the unit differ in Exclusive="
    port = job.resources.port
    if allocation.port != port and port >= 0:
        return f"the plan gives it the port {allocation.port}, and the unit {port}"
    return ""
