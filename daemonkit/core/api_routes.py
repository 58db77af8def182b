"""What an HTTP server answers, as data: the reference is made from it."""

from typing import NamedTuple


class ApiRoute(NamedTuple):
    """One path of a server. `METHODS` are separated by spaces; a capital word in a path varies."""

    methods: str
    path: str
    about: str
