"""The stores that locksmith is tested on, as real processes."""

from tests.rig import Coordinator, Etcd

KINDS = {"etcd": Etcd, "coordinator": Coordinator}
