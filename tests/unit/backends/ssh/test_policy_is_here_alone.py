"""No other part of the project talks SSH, and importing this one costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
SOURCES = [
    path
    for folder in ("adapter", "backends", "cli", "wrappers", "src/prominence_hpc")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.is_relative_to(ROOT / "backends" / "ssh")
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_imports_paramiko(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(name.name.partition(".")[0] == "paramiko" for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] != "paramiko"
        elif isinstance(node, ast.Attribute):
            assert node.attr != "set_missing_host_key_policy"


def test_nobody_at_all_accepts_unseen_keys() -> None:
    for path in (ROOT / "backends" / "ssh").glob("*.py"):
        names = {
            node.id if isinstance(node, ast.Name) else node.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name | ast.alias)
        }
        assert not names & {"AutoAddPolicy", "WarningPolicy", "MissingHostKeyPolicy", "SSHClient"}


def test_paramiko_is_imported_when_a_connection_is_made() -> None:
    code = (
        "import sys\n"
        "from prominence_hpc.backends.ssh import client_config, connect, host_keys, shell\n"
        "print(sorted({'paramiko', 'cryptography'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
