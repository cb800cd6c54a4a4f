"""Arrows go one way, floor by floor; the wrapper on the node imports nothing but itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ["errors", "wrappers", "backends", "adapter", "cli"]  # each may import those before it
SOURCES = [
    path
    for floor in ("wrappers", "backends", "adapter", "cli")
    for path in sorted((ROOT / floor).rglob("*.py"))
    if "runtime" not in path.relative_to(ROOT).parts
]
HEAVY = {
    "boto3",
    "botocore",
    "paramiko",
    "htcondor",
    "htcondor2",
    "yaml",
    "sqlite3",
    "rich",
    "pyslurm",
}


def imports_of(path: Path) -> set[str]:
    """Every module named in an import, wherever in the file it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def floor_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "prominence_hpc" and len(parts) > 1 else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    allowed = {*FLOORS[: FLOORS.index(own) + 1], "__version__"}
    used = {floor for module in imports_of(path) if (floor := floor_of(module))}
    assert used <= allowed, f"{own} must not import {used - allowed}"


def test_the_runtime_is_not_imported_by_the_login_side() -> None:
    users = [
        path
        for path in SOURCES
        if any(name.startswith("prominence_hpc.wrappers.runtime") for name in imports_of(path))
    ]
    assert users == []


def modules_after(*arguments: str) -> set[str]:
    """The modules that a run of the command has imported when it ends."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        "from prominence_hpc.cli.main import main\n"
        f"main({list(arguments)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("MODULES"))
    return {name.partition(".")[0] for name in line.split()}


def test_version_imports_nothing_heavy() -> None:
    imported = modules_after("--version")
    assert "click" in imported
    assert imported & (HEAVY | {"json", "tomllib", "socket", "ssl", "http"}) == set()


def test_dry_run_imports_no_storage_and_no_store() -> None:
    imported = modules_after("create", "--dry-run", "image.sif", "true")
    assert imported & (HEAVY | {"tomllib", "socket", "ssl", "http"}) == set()
