"""The stores that locksmith is tested on, as real processes."""

from rig.processes import Coordinator, Etcd, Etcd3

KINDS = {"etcd": Etcd, "etcd3": Etcd3, "coordinator": Coordinator}
