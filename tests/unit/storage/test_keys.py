"""Names that can be stored, and names that are refused with the reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prominence_hpc.adapter.storage.keys import check_key, is_hidden
from prominence_hpc.errors import UsageError

SEGMENT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20
).filter(lambda text: text not in {".", ".."} and not text.startswith(".prominence"))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/a", "empty part"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a/../b", "'..'"),
        ("./a", "'.'"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\udcffb", "UTF-8"),
        ("é" * 128, "longer than 255 bytes"),
        ("/".join(["x" * 200] * 6), "longer than 1024 bytes"),
        ("uploads/alice/.prominence/x", "kept for PROMINENCE"),
    ],
)
def test_refused(key: str, reason: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a stored object") as raised:
        check_key(key)
    assert reason in str(raised.value)


@settings(deadline=None)
@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_everything_else_is_taken(segments: list[str]) -> None:
    check_key("/".join(segments))
    assert not is_hidden("/".join(segments))


def test_limits_are_inclusive() -> None:
    check_key("é" * 127 + "x")
    check_key("/".join(["x" * 204] * 5))
