"""The TLS contexts of one process, whose certificates can be loaded again."""

import ssl

from daemonkit.http import tls
from daemonkit.http.tls import TlsFiles
from daemonkit.observe import logs

_log = logs.get("coordinator")


class TlsContexts:
    """Makes contexts, and remembers the files of each."""

    def __init__(self) -> None:
        self._made: list[tuple[ssl.SSLContext, TlsFiles]] = []

    def server(self, files: TlsFiles | None) -> ssl.SSLContext | None:
        """Return a context for a listener, None without files."""
        return self._keep(tls.server_context(files), files) if files else None

    def client(self, files: TlsFiles | None) -> ssl.SSLContext | None:
        """Return a context for connections to others, None without files."""
        return self._keep(tls.client_context(files), files) if files else None

    def reload(self) -> None:
        """Load all certificates again; where that fails, the old ones stay."""
        for context, files in self._made:
            try:
                tls.load(context, files)
            except (OSError, ssl.SSLError) as error:
                _log.error("certificates-kept", exc=error)

    def _keep(self, context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
        self._made.append((context, files))
        return context
