"""Keys and certificates for tests of TLS."""

import subprocess
from pathlib import Path

from rig.processes import require


class CertificateFiles:
    """PEM files of an authority, a server, a client and a foreign authority, in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("ca", "stranger"):
            self._make(name, "-x509", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")
        self.sign("server", "subjectAltName=IP:127.0.0.1")
        self.sign("client", "extendedKeyUsage=clientAuth")

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def flags(self) -> list[str]:
        return ["--cert-file", self.path("server.crt"), "--key-file", self.path("server.key")]

    def sign(self, name: str, extension: str) -> None:
        """Make a key and a certificate of the authority with these extensions."""
        self._make(name)
        (self._directory / "extension").write_text(extension)
        authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
        files = ["-in", f"{name}.crt", "-out", f"{name}.crt", "-extfile", "extension"]
        self._run("x509", "-req", *authority, *files)

    def _make(self, name: str, *arguments: str) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"]
        self._run("req", *key, *files, *arguments)

    def _run(self, *arguments: str) -> None:
        command = [require("openssl"), *arguments]
        subprocess.run(command, cwd=self._directory, check=True, capture_output=True)
