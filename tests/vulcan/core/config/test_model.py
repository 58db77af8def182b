import json

import pytest

from vulcan.core.config.backend import Backend, Server, default_backend
from vulcan.core.config.errors import ModelError
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.model import decode, to_json, unknown_fields

FRONTEND = {"Type": "http", "BackendId": "b1", "Route": 'Path("/")'}


def frontend(**settings):
    return decode("frontends/f1/frontend", json.dumps({**FRONTEND, "Settings": settings}))


def test_a_backend_has_defaults_for_missing_settings():
    backend = decode("backends/b1/backend", "{}")
    assert isinstance(backend, Backend)
    assert (backend.id, backend.dial_s, backend.read_s, backend.keepalive_s) == (
        "b1",
        5.0,
        60.0,
        0.0,
    )
    assert default_backend("b1") == backend


def test_the_timeouts_of_a_backend_are_durations():
    settings = {
        "Timeouts": {"Read": "1m", "Dial": "500ms", "TLSHandshake": "10s"},
        "KeepAlive": {"Period": "30s", "MaxIdleConnsPerHost": 12},
    }
    value = json.dumps({"Type": "http", "Settings": settings})
    backend = decode("backends/b1/backend", value)
    assert isinstance(backend, Backend)
    assert (backend.read_s, backend.dial_s) == (60.0, 0.5)
    assert (backend.keepalive_s, backend.idle_max) == (30.0, 12)


def test_a_timeout_of_zero_means_the_default():
    backend = decode("backends/b/backend", '{"Settings":{"Timeouts":{"Dial":"0s"}}}')
    assert isinstance(backend, Backend)
    assert backend.dial_s == 5.0


def test_field_names_match_in_any_case_and_nulls_and_unknown_fields_are_skipped():
    server = decode("backends/b1/servers/s1", '{"url":"http://h:8080","New":{"x":1},"ID":null}')
    assert isinstance(server, Server)
    assert (server.id, server.backend, server.authority) == ("s1", "b1", "h:8080")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://10.0.0.1:8080", "10.0.0.1:8080"),
        ("http://h", "h"),
        ("http://h:80/path?x", "h"),
        ("HTTP://App_1.Example:81", "app_1.example:81"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_server_has_the_scheme_host_and_port_of_its_url(url, authority):
    server = decode("backends/b/servers/s", json.dumps({"URL": url}))
    assert isinstance(server, Server)
    assert server.authority == authority


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "expected http://HOST:PORT"),
        ("h:8080", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("ftp://h", "expected http://HOST:PORT"),
        ("http://h:99999", "Port out of range"),
        ("http://h:x", "Port could not be cast|invalid literal"),
        ("http://[::1", "Invalid IPv6"),
        ("http://u:p@h", "is not a host and port"),
        ("http://a b", "is not a host and port"),
    ],
)
def test_an_invalid_server_url_is_refused_with_the_url(url, complaint):
    with pytest.raises(ModelError, match=complaint) as caught:
        decode("backends/b/servers/s", json.dumps({"URL": url}))
    assert f'URL is "{url}"' in str(caught.value)


def test_a_frontend_has_the_settings_of_its_document():
    made = frontend(
        Hostname="edge1",
        TrustForwardHeader=True,
        PassHostHeader=True,
        Limits={"MaxBodyBytes": 5, "MaxMemBodyBytes": 1},
        Priority=3,
    )
    assert isinstance(made, Frontend)
    assert (made.id, made.backend, made.hostname, made.priority) == ("f1", "b1", "edge1", 3)
    assert (made.trust_forwarded, made.pass_host, made.body_bytes_max) == (True, True, 5)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"TLS": {"MinVersion": "VersionTLS10"}}, "it is not safe"),
        ({"TLS": {"MinVersion": "TLS12"}}, "use VersionTLS12 or VersionTLS13"),
        ({"TLS": {"MinVersion": "VersionTLS13", "MaxVersion": "VersionTLS12"}}, "is above"),
        ({"TLS": {"CipherSuites": ["TLS_RSA_WITH_RC4_128_SHA"]}}, "not safe; remove it"),
        ({"TLS": {"CipherSuites": ["X"]}}, "has no suite"),
        ({"TLS": {"SessionCache": {"Type": "disk"}}}, "only LRU is supported"),
        ({"Balance": "random"}, "use one of rr, p2c, leastconn"),
        ({"HealthCheck": {"Path": "x"}}, "begin it with /"),
        ({"Sticky": {"Cookie": "a b"}}, "not valid in a cookie"),
        ({"SlowStart": "x"}, "SlowStart.* is not a duration"),
        ({"Drain": "-1s"}, "Settings.Drain"),
    ],
)
def test_invalid_settings_of_a_backend_are_refused(settings, complaint):
    with pytest.raises(ModelError, match=complaint):
        decode("backends/b/backend", json.dumps({"Settings": settings}))


def test_a_backend_has_the_settings_of_its_document():
    settings = {
        "TLS": {"MinVersion": "VersionTLS13", "InsecureSkipVerify": True, "ServerName": "x"},
        "Balance": "p2c",
        "HealthCheck": {"Path": "/up", "Interval": "1s", "Rise": 1},
        "Passive": {"Failures": 3, "Penalty": "2s"},
        "Sticky": {"Cookie": "srv", "MaxAge": 60, "SameSite": "lax"},
        "SlowStart": "10s",
    }
    made = decode("backends/b/backend", json.dumps({"settings": settings}))
    assert isinstance(made, Backend)
    assert (made.tls.version_min, made.tls.verify, made.tls.server_name) == (13, False, "x")
    assert (made.balance, made.slow_start_s) == ("p2c", 10.0)
    assert made.health is not None
    assert (made.health.path, made.health.interval_s, made.health.rise) == ("/up", 1.0, 1)
    assert made.passive is not None
    assert (made.passive.failures, made.passive.penalty_s) == (3, 2.0)
    assert made.sticky is not None
    assert made.sticky.attributes == "; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("backends/b/backend", "", "not JSON: Input data was truncated: write an object"),
        ("backends/b/backend", "[" * 100_000, "nested too deeply"),
        ("backends/b/backend", "[]", "Expected `object`, got `array`"),
        ("backends/b/backend", '{"Type":"tcp"}', 'Type is "tcp": only "http" is known'),
        (
            "backends/b/backend",
            '{"settings":{"timeouts":{"read":5}}}',
            "Settings.Timeouts.Read: Expected `str`, got `int`",
        ),
        (
            "backends/b/backend",
            '{"Settings":{"Timeouts":{"Read":"5"}}}',
            'Settings.Timeouts.Read: "5" is not a duration',
        ),
        (
            "backends/b/backend",
            '{"Settings":{"KeepAlive":{"MaxIdleConnsPerHost":-1}}}',
            "MaxIdleConnsPerHost is -1: use 0 or more",
        ),
        ("backends//backend", "{}", "the backend id in the key is empty"),
        ("backends/b/servers/s", "{}", "missing required field `URL`"),
        ("backends/b/servers/", '{"URL":"http://h"}', "the server id in the key is empty"),
        ("frontends//frontend", json.dumps(FRONTEND), "the frontend id in the key is empty"),
        ("frontends/f/frontend", '{"Route":"x"}', "missing required field `BackendId`"),
        ("frontends/f/frontend", '{"BackendId":"b"}', "missing required field `Route`"),
        ("frontends/f/frontend", '{"BackendId":"","Route":"x"}', "BackendId is empty"),
        ("frontends/f/frontend", '{"BackendId":"b","Route":"Hots(`a`)"}', "Route: Hots at char"),
        ("frontends/f/middlewares/m", "{}", "missing required field `Type`"),
        ("frontends/f/middlewares/m", '{"Type":"gzip"}', 'Type is "gzip": use one of ratelimit'),
        ("hosts/a b/host", "{}", "is not a host name"),
        ("hosts/h/host", '{"Settings":{"Default":true}}', "Default needs a KeyPair"),
        ("hosts/h/host", '{"Settings":{"KeyPair":"e30="}}', "start vulcand with --seal-key"),
        ("listeners/l", "{}", "missing required field `Address`"),
        ("listeners/l", '{"Address":{"Address":"x"}}', "expected HOST:PORT"),
        ("listeners/l", '{"Address":{"Address":":1"},"Protocol":"tcp"}', "use http or https"),
        ("listeners/l", '{"Address":{"Address":":1"},"Scope":"Hots(`a`)"}', "Scope: Hots"),
        ("listeners/l", '{"Address":{"Address":":1"},"ProxyProtocol":"PROXY_V1"}', "not supp"),
        ("listeners/l", '{"Address":{"Network":"unix","Address":"x"}}', "the path of a socket"),
        ("backends", "", "not a key of the proxy: expected backends/ID/backend"),
        ("history/12/hosts/x", "", "not a key of the proxy"),
    ],
)
def test_an_invalid_key_is_refused_with_field_and_reason(path, value, complaint):
    with pytest.raises(ModelError, match=complaint):
        decode(path, value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"Hostname": "a\r\nX: y"}, "Settings.Hostname is .* not valid in a header"),
        ({"Limits": {"MaxBodyBytes": -1}}, "Limits has a negative number"),
        ({"FailoverPredicate": "Attempts()"}, "FailoverPredicate: Attempts .* needs a compar"),
    ],
)
def test_settings_that_could_break_a_header_are_refused(settings, complaint):
    with pytest.raises(ModelError, match=complaint):
        frontend(**settings)


def test_an_object_is_shown_with_gos_field_names_and_the_id_of_its_key():
    value = '{"id":"other","url":"http://h:1"}'
    assert to_json(decode("backends/b/servers/s", value)) == {"Id": "s", "URL": "http://h:1"}
    shown = to_json(decode("frontends/f/frontend", json.dumps(FRONTEND)))
    assert shown["BackendId"] == "b1"
    assert shown["Settings"]["Limits"] == {"MaxMemBodyBytes": 0, "MaxBodyBytes": 0}


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("backends/b/servers/s", '{"url": "http://h:1", "Zone": "a"}', ["Zone"]),
        ("backends/b/backend", '{"Settings": {"Timeout": {}}}', ["Settings.Timeout"]),
        ("backends/b/backend", '{"settings": {"tls": {"mtls": 1}}}', ["Settings.TLS.mtls"]),
        ("frontends/f/middlewares/m", '{"Type": "trace", "Middleware": {"x": 1}}', []),
        ("frontends/f/frontend", '{"BackendId": "b", "Route": "x", "Prio": 1}', ["Prio"]),
        ("hosts/h/host", '{"Settings": {"OCSP": {"On": true}}}', ["Settings.OCSP.On"]),
        ("listeners/l", '{"Address": {"Address": ":1"}}', []),
    ],
)
def test_unknown_fields_are_named(path, value, names):
    assert unknown_fields(path, value) == names


@pytest.mark.parametrize(
    ("ocsp", "complaint"),
    [
        ('{"Enabled": true, "Period": "soon"}', "OCSP.Period"),
        ('{"Enabled": true, "Responders": ["ldap://x"]}', "OCSP.Responders"),
    ],
)
def test_invalid_settings_of_ocsp_are_refused(ocsp, complaint):
    with pytest.raises(ModelError, match=complaint):
        decode("hosts/h/host", f'{{"Settings": {{"OCSP": {ocsp}}}}}')


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("listeners/l", {"Address": {"Address": f"h:{DIGITS}"}}),
        ("listeners/l", {"Address": {"Address": f"{'x' * 70}.example:80"}}),
        ("listeners/l", {"Address": {"Address": "a b:80"}}),
        ("backends/b/servers/s", {"URL": "http://a..b"}),
        ("backends/b/servers/s", {"URL": f"http://{'x' * 70}/"}),
        ("backends/b/servers/s", {"URL": "http://..."}),
        ("backends/../servers/s", {"URL": "http://h"}),
        ("backends/b/servers/a\x1bb", {"URL": "http://h"}),
        ("backends/b/backend", {"Settings": {"Timeouts": {"Dial": "999999999d"}}}),
        (
            "frontends/f/middlewares/m",
            {"Type": "ratelimit", "Middleware": {"PeriodSeconds": 10**30, "Requests": 1}},
        ),
        (
            "frontends/f/middlewares/m",
            {
                "Type": "cbreaker",
                "Middleware": {
                    "Condition": "NetworkErrorRatio() > 0.5",
                    "CheckPeriod": int("9" * 400),
                },
            },
        ),
    ],
)
def test_a_value_that_no_socket_resolver_or_timer_takes_is_refused(path, document):
    with pytest.raises(ModelError) as refused:
        decode(path, json.dumps(document))
    assert "cannot be used" not in str(refused.value)


@pytest.mark.parametrize("value", ['{"a":' * 3000, "[" * 3000, '{"Settings":' * 400, "\ud800", ""])
@pytest.mark.parametrize(
    "path", ["backends/b/backend", "hosts/h/host", "frontends/f/middlewares/m"]
)
def test_no_value_of_a_key_raises_anything_else(path, value):
    with pytest.raises(ModelError):
        decode(path, value)


def test_the_time_between_probes_is_one_that_linux_takes():
    backend = decode("backends/b/backend", '{"Settings":{"KeepAlive":{"Period":"24h"}}}')
    assert isinstance(backend, Backend)
    assert backend.keepalive_s == 32767.0
