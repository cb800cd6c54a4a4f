"""Proxies, as curl's man page has them."""

import pytest

from prominence_hpc.adapter.storage.proxy import Proxy, find_proxy, is_excepted
from prominence_hpc.errors import ConfigError


def test_none_without_variables() -> None:
    assert find_proxy("https", "s3.org", 443, {}) is None


@pytest.mark.parametrize(
    ("scheme", "environ", "host"),
    [
        ("https", {"https_proxy": "http://p:3128", "HTTPS_PROXY": "http://q:1"}, "p"),
        ("https", {"HTTPS_PROXY": "http://p:3128"}, "p"),
        ("https", {"http_proxy": "http://p:3128"}, None),
        ("http", {"http_proxy": "http://p:3128"}, "p"),
        ("http", {"HTTP_PROXY": "http://p:3128"}, None),
        ("https", {"ALL_PROXY": "p:3128"}, "p"),
        ("https", {"https_proxy": "http://p:3128", "no_proxy": "s3.org"}, None),
        ("https", {"https_proxy": ""}, None),
    ],
)
def test_which_variable(scheme: str, environ: dict[str, str], host: str | None) -> None:
    found = find_proxy(scheme, "s3.org", 443, environ)
    assert (found and found.host) == host


def test_user_and_password_become_a_header() -> None:
    found = find_proxy("http", "s3.org", 80, {"http_proxy": "http://me:p%40ss@p"})
    assert found == Proxy("p", 1080, {"proxy-authorization": "Basic bWU6cEBzcw=="})
    assert "bWU6" not in repr(found)


@pytest.mark.parametrize("value", ["socks5://p:1", "http://", "http://p:port"])
def test_what_is_no_http_proxy_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="https_proxy does not name an HTTP proxy"):
        find_proxy("https", "s3.org", 443, {"https_proxy": value})


@pytest.mark.parametrize(
    ("host", "no_proxy", "excepted"),
    [
        ("s3.site.org", "site.org", True),
        ("s3.site.org", ".site.org,other", True),
        ("S3.Site.Org", "site.org", True),
        ("mysite.org", "site.org", False),
        ("s3.site.org", "site.org:443", True),
        ("s3.site.org", "site.org:80", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("s3", "*", True),
        ("s3", "", False),
    ],
)
def test_exceptions(host: str, no_proxy: str, excepted: bool) -> None:
    assert is_excepted(host, 443, no_proxy) is excepted
