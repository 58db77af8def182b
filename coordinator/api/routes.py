"""What a member answers on its client port and on its peer port."""

from daemonkit.routes import Route

CLIENT = (
    Route("GET", "/v2/keys/KEY", "read: `recursive sorted quorum`; watch: `wait waitIndex stream`"),
    Route("PUT", "/v2/keys/KEY", "write `value ttl dir`, `prevExist prevValue prevIndex`"),
    Route("POST", "/v2/keys/DIRECTORY", "create a key in order, named by its index"),
    Route("DELETE", "/v2/keys/KEY", "delete: `recursive dir prevValue prevIndex`"),
    Route("GET", "/v2/members", "the members"),
    Route("POST", "/v2/members", 'add a member: `{"peerURLs": [...]}`; it joins as a learner'),
    Route("PUT", "/v2/members/ID", 'other peer URLs: `{"peerURLs": [...]}`'),
    Route("DELETE", "/v2/members/ID", "remove a member"),
    Route("POST", "/v2/members/ID/promote", "give a learner its vote; ours"),
    Route("GET", "/v2/members/leader", "the leader; 503 during an election"),
    Route("POST", "/v2/members/leader", 'hand it over: `{"id": "HEX"}`, empty for any; ours'),
    Route("GET", "/v2/machines", "all client URLs"),
    Route("GET", "/v2/stats/self", "this member"),
    Route("GET", "/v2/stats/leader", "the leader's view; 403 elsewhere"),
    Route("GET", "/v2/stats/store", "counts of operations"),
    Route("GET", "/v2/backup", "a backup, for `coordctl backup save`: `quorum`; ours"),
    Route("GET PUT", "/new", "a new discovery token: `size`"),
    Route("GET PUT DELETE", "/TOKEN", "discovery: what is below a token"),
    Route("GET", "/version", "versions"),
    Route("GET", "/health", "200 while there is a leader, else 503"),
    Route("GET", "/metrics", "Prometheus text"),
)
PEER = (
    Route("GET", "/members", "the members, as etcd shows them to members"),
    Route("GET", "/version", "versions"),
    Route("GET", "/health", "200 while there is a leader, else 503"),
    Route("GET", "/raft/probing", "that there is somebody"),
)
