"""The TLS of one process: of its listeners, and of its connections to the other members."""

from coordinator.settings import Settings
from coordinator.transport.peer_tls import PeerTls
from daemonkit.http import tls, tls_listener
from daemonkit.http.tls import RenewedContext, TlsFiles
from daemonkit.http.tls_listener import ListenerTls, TlsMode


class TlsContexts:
    """Loads certificates, and loads them again when their files change."""

    def __init__(self, settings: Settings) -> None:
        """Load all files. CannotServe, OSError or ssl.SSLError says what is wrong."""
        self._settings = settings
        self.to_clients = self._listener(settings.tls)
        self.to_peers = self._listener(settings.peer_tls)
        self.peers: PeerTls | None = None
        if settings.peer_tls is not None and self.to_peers is not None:
            context = RenewedContext(settings.peer_tls, tls.client_context)
            self.peers = PeerTls(context, self.to_peers, settings.tls_mode)

    def ends(self) -> dict[str, float]:
        """Return until when the loaded certificates are valid, in Unix seconds, by their use."""
        listeners = {"client": self.to_clients, "peer": self.to_peers}
        return {
            use: each.context.own.not_after_s
            for use, each in listeners.items()
            if each is not None and each.context.own is not None
        }

    def refresh(self) -> None:
        """Read files that have changed; where that fails, what was loaded stays."""
        for listener in (self.to_clients, self.to_peers):
            if listener is not None:
                listener.refresh()
        if self.peers is not None:
            self.peers.context.refresh()

    def _listener(self, files: TlsFiles | None) -> ListenerTls | None:
        if files is None:
            return None
        settings = self._settings
        mode = settings.tls_mode or TlsMode.REQUIRE
        return tls_listener.listener_tls(files, settings.revoked_file, mode)
