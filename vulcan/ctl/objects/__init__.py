"""The nouns of vctl: one module for each kind of object."""
