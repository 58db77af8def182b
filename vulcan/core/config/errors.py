"""The error of a key that cannot be used."""


class ModelError(ValueError):
    """A key that cannot be used; the message names the field, the reason and the remedy."""
