"""What a registry says that a name stands for just now, asked by its API.

https://distribution.github.io/distribution/spec/api/ and …/spec/auth/token/. Only manifests are
asked for; the runtime fetches the layers. Nothing of a login is in any message.
"""

import hashlib
import json
import re
from base64 import b64encode
from urllib.parse import urlencode

from .errors import TransferError
from .web import PASSING, failure_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from .reference import Reference
    from .web import Answer, Web

    Login = Optional[Tuple[str, str]]

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
NO_SUCH_METHOD = (405, 501)
SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"


class Refused(TransferError):
    """The registry knows better: a wrong login, no such image. Nobody else need ask it again."""


class Unclear(Exception):
    """This registry did not say in a way that we understand; the runtime may fare better."""


class Found:
    """``digest`` of the manifest, and of the one file where the image is one (``oras://``)."""

    def __init__(self, digest: str, file_sha256: "Optional[str]") -> None:
        self.digest = digest
        self.file_sha256 = file_sha256


class Registry:
    """The server of one reference, and the login for it: (user name, token), or None."""

    def __init__(self, reference: "Reference", login: "Login", web: "Web") -> None:
        self.reference = reference
        self.login = login
        self.web = web
        self._authorization: "dict[str, str]" = {}

    def find(self) -> Found:
        """What the reference stands for; raises Refused, Unclear, Transient or TransferError."""
        reference = self.reference
        if reference.scheme == "docker":
            # HEAD is enough, and Docker Hub does not count it towards its limit of pulls.
            if reference.digest:
                return Found(reference.digest, None)
            answer = self._ask("HEAD")
            digest = answer.headers.get("Docker-Content-Digest")
            if digest is not None:
                return Found(_checked(digest), None)
            return Found(self._digest_of(answer if answer.body else self._ask("GET")), None)
        answer = self._ask("GET")
        digest = _digest(answer.body)
        if reference.digest and digest != reference.digest:
            msg = "the registry %s sent another manifest than that digest's" % reference.host
            raise Refused(msg)
        return Found(digest, _sif_sha256(answer.body))

    def _digest_of(self, answer: "Answer") -> str:
        if answer.headers.get_content_type() not in MANIFESTS:
            msg = "what answers at %s is no registry" % self.reference.host
            raise Unclear(msg)
        return _digest(answer.body)

    def _ask(self, method: str) -> "Answer":
        reference = self.reference
        what = reference.digest or reference.tag
        url = "https://%s/v2/%s/manifests/%s" % (reference.server, reference.name, what)
        headers = {"Accept": MANIFESTS}
        answer = self.web.ask(method, url, {**headers, **self._authorization})
        if answer.status == 401 and not self._authorization:
            self._authorization = self._authorize(answer.headers.get_all("WWW-Authenticate") or [])
            answer = self.web.ask(method, url, {**headers, **self._authorization})
        if answer.status == 200:
            return answer
        if method == "HEAD" and answer.status in NO_SUCH_METHOD:
            return self._ask("GET")
        raise self._failure(answer)

    def _failure(self, answer: "Answer") -> Exception:
        host = self.reference.host
        if answer.status in (401, 403):
            if self.login is None:
                return Unclear("the registry %s wants a login" % host)
            return Refused("the registry %s refused the login of %s" % (host, self.login[0]))
        if answer.status == 404:
            return Refused("there is no such image in the registry %s" % host)
        if answer.status in PASSING:
            return failure_of(answer.status, answer.reason, answer.headers, "")
        return Unclear("the registry %s answered %d %s" % (host, answer.status, answer.reason))

    def _authorize(self, challenges: "list[str]") -> "dict[str, str]":
        """The header that a challenge asks for; none where there is no way to meet it."""
        for challenge in challenges:
            kind, _, rest = challenge.partition(" ")
            if kind.lower() == "bearer":
                words = dict(re.findall(r'(\w+)="([^"]*)"', rest))
                return {"Authorization": "Bearer " + self._token(words)}
            if kind.lower() == "basic":
                return self._basic()
        return {}

    def _basic(self) -> "dict[str, str]":
        if self.login is None:
            return {}
        pair = ":".join(self.login).encode("utf-8")
        return {"Authorization": "Basic " + b64encode(pair).decode("ascii")}

    def _token(self, words: "dict[str, str]") -> str:
        realm = words.get("realm", "")
        if not realm.startswith("https://"):
            msg = "the registry %s sends logins to an address without TLS" % self.reference.host
            raise Unclear(msg)
        query = {"scope": "repository:%s:pull" % self.reference.name}
        if "service" in words:
            query["service"] = words["service"]
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        answer = self.web.ask("GET", url, self._basic())
        if answer.status != 200:
            raise self._failure(answer)
        try:
            said = json.loads(answer.body.decode("utf-8"))
            return str(said.get("token") or said["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            msg = "the registry %s gave no token" % self.reference.host
            raise Unclear(msg) from error


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _checked(digest: str) -> str:
    from .reference import DIGEST

    if not DIGEST.match(digest):
        msg = "the registry's digest is no SHA-256"
        raise Unclear(msg)
    return digest


def _sif_sha256(body: bytes) -> str:
    """The checksum of the one file that an ``oras://`` image is."""
    try:
        layers = json.loads(body.decode("utf-8"))["layers"]
        (digest,) = [item["digest"] for item in layers if item["mediaType"] == SIF_LAYER]
    except (ValueError, KeyError, TypeError) as error:
        msg = "what the registry has under this name is no SIF image"
        raise Refused(msg) from error
    return _checked(digest).partition(":")[2]
