"""What a registry is asked, and what is made of its answers."""

import base64
import doctest
import hashlib
import http.client
import json
from collections.abc import Callable

import pytest

from prominence_hpc.wrappers.runtime import reference, registry
from prominence_hpc.wrappers.runtime.errors import TransferError
from prominence_hpc.wrappers.runtime.reference import parse
from prominence_hpc.wrappers.runtime.registry import Found, Refused, Registry, Unclear
from prominence_hpc.wrappers.runtime.retry import Transient
from prominence_hpc.wrappers.runtime.web import Web
from tests.unit.wrappers.servers import Handler, Server, serving

DIGEST = "sha256:" + "1f" * 32
LOGIN = ("me", "geheim")
BASIC = "Basic " + base64.b64encode(b"me:geheim").decode()
CHALLENGE = 'Bearer realm="https://{host}/token",service="registry",scope="repository:a/b:pull"'


class PlainWeb(Web):
    """Speaks http where https is meant: TLS is the test site's to try."""

    def _connection(self, _scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, port, timeout=5)


def find(
    answer: Callable[[Handler], None],
    scheme: str = "docker",
    name: str = "a/b:1",
    login: tuple[str, str] | None = None,
) -> tuple[Found, Server]:
    with serving(answer) as server:
        found = parse(f"{scheme}://{server.url[7:]}/{name}")
        assert found is not None
        return Registry(found, login, PlainWeb()).find(), server


def failure(
    answer: Callable[[Handler], None], kind: type[Exception], login: tuple[str, str] | None = None
) -> str:
    with pytest.raises(kind) as caught:
        find(answer, login=login)
    assert "geheim" not in str(caught.value)
    return str(caught.value)


def test_names() -> None:
    assert doctest.testmod(reference).failed == 0
    with_digest = parse(f"docker://host.org/a/b:1@{DIGEST}")
    assert with_digest is not None
    assert (with_digest.name, with_digest.digest) == ("a/b", DIGEST)
    assert with_digest.pinned(DIGEST) == f"docker://host.org/a/b@{DIGEST}"
    local = parse("docker://localhost/x")
    assert local is not None
    assert (local.host, local.name) == ("localhost", "x")
    hub = parse("docker://user/repo:tag")
    assert hub is not None
    assert (hub.server, hub.name, hub.tag) == ("registry-1.docker.io", "user/repo", "tag")
    assert parse("docker://a@sha256:short") is None


def test_the_digest_of_a_tag() -> None:
    def answer(request: Handler) -> None:
        request.reply(200, Docker_Content_Digest=DIGEST)

    found, server = find(answer)
    assert found.digest == DIGEST
    assert found.file_sha256 is None
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("HEAD", "/v2/a/b/manifests/1")
    assert "image.index" in seen.headers["Accept"]
    assert "Authorization" not in seen.headers


def test_a_registry_that_does_not_say_it() -> None:
    def answer(request: Handler) -> None:
        body = b"{}" if request.command == "GET" else b""
        request.reply(200, body, Content_Type="application/vnd.oci.image.manifest.v1+json")

    found, _ = find(answer)
    assert found.digest == "sha256:" + hashlib.sha256(b"{}").hexdigest()


def test_a_web_server_that_is_no_registry() -> None:
    def answer(request: Handler) -> None:
        request.reply(200, b"Welcome", Content_Type="text/html")

    assert failure(answer, Unclear).endswith("is no registry")


def test_a_registry_that_knows_no_head() -> None:
    def answer(request: Handler) -> None:
        if request.command == "HEAD":
            request.reply(405)
        else:
            request.reply(200, b"{}", Docker_Content_Digest=DIGEST)

    assert find(answer)[0].digest == DIGEST


def test_a_digest_is_not_asked_for() -> None:
    def answer(request: Handler) -> None:
        request.reply(500)

    found, server = find(answer, name=f"a/b@{DIGEST}")
    assert found.digest == DIGEST
    assert server.seen == []


def test_a_password() -> None:
    def answer(request: Handler) -> None:
        if request.headers.get("Authorization") == BASIC:
            request.reply(200, Docker_Content_Digest=DIGEST)
        else:
            request.reply(401, WWW_Authenticate='Basic realm="x"')

    found, server = find(answer, login=LOGIN)
    assert found.digest == DIGEST
    assert server.headers("Authorization") == [None, BASIC]  # nobody gets it who does not ask
    assert failure(answer, Unclear).endswith("wants a login")
    said = failure(answer, Refused, login=("me", "wrong-geheim"))
    assert said.endswith("refused the login of me")


@pytest.mark.parametrize("login", [None, LOGIN])
def test_a_token(login: tuple[str, str] | None) -> None:
    def answer(request: Handler) -> None:
        if request.path.startswith("/token"):
            request.reply(200, json.dumps({"token": "t0k3n"}).encode())
        elif request.headers.get("Authorization") == "Bearer t0k3n":
            request.reply(200, Docker_Content_Digest=DIGEST)
        else:
            host = request.headers["Host"]
            request.reply(401, WWW_Authenticate=CHALLENGE.format(host=host))

    found, server = find(answer, login=login)
    assert found.digest == DIGEST
    assert server.seen[1].target == "/token?scope=repository%3Aa%2Fb%3Apull&service=registry"
    assert server.headers("Authorization") == [None, BASIC if login else None, "Bearer t0k3n"]


def test_a_token_that_is_not_given() -> None:
    def answer(request: Handler) -> None:
        host = request.headers["Host"]
        request.reply(401, WWW_Authenticate=CHALLENGE.format(host=host))

    assert failure(answer, Refused, login=LOGIN).endswith("refused the login of me")


def test_a_login_is_not_sent_without_tls() -> None:
    def answer(request: Handler) -> None:
        words = CHALLENGE.format(host=request.headers["Host"]).replace("https", "http")
        request.reply(401, WWW_Authenticate=words)

    assert "without TLS" in failure(answer, Unclear, login=LOGIN)


def test_a_login_does_not_follow_to_another_host() -> None:
    def elsewhere(request: Handler) -> None:
        request.reply(200, Docker_Content_Digest=DIGEST)

    with serving(elsewhere) as other:

        def answer(request: Handler) -> None:
            if request.headers.get("Authorization"):
                request.reply(307, Location=other.url.replace("http", "https") + "/m")
            else:
                request.reply(401, WWW_Authenticate='Basic realm="x"')

        found, _ = find(answer, login=LOGIN)
        assert found.digest == DIGEST
        assert other.headers("Authorization") == [None]


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (404, Refused, "there is no such image in the registry 127.0.0.1"),
        (429, Transient, "the server answered 429"),
        (503, Transient, "the server answered 503"),
        (418, Unclear, "answered 418"),
    ],
)
def test_errors(status: int, kind: type[Exception], words: str) -> None:
    def answer(request: Handler) -> None:
        request.reply(status)

    assert words in failure(answer, kind)


def sif_manifest(*kinds: str) -> bytes:
    layers = [{"mediaType": kind, "digest": "sha256:" + "2e" * 32} for kind in kinds]
    return json.dumps({"layers": layers}).encode()


def test_a_sif_image_is_one_file() -> None:
    def answer(request: Handler) -> None:
        request.reply(200, sif_manifest(registry.SIF_LAYER))

    found, server = find(answer, scheme="oras")
    assert found.file_sha256 == "2e" * 32
    assert found.digest == "sha256:" + hashlib.sha256(sif_manifest(registry.SIF_LAYER)).hexdigest()
    assert server.seen[0].method == "GET"


@pytest.mark.parametrize("kinds", [(), ("application/x",), (registry.SIF_LAYER,) * 2])
def test_what_is_no_sif_image(kinds: tuple[str, ...]) -> None:
    def answer(request: Handler) -> None:
        request.reply(200, sif_manifest(*kinds))

    with pytest.raises(TransferError, match="no SIF image"):
        find(answer, scheme="oras")


def test_another_manifest_than_the_digests() -> None:
    def answer(request: Handler) -> None:
        request.reply(200, sif_manifest(registry.SIF_LAYER))

    with pytest.raises(TransferError, match="another manifest"):
        find(answer, scheme="oras", name=f"a/b@{DIGEST}")
