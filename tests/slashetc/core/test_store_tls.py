"""The variables of a member, with and without TLS."""

from slashetc.core import store_tls
from slashetc.core.store_tls import PemFiles

PLAIN = """# The member of this host.
COORDINATOR_NAME=h1
COORDINATOR_LISTEN_CLIENT_URLS="http://10.0.0.1:2379,http://127.0.0.1:2379"
COORDINATOR_ADVERTISE_CLIENT_URLS=http://10.0.0.1:2379
COORDINATOR_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.1:2380
COORDINATOR_INITIAL_CLUSTER=h1=http://10.0.0.1:2380,h2=http://10.0.0.2:2380
#COORDINATOR_TLS=off
OTHER=http://10.0.0.1
"""
FILES = PemFiles("/pki/h1.pem", "/pki/h1.key", "/pki/ca.pem")


def test_prefer_gives_certificates_and_leaves_the_urls() -> None:
    found = store_tls.options(store_tls.changed(PLAIN, "prefer", FILES))
    assert found["TLS"] == "prefer"
    assert found["PEER_CERT_FILE"] == found["CERT_FILE"] == "/pki/h1.pem"
    assert found["PEER_CLIENT_CERT_AUTH"] == "true"
    assert found["LISTEN_CLIENT_URLS"] == "http://10.0.0.1:2379,http://127.0.0.1:2379"
    assert store_tls.pem_files(found) == FILES


def test_require_writes_https_and_keeps_what_is_not_ours() -> None:
    text = store_tls.changed(store_tls.changed(PLAIN, "prefer", FILES), "require", FILES)
    found = store_tls.options(text)
    assert found["LISTEN_CLIENT_URLS"] == "https://10.0.0.1:2379,https://127.0.0.1:2379"
    assert found["INITIAL_CLUSTER"] == "h1=https://10.0.0.1:2380,h2=http://10.0.0.2:2380"
    assert store_tls.peer_urls(found, "require") == ["https://10.0.0.1:2380"]
    for line in ("# The member of this host.", "#COORDINATOR_TLS=off", "OTHER=http://10.0.0.1"):
        assert line in text.splitlines()
    assert store_tls.changed(text, "require", FILES) == text


def test_off_is_what_was_before() -> None:
    text = store_tls.changed(store_tls.changed(PLAIN, "require", FILES), "off", None)
    before, found = store_tls.options(PLAIN), store_tls.options(text)
    assert {name: found[name] for name in before} == before
    assert found["TLS"] == "off"


def test_an_empty_file_gets_the_url_of_the_default() -> None:
    found = store_tls.options(store_tls.changed("", "require", FILES))
    assert found["LISTEN_CLIENT_URLS"] == "https://127.0.0.1:2379"
    assert store_tls.client_url({}, "off") == "http://127.0.0.1:2379"
    assert store_tls.pem_files({}) is None
