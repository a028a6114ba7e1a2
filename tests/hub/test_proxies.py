"""The way out: which proxy an address gets, and a request that really goes through one."""

from __future__ import annotations

import pytest

from launcher.errors import ConfigError
from launcher.hub.client import Client, MirrorFault
from launcher.hub.proxies import make_pool, proxy_for
from tests.servers.hub import HubServer, Repo

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "settings", "expected"),
    [
        ("https://hub.example", {}, ""),
        ("https://hub.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("http://hub.example", {"HTTPS_PROXY": PROXY}, ""),
        ("https://hub.example", {"https_proxy": "http://a:1", "HTTPS_PROXY": PROXY}, "http://a:1"),
        ("https://hub.example", {"ALL_PROXY": "a:1"}, "http://a:1"),
        ("https://127.0.0.2:8", {"HTTPS_PROXY": PROXY}, ""),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ""),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example"}, ""),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".example, x"}, ""),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "b.example"}, PROXY),
        ("https://thehub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "hub.example"}, PROXY),
        ("https://hub.example:8443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "hub.example:443"}, PROXY),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "hub.example:443"}, ""),
        ("https://10.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("https://[fd00::1]", {"HTTPS_PROXY": PROXY, "no_proxy": "fd00::/8"}, ""),
    ],
)
def test_the_way_to_an_address(url: str, settings: dict[str, str], expected: str) -> None:
    assert proxy_for(url, settings) == expected


def test_a_request_goes_through_the_proxy_with_its_password() -> None:
    with HubServer({"org/a": Repo({"config.json": b"{}"})}) as hub:
        address = hub.url.removeprefix("http://")
        settings = {"http_proxy": f"http://ada:love%20lace@{address}"}
        pool = make_pool("http://hub.example", settings)
        answer = pool.request("GET", "http://hub.example/api/models/org/a", timeout=10, retries=False)
        assert answer.status == 200
        [request] = hub.seen()
        assert request.by_proxy and request.headers["proxy-authorization"].startswith("Basic ")
        assert request.headers["host"] == "hub.example"


def test_a_proxy_of_another_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="socks5") as caught:
        make_pool("https://hub.example", {"ALL_PROXY": "socks5://ada:lovelace@a:1"})
    assert "lovelace" not in str(caught.value)


def test_a_mirror_behind_such_a_proxy_is_left_out_and_the_others_are_not() -> None:
    with HubServer({"org/a": Repo({"config.json": b"{}"})}) as hub:
        client = Client({"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1"})
        with pytest.raises(MirrorFault, match=r"behind a socks5 proxy.*HTTPS_PROXY") as caught:
            client.get_json("https://hub.example/api/models/org/a")
        assert not caught.value.is_transient
        assert client.get_json(f"{hub.url}/api/models/org/a")[0]["id"] == "org/a"
        client.close()
