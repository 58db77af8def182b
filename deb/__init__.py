"""The Debian package: a virtual environment, links, units, and the scripts of dpkg."""
