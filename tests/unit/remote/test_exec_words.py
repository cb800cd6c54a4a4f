"""Which words of ``prominence exec`` are ours, and which the command's."""

import doctest
import subprocess

import pytest

from prominence_hpc.adapter.remote import reach
from prominence_hpc.cli import exec as cli_exec
from prominence_hpc.cli import streams
from prominence_hpc.cli.exec import exec_command, split_command, words_of


@pytest.mark.parametrize("module", [cli_exec, streams, reach])
def test_examples_in_the_source_are_true(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("line", "ours", "command"),
    [
        ("3 ls", "3", "ls"),
        ("job 3 ls -l", "3", "ls -l"),
        ("3 ls -n 5 --timeout 3 -it", "3", "ls -n 5 --timeout 3 -it"),
        ("-i -t 3 sh", "-i -t 3", "sh"),
        ("-it 3 sh", "-it 3", "sh"),
        ("3 -it sh -i", "3 -it", "sh -i"),
        ("-n 1 3 ls", "-n 1 3", "ls"),
        ("-n1 3 ls", "-n1 3", "ls"),
        ("-in 1 3 ls", "-in 1 3", "ls"),
        ("-itn1 3 ls", "-itn1 3", "ls"),
        ("3 --node 1 --timeout 9 ls", "3 --node 1 --timeout 9", "ls"),
        ("3 --node=1 --timeout=9 ls", "3 --node=1 --timeout=9", "ls"),
        ("--timeout 9 job 3 --host job", "--timeout 9 3 --host", "job"),
        ("3 job", "3", "job"),
        ("3", "3", ""),
        ("", "", ""),
        ("--help", "--help", ""),
        ("3 -n", "3 -n", ""),
    ],
)
def test_after_the_id_s_options_all_is_the_command(line: str, ours: str, command: str) -> None:
    assert split_command(line.split()) == (ours.split(), command.split(), False)


@pytest.mark.parametrize(
    ("line", "ours", "command"),
    [
        ("3 -- ls", "3", "ls"),
        ("3 -- -i -- x", "3", "-i -- x"),
        ("job 3 -n 1 -- -x", "3 -n 1", "-x"),
        ("-i 3 --", "-i 3", ""),
    ],
)
def test_after_two_dashes_words_are_exact(line: str, ours: str, command: str) -> None:
    assert split_command(line.split()) == (ours.split(), command.split(), True)


def test_two_dashes_of_the_command_are_its_own() -> None:
    assert split_command(["3", "git", "--", "x"]) == (["3"], ["git", "--", "x"], False)


@pytest.mark.parametrize("options", [["-it"], ["-n", "2"], ["-in", "2"], ["--timeout", "1.5"]])
def test_click_reads_the_options_as_they_were_split(options: list[str]) -> None:
    """One table of options says which take values; this holds it against click's."""
    context = exec_command.make_context("exec", [*options, "7", "--host", "echo", "-n", "--node"])
    assert context.params["job_id"] == 7
    assert context.params["host"] is True
    assert context.params["command"] == ("echo", "-n", "--node")


def test_every_option_with_a_value_is_known() -> None:
    for parameter in exec_command.params:
        if getattr(parameter, "is_flag", True) or parameter.nargs != 1:
            continue
        for option in parameter.opts:
            assert split_command([option, "1", "3", "x"]) == ([option, "1", "3"], ["x"], False)


@pytest.mark.parametrize("word", ["ls", "/usr/bin/env", "./run-it_2.sh", "a,b:c@d+e", "\xe9", ""])
def test_a_name_is_run_as_it_is(word: str) -> None:
    assert words_of((word,), exact=False) == [word]


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("echo a b", "a b\n"),
        ("printf 'x\ny\n' | wc -l", "2\n"),
        ("A=1; echo $A", "1\n"),
        ("echo\t$((1+1))", "2\n"),
        ("true&&echo yes", "yes\n"),
        ("echo 1\necho 2", "1\n2\n"),
    ],
)
def test_one_text_is_a_shell_s_to_read(text: str, output: str) -> None:
    argv = words_of((text,), exact=False)
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == output


@pytest.mark.parametrize("words", [("my tool",), ("a", "b c", "$d"), ("echo hello", "x")])
def test_words_are_words(words: tuple[str, ...]) -> None:
    assert words_of(words, exact=True) == list(words)
    if len(words) > 1:
        assert words_of(words, exact=False) == list(words)
