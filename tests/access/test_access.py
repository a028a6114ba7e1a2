"""The rules about Host, Origin and token, as a browser, a program and an attacker meet them."""

from __future__ import annotations

import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.access import COOKIE_NAME, AccessRules, Denial, check, login_cookie_header, parse_host, session_cookie
from launcher.access.rules import who_asks

TOKEN = "a-long/token+with=signs"
OPEN = AccessRules()
LISTED = AccessRules(allowed_hosts=("127.0.0.1", "localhost", "::1", "tts.example.org", "10.0.0.5", "FE80::1"))
LOCKED = AccessRules(token=TOKEN)
ANYWHERE = AccessRules(token=TOKEN, allowed_hosts=("*",))


def ask(
    rules: AccessRules = OPEN,
    method: str = "GET",
    path: str = "/",
    query: str = "",
    host: str | None = "127.0.0.1:7860",
    **headers: str,
) -> Denial | None:
    """One request; header names are written with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        sent["host"] = host
    denial = check(rules, method=method, path=path, headers=sent, query=query)
    if denial is not None:
        assert denial.message.endswith(".")
        assert denial.fix.endswith(".")
        assert TOKEN not in denial.message + denial.fix
    return denial


def status_of(denial: Denial | None) -> int:
    return 200 if denial is None else denial.status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:7860",
        "localhost:7860",
        "LOCALHOST",
        "localhost.",
        "[::1]:7860",
        "[::1]",
        "127.8.8.8",
        "localhost:",
        "[0:0:0:0:0:0:0:1]:80",
    ],
)
def test_loopback_names_are_known(host: str) -> None:
    assert ask(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "tts.example.org",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.5",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_a_name_that_was_led_here_is_refused(host: str) -> None:
    denial = ask(host=host)
    assert denial is not None
    assert denial.status == 421
    assert denial.code == "host_not_allowed"
    assert host in denial.fix
    assert "LAUNCHER_ALLOWED_HOSTS" in denial.fix


@pytest.mark.parametrize(
    "host", ["tts.example.org", "TTS.Example.Org.:443", "10.0.0.5:80", "[fe80::1]", "[fe80:0:0::1]:7"]
)
def test_a_listed_name_or_address_is_known_with_any_port_and_spelling(host: str) -> None:
    assert ask(LISTED, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "a b",
        "127.0.0.1, evil.example",
        "127.0.0.1@evil.example",
        "127.0.0.1:80:90",
        "localhost:http",
        "localhost:٣",
        "[::1",
        "[::1]x",
        "[127.0.0.1]",
        "[fe80::1%eth0",
        "::1",
        "local host",
        "-",
        "..",
        "a..b",
        "http://localhost",
        "localhost/",
        "localhost\\",
        "löcalhost",
        "localhost\x00",
        ".",
        "x" * 400,
    ],
)
def test_a_malformed_host_is_refused_whatever_is_listed(host: str) -> None:
    for rules in (OPEN, ANYWHERE):
        denial = ask(rules, host=host, authorization=f"Bearer {TOKEN}")
        assert denial is not None
        assert denial.code == "host_invalid"
        assert denial.message.isprintable()
        assert len(denial.message) < 250


@pytest.mark.parametrize("host", [None, "", "  "])
def test_a_request_without_host_is_refused(host: str | None) -> None:
    denial = ask(host=host)
    assert denial is not None
    assert (denial.status, denial.code) == (400, "host_missing")


def test_any_host_is_known_when_all_are() -> None:
    assert ask(ANYWHERE, host="whatever.example:1", authorization=f"Bearer {TOKEN}") is None


@given(st.text(alphabet=string.printable + "é语\u202e\x00", max_size=40))
def test_no_host_breaks_the_parser(value: str) -> None:
    host = parse_host(value)
    assert host is None or (host == host.lower() and not host.endswith(".") and parse_host(value.upper()) == host)
    assert status_of(ask(host=value)) in (200, 400, 421)


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True), st.integers(0, 65535))
def test_a_port_and_a_final_dot_change_nothing(name: str, port: int) -> None:
    assert parse_host(name) == parse_host(f"{name}:{port}") == parse_host(f"{name}.:{port}") == name


@given(st.ip_addresses(v=6), st.integers(0, 65535))
def test_an_ipv6_address_is_itself_in_brackets(address: object, port: int) -> None:
    assert parse_host(f"[{address}]:{port}") == str(address)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "PROPFIND"])
def test_another_sites_page_changes_nothing(method: str) -> None:
    for origin in (
        "https://evil.example",
        "http://127.0.0.1.evil.example:7860",
        "null",
        "",
        "file://",
        "http://",
        "chrome-extension://abcdef",
        "http://127.0.0.1@evil.example",
        "http://evil.example#127.0.0.1",
    ):
        denial = ask(method=method, origin=origin)
        assert denial is not None, origin
        assert (denial.status, denial.code) == (403, "origin_not_allowed")


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:7860", "http://localhost:7860", "https://127.0.0.1", "http://[::1]:3000"]
)
def test_our_own_page_may_post(origin: str) -> None:
    assert ask(method="POST", path="/api/speak", origin=origin, sec_fetch_site="same-origin") is None


def test_the_page_of_a_listed_host_may_post_even_across_sites() -> None:
    origin = "https://tts.example.org"
    assert ask(LISTED, "POST", "/v1/audio/speech", origin=origin, sec_fetch_site="cross-site") is None
    assert ask(LISTED, "GET", "/v1/models", origin=origin, sec_fetch_site="cross-site") is None


def test_that_any_host_is_known_does_not_make_every_origin_ours() -> None:
    bearer = f"Bearer {TOKEN}"
    assert ask(ANYWHERE, "POST", host="a.example", origin="https://a.example", authorization=bearer) is None
    assert status_of(ask(ANYWHERE, "POST", host="a.example", origin="https://b.example", authorization=bearer)) == 403


def test_programs_send_no_origin_and_may_post() -> None:
    assert ask(method="POST", path="/v1/audio/speech") is None


@pytest.mark.parametrize("path", ["/api/info", "/api/events", "/v1/models", "/gradio_api/file=/x", "/api"])
def test_another_site_does_not_read_the_api(path: str) -> None:
    assert status_of(ask(path=path, sec_fetch_site="cross-site")) == 403
    assert status_of(ask(path=path, sec_fetch_site="Cross-Site", sec_fetch_mode="no-cors")) == 403
    for site in ("same-origin", "same-site", "none"):
        assert ask(path=path, sec_fetch_site=site) is None


def test_a_link_on_another_site_may_lead_to_the_page() -> None:
    assert ask(path="/", sec_fetch_site="cross-site", sec_fetch_mode="navigate") is None


def test_a_change_across_sites_without_origin_is_refused() -> None:
    assert status_of(ask(method="POST", sec_fetch_site="cross-site")) == 403


def test_web_sockets_of_another_site_are_refused() -> None:
    assert status_of(ask(upgrade="WebSocket", origin="https://evil.example")) == 403
    assert status_of(ask(upgrade="h2c, websocket", origin="null")) == 403
    assert ask(upgrade="websocket", origin="http://localhost:7860") is None


def test_a_token_is_asked_for_on_every_route_but_health_and_login() -> None:
    for path in (
        "/",
        "/readyz",
        "/api/status",
        "/v1/models",
        "/gradio_api/x",
        "/healthz/x",
        "/loginx",
        "/login/",
        "/LOGIN",
        "//healthz",
    ):
        assert status_of(ask(LOCKED, path=path)) == 401
        assert ask(LOCKED, path=path, authorization=f"Bearer {TOKEN}") is None
    assert ask(LOCKED, path="/healthz") is None
    assert ask(LOCKED, path="/login") is None
    assert ask(LOCKED, "POST", "/login", origin="http://127.0.0.1:7860") is None


def test_a_login_from_another_sites_page_is_refused() -> None:
    assert status_of(ask(LOCKED, "POST", "/login", origin="https://evil.example")) == 403


def test_health_answers_under_any_name_but_only_to_reading() -> None:
    assert ask(LOCKED, path="/healthz", host="10.1.2.3") is None
    assert ask(LOCKED, path="/healthz", host=None) is None
    assert status_of(ask(LOCKED, "POST", "/healthz", host="10.1.2.3")) == 421


@pytest.mark.parametrize("authorization", ["bearer {}", "BEARER   {}", " Bearer {} "])
def test_the_scheme_is_read_in_any_case(authorization: str) -> None:
    assert ask(LOCKED, authorization=authorization.format(TOKEN)) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer é",
        "Bearer 语",
    ],
)
def test_a_wrong_token_is_refused(authorization: str) -> None:
    denial = ask(LOCKED, authorization=authorization)
    assert denial is not None
    assert denial.status == 401
    assert denial.code in ("token_wrong", "token_required")


@pytest.mark.parametrize("token", ["пароль", "é-token", "语言语言"])
def test_a_token_beyond_ascii_works_as_servers_hand_it_over(token: str) -> None:
    rules = AccessRules(token=token)
    assert ask(rules, authorization=f"Bearer {token}") is None
    assert ask(rules, authorization=f"Bearer {token}".encode().decode("latin-1")) is None
    assert status_of(ask(rules, authorization="Bearer " + "?" * len(token))) == 401


def test_a_token_in_the_address_is_not_read_and_the_answer_says_why() -> None:
    denial = ask(LOCKED, path="/", query=f"a=1&token={TOKEN}")
    assert denial is not None
    assert denial.status == 401
    assert "address" in denial.fix


def cookie(rules: AccessRules = LOCKED, token: str = TOKEN, **options: Any) -> str:
    header = login_cookie_header(rules.holders, token, **options)
    assert header is not None
    value, *attributes = header.split("; ")
    assert set(attributes) >= {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert ("Secure" in attributes) == options.get("is_secure", False)
    return value


def test_the_right_token_logs_in_and_the_cookie_opens() -> None:
    assert TOKEN not in cookie()
    assert ask(LOCKED, cookie=cookie()) is None
    assert ask(LOCKED, cookie=cookie(is_secure=True)) is None
    assert ask(LOCKED, cookie=f'a=b; {cookie()} ; theme="dark"') is None
    assert ask(LOCKED, cookie=f"{COOKIE_NAME}=old; {cookie()}") is None
    assert ask(LOCKED, cookie=f"a=b, {cookie()}") is None
    assert cookie(token=f" {TOKEN}\n")


@pytest.mark.parametrize("typed", ["", "wrong", TOKEN[:-1], TOKEN + "x", "语"])
def test_a_wrong_token_does_not_log_in(typed: str) -> None:
    assert login_cookie_header(LOCKED.holders, typed) is None


def test_there_is_no_login_without_a_token() -> None:
    assert login_cookie_header(OPEN.holders, "") is None
    assert ask(OPEN, cookie=f"{COOKIE_NAME}=x", authorization="Bearer whatever") is None


def test_a_session_is_only_what_was_given_and_ends() -> None:
    later = int(time.time()) + 1000
    good = session_cookie("token", TOKEN, later)
    assert status_of(ask(LOCKED, cookie=f"{COOKIE_NAME}={good}")) == 200
    name, expires, nonce, digest = good.split(".")
    assert session_cookie("token", TOKEN, later, "a") != session_cookie("token", TOKEN, later, "b")
    for forged in (
        session_cookie("token", "another", later),
        session_cookie("token", TOKEN, int(time.time()) - 1),
        session_cookie("alice", TOKEN, later),
        f"{name}.{int(expires) + 1}.{nonce}.{digest}",
        f"{name}.{expires}.{nonce}x.{digest}",
        f"{name}.{expires}.{digest}",
        f"alice.{expires}.{nonce}.{digest}",
        f"{name}.{expires}..",
        f"{name}.{'9' * 5000}.{nonce}.{digest}",
        f"{name}.-1.{nonce}.{digest}",
        f"{good}.",
        TOKEN,
    ):
        assert status_of(ask(LOCKED, cookie=f"{COOKIE_NAME}={forged}")) == 401, forged
    assert status_of(ask(LOCKED, cookie=f"x{COOKIE_NAME}={good}")) == 401


ALICE, BOB = "alices-token-0123456789", "bobs-token-0123456789ab"
USERS = AccessRules(users=(("alice", ALICE), ("bob", BOB)))


def test_users_have_a_token_each() -> None:
    for rules in (USERS, AccessRules(token=TOKEN, users=USERS.users)):
        for name, token in USERS.users:
            assert ask(rules, authorization=f"Bearer {token}") is None
            assert who_asks(rules, {"authorization": f"bearer {token}"}) == name
            assert who_asks(rules, {"cookie": cookie(rules, token)}) == name
            assert ask(rules, cookie=cookie(rules, token)) is None
    assert who_asks(AccessRules(token=TOKEN, users=USERS.users), {"authorization": f"Bearer {TOKEN}"}) == "token"
    assert status_of(ask(USERS)) == 401
    assert status_of(ask(USERS, authorization=f"Bearer {TOKEN}")) == 401
    gone = AccessRules(users=(("alice", "a-new-token-of-alice-1"), ("bob", BOB)))
    assert status_of(ask(gone, cookie=cookie(USERS, ALICE))) == 401, "a session outlived its token"
    assert ALICE not in repr(USERS)


def test_without_a_token_an_address_is_known_but_no_name() -> None:
    rules = AccessRules(allowed_hosts=("localhost", "<address>"))
    assert ask(rules, host="192.0.2.7:7860") is None
    assert ask(rules, host="[2001:db8::1]") is None
    assert status_of(ask(rules, host="evil.example")) == 421
    assert status_of(ask(rules, host="<address>")) == 400


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_header_breaks_the_rules_or_opens_the_door(cookie_text: str, authorization: str, origin: str) -> None:
    denial = ask(LOCKED, "POST", cookie=cookie_text, authorization=authorization, origin=origin)
    assert denial is not None


def test_rules_never_show_their_token() -> None:
    assert TOKEN not in repr(LOCKED)
