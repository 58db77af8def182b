"""TLS between members and towards clients, with real certificates."""

import json
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rig.cluster import QUICK, Cluster, ClusterMember, new_member
from rig.processes import Running, answers, free_port, python, require, run, wait_until


def certificates(directory: Path) -> dict[str, str]:
    """Make a CA and a certificate of 127.0.0.1 that serves on both sides."""
    openssl = require("openssl")
    ca, cert, key = (str(directory / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    ca_key, request, about = (str(directory / n) for n in ("ca.key", "req.pem", "ext.cnf"))
    Path(about).write_text("subjectAltName=IP:127.0.0.1\n")
    new = [openssl, "req", "-newkey", "rsa:2048", "-nodes", "-batch"]
    run = subprocess.run
    run(
        [*new, "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", ca_key, "-out", ca],
        check=True,
        capture_output=True,
    )
    run(
        [*new, "-subj", "/CN=member", "-keyout", key, "-out", request],
        check=True,
        capture_output=True,
    )
    run(
        [
            openssl,
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            ca,
            "-CAkey",
            ca_key,
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            about,
            "-out",
            cert,
        ],
        check=True,
        capture_output=True,
    )
    return {"ca": ca, "cert": cert, "key": key}


def test_members_and_clients_show_each_other_certificates(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    flags = [*QUICK]
    for prefix in ("", "peer-"):
        flags += [f"--{prefix}cert-file", files["cert"], f"--{prefix}key-file", files["key"]]
        flags += [f"--{prefix}trusted-ca-file", files["ca"], f"--{prefix}client-cert-auth"]
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["cert"], files["key"])
    members = [new_member(f"t{number}", "https") for number in range(3)]
    cluster = Cluster(tmp_path, flags=flags, members=members)

    def healthy(one: ClusterMember, how: ssl.SSLContext) -> int:
        with urllib.request.urlopen(f"{one.url}/health", timeout=10, context=how) as reply:
            return int(reply.status)

    def serves(one: ClusterMember) -> bool:
        try:
            return healthy(one, context) == 200
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return False
        except OSError:
            return False

    try:
        for each in members:
            cluster.begin(each)
        for each in members:
            wait_until(lambda one=each: serves(one), "served over TLS")  # type: ignore[misc]
        stranger = ssl.create_default_context(cafile=files["ca"])
        assert is_turned_away(members[0], stranger)
        before = serial(members[0], context)
        certificates(tmp_path)  # a new CA and new certificates at the same paths
        for each in members:
            assert each.running is not None
            each.running.process.send_signal(signal.SIGHUP)
        renewed = ssl.create_default_context(cafile=files["ca"])
        renewed.load_cert_chain(files["cert"], files["key"])
        wait_until(lambda: serial(members[0], renewed) not in {None, before}, "the new certificate")
        # A new connection uses the new certificates on both sides.
        cluster.kill(members[1])
        cluster.begin(members[1])
        context = renewed
        wait_until(lambda: serves(members[1]), "served with the new certificate")
        assert cluster.state(members[1])["links"]
    finally:
        cluster.__exit__()


def is_turned_away(one: ClusterMember, context: ssl.SSLContext) -> bool:
    """Whether a member hangs up without a certificate; in TLS 1.3 this is after the handshake."""
    parts = urlsplit(one.url)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            return secure.recv(1) == b""
    except OSError:
        return True


def serial(one: ClusterMember, context: ssl.SSLContext) -> object:
    """Return the serial number of a member's certificate, None when it cannot be verified."""
    parts = urlsplit(one.url)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            shown = secure.getpeercert()
            return shown and shown["serialNumber"]
    except OSError:
        return None


def test_clients_are_served_with_and_without_tls(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    plain, secure = (f"{scheme}://127.0.0.1:{free_port()}" for scheme in ("http", "https"))
    command = python("coordinator", "--data-dir", str(tmp_path / "data"), "--status-addr", "")
    command += ["--listen-client-urls", f"{secure},{plain}", "--cert-file", files["cert"]]
    command += ["--key-file", files["key"]]
    context = ssl.create_default_context(cafile=files["ca"])
    with Running(command, tmp_path / "log") as running:
        running.wait_for(lambda: answers(f"{plain}/health"), "healthy")
        with urllib.request.urlopen(f"{secure}/v2/members", timeout=10, context=context) as reply:
            (member,) = json.load(reply)["members"]
        assert sorted(member["clientURLs"]) == sorted((plain, secure))
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(plain.replace("http:", "https:"), timeout=10, context=context)


def test_certificates_need_an_https_url_and_members_have_no_http(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    url = f"http://127.0.0.1:{free_port()}"
    for prefix, option in (("", "--listen-client-urls"), ("peer-", "--listen-peer-urls")):
        flags = [f"--{prefix}cert-file", files["cert"], f"--{prefix}key-file", files["key"]]
        urls = f"https://127.0.0.1:1,{url}" if prefix else url
        ended = run(python("coordinator", option, urls, *flags))
        assert (ended.returncode, f"{option}: {urls}: with" in ended.stderr) == (2, True)
