"""The paths that a member answers on its client port and on its peer port."""

from daemonkit.core.api_routes import ApiRoute

CLIENT = (
    ApiRoute(
        "GET", "/v2/keys/KEY", "read: `recursive sorted quorum`; watch: `wait waitIndex stream`"
    ),
    ApiRoute("PUT", "/v2/keys/KEY", "write `value ttl dir`, `prevExist prevValue prevIndex`"),
    ApiRoute("POST", "/v2/keys/DIRECTORY", "create a key in order, named by its index"),
    ApiRoute("DELETE", "/v2/keys/KEY", "delete: `recursive dir prevValue prevIndex`"),
    ApiRoute("GET", "/v2/members", "the members"),
    ApiRoute("POST", "/v2/members", 'add a member: `{"peerURLs": [...]}`; it joins as a learner'),
    ApiRoute("PUT", "/v2/members/ID", 'change its peer URLs: `{"peerURLs": [...]}`'),
    ApiRoute("DELETE", "/v2/members/ID", "remove a member"),
    ApiRoute("POST", "/v2/members/ID/promote", "promote a learner (extension)"),
    ApiRoute("GET", "/v2/members/leader", "the leader; 503 during an election"),
    ApiRoute(
        "POST",
        "/v2/members/leader",
        'transfer leadership: `{"id": "HEX"}`, empty for any (extension)',
    ),
    ApiRoute("GET", "/v2/machines", "all client URLs"),
    ApiRoute("GET", "/v2/stats/self", "state of this member"),
    ApiRoute("GET", "/v2/stats/leader", "latencies of the followers; only at the leader, else 403"),
    ApiRoute("GET", "/v2/stats/store", "counters of operations"),
    ApiRoute("GET", "/v2/backup", "a backup, for `coordctl backup save`: `quorum` (extension)"),
    ApiRoute("GET PUT", "/new", "create a discovery token: `size`"),
    ApiRoute("GET PUT DELETE", "/TOKEN", "the keys below a discovery token"),
    ApiRoute("GET", "/version", "the versions"),
    ApiRoute("GET", "/health", "200 while there is a leader and no alarm, else 503"),
    ApiRoute("GET", "/metrics", "Prometheus text"),
)
PEER = (
    ApiRoute("GET", "/members", "the members, for other members"),
    ApiRoute("GET", "/version", "the versions"),
    ApiRoute("GET", "/health", "200 while there is a leader, else 503"),
    ApiRoute("GET", "/raft/probing", "200 while the member runs"),
)
