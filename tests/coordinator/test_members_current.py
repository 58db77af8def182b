"""The list of members is as new as what any member has acknowledged."""

import json
from pathlib import Path

from rig.cluster import Cluster, ask

CHANGES = 20


def test_a_change_of_a_member_is_seen_at_every_other_member_at_once(tmp_path: Path) -> None:
    with Cluster(tmp_path) as three:
        leader, follower = three.leader(), three.followers()[0]
        added = ask("POST", f"{leader.url}/v2/members", urls(0), as_json=True).body
        for number in range(1, CHANGES + 1):
            member = f"/v2/members/{added['id']}"
            assert ask("PUT", f"{leader.url}{member}", urls(number), as_json=True).status == 204
            listed = ask("GET", f"{follower.url}/v2/members").body["members"]
            for_new = ask("GET", f"{follower.peer_url}/members").body
            assert shown(listed, added["id"]) == json.loads(urls(number))["peerURLs"]
            assert shown(for_new, int(str(added["id"]), 16)) == shown(listed, added["id"])


def test_a_member_that_was_just_added_can_be_removed_at_every_other_member(tmp_path: Path) -> None:
    with Cluster(tmp_path) as three:
        leader, follower = three.leader(), three.followers()[0]
        for number in range(CHANGES):
            added = ask("POST", f"{leader.url}/v2/members", urls(number), as_json=True).body
            assert ask("DELETE", f"{follower.url}/v2/members/{added['id']}").status == 204


def test_the_members_are_listed_without_a_leader(tmp_path: Path) -> None:
    with Cluster(tmp_path) as three:
        last, *others = three.members
        for each in others:
            three.kill(each)
        listed = ask("GET", f"{last.url}/v2/members")
        assert listed.status == 200
        assert len(listed.body["members"]) == 3  # type: ignore[arg-type]


def urls(number: int) -> str:
    return json.dumps({"peerURLs": [f"http://127.0.0.1:{number + 1}"]})


def shown(members: object, member: object) -> object:
    """Return the peer URLs of one member in a list."""
    assert isinstance(members, list)
    return next(each["peerURLs"] for each in members if each["id"] == member)
