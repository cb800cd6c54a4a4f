"""What messages show of addresses."""

import pytest

from prominence_hpc.wrappers.runtime.text import redact, scrub


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:pw@host:80/a b.tar?X-Amz-Signature=1#x", "https://host:80/a b.tar"),
        ("https://me@host", "https://host"),
        ("http://me:pw@[::1]:80/a", "http://[::1]:80/a"),
        ("http://[fe80::a]/a", "http://[fe80::a]/a"),
        ("https://me:p?w@host/a", "https://..."),
        ("https://me:p/w@host/a", "https://.../w@host/a"),
        ("https://host/a@b:c", "https://host/a@b:c"),
        ("docker://alpine:latest", "docker://alpine:latest"),
        ("docker://alpine@sha256:12", "docker://alpine@sha256:12"),
        ("docker://me:pw@host/alpine@sha256:12", "docker://host/alpine@sha256:12"),
        ("data/a?b", "data/a?b"),
    ],
)
def test_redact(address: str, shown: str) -> None:
    assert redact(address) == shown
    assert redact(shown) == shown


def test_scrub() -> None:
    words = 'artifact https://me:pw@host: Get "https://me:pw@host/a?token=1": EOF, see http://h.'
    said = 'artifact https://host: Get "https://host/a": EOF, see http://h.'
    assert scrub(words) == said
    assert scrub("nothing: at //all?") == "nothing: at //all?"
