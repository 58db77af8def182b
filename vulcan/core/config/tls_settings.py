"""TLS settings: from Go's names to those of OpenSSL."""

from dataclasses import dataclass

from vulcan.core.config.documents import TlsDocument

# TLS 1.0 and 1.1 are not safe (RFC 8996). Their names are here so that an error can say so.
VERSIONS = {"VersionTLS12": 12, "VersionTLS13": 13}
OLD_VERSIONS = frozenset(("VersionTLS10", "VersionTLS11", "VersionSSL30"))
SUITES = {
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
WEAK_SUITES = ("_RC4_", "_3DES_")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS of one listener, or of the connections to one backend's servers."""

    version_min: int = 12
    version_max: int = 13
    suites: tuple[str, ...] = ()  # for TLS 1.2, in OpenSSL's names; empty for its defaults
    prefer_server: bool = False
    tickets: bool = True
    verify: bool = True
    ca: str = ""  # PEM; empty for the system's
    server_name: str = ""


def settings(document: TlsDocument | None) -> TlsSettings:
    """Check a document. ValueError names the field."""
    if document is None:
        return TlsSettings()
    low = _version("MinVersion", document.min_version, 12)
    high = _version("MaxVersion", document.max_version, 13)
    if low > high:
        raise ValueError("MinVersion is above MaxVersion")
    cache = document.session_cache
    if cache.type.upper() not in {"", "LRU"}:
        raise ValueError(f'SessionCache.Type is "{cache.type}": only LRU is supported')
    if cache.settings.capacity < 0:
        raise ValueError("SessionCache.Settings.Capacity is negative")
    return TlsSettings(
        version_min=low,
        version_max=high,
        suites=tuple(_suite(name) for name in document.cipher_suites),
        prefer_server=document.prefer_server_cipher_suites,
        tickets=not document.session_tickets_disabled,
        verify=not document.insecure_skip_verify,
        ca=document.ca,
        server_name=document.server_name,
    )


def _version(field: str, name: str, default: int) -> int:
    if not name:
        return default
    if name in OLD_VERSIONS:
        raise ValueError(f"{field} is {name}: it is not safe; use VersionTLS12 or later")
    if name not in VERSIONS:
        raise ValueError(f'{field} is "{name}": use {" or ".join(VERSIONS)}')
    return VERSIONS[name]


def _suite(name: str) -> str:
    if any(weak in name for weak in WEAK_SUITES):
        raise ValueError(f"CipherSuites has {name}: it is not safe; remove it")
    if name not in SUITES:
        raise ValueError(f'CipherSuites has "{name}": Go has no suite of TLS 1.2 with this name')
    return SUITES[name]
