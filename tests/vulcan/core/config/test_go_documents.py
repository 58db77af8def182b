"""What Go's vctl writes when no flag is given: zero values, empty durations, and nulls."""

import json

import pytest

from vulcan.core.config.backend import Backend, default_backend
from vulcan.core.config.model import decode

TLS = {
    "PreferServerCipherSuites": False,
    "InsecureSkipVerify": False,
    "SessionTicketsDisabled": False,
    "SessionCache": {"Type": "", "Settings": None},
    "CipherSuites": None,
    "MinVersion": "",
    "MaxVersion": "",
}
OCSP = {"Enabled": False, "Period": "1h0m0s", "Responders": None, "SkipSignatureCheck": False}
BACKEND = {
    "Id": "b",
    "Type": "http",
    "Stats": None,
    "Settings": {
        "Timeouts": {"Read": "0s", "Dial": "0s", "TLSHandshake": "0s"},
        "KeepAlive": {"Period": "0s", "MaxIdleConnsPerHost": 0},
        "TLS": TLS,
    },
}
FRONTEND = {
    "Id": "f",
    "Route": 'Path("/")',
    "Type": "http",
    "BackendId": "b",
    "Stats": None,
    "Settings": {
        "Limits": {"MaxMemBodyBytes": 0, "MaxBodyBytes": 0},
        "FailoverPredicate": "",
        "Hostname": "",
        "TrustForwardHeader": False,
        "PassHostHeader": False,
        "Stream": False,
        "StreamFlushIntervalNanoSecs": 0,
    },
}
BREAKER = {
    "Condition": "NetworkErrorRatio() > 0.5",
    "Fallback": None,
    "OnTripped": None,
    "OnStandby": None,
    "FallbackDuration": 0,
    "RecoveryDuration": 0,
    "CheckPeriod": 0,
}
MIDDLEWARES = {
    "ratelimit": {
        "PeriodSeconds": 1,
        "Requests": 1,
        "Burst": 1,
        "Variable": "client.ip",
        "RateVar": "",
    },
    "connlimit": {"Connections": 1, "Variable": "client.ip"},
    "rewrite": {"Regexp": "a", "Replacement": "", "RewriteBody": False, "Redirect": False},
    "cbreaker": BREAKER,
    "trace": {"Addr": "syslog://127.0.0.1:5000", "ReqHeaders": None, "RespHeaders": None},
}
DOCUMENTS = {
    "hosts/h/host": {
        "Name": "h",
        "Settings": {"Default": False, "KeyPair": None, "AutoCert": None, "OCSP": OCSP},
    },
    "listeners/l": {
        "Id": "l",
        "Protocol": "http",
        "Address": {"Network": "tcp", "Address": "localhost:80"},
        "Scope": "",
        "Settings": {"TLS": TLS},
        "ProxyProtocol": "",
    },
    "backends/b/servers/s": {"Id": "s", "URL": "http://h:1", "Stats": None},
    "frontends/f/frontend": FRONTEND,
}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_an_object_without_settings_is_accepted(path: str):
    assert decode(path, json.dumps(DOCUMENTS[path]))


@pytest.mark.parametrize("type_", MIDDLEWARES)
def test_a_middleware_without_settings_is_accepted(type_: str):
    document = {"Id": "m", "Type": type_, "Priority": 1, "Middleware": MIDDLEWARES[type_]}
    assert decode("frontends/f/middlewares/m", json.dumps(document))


def test_a_backend_of_zero_durations_has_the_defaults():
    backend = decode("backends/b/backend", json.dumps(BACKEND))
    assert isinstance(backend, Backend)
    default = default_backend("b")
    assert (backend.dial_s, backend.read_s, backend.handshake_s) == (
        default.dial_s,
        default.read_s,
        default.handshake_s,
    )
    assert (backend.keepalive_s, backend.idle_max) == (default.keepalive_s, default.idle_max)
