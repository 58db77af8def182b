"""Documents without their secrets: private keys, passwords, and what webhooks and fields carry.

A secret is shown as null, or as `…` in a URL. Neither is valid, so that a document which was read
here and written back is refused, instead of losing the secret.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from vulcan.core.config import documents
from vulcan.core.control.revision import Change
from vulcan.core.keys import ObjectKind, parse_path

Document = dict[str, Any]

# Fields that carry credentials, by a part of their name: Authorization, Cookie, X-Api-Key ...
_SECRET_FIELD = re.compile(r"auth|cookie|credential|key|pass|secret|token", re.IGNORECASE)


def redacted(kind: ObjectKind, document: Document) -> Document:
    """Return an object's document without its secrets."""
    if kind is ObjectKind.HOST and isinstance(document.get("Settings"), dict):
        return {**document, "Settings": {**document["Settings"], "KeyPair": None}}
    hide = _HIDING.get(str(document.get("Type"))) if kind is ObjectKind.MIDDLEWARE else None
    settings = documents.canonical(document.get("Middleware"))
    if hide is None or not isinstance(settings, dict):
        return document
    return {**document, "Middleware": hide(settings)}


def redacted_change(change: Change) -> Change:
    """Return a change of a key without the secrets of its values."""
    key = parse_path(change.key)
    if key is None:
        return change
    return msgspec.structs.replace(
        change, before=_value(key.kind, change.before), after=_value(key.kind, change.after)
    )


def _value(kind: ObjectKind, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        document = documents.canonical(documents.parse_json(text))
    except documents.DocumentError:
        return "…"  # nobody can tell what is in it
    if not isinstance(document, dict):
        return "…"
    return msgspec.json.encode(redacted(kind, document)).decode()


def _basic_auth(settings: Document) -> Document:
    shown = dict(settings)
    if "Password" in shown:
        shown["Password"] = None
    if isinstance(shown.get("Users"), dict):
        shown["Users"] = dict.fromkeys(shown["Users"])
    return shown


def _headers(settings: Document) -> Document:
    return {
        name: _fields(value) if name in {"Request", "Response"} else value
        for name, value in settings.items()
    }


def _fields(fields: object) -> object:
    if not isinstance(fields, dict):
        return fields
    return {
        name: None if _SECRET_FIELD.search(str(name)) else value for name, value in fields.items()
    }


def _breaker(settings: Document) -> Document:
    return {
        name: _webhook(value) if name in {"OnTripped", "OnStandby"} else value
        for name, value in settings.items()
    }


def _webhook(given: object) -> object:
    """Return a webhook without the parts that may hold credentials; some tools write it as text."""
    if isinstance(given, str):
        try:
            given = documents.canonical(documents.parse_json(given)) if given else given
        except documents.DocumentError:
            return "…"
    if not isinstance(given, dict) or not isinstance(given.get("Action"), dict):
        return given
    hidden = {"Headers": None, "Form": None, "Body": None}
    action = {name: hidden.get(name, value) for name, value in given["Action"].items()}
    if "URL" in action:
        action["URL"] = origin(str(action["URL"]))
    return {**given, "Action": action}


def origin(url: str) -> str:
    """Return where a URL leads, without the user, the path and the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


_HIDING: Mapping[str, Callable[[Document], Document]] = {
    "basicauth": _basic_auth,
    "auth": _basic_auth,
    "headers": _headers,
    "cbreaker": _breaker,
}
