"""The configuration files of a host."""

from drill.core.host_setup import Member, Site, names, placed
from drill.fleet import FILES


def site(count: int) -> Site:
    hosts = (Member(name, f"10.0.0.{n}") for n, name in enumerate(names(count), 1))
    return Site(tuple(hosts))


def test_a_fleet_of_five_hosts_or_more_has_five_members_and_a_smaller_one_three() -> None:
    assert [len(site(count).members) for count in (3, 4, 5, 8)] == [3, 3, 5, 5]


def test_the_first_endpoint_of_a_host_is_its_own_member() -> None:
    fleet = site(4)
    assert fleet.endpoints(fleet.hosts[2]).startswith("http://10.0.0.3:2379,")
    assert len(fleet.endpoints(fleet.hosts[3]).split(",")) == 3


def test_a_host_without_a_member_gets_no_options_for_one() -> None:
    fleet = site(4)
    wanted = {
        host.name: "/etc/default/coordinator" in fleet.files(host, "") for host in fleet.hosts
    }
    assert wanted == {"h1": True, "h2": True, "h3": True, "h4": False}


def test_every_file_has_its_own_path_on_a_host() -> None:
    files = [path.name for path in FILES.rglob("*") if path.is_file()]
    places = placed(files)
    assert len(set(places.values())) == len(files)
    assert places["50-site.preset"].startswith("/etc/systemd/system-preset/")
    assert places["com.example.webapp.service"] == "/etc/jobs/com.example.webapp.service"
