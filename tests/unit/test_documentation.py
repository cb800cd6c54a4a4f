"""The documentation names what there is, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from prominence_hpc.adapter.config.keys import TOP_LEVEL, site_keys, storage_keys
from prominence_hpc.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests/site").glob("*.md")]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(#[^)\s]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target) if target else page
        assert path.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            ]
            assert anchor[1:] in anchors, f"{target}{anchor} has no such heading"


def test_every_configuration_key_is_documented() -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([a-z_0-9]+)`", text)) | set(re.findall(r"\[([a-z]+)[\].]", text))
    assert {*TOP_LEVEL, *storage_keys(), *site_keys()} <= words


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## prominence (\w+)$", text, re.MULTILINE) == list(COMMANDS)
