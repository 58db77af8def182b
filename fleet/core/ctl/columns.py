"""The columns of every listing of fleetctl."""

UNIT_FIELDS = ("unit", "machine", "load", "active", "sub", "hash")
FILE_FIELDS = ("unit", "hash", "dstate", "state", "target", "desc", "global")
MACHINE_FIELDS = ("machine", "hostname", "ip", "metadata")
INSTANCE_FIELDS = ("instance", "version", "host", "phase", "port", "note")
HOST_FIELDS = ("host", "id", "address", "state", "instances", "labels")
TOP_FIELDS = ("host", "load", "pressure", "memory_used", "cpus", "memory", "instances")
SERVICE_FIELDS = ("service", "selector", "check", "ready", "endpoints")
VERDICT_FIELDS = ("host", "score", "verdict", "labels")
HISTORY_FIELDS = ("version", "unit", "at", "by", "stable", "note")
