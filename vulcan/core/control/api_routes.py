"""What the API answers, in vulcand's paths; a GET has no effect, a POST or DELETE writes keys.

A GET of an object has an ETag, which a POST or DELETE may name in If-Match: 412 if it is older.
"""

from daemonkit.core.api_routes import ApiRoute

ROUTES = (
    ApiRoute("GET", "/v2/status", "that it runs"),
    ApiRoute("GET POST", "/v2/hosts", "all hosts; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/hosts/NAME", "one; key pairs are never shown"),
    ApiRoute("GET POST", "/v2/listeners", "all listeners; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/listeners/ID", "one"),
    ApiRoute("GET POST", "/v2/backends", "all backends; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/backends/ID", "one; 409 while a frontend uses it"),
    ApiRoute("GET POST", "/v2/backends/ID/servers", "its servers; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/backends/ID/servers/SERVER", "one"),
    ApiRoute("GET POST", "/v2/frontends", "all frontends; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/frontends/ID", "one"),
    ApiRoute("GET POST", "/v2/frontends/ID/middlewares", "its middlewares; a POST writes one"),
    ApiRoute("GET DELETE", "/v2/frontends/ID/middlewares/MIDDLEWARE", "one"),
    ApiRoute("GET", "/v2/top/frontends", "the busiest of the last seconds: `limit backendId`"),
    ApiRoute("GET", "/v2/top/servers", "the busiest servers"),
    ApiRoute("GET", "/v2/explain", "where a request would go: `method url header peer`; ours"),
    ApiRoute("GET", "/v2/nodes", "every node: index in force, lag, what is refused; ours"),
    ApiRoute("GET PUT", "/v2/log/severity", "from which level on is logged"),
    ApiRoute("GET", "/v2/node", "how far this node is, and what is not in force; ours"),
    ApiRoute("POST", "/v2/apply", "plan or carry out a set of documents; ours"),
    ApiRoute("POST", "/v2/rollback", "undo revisions; ours"),
    ApiRoute("POST", "/v2/history", "the recorded revisions; ours"),
)
