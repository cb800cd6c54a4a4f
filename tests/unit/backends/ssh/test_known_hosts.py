"""known_hosts files are read as OpenSSH reads them."""

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from prominence_hpc.backends.ssh.known_hosts import (
    Marker,
    lookup,
    lookup_name,
    matches_pattern,
    parse_known_hosts,
    parse_public_key,
    read_known_hosts,
)
from tests.unit.backends.ssh.keys import private_key, public_blob, public_line

KEY = public_line(private_key("ed25519", "known"))
OTHER = public_line(private_key("ecdsa", "known"))
FILE = Path("/home/alice/.ssh/known_hosts")


def hashed(name: str) -> str:
    salt = hashlib.sha1(name.encode()).digest()  # 20 bytes, as ssh-keygen's
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


# Which of these lines is about which name. The same is asked of ssh-keygen -F below.
LINES = [
    f"node1,node2.site.test,10.0.0.1 {KEY} comment of many words",  # 1
    f"*.site.test,!login.site.test {OTHER}",  # 2
    f"[gate]:2222 {KEY}",  # 3
    f"{hashed('secret.site.test')} {KEY}",  # 4
    f"{hashed('[gate]:2200')} {KEY}",  # 5
    f"# node1 {KEY}",  # 6
    "",  # 7
    f"node? {OTHER}",  # 8
    "node1 ssh-ed25519 this-is-no-key",  # 9
    "node1",  # 10
    f"node1 ssh-rsa {KEY.split()[1]}",  # 11: not the type that it says
    f"node1 1024 35 {'1' * 300}",  # 12: of the first version of the protocol
    f"\tnode1\t{KEY}",  # 13
    f"NODE1 {KEY}",  # 14
    f"node[1] {KEY}",  # 15: brackets are no pattern
    f"|1|broken {KEY}",  # 16
    f"@cert-authority *.site.test {KEY}",  # 17
    f"@revoked node1 {OTHER}",  # 18
    f"@future node1 {KEY}",  # 19
    f"@revoked @cert-authority node1 {KEY}",  # 20
]

NO_KEYS = {9, 11}  # ssh skips these lines; ssh-keygen -F compares names alone, and does not

FOUND: dict[str, set[int]] = {
    "node1": {1, 8, 13, 14, 18},
    "Node1": {1, 8, 13, 14, 18},
    "node2.site.test": {1, 2, 17},
    "login.site.test": {17},
    "secret.site.test": {2, 4, 17},
    "[gate]:2222": {3},
    "[gate]:2200": {5},
    "gate": set(),
    "10.0.0.1": {1},
    "node10": set(),
}


@pytest.mark.parametrize("name", FOUND)
def test_lines_about_a_host(name: str) -> None:
    entries = parse_known_hosts("\n".join(LINES), FILE)
    assert {entry.line for entry in lookup(entries, name)} == FOUND[name]


@pytest.mark.parametrize("name", FOUND)
def test_ssh_keygen_finds_the_same(name: str, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        assert not os.environ.get("CI"), "openssh-client is missing"
        pytest.skip("openssh-client is not installed; FOUND holds what it says")
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(LINES) + "\n")
    said = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(file)],
        capture_output=True, text=True, check=False, timeout=20,
    ).stdout  # fmt: skip
    lines = [line.rsplit("line ", 1)[1] for line in said.splitlines() if "found: line" in line]
    assert {int(line.split()[0]) for line in lines} - NO_KEYS == FOUND[name]


def test_an_entry_says_where_it_is_and_what_it_holds() -> None:
    (entry,) = lookup(parse_known_hosts(f"\n\n@revoked * {OTHER}\n", FILE), "anything")
    assert (entry.file, entry.line, entry.marker) == (FILE, 3, Marker.REVOKED)
    assert (entry.key_type, entry.key) == (
        "ecdsa-sha2-nistp256",
        public_blob(private_key("ecdsa", "known")),
    )


def test_dos_line_ends_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(b"\xff\xfe node\n" + f"node1 {KEY}\r\nnode2 {KEY}\x0c\r\n".encode())
    entries = read_known_hosts([tmp_path / "absent", file, tmp_path])
    assert [entry.names for entry in entries] == ["node1", "node2"]
    assert entries[0].line == 2


def test_names_with_ports() -> None:
    assert lookup_name("node1", 22) == "node1"
    assert lookup_name("node1", 2222) == "[node1]:2222"
    assert lookup_name("::1", 2222) == "[::1]:2222"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True), ("a*c", "abbc", True), ("a*c", "abcd", False), ("a?c", "abc", True),
        ("a?c", "ac", False), ("a.c", "abc", False), ("**b", "aab", True), ("", "", True),
        ("a*", "a\nb", True), ("(a|b)", "a", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, text: str, *, expected: bool) -> None:
    assert matches_pattern(text, pattern) is expected


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "AAAAC3NzaC1lZDI1NTE5"])
def test_what_is_no_key(text: str) -> None:
    assert parse_public_key("ssh-ed25519", text) is None
    assert parse_public_key("", text) is None
