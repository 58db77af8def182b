"""The configuration files of a host."""

from drill.core.host_setup import Member, Site, files, names, placed
from drill.fleet import FILES


def site(count: int) -> Site:
    hosts = (Member(name, f"10.0.0.{n}") for n, name in enumerate(names(count), 1))
    return Site(tuple(hosts))


def test_a_fleet_of_five_hosts_or_more_has_five_members_and_a_smaller_one_three() -> None:
    assert [len(site(count).members) for count in (3, 4, 5, 8)] == [3, 3, 5, 5]


def test_the_endpoints_are_those_of_the_members() -> None:
    assert site(4).endpoints() == ",".join(f"https://10.0.0.{n}:2379" for n in (1, 2, 3))


def test_a_token_says_whether_its_host_becomes_a_member() -> None:
    fleet = site(4)
    assert fleet.token(fleet.hosts[2])[-3:] == ["--host", "h3", "--member"]
    assert fleet.token(fleet.hosts[3])[-1] == "--no-member"


def test_the_options_of_a_host_name_its_own_address() -> None:
    assert "VULCAND_STATUS_ADDR=10.0.0.2:2385\n" in files(site(3).hosts[1])["/etc/default/vulcand"]


def test_every_file_has_its_own_path_on_a_host() -> None:
    shipped = [path.name for path in FILES.rglob("*") if path.is_file()]
    places = placed(shipped)
    assert len(set(places.values())) == len(shipped)
    assert places["com.example.webapp.service"] == "/etc/jobs/com.example.webapp.service"
