"""HTTP(S) requests by ``http.client``: proxies, redirects, verified TLS, words for what failed."""

import http.client
import re
import socket
import ssl
from contextlib import contextmanager
from urllib.parse import quote, unquote, urljoin, urlsplit

from .errors import TransferError
from .retry import Transient
from .text import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

TIMEOUT_SECONDS = 60.0  # without a single byte
REDIRECTS = 10
ANSWER_BYTES = 4 << 20  # the limit that registries set to a manifest
MOVED = frozenset((301, 302, 303, 307, 308))
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
AGENT = "prominence-hpc"
# What stays as it is in a request's path (RFC 3986, 3.3): percent signs, since addresses are escaped
# already where they have to be. Anything else, such as letters with accents, is escaped here.
PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"


class Refused(TransferError):
    """The server answered with an error that will not pass; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answer:
    """A whole answer, whatever its status: what programs are told, of no great size."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.body = response.read(ANSWER_BYTES)


class Web:
    """How this job reaches servers: the node's proxies, the system's certificates and the plan's."""

    def __init__(self, certificates: "Optional[str]" = None) -> None:
        self._certificates = certificates
        self._context: "Optional[ssl.SSLContext]" = None

    def connect(self, url: str) -> "tuple[http.client.HTTPConnection, str, dict[str, str]]":
        """A connection not yet opened, the request's target, and headers with logins."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            msg = "the address is not valid"  # the error's own words repeat some of it
            raise TransferError(msg) from error
        host = parts.hostname or ""
        proxy = _proxy(parts.scheme, host)
        target = _escaped(parts.path or "/", PATH_CHARACTERS)
        if parts.query:
            target += "?" + _escaped(parts.query, PATH_CHARACTERS + "?")
        login = _login("Authorization", parts.username, parts.password)
        if proxy is None:
            return self._connection(parts.scheme, host, port), target, login
        via = urlsplit(proxy if "://" in proxy else "http://" + proxy)
        proxy_login = _login("Proxy-Authorization", via.username, via.password)
        connection = self._connection(parts.scheme, via.hostname or "", via.port or 3128)
        if parts.scheme == "https":
            connection.set_tunnel(host, port, proxy_login)
            return connection, target, login
        server = parts.netloc.rpartition("@")[2]
        login.update(proxy_login)
        return connection, "%s://%s%s" % (parts.scheme, server, target), login

    def _connection(self, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        if scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        if self._context is None:
            self._context = ssl.create_default_context()
            if self._certificates:
                self._context.load_verify_locations(cadata=self._certificates)
        return http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_SECONDS, context=self._context
        )

    @contextmanager
    def get(self, url: str, headers: "dict[str, str]") -> "Iterator[http.client.HTTPResponse]":
        """The answer to GET, redirects followed, whose status is 200 or 206.

        Raises Refused, TransferError or Transient.
        """
        for _ in range(REDIRECTS):
            connection, response = self._request("GET", url, headers)
            try:
                if response.status in (200, 206):
                    yield response
                    return
                url = _redirection(url, response)
            finally:
                response.close()
                connection.close()
        msg = "%s redirects too often" % redact(url)
        raise TransferError(msg)

    def ask(self, method: str, url: str, headers: "dict[str, str]") -> Answer:
        """The answer to a request without a body, redirects followed, whatever its status.

        An Authorization header goes to the first host alone. Raises TransferError or Transient.
        """
        for _ in range(REDIRECTS):
            connection, response = self._request(method, url, headers)
            try:
                if response.status not in MOVED or not response.getheader("Location"):
                    return Answer(response)
                target = _redirection(url, response)
            except (OSError, http.client.HTTPException) as error:
                raise network_error(error) from error
            finally:
                response.close()
                connection.close()
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {key: headers[key] for key in headers if key != "Authorization"}
            url = target
        msg = "%s redirects too often" % redact(url)
        raise TransferError(msg)

    def _request(
        self, method: str, url: str, headers: "dict[str, str]"
    ) -> "tuple[http.client.HTTPConnection, http.client.HTTPResponse]":
        connection, target, extra = self.connect(url)
        every = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Connection": "close"}
        every.update(extra)
        every.update(headers)
        try:
            connection.request(method, target, headers=every)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise network_error(error) from error


def _redirection(url: str, response: http.client.HTTPResponse) -> str:
    """Where the answer sends us; raises what the answer says where that is nowhere we go."""
    location = response.getheader("Location")
    if response.status not in MOVED or not location:
        raise failure(response)
    # http.client takes a header's bytes for Latin-1; servers mean UTF-8 where they do not escape.
    target = urljoin(url, location.encode("latin-1").decode("utf-8", "surrogateescape"))
    if not target.lower().startswith(("http://", "https://")):
        msg = "%s redirects to an address that is not http(s)" % redact(url)
        raise TransferError(msg)
    if url.lower().startswith("https://") and not target.lower().startswith("https://"):
        msg = "%s redirects to an address without TLS" % redact(url)
        raise TransferError(msg)
    return target


def network_error(error: Exception) -> Exception:
    """What to raise for a failed connection: Transient, unless trying again cannot help."""
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        reason = getattr(error, "verify_message", "") or "certificate verification failed"
        return TransferError("the server's TLS certificate was not accepted: %s" % reason)
    if isinstance(error, http.client.InvalidURL):
        return TransferError("the address is not valid")
    if isinstance(error, socket.timeout):
        return Transient("the server did not answer for %d s" % TIMEOUT_SECONDS)
    if isinstance(error, http.client.RemoteDisconnected):
        return Transient("the server closed the connection without an answer")
    nobody = isinstance(error, (socket.gaierror, ConnectionRefusedError))
    words = "connection failed: %s" % (str(error) or type(error).__name__)
    return Transient(words, nobody=nobody)


def failure(response: http.client.HTTPResponse) -> Exception:
    """What to raise for an answer that is an error; S3's code and message are taken along."""
    try:
        body = response.read(65536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    response.close()
    return failure_of(response.status, response.reason, response.headers, body)


def failure_of(
    status: int, reason: str, headers: "http.client.HTTPMessage", body: str
) -> Exception:
    """The same for an answer that has been read."""
    words = [re.search("<%s>([^<]{1,300})</%s>" % (tag, tag), body) for tag in ("Code", "Message")]
    said = ": ".join(match.group(1).strip() for match in words if match)
    message = "the server answered %d %s" % (status, reason)
    message += " (%s)" % said if said else ""
    if status in PASSING:
        after = headers.get("Retry-After") or ""
        return Transient(message, float(after) if after.isdigit() else None)
    return Refused(status, message)


def _proxy(scheme: str, host: str) -> "Optional[str]":
    """The proxy that http_proxy, https_proxy and no_proxy name, in either case."""
    from urllib import request

    if request.proxy_bypass_environment(host):  # type: ignore[attr-defined]
        return None
    return request.getproxies_environment().get(scheme)


def _escaped(text: str, kept: str) -> str:
    return quote(text, safe=kept, errors="surrogateescape")


def _login(header: str, user: "Optional[str]", password: "Optional[str]") -> "dict[str, str]":
    """The header for the user and password of an address, if it has them (RFC 7617)."""
    if user is None:
        return {}
    from base64 import b64encode

    pair = "%s:%s" % (unquote(user), unquote(password or ""))
    return {header: "Basic " + b64encode(pair.encode("utf-8")).decode("ascii")}
