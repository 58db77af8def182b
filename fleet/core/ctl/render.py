"""What `fleetctl` prints, as text or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daemonkit.core import text_table
from daemonkit.core.terminal_text import printable
from fleet.core.ctl.columns import INSTANCE_FIELDS, VERDICT_FIELDS
from fleet.core.ctl.listings import Row
from fleet.core.model import EventRecord

HOSTS_MAX = 20


def table(fields: Sequence[str], rows: Iterable[Row]) -> str:
    """Return rows as a table with these columns."""
    cells = [[_cell(row[name]) for name in fields] for row in rows]
    return text_table.show([[name.upper().replace("_", " ") for name in fields], *cells])


def as_json(value: object) -> str:
    """Return what `--json` prints."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def job_status(record: Mapping[str, Any]) -> str:
    """Return the state of one job as text."""
    rollout, note = record["rollout"], record["note"]
    wanted = "every host" if record["wanted"] is None else record["wanted"]
    lines = [
        f"{record['job']}  version {record['version']}  {record['target']}",
        f"  wanted: {wanted}   ready: {record['ready']}   unit: {record['unit'][:12]}",
        f"  by {record['by']} at {record['at']}" + (f": {note}" if note else ""),
    ]
    if rollout is not None:
        note = f" ({rollout['note']})" if rollout["note"] else ""
        lines.append(
            f"  rollout: version {rollout['version']} {rollout['state']}{note}; "
            f"last stable: {rollout['stable']}"
        )
    if record["fault"]:
        lines.append(f"  FAULT: {record['fault']}")
    text = "".join(f"{printable(line)}\n" for line in lines)
    if record["instances"]:
        text += "\n" + table(INSTANCE_FIELDS, record["instances"])
    return text


def explanation(record: Mapping[str, Any]) -> str:
    """Return the explanation of a job's placement as text, with the best hosts."""
    lines = [f"{each['instance']} on {each['host']}: {each['why']}" for each in record["placed"]]
    lines += [f"next: {line}" for line in record["next"]]
    lines += [f"held: {record['held']}"] * bool(record["held"])
    lines += [f"cannot place {each['instance']}: {each['why']}" for each in record["unplaced"]]
    text = "".join(f"{printable(line)}\n" for line in lines)
    if not record["hosts"]:
        return text
    rows = [
        {**each, "score": "-" if each["score"] is None else f"{each['score']:.3f}"}
        for each in record["hosts"][:HOSTS_MAX]
    ]
    return f"{text}\n{table(VERDICT_FIELDS, rows)}"


def event(record: EventRecord) -> str:
    """Return the decisions of one pass of the scheduler, one line each."""
    lines = record.text.splitlines()
    return "".join(f"{printable(f'{record.at}  {line}')}\n" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Mapping):
        value = [f"{key}={each}" for key, each in sorted(value.items())]
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
