"""The paths that an HTTP server answers, as data. The reference is made from them."""

from typing import NamedTuple


class ApiRoute(NamedTuple):
    """One path of a server: methods separated by spaces, and a path whose capital words vary."""

    methods: str
    path: str
    about: str
