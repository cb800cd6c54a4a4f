"""Both sides of the connection speak of the same frames."""

import json
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prominence_hpc.wrappers import frames as login
from prominence_hpc.wrappers.runtime import frames as node

Feed = Callable[[bytes], Iterable[tuple[bytes, bytes]]]

some_frames = st.lists(
    st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=300)), max_size=8
)


def constants(module: ModuleType) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, bytes | int | float)
    }


def test_constants_are_the_same() -> None:
    ours, theirs = constants(login), constants(node)
    # How much the node reads at once; typing without the module; the shell's exit code.
    own = {"BLOCK", "TYPE_CHECKING", "NO_WAY_IN"}
    assert ours.keys() ^ theirs.keys() == own
    shared = ours.keys() & theirs.keys()
    assert len(shared) > 15
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert login.HEADER.format == node.HEADER.format


def test_every_kind_is_one_byte_and_another() -> None:
    kinds = [value for value in constants(login).values() if isinstance(value, bytes)]
    kinds.remove(login.MAGIC)
    assert {len(kind) for kind in kinds} == {1}
    assert len(set(kinds)) == len(kinds)


def through(feed: Feed, data: bytes, cuts: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """The frames that come out where the data come in pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    found: list[tuple[bytes, bytes]] = []
    for start, end in pairwise(places):
        found += feed(data[start:end])
    return found


@given(sent=some_frames, cuts=st.lists(st.integers(0, 3000), max_size=30))
def test_what_one_side_packs_the_other_reads(
    sent: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    by_login = b"".join(login.pack(kind, payload) for kind, payload in sent)
    by_node = b"".join(node.pack(kind, payload) for kind, payload in sent)
    assert by_login == by_node
    assert through(login.FrameReader().feed, by_node, cuts) == sent
    assert through(node.FrameReader().feed, by_login, cuts) == sent


@given(sent=some_frames)
def test_byte_by_byte(sent: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(login.pack(kind, payload) for kind, payload in sent)
    assert through(login.FrameReader().feed, data, range(len(data))) == sent
    assert through(node.FrameReader().feed, data, range(len(data))) == sent


@given(text=st.text(st.characters(exclude_categories=())), number=st.integers(0, 2**32 - 1))
def test_json_and_counts(text: str, number: int) -> None:
    document = {"path": text, "number": number}
    assert login.pack_json(b"R", document) == node.pack_json(b"R", document)
    ((_, payload),) = node.FrameReader().feed(login.pack_json(b"R", document))
    assert json.loads(payload.decode("ascii")) == document
    ((_, payload),) = login.FrameReader().feed(node.pack_count(node.ACK, number))
    assert login.count_of(payload) == number


@pytest.mark.parametrize(
    ("feed", "error"),
    [(login.FrameReader().feed, ValueError), (node.FrameReader().feed, node.Broken)],
)
def test_too_long_a_frame_is_refused_before_it_has_come(feed: Feed, error: type[Exception]) -> None:
    data = login.pack(b"O", b"before") + struct.pack(">cL", b"O", login.LONGEST + 1)
    frames = iter(feed(data))
    assert next(frames) == (b"O", b"before")
    with pytest.raises(error, match="a frame of 16777217 bytes"):
        next(frames)


@pytest.mark.parametrize("reader", [login.FrameReader, node.FrameReader])
def test_the_longest_frame_is_taken(reader: type[login.FrameReader]) -> None:
    payload = bytes(login.LONGEST)
    found = through(reader().feed, login.pack(b"O", payload), [1, 1 << 16, 1 << 20])
    assert [(kind, len(data)) for kind, data in found] == [(b"O", len(payload))]


# Over ssh the user's own shell reads the words first, quoted by single quotes: within them csh
# replaces "!" and ends at a newline, and fish reads a backslash.
def test_no_shell_reads_the_words_otherwise() -> None:
    for word in login.ENTER_ARGV:
        assert not set("!'\\\n") & set(word), word
        assert word.isascii()


@pytest.mark.parametrize("folder", ["/a b/$HOME`id`'\"", "/x\ny", "/-n"])
def test_the_folder_is_a_word_of_its_own(folder: str) -> None:
    assert login.enter_argv(folder) == [*login.ENTER_ARGV, folder]


@pytest.mark.parametrize("folder", [None, "", "/not/there"])
def test_no_way_in_has_an_exit_code_of_its_own(
    folder: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    argv = login.enter_argv(str(empty) if folder is None else folder)
    done = subprocess.run(argv, cwd=empty, env={}, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (login.NO_WAY_IN, b"")


def test_a_copy_s_folder_counts_from_htcondor_s_own(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/enter").write_text("pwd; exit 5\n")
    environment = {"_CONDOR_SCRATCH_DIR": str(tmp_path)}
    argv = login.enter_argv("7")
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (5, f"{tmp_path}/7\n")


def test_a_folder_of_its_own_is_found_whatever_htcondor_said_before(tmp_path: Path) -> None:
    (tmp_path / "enter").write_text("exit 5\n")
    environment = {"_CONDOR_SCRATCH_DIR": "/not/there/any/more"}
    argv = login.enter_argv(str(tmp_path))
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, check=False)
    assert done.returncode == 5


@pytest.mark.parametrize("variable", [False, True])
def test_enter_is_run_in_its_folder(
    variable: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp('it\'s a "folder" $x')
    (folder / "enter").write_text("pwd; exit 5\n")  # not executable: noexec mounts are no matter
    argv = login.enter_argv("" if variable else str(folder))
    environment = {"_CONDOR_SCRATCH_DIR": str(folder) if variable else "/"}
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (5, f"{folder}\n")
