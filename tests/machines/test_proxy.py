"""A company's proxy in the reader's environment: asked for other addresses, never for this machine's own."""

import urllib.request

import pytest

from helpers import environment

PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"no_proxy": "corp.example"}, "corp.example,127.0.0.1,localhost"),
        ({"NO_PROXY": ".a, localhost", "no_proxy": "b"}, "b,.a,localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_this_machine_is_added_to_what_is_there(given: dict[str, str], hosts: str) -> None:
    made = environment.local(given)
    assert made["no_proxy"] == made["NO_PROXY"] == hosts


def test_other_addresses_still_go_to_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.local({"http_proxy": PROXY, "https_proxy": PROXY}).items():
        monkeypatch.setenv(name, value)
    assert urllib.request.getproxies()["https"] == PROXY
    assert not urllib.request.proxy_bypass("repo1.maven.org")
    assert urllib.request.proxy_bypass("127.0.0.1") and urllib.request.proxy_bypass("localhost:8082")
