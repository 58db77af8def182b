"""`vctl status`: the nodes, and the keys that are not in force."""

import typer

from vulcan.ctl.api_client import client_of
from vulcan.ctl.render import print_json, print_table

_NODES = {
    "Node": "Node",
    "Index": "Index",
    "Lag": "Lag",
    "Age[s]": "AgeS",
    "Store": "Store",
    "Refused": "Refused",
    "Workers": "Workers",
    "Version": "Version",
}


def status(context: typer.Context) -> None:
    """Show all nodes, and keys that are not in force. Each node has its index and lag."""
    client = client_of(context)
    node, nodes = client.call("GET", "/v2/node"), client.call("GET", "/v2/nodes")
    if client.as_json:
        print_json({**node, **nodes})
        return
    rows = [[each[name] for name in _NODES.values()] for each in nodes["Nodes"]]
    print_table("Nodes", tuple(_NODES), rows)
    for title, by_key in (
        ("Refused", node["Refused"]),
        ("Pending", node["Pending"]),
        ("Not listening", node["Unbound"]),
        ("Notes", {key: "; ".join(texts) for key, texts in node["Notes"].items()}),
    ):
        if by_key:
            print_table(title, ("What", "Why"), sorted(by_key.items()))
    if node["Down"]:
        rows = [[each] for each in node["Down"]]
        print_table("Servers that fail their health checks", ("Server",), rows)
