"""Our DNS server as a real process."""

import json
import socket
import subprocess
import urllib.request
from pathlib import Path

import dnslib

from rig.processes import Running, answers, free_port, python, require

D = "/skydns/local/skydns"
NOWHERE = "http://127.0.0.1:1"


class Skydns(Running):
    """Our DNS server on a free port."""

    def __init__(self, directory: Path, endpoints: str, *arguments: str) -> None:
        self.port, status = free_port(), free_port()
        self.status_url = f"http://127.0.0.1:{status}"
        command = python("skydns", "--addr", f"127.0.0.1:{self.port},127.0.0.2:{self.port}")
        command += ["--status-addr", f"127.0.0.1:{status}", "--endpoints", endpoints]
        # The clients of a test need no time to move to another server.
        command += ["--lame-duck", "0"]
        super().__init__([*command, *arguments], directory / f"skydns-{self.port}.log")
        self.wait_for(lambda: answers(f"{self.status_url}/health"), "skydns healthy")

    def ready(self) -> None:
        self.wait_for(lambda: answers(f"{self.status_url}/ready"), "skydns ready")

    def state(self) -> dict[str, object]:
        with urllib.request.urlopen(f"{self.status_url}/debug/state", timeout=5) as reply:
            return dict(json.load(reply))

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.status_url}/metrics", timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def dig(self, *arguments: str, server: str = "127.0.0.1") -> str:
        command = [require("dig"), f"@{server}", "-p", str(self.port), "+tries=2", "+time=2"]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=30, check=False
        ).stdout

    def short(self, *arguments: str) -> list[str]:
        return self.dig("+short", *arguments).split()

    def ask(self, data: bytes) -> dnslib.DNSRecord:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", self.port))
            client.send(data)
            return dnslib.DNSRecord.parse(client.recv(65535))
