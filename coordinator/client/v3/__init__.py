"""The Store of an etcd with the v3 API, through its JSON gateway."""
