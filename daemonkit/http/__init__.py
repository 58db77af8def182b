"""HTTP/1.1: sans-IO framing, and the uvloop connection around it."""
