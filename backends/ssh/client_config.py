"""What the user's ssh configuration says of a host, by OpenSSH's own reader: ``ssh -G`` (ssh(1)).

That knows Include, Match, canonical names and the system's file. It prints one ``keyword value`` a line, with
some values expanded (HostName, known_hosts files, IdentityAgent's tilde) and others as they stand
(IdentityFile, CertificateFile, ProxyCommand): those we expand (ssh_config(5), TOKENS).

StrictHostKeyChecking is not honoured: we are always as strict as its ``yes``.
"""

import hashlib
import os
import re
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prominence_hpc.backends.run_command import first_line, run_command
from prominence_hpc.errors import BackendError, RemoteError

__all__ = ["ClientSettings", "Hop", "parse_client_settings", "parse_hop", "read_client_settings"]

_TIMEOUT_SECONDS = 10.0
_NONE = "none"


@dataclass(frozen=True)
class Hop:
    """A jump host as ProxyJump names it; the configuration says the rest."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """How to reach one host, as who, by which keys, and who vouches for it."""

    host: str  # as it was asked for
    hostname: str  # what it stands for
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: Path | None = None  # its socket
    proxy_jump: tuple[Hop, ...] = ()
    proxy_command: tuple[str, ...] = ()
    known_hosts_files: tuple[Path, ...] = ()  # the user's, then the system's
    revoked_keys_files: tuple[Path, ...] = ()
    host_key_alias: str | None = None
    connect_timeout_seconds: float | None = None


def read_client_settings(
    host: str, *, user: str | None = None, port: int | None = None
) -> ClientSettings:
    """Ask ``ssh -G`` about a host; ``user`` and ``port`` go before its configuration.

    Raises RemoteError where there is no ssh, or it does not like the configuration or the host's name.
    """
    argv = ["ssh", "-G"]
    argv += [] if user is None else ["-l", user]
    argv += [] if port is None else ["-p", str(port)]
    try:
        ended = run_command([*argv, "--", host], timeout_seconds=_TIMEOUT_SECONDS)
    except BackendError as error:  # not installed, or a Match exec of the user's hangs
        msg = f"The ssh configuration of {host} cannot be read by 'ssh -G {host}': {error}"
        raise RemoteError(msg) from error
    if ended.returncode != 0:
        said = first_line(ended.stderr) or f"it ended with {ended.returncode}"
        msg = f"ssh cannot read its configuration of {host}: {said}; try 'ssh -G {shlex.quote(host)}'."
        raise RemoteError(msg)
    return parse_client_settings(ended.stdout, host=host, home=Path.home(), environment=os.environ)


def parse_client_settings(
    text: str, *, host: str, home: Path, environment: Mapping[str, str]
) -> ClientSettings:
    """Settings from what ``ssh -G`` has printed. Raises RemoteError where a value cannot be used."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(value.strip())
    first = {keyword: found[0] for keyword, found in values.items()}
    expansion = _Expansion.of(first, host=host, home=home, environment=environment)
    return ClientSettings(
        host=host,
        hostname=first.get("hostname", host),
        port=int(first.get("port", "22")),
        user=expansion.of_text(first.get("user", "")),
        identity_files=expansion.of_paths(values.get("identityfile", [])),
        certificate_files=expansion.of_paths(values.get("certificatefile", [])),
        identities_only=first.get("identitiesonly") == "yes",
        identity_agent=_agent(first.get("identityagent", "SSH_AUTH_SOCK"), expansion),
        proxy_jump=_hops(first.get("proxyjump", _NONE)),
        proxy_command=_command(first.get("proxycommand", _NONE), expansion),
        known_hosts_files=expansion.of_paths(
            [
                path
                for keyword in ("userknownhostsfile", "globalknownhostsfile")
                for path in _split_paths(first.get(keyword, ""))
            ]
        ),
        revoked_keys_files=expansion.of_paths(_split_paths(first.get("revokedhostkeys", ""))),
        host_key_alias=first.get("hostkeyalias"),
        connect_timeout_seconds=_seconds(first.get("connecttimeout", _NONE)),
    )


def parse_hop(text: str) -> Hop:
    """``[user@]host[:port]`` or ``ssh://[user@]host[:port]``, with the brackets of IPv6 addresses."""
    user, at, place = text.removeprefix("ssh://").rstrip("/").rpartition("@")
    match = re.fullmatch(
        r"\[(?P<v6>[^]]+)](?::(?P<p6>\d+))?|(?P<host>[^:]+)(?::(?P<port>\d+))?", place
    )
    if match is None:
        msg = f"'{text}' in ProxyJump is no [user@]host[:port]; correct the ssh configuration."
        raise RemoteError(msg)
    port = match["p6"] or match["port"]
    return Hop(match["v6"] or match["host"], user if at else None, int(port) if port else None)


def _hops(value: str) -> tuple[Hop, ...]:
    return () if value == _NONE else tuple(parse_hop(text) for text in value.split(","))


def _seconds(value: str) -> float | None:
    return float(value) if value.isdigit() and int(value) > 0 else None


def _split_paths(value: str) -> list[str]:
    """ssh -G prints several paths with blanks between, and does not quote the blanks in them."""
    return re.split(r"\s+(?=[/~])", value)


@dataclass(frozen=True)
class _Expansion:
    """What stands for the tokens, variables and tildes of one host's values."""

    tokens: Mapping[str, str]
    home: Path
    environment: Mapping[str, str]

    @classmethod
    def of(
        cls, first: Mapping[str, str], *, host: str, home: Path, environment: Mapping[str, str]
    ) -> "_Expansion":
        hostname, port = first.get("hostname", host), first.get("port", "22")
        local_user, here = environment.get("USER", ""), socket.gethostname()
        user, jump = first.get("user", local_user), first.get("proxyjump", "")
        tokens = {
            "%": "%", "d": str(home), "h": hostname, "i": str(os.getuid()), "j": jump,
            "k": first.get("hostkeyalias", host), "L": here.partition(".")[0], "l": here,
            "n": host, "p": port, "r": user, "u": local_user,
            "C": hashlib.sha1(f"{here}{hostname}{port}{user}{jump}".encode()).hexdigest(),
        }  # fmt: skip
        return cls(tokens, home, environment)

    def of_text(self, text: str) -> str:
        def token(match: re.Match[str]) -> str:
            if match[1] not in self.tokens:
                msg = f"'{text}' in the ssh configuration has %{match[1]}, which is not known here; write it out."
                raise RemoteError(msg)
            return self.tokens[match[1]]

        return re.sub(r"%(.?)", token, text)

    def of_paths(self, texts: list[str]) -> tuple[Path, ...]:
        return tuple(self.of_path(text) for text in texts if text and text != _NONE)

    def of_path(self, text: str) -> Path:
        if text == "~" or text.startswith("~/"):
            text = str(self.home) + text[1:]
        named = re.sub(r"\$\{(\w+)\}", lambda match: self.environment.get(match[1], ""), text)
        path = self.of_text(named)
        return Path(path).expanduser() if path.startswith("~") else Path(path)


def _agent(value: str, expansion: _Expansion) -> Path | None:
    """IdentityAgent: a path, ``none``, ``SSH_AUTH_SOCK``, or a variable as ``$NAME``."""
    if value == _NONE:
        return None
    if value == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", value):
        path = expansion.environment.get(value.removeprefix("$"), "")
        return Path(path) if path else None
    return expansion.of_path(value)


def _command(value: str, expansion: _Expansion) -> tuple[str, ...]:
    """ProxyCommand as an argument list. No shell is started for it: what needs one is refused.

    Tokens are put in after the words are told apart, so that no host name can become two of them.
    """
    if value == _NONE:
        return ()
    try:
        lexer = shlex.shlex(value, posix=True, punctuation_chars="|&;<>()$`")
        lexer.whitespace_split = True
        lexer.commenters = ""
        operators = [word for word in lexer if word and set(word) <= set("|&;<>()$`")]
        words = shlex.split(value)
    except ValueError as error:  # a quotation mark without its fellow
        operators, words = [str(error)], []
    if words[:1] == ["exec"]:
        words = words[1:]
    if operators or not words:
        msg = (
            f"The ProxyCommand '{value}' of the ssh configuration needs a shell ({' '.join(operators)}), and is "
            "run without one; put it into a script, or use ProxyJump."
        )
        raise RemoteError(msg)
    home = str(expansion.home)
    return tuple(
        expansion.of_text(home + word[1:] if word.startswith("~/") else word) for word in words
    )
