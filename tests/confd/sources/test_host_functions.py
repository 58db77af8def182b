"""Template functions that ask the host."""

import pytest

from confd.core.templates.functions import FunctionError
from confd.sources import host_functions


def test_host_functions_return_names_and_addresses() -> None:
    assert host_functions.lookup_ip("127.0.0.1") == ["127.0.0.1"]
    assert host_functions.lookup_ipv6("::1") == ["::1"]
    assert "127.0.0.1" in host_functions.lookup_ipv4("localhost")
    assert host_functions.lookup_iface_ipv4("lo") == "127.0.0.1"
    assert host_functions.HOST["hostname"]()
    assert host_functions.file_exists("/")
    assert not host_functions.file_exists("/no/such\0")


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b"])
def test_an_unresolved_name_is_an_error_and_not_an_empty_list(name: str) -> None:
    with pytest.raises(FunctionError, match="the file stays as it is"):
        host_functions.lookup_ipv4(name)


def test_an_interface_without_such_an_address_is_an_error() -> None:
    with pytest.raises(FunctionError, match="no such address"):
        host_functions.lookup_iface_ipv6("no-such-interface")
