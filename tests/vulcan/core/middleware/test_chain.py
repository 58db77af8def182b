"""What middlewares do to requests."""

import base64
import hashlib
import json

import pytest

from vulcan.core.config.errors import ModelError
from vulcan.core.config.frontend import Middleware
from vulcan.core.config.model import decode
from vulcan.core.middleware import basic_auth, limiters, rewrite
from vulcan.core.middleware.chain import (
    EMPTY,
    Chain,
    MiddlewareRequest,
    MiddlewareResponse,
    MiddlewareRun,
    PasswordCheck,
)
from vulcan.core.routing.request_view import RequestView


def middleware(kind: str, id_: str = "m", priority: int = 0, **settings) -> Middleware:
    value = {"Type": kind, "Priority": priority, "Middleware": settings}
    made = decode(f"frontends/f/middlewares/{id_}", json.dumps(value))
    assert isinstance(made, Middleware)
    return made


def chain(*middlewares: Middleware) -> Chain:
    made = EMPTY.after(middlewares)
    assert made is not None
    return made


def ask(
    of: Chain, now_s: float = 0.0, peer: str = "10.1.1.1", path: str = "/a", **fields: str
) -> tuple[MiddlewareRun, MiddlewareResponse | None]:
    headers = tuple((k.replace("_", "-").encode(), v.encode()) for k, v in fields.items())
    target = path.encode()
    view = RequestView(b"h.example", target.partition(b"?")[0], b"GET", headers, b"", peer.encode())
    request, run = MiddlewareRequest(view, b"http", b"h.example", target), MiddlewareRun(target)
    verdict = of.advance(request, run, now_s)
    while isinstance(verdict, PasswordCheck):
        admitted = verdict.users.admits(verdict.authorization)
        verdict = of.resume(request, run, now_s, admitted=admitted)
    return run, verdict


def status(*args, **kwargs) -> int:
    _, response = ask(*args, **kwargs)
    return response.status if response else 200


def test_a_rate_limit_allows_its_burst_and_then_its_rate():
    limited = chain(middleware("ratelimit", PeriodSeconds=1, Requests=2, Burst=3))
    assert [status(limited, t) for t in (0, 0, 0, 0, 0.5, 0.5)] == [200, 200, 200, 429, 200, 429]
    _, response = ask(limited, 0.5)
    assert response is not None
    assert response.body == b"max rate reached: retry-in 500ms"
    assert response.fields == b"X-Retry-In: 500ms\r\nRetry-After: 1\r\n"


def test_every_client_address_has_its_own_rate():
    limited = chain(middleware("ratelimit", PeriodSeconds=1, Requests=1, Burst=1))
    assert [status(limited, peer=p) for p in ("::1", "::2", "::1")] == [200, 200, 429]


def test_a_limiter_remembers_a_bounded_number_of_sources(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(limiters, "SOURCES_MAX", 10)
    limiter = limiters.RateLimiter((limiters.Rate(1.0, 1, 1), limiters.Rate(60.0, 9, 9)))
    for number in range(100):
        assert limiter.wait_s(b"%d" % number, 0.0) == 0
        assert limiter.bucket_count <= 10


def test_a_limiter_remembers_a_bounded_part_of_a_source():
    limited = chain(
        middleware("ratelimit", PeriodSeconds=1, Requests=1, Variable="request.header.X-A")
    )
    assert [status(limited, X_A=value) for value in ("a" * 9000, "a" * 9001, "a" * 9000)] == [
        200, 200, 429
    ]  # fmt: skip
    long = limiters.source_key(b"a" * 9000)
    assert len(long) <= limiters.SOURCE_BYTES_MAX
    assert limiters.source_key(b"a" * 64) == b"a" * 64


def test_a_request_may_bring_several_rates_and_all_of_them_apply():
    limited = chain(
        middleware("ratelimit", PeriodSeconds=1, Requests=9, RateVar="request.header.X-Rates")
    )
    rates = '[{"PeriodSeconds":1,"Requests":5},{"PeriodSeconds":60,"Requests":2}]'
    assert [status(limited, X_Rates=rates) for _ in range(3)] == [200, 200, 429]
    for wrong in ("no JSON", "[" * 3000, '[{"PeriodSeconds":1,"Requests":1e400}]'):
        assert status(limited, X_Rates=wrong) == 200
    huge = "9" * 400
    assert status(limited, X_Rates=f'[{{"PeriodSeconds":1,"Requests":{huge}}}]') == 200


def test_a_middleware_whose_key_does_not_change_keeps_its_state():
    one = middleware("ratelimit", PeriodSeconds=1, Requests=1, Burst=1)
    before = chain(one)
    assert status(before) == 200
    after = before.after([one, middleware("ipallow", "n", Allow=["10.0.0.0/8"])])
    assert after is not None
    assert status(after) == 429
    changed = after.after([middleware("ratelimit", PeriodSeconds=1, Requests=2, Burst=1)])
    assert changed is not None
    assert status(changed) == 200


def test_requests_in_flight_are_counted_until_they_end():
    limited = chain(middleware("connlimit", Connections=1))
    run, response = ask(limited)
    assert response is None
    _, second = ask(limited)
    assert second is not None
    assert (second.status, second.body) == (429, b"max connections reached: 1")
    run.finish(1.0, 200, 1.0)
    run.finish(1.0, 200, 1.0)
    assert status(limited) == 200


SHA = "sha256:" + hashlib.sha256(b"open").hexdigest()
SCRYPT = "scrypt:1024:8:1$salt$" + hashlib.scrypt(b"x", salt=b"salt", n=1024, r=8, p=1).hex()


@pytest.mark.parametrize(
    ("name", "password", "expected"),
    [("sha", "open", 200), ("sha", "shut", 401), ("plain", "pw", 200), ("crypt", "x", 200),
     ("crypt", "y", 401), ("nobody", "-", 401), ("nobody", "", 401)],
)  # fmt: skip
def test_a_user_with_the_right_password_is_admitted(name: str, password: str, expected: int):
    guarded = chain(
        middleware("basicauth", Users={"sha": SHA, "plain": "pw", "crypt": SCRYPT}, Realm="r")
    )
    given = base64.b64encode(f"{name}:{password}".encode()).decode()
    assert status(guarded, Authorization=f"Basic {given}") == expected


def test_middlewares_behind_a_password_run_once_it_was_checked():
    guarded = chain(
        middleware("ratelimit", "a", 1, PeriodSeconds=1, Requests=2, Burst=2),
        middleware("basicauth", "b", 2, Users={"crypt": SCRYPT}),
        middleware("ipallow", "c", 3, Allow=["10.0.0.0/8"]),
    )
    right = "Basic " + base64.b64encode(b"crypt:x").decode()
    assert status(guarded, Authorization=right) == 200
    assert status(guarded, Authorization=right, peer="192.0.2.1") == 403
    assert status(guarded, Authorization=right) == 200
    assert status(guarded, Authorization=right) == 429


def test_an_admitted_field_is_remembered_while_the_key_stays(monkeypatch: pytest.MonkeyPatch):
    one = middleware("basicauth", Users={"crypt": SCRYPT})
    guarded, right = chain(one), "Basic " + base64.b64encode(b"crypt:x").decode()
    assert status(guarded, Authorization=right) == 200
    monkeypatch.setattr(hashlib, "scrypt", None)  # a call would fail
    assert status(guarded, Authorization=right) == 200
    kept = guarded.after([one])
    assert kept is not None
    assert status(kept, Authorization=right) == 200
    changed = kept.after([middleware("basicauth", Users={"crypt": SCRYPT, "new": "pw"})])
    assert changed is not None
    with pytest.raises(TypeError):
        status(changed, Authorization=right)


def test_a_bounded_number_of_admitted_fields_is_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(basic_auth, "LOGINS_MAX", 3)
    logins = basic_auth.Logins()
    for number in range(5):
        logins.remember(b"%d" % number)
    assert [logins.admitted(b"%d" % number) for number in range(5)] == [False] * 2 + [True] * 3


@pytest.mark.parametrize("others", [{}, {"plain": "pw"}, {"sha": SHA}])
def test_the_time_of_a_check_does_not_tell_which_users_exist(
    monkeypatch: pytest.MonkeyPatch, others: dict[str, str]
):
    calls = []
    real = hashlib.scrypt

    def counted(*args, **kwargs):
        calls.append({name: kwargs[name] for name in "nrp"})
        return real(*args, **kwargs)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    users = basic_auth.Users({"crypt": SCRYPT, **others})
    for name in ("crypt", "nobody", *others):
        calls.clear()
        assert not users.admits(b"Basic " + base64.b64encode(f"{name}:wrong".encode()))
        assert calls == [{"n": 1024, "r": 8, "p": 1}]


def test_a_secret_that_costs_too_much_admits_nobody():
    costly = SCRYPT.replace("1024:8:1$", "1024:8:999$")
    assert not basic_auth.matches(costly, b"x")
    assert basic_auth.matches(SCRYPT, b"x")


def test_a_request_without_a_password_is_401():
    _, response = ask(chain(middleware("auth", Username="u", Password="p")))
    assert response is not None
    assert response.fields == b'WWW-Authenticate: Basic realm="restricted", charset="UTF-8"\r\n'


def test_requests_are_allowed_or_denied_by_network():
    guarded = chain(middleware("ipallow", Allow=["10.0.0.0/8", "::1"], Deny=["10.9.0.0/16"]))
    peers = ("10.1.1.1", "::1", "10.9.1.1", "192.0.2.1", "")
    assert [status(guarded, peer=peer) for peer in peers] == [200, 200, 403, 403, 403]


@pytest.mark.parametrize(
    ("settings", "path", "expected"),
    [
        ({"Regexp": "^http://[^/]+/old/(.*)$", "Replacement": "http://x/new/$1"}, "/old/a?b=1",
         b"/new/a?b=1"),
        ({"Regexp": "/v(?P<n>[0-9]+)/", "Replacement": "/api/${n}/"}, "/v2/x", b"/api/2/x"),
        ({"Regexp": "/nothing", "Replacement": "/x"}, "/a", b"/a"),
        ({"Regexp": "/a$", "Replacement": '/{{.Request.Header.Get "X-Who"}}'}, "/a", b"/me"),
        ({"Regexp": "/a$", "Replacement": "/$$1$9"}, "/a", b"/$1"),
        ({"Regexp": "(?i)/A/(.+?)/(.*)", "Replacement": "/$2/$1"}, "/a/b/c/d", b"/c/d/b"),
        ({"Regexp": r"/[[:digit:]]+\z", "Replacement": "/n"}, "/x/12", b"/x/n"),
        ({"Regexp": "/(x)?y", "Replacement": "/${1}z"}, "/y", b"/z"),
    ],
)  # fmt: skip
def test_a_rewrite_changes_the_target_of_a_request(settings, path, expected):
    run, response = ask(chain(middleware("rewrite", **settings)), path=path, X_Who="me")
    assert response is None
    assert run.target == expected


SLOW_IN_A_BACKTRACKING_ENGINE = {
    "(a+)+b|/x": "/x/" + "a" * 4000,
    "/([a-z]+)+/old": "/" + "a" * 4000 + "!/a/old",
    "(.*)*(.*)*(.*)*y|/x": "/x/" + "/" * 4000,
    "(a|aa)+$|/x": "/x/" + "a" * 4000 + "!",
    "a.*b|a": "/" + "a" * 4000,
}


@pytest.mark.parametrize("regexp", SLOW_IN_A_BACKTRACKING_ENGINE)
@pytest.mark.timeout(60)
def test_no_url_makes_a_rewrite_slow(regexp: str):
    # Each takes milliseconds. A backtracking engine would take years, and the test would time out.
    run, _ = ask(
        chain(middleware("rewrite", Regexp=regexp, Replacement="/new")),
        path=SLOW_IN_A_BACKTRACKING_ENGINE[regexp],
    )
    assert b"/new" in run.target


def test_the_contents_of_a_request_are_not_read_as_a_template():
    rewrite = chain(middleware("rewrite", Regexp="/r/(.*)", Replacement="/s/$1"))
    run, _ = ask(rewrite, path="/r/{{.Request.Host}}$1")
    assert run.target == b"/s/{{.Request.Host}}$1"


def test_a_header_value_in_a_replacement_cannot_end_the_line():
    made = rewrite.compile_rewrite("/a", '/{{.Request.Header.Get "X"}}')
    view = RequestView(b"h", b"/a", headers=((b"X", b"b c\tHTTP/1.1"),))
    assert made.apply(b"/a", view) == b"/bcHTTP/1.1"


def test_a_redirect_responds_with_the_new_location():
    moved = chain(
        middleware("rewrite", Regexp="^http:(.*)", Replacement="https:$1", Redirect=True, Code=308)
    )
    _, response = ask(moved, path="/a?b")
    assert response is not None
    assert (response.status, response.fields) == (308, b"Location: https://h.example/a?b\r\n")


def test_an_inner_headers_middleware_overrides_an_outer_one():
    edits = chain(
        middleware("headers", "a", Request={"X-A": "1", "X-B": "1"}, RemoveResponse=["Server"]),
        middleware("headers", "b", Request={"x-a": "2"}),
    ).edits
    assert edits is not None
    assert edits.request == ((b"x-a", b"2"), (b"X-B", b"1"))
    assert edits.remove_response == {b"server"}


def tripping(**settings) -> Chain:
    given = {"Condition": "NetworkErrorRatio() > 0.5", "FallbackDuration": 10**10, **settings}
    return chain(middleware("cbreaker", **given))


def test_a_breaker_trips_falls_back_recovers_and_returns_to_standby():
    hook = {"Type": "webhook", "Action": {"URL": "http://h/x", "Method": "POST", "Body": "hi!"}}
    broken = tripping(OnTripped=hook, OnStandby=hook, RecoveryDuration="10s")
    run, _ = ask(broken, 0.0)
    run.finish(0.0, 502, 0.01)
    assert [each.body for each in run.webhooks] == [b"hi!"]
    assert broken.states() == {"m": "tripped"}
    assert [status(broken, t) for t in (0.1, 9.9)] == [503, 503]
    status(broken, 10.0)
    halfway = [status(broken, 15.0) for _ in range(100)]
    assert broken.states() == {"m": "recovering"}
    assert 10 < halfway.count(200) < 40
    run, _ = ask(broken, 21.0)
    assert broken.states() == {"m": "standby"}
    assert len(run.webhooks) == 1


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        ({"Type": "response", "Action": {"StatusCode": 418, "Body": "aGk=", "ContentType": "a/b"}},
         MiddlewareResponse(418, b"hi", b"", b"a/b", "m")),
        ({"Type": "redirect", "Action": {"URL": "http://x/", "PreservePath": True}},
         MiddlewareResponse(302, b"", b"Location: http://x/a\r\n", by="m")),
        ('{"Type":"response","Action":{"StatusCode":400,"Body":{"a":1}}}',
         MiddlewareResponse(400, b'{"a":1}', by="m")),
    ],
)  # fmt: skip
def test_a_tripped_breaker_responds_with_its_fallback(fallback, expected):
    broken = tripping(Fallback=fallback)
    run, _ = ask(broken)
    run.finish(0.0, 504, 0.01)
    _, response = ask(broken, 1.0)
    assert response is not None
    kind = expected.content_type
    if isinstance(fallback, str):
        kind = b"text/plain; charset=utf-8"
    assert (response.status, response.body, response.fields, response.content_type) == (
        expected.status, expected.body, expected.fields, kind
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        ("ratelimit", {"PeriodSeconds": 0, "Requests": 1}, "must be 1 to"),
        ("ratelimit", {"PeriodSeconds": 1, "Requests": 1, "Variable": "x"}, "use client.ip"),
        ("ratelimit", {"PeriodSeconds": 1, "Requests": 1, "RateVar": "client.ip"}, "RateVar is"),
        ("connlimit", {"Connections": -1}, "is negative"),
        ("rewrite", {"Regexp": "(", "Replacement": ""}, "Middleware: "),
        ("rewrite", {"Regexp": "(ab){500}", "Replacement": ""}, "needs .* steps"),
        ("rewrite", {"Regexp": "a", "Replacement": "{{.Env}}"}, r"\.Env}} is not known"),
        ("rewrite", {"Regexp": "a", "Replacement": "", "RewriteBody": True}, "not supported"),
        ("cbreaker", {"Condition": "NetworkErrorRatio() > 1"}, "expected a number with a point"),
        ("cbreaker", {"Condition": "Nothing() > 1"}, "is not known: use NetworkErrorRatio"),
        ("trace", {"Addr": "http://x"}, "expected syslog://"),
        ("trace", {"Addr": "syslog://x?f=NO"}, 'f is "NO"'),
        ("basicauth", {}, "nobody could log in"),
        ("headers", {"Request": {"Content-Length": "1"}}, "written by the proxy"),
        ("headers", {"Response": {"X": "a\r\nb"}}, "not valid in a header"),
        ("ipallow", {"Allow": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ("ipallow", {}, "both empty"),
    ],
)
def test_an_invalid_middleware_is_refused_with_the_reason(kind, settings, complaint):
    with pytest.raises(ModelError, match=complaint):
        middleware(kind, **settings)
