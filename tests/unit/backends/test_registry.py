import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from prominence_hpc.backends import BACKENDS, detect_backend
from prominence_hpc.backends.settings import BackendName, SiteSettings
from tests.unit.backends.helpers import FakePrograms


@pytest.mark.parametrize("name", get_args(BackendName))
def test_every_backend_is_made_by_its_name(name: BackendName, tmp_path: Path) -> None:
    backend = BACKENDS[name](SiteSettings(name="here", backend=name), tmp_path)
    assert backend.name == name
    assert list(tmp_path.iterdir()) == []


def test_what_the_machine_has(programs: FakePrograms) -> None:
    assert detect_backend() == "local"
    programs.add("condor_submit")
    assert detect_backend() == "htcondor"
    programs.add("sbatch")
    assert detect_backend() == "slurm"


@pytest.mark.parametrize("name", get_args(BackendName))
def test_making_a_backend_imports_nothing_heavy(name: str) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from prominence_hpc.backends import BACKENDS\n"
        "from prominence_hpc.backends.settings import SiteSettings\n"
        f"BACKENDS[{name!r}](SiteSettings(name='here', backend={name!r}), Path('/'))\n"
        "heavy = {'htcondor2', 'classad2', 'logging', 'shutil', 'tempfile', 'asyncio'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "src"},
        cwd=Path(__file__).parents[3],
    )
    assert ended.stdout == "[]\n"
