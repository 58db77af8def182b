"""A whole fleet on hosts of its own, and the reboot of all of them under load."""
