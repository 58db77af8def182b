"""How a host asks a fleet for certificates."""
