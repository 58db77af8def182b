"""Structured logs: an event name and fields, as key=value, JSON, or journald's priorities.

log = logs.get("skydns")
log.info("zone-loaded", keys=12, index=40)
"""

import json
import logging
import os
import re
import sys
import time
from typing import TextIO

# syslog(3) priorities, as sd-daemon(3) wants them before each line on stderr.
_PRIORITY = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
    logging.CRITICAL: "<2>",
}
_PLAIN = re.compile(r"[^\s\"=\x00-\x1f\x7f]+")


class Log:
    """Writes events of one component."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log something for developers."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a decision or a change of state."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something that an operator may have to look at."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, *, exc: BaseException | None = None, **fields: object) -> None:
        """Log a failure; `exc` adds its type, text and traceback."""
        if exc is not None:
            fields = {**fields, "error": f"{type(exc).__name__}: {exc}"}
        self._write(logging.ERROR, event, fields, exc)

    def _write(
        self, level: int, event: str, fields: dict[str, object], exc: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=exc)


def get(name: str) -> Log:
    """Return the log of a component; its metrics have the same name."""
    return Log(name)


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send logs to stderr. Under journald, text lines have a priority and no time."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if form == "json":
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(_Text(journald=_is_journal(stream)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # We log retried connections ourselves, with the reason.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def set_level(level: str) -> None:
    """Log this level and higher ones."""
    logging.getLogger().setLevel(level.upper())


def _is_journal(stream: TextIO) -> bool:
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(stat.st_dev), str(stat.st_ino))


def _stamp(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _quoted(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    # Text from a client may contain line ends and terminal controls outside ASCII.
    return json.dumps(text, ensure_ascii=not text.isprintable())


class _Text(logging.Formatter):
    def __init__(self, *, journald: bool) -> None:
        super().__init__()
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
        line = f"{record.name} event={_quoted(record.getMessage())}{pairs}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        if self._journald:
            priority = _PRIORITY.get(record.levelno, "<6>")
            return "\n".join(priority + part for part in line.split("\n"))
        return f"{_stamp(record)} {record.levelname.lower():7} {line}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        line: dict[str, object] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "component": record.name,
            "event": record.getMessage(),
        }
        for name, value in fields.items():
            line[f"{name}_" if name in line else name] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
