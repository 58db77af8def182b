"""The stores that locksmith is tested on, as real processes."""

from tests.rig import Coordinator, Etcd, Etcd3

KINDS = {"etcd": Etcd, "etcd3": Etcd3, "coordinator": Coordinator}
