from pathlib import Path

import pytest

from prominence_hpc.backends.slurm.spank import has_spank_plugins


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("# optional comment.so\n\n   \n", False),
        ("include /nowhere/*.conf\n", False),
        ("optional /usr/lib64/slurm/private-tmpdir.so base=/tmp\n", True),
        ("include plugstack.conf.d/*.conf\n", True),
        ("required=typo", True),
    ],
)
def test_plugstack(tmp_path: Path, text: str, expected: bool) -> None:
    included = tmp_path / "plugstack.conf.d"
    included.mkdir()
    (included / "auks.conf").write_text("# kerberos\noptional auks.so\n")
    file = tmp_path / "plugstack.conf"
    file.write_text(text)
    assert has_spank_plugins(str(file)) is expected


def test_the_file_beside_slurm_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    assert not has_spank_plugins(None)
    (tmp_path / "plugstack.conf").write_text("required x.so\n")
    assert has_spank_plugins(None)


def test_what_cannot_be_read_may_name_some(tmp_path: Path) -> None:
    assert has_spank_plugins(str(tmp_path))  # a folder
