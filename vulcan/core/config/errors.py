"""What keys can be refused for."""


class ModelError(ValueError):
    """A key that cannot be used; the message says which field, why, and the remedy."""
