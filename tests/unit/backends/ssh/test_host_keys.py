"""Which host keys are believed, and what a user is told of the others."""

import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificateType

from prominence_hpc.backends.ssh.host_keys import (
    ExpectedHost,
    check_host_key,
    fingerprint,
    host_key_algorithms,
    read_authorities,
    read_revoked,
)
from prominence_hpc.backends.ssh.known_hosts import matches_pattern, parse_known_hosts
from prominence_hpc.errors import RemoteError
from tests.unit.backends.ssh.keys import (
    PrivateKey,
    certificate,
    certificate_blob,
    private_key,
    public_blob,
    public_line,
)

FILE = Path("/home/alice/.ssh/known_hosts")
SYSTEM = Path("/etc/ssh/ssh_known_hosts")
HOST = private_key("ed25519", "host")
OTHER = private_key("ed25519", "other")
RSA = private_key("rsa", "host")
CA = private_key("ecdsa", "authority")


def expected(*lines: str, host: str = "node1", port: int = 22, authority: PrivateKey | None = None,
             direct: bool = True) -> ExpectedHost:  # fmt: skip
    return ExpectedHost(
        host=host,
        port=port,
        entries=parse_known_hosts("\n".join(lines), FILE),
        files=(FILE, SYSTEM),
        authorities=frozenset([public_blob(authority)] if authority else []),
        direct=direct,
    )


def check(shown: bytes, known: ExpectedHost) -> None:
    check_host_key(shown, known, now=time.time())


def refusal(shown: bytes, known: ExpectedHost) -> str:
    with pytest.raises(RemoteError) as raised:
        check(shown, known)
    return str(raised.value)


def signed(key: PrivateKey = HOST, authority: PrivateKey = CA, **options: Any) -> bytes:
    return certificate_blob(certificate(key, authority, **{"principals": ["node1"], **options}))


def test_a_known_key_is_believed_beside_others() -> None:
    check(public_blob(HOST), expected(f"node1 {public_line(OTHER)}", f"node* {public_line(HOST)}"))


def test_a_changed_key_names_line_file_and_remedy() -> None:
    said = refusal(public_blob(HOST), expected("", f"node1 {public_line(RSA)}",
                                               f"node1 {public_line(OTHER)}"))  # fmt: skip
    assert said == (
        "The host key of node1 has changed: line 3 of /home/alice/.ssh/known_hosts has another ssh-ed25519 key "
        f"than {fingerprint(public_blob(HOST))} which the host shows. If the host was installed anew, remove the "
        "line: ssh-keygen -R node1 -f /home/alice/.ssh/known_hosts; otherwise somebody may be in between."
    )


def test_the_remedy_is_quoted_for_a_shell() -> None:
    known = expected(f"[node1]:2222 {public_line(OTHER)}", port=2222)
    command = re.search(r"ssh-keygen.*?;", refusal(public_blob(HOST), known))
    assert command is not None
    assert shlex.split(command[0].rstrip(";")) == [
        "ssh-keygen", "-R", "[node1]:2222", "-f", "/home/alice/.ssh/known_hosts",
    ]  # fmt: skip
    assert "'[node1]:2222'" in command[0]


def test_an_unknown_key_names_files_and_remedy() -> None:
    said = refusal(public_blob(HOST), expected(f"node2 {public_line(HOST)}"))
    assert said == (
        f"The host key of node1 (ssh-ed25519 {fingerprint(public_blob(HOST))}) is in none of "
        "/home/alice/.ssh/known_hosts, /etc/ssh/ssh_known_hosts; nothing is accepted unseen. Compare it with your "
        "administrator's, then add it: ssh-keyscan -t ed25519 node1 >> ~/.ssh/known_hosts; or name a file or host "
        "CA in the site's configuration (ssh_known_hosts, ssh_host_ca)."
    )


def test_an_unknown_key_behind_a_jump_host_cannot_be_scanned() -> None:
    said = refusal(public_blob(HOST), expected(port=2222, direct=False))
    assert f"~/.ssh/known_hosts: [node1]:2222 {public_line(HOST)};" in said
    assert "ssh-keyscan" not in said


def test_a_key_of_another_type_is_unknown() -> None:
    said = refusal(public_blob(HOST), expected(f"node1 {public_line(RSA)}"))
    assert "which know it by ssh-rsa" in said


def test_other_ports_look_for_the_plain_name_last() -> None:
    plain = f"node1 {public_line(HOST)}"
    check(public_blob(HOST), expected(plain, port=2222))
    assert "has changed: line 2" in refusal(
        public_blob(HOST), expected(plain, f"[node1]:2222 {public_line(OTHER)}", port=2222)
    )
    assert "is in none of" in refusal(
        public_blob(HOST), expected(f"node1 {public_line(OTHER)}", port=2222)
    )
    assert "is in none of" in refusal(
        public_blob(HOST), expected(f"[node1]:2222 {public_line(HOST)}")
    )


def test_a_revoked_key_is_refused_although_it_is_known() -> None:
    lines = [f"node1 {public_line(HOST)}", f"@revoked * {public_line(HOST)}"]
    said = refusal(public_blob(HOST), expected(*lines))
    assert "is revoked by line 2 of /home/alice/.ssh/known_hosts" in said
    check(public_blob(HOST), expected(lines[0], f"@revoked node2 {public_line(HOST)}"))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("authority", ["ed25519", "ecdsa", "rsa"])
def test_certificates_of_every_kind(kind: str, authority: str) -> None:
    signer = private_key(authority, "signer")
    shown = signed(private_key(kind, "host"), signer)
    check(shown, expected(authority=signer))
    check(shown, expected(f"@cert-authority node* {public_line(signer)}"))


def test_an_authority_is_believed_for_its_hosts_alone() -> None:
    line = f"@cert-authority *.site.test {public_line(CA)}"
    check(signed(principals=["n.site.test"]), expected(line, host="n.site.test"))
    check(signed(principals=["n.site.test"]), expected(line, host="n.site.test", port=2222))
    assert "is in none of" in refusal(signed(), expected(line))
    assert "is in none of" in refusal(signed(), expected(f"node1 {public_line(CA)}"))
    assert "is in none of" in refusal(signed(), expected(authority=OTHER))


def test_the_key_of_an_authority_is_no_host_key() -> None:
    known = expected(f"@cert-authority * {public_line(CA)}")
    assert "is in none of" in refusal(public_blob(CA), known)


HOUR = 3600


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"principals": ["node2", "login"]}, "it is for node2, login, not for node1"),
        ({"principals": []}, "it is for no host at all, not for node1"),
        ({"kind": SSHCertificateType.USER}, "it is not a host certificate"),
        ({"begin": time.time() + HOUR, "end": time.time() + 2 * HOUR}, "it is not valid yet"),
        ({"begin": time.time() - 2 * HOUR, "end": time.time() - HOUR}, "it has expired"),
        ({"critical": True}, "it has critical options"),
    ],
)
def test_a_certificate_that_does_not_hold(options: dict[str, Any], fault: str) -> None:
    shown = signed(**options)
    said = refusal(shown, expected(authority=CA))
    assert f"its certificate does not hold: {fault}" in said
    # the key in it is as good as without
    check(shown, expected(f"node1 {public_line(HOST)}", authority=CA))


def test_principals_may_be_patterns() -> None:
    check(signed(principals=["login", "node?"]), expected(authority=CA))
    check(signed(principals=["node1"]), expected(host="NODE1", authority=CA))
    assert "not for node1" in refusal(signed(principals=["NODE1"]), expected(authority=CA))


def test_a_forged_certificate() -> None:
    shown = bytearray(signed(authority=OTHER))
    shown[-1] ^= 1
    assert "its signature is wrong" in refusal(bytes(shown), expected(authority=OTHER))
    for end in (40, len(shown) - 1):
        said = refusal(bytes(shown[:end]), expected(authority=OTHER))
        assert "shows a host certificate that cannot be read" in said


def test_a_signature_by_sha1_is_refused() -> None:
    signer = private_key("rsa", "signer")
    shown = signed(authority=signer)
    known = expected(authority=signer)
    check(shown, known)
    head, strong, tail = shown.rpartition(b"\x00\x00\x00\x0crsa-sha2-512")
    assert strong
    total = int.from_bytes(head[-4:], "big") - len("rsa-sha2-512") + len("ssh-rsa")
    weak = head[:-4] + total.to_bytes(4, "big") + b"\x00\x00\x00\x07ssh-rsa" + tail
    assert "SHA-1" in refusal(weak, known)


def test_a_revoked_authority_and_a_revoked_key_in_a_certificate() -> None:
    known = expected(f"@revoked * {public_line(CA)}", f"node1 {public_line(HOST)}", authority=CA)
    assert "The authority behind the host key of node1" in refusal(signed(), known)
    known = expected(f"@revoked * {public_line(HOST)}", authority=CA)
    assert "The host key of node1" in (said := refusal(signed(), known))
    assert "is revoked by line 1" in said


def test_known_types_are_asked_for_first() -> None:
    assert host_key_algorithms(expected())[0] == "ssh-ed25519"
    by_rsa = host_key_algorithms(expected(f"node1 {public_line(RSA)}"))
    assert by_rsa[:3] == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
    assert not any("cert" in name for name in by_rsa)
    assert "ssh-rsa" not in by_rsa  # SHA-1
    elsewhere = host_key_algorithms(expected(f"node2 {public_line(RSA)}"))
    assert elsewhere[0] == "ssh-ed25519"
    revoked = host_key_algorithms(expected(f"@revoked node1 {public_line(RSA)}"))
    assert revoked[0] == "ssh-ed25519"


def test_certificates_are_asked_for_where_an_authority_is_known() -> None:
    line = f"@cert-authority node* {public_line(CA)}"
    for known in (expected(line), expected(line, port=2222), expected(authority=CA)):
        order = host_key_algorithms(known)
        assert order[0] == "ssh-ed25519-cert-v01@openssh.com"
        assert set(order[: len(order) // 2]) == {
            f"{name}-cert-v01@openssh.com" for name in order[len(order) // 2 :]
        }
    known = expected(line, f"node1 {public_line(RSA)}")
    assert host_key_algorithms(known)[0] == "rsa-sha2-512-cert-v01@openssh.com"


def test_files_of_authorities(tmp_path: Path) -> None:
    file = tmp_path / "ca.pub"
    file.write_text(f"# ours\n\n{public_line(CA)} a comment\n{public_line(RSA)}\n")
    assert read_authorities([file]) == {public_blob(CA), public_blob(RSA)}
    with pytest.raises(RemoteError, match=r"absent cannot be read: No such file"):
        read_authorities([tmp_path / "absent"])
    file.write_text(f"{public_line(CA)}\nno key\n")
    with pytest.raises(RemoteError, match=r"Line 2 of .*ca\.pub is no public key"):
        read_authorities([file])


def test_keys_that_the_ssh_configuration_revokes(tmp_path: Path) -> None:
    """However well known they are, and whoever has signed them."""
    revoked = tmp_path / "revoked"
    revoked.write_text(f"# stolen\n{public_line(HOST)} node1\n")
    line = f"node1 {public_line(HOST)}"
    known = ExpectedHost(
        host="node1", entries=parse_known_hosts(line, FILE), revoked=read_revoked([revoked])
    )
    assert "revoked by RevokedHostKeys" in refusal(public_blob(HOST), known)
    assert "revoked by RevokedHostKeys" in refusal(signed(), known)


def test_revocation_lists_that_cannot_be_read_believe_nobody(tmp_path: Path) -> None:
    binary = tmp_path / "krl"
    binary.write_bytes(b"SSHKRL\n\0\0\0\0\1")
    for file, words in (
        (binary, "binary key revocation list"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(RemoteError, match=words):
            read_revoked([file])


def test_a_pattern_that_is_made_to_take_for_ever() -> None:
    """By whoever forges a certificate, before anything of it is proven."""
    start = time.monotonic()
    assert not matches_pattern("node1" * 50, "*n" * 60 + "x")
    assert matches_pattern("node1.example", "n*e?.*mple")
    assert not matches_pattern("node1.example", "n*e?.*mpl")
    assert matches_pattern("", "*")
    assert time.monotonic() - start < 1
