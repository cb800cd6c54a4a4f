"""Descriptions from files and URLs: JSON, YAML, and one sentence for what is neither."""

import functools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.job_file import read_description
from prominence_hpc.errors import (
    NotFoundError,
    ProminenceError,
    SpecError,
    UsageError,
)

YAML_JOB = """
name: test1
resources: {memory: 1}
tasks:
  - image: busybox
    cmd: echo Hello
"""
JOB = {
    "name": "test1",
    "resources": {"memory": 1},
    "tasks": [{"image": "busybox", "cmd": "echo Hello"}],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("job.json", json.dumps(JOB)),
        ("job", json.dumps(JOB, indent="\t")),
        ("job.yaml", json.dumps(JOB, indent="\t")),  # tabs are not YAML
        ("job.yml", YAML_JOB),
        ("job", YAML_JOB),
        ("job.json", json.dumps(JOB)[:-1] + ",}"),  # PROMINENCE takes it as YAML
        ("job.json", "\ufeff" + json.dumps(JOB)),
    ],
)
def test_json_and_yaml_whatever_the_suffix(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert read_description(str(file)) == JOB


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": 1\n "b": 2}', "is not valid JSON: line 2, column 2: Expecting"),
        ("a.yaml", "a: 1\n b: 2\n", "is not valid YAML: line 2, column 3: mapping values"),
        ("a", '{"a": [}', "is not valid JSON: line 1, column 8: Expecting value"),
        ("a", "a: [", "is not valid YAML: line 2, column 1: did not find expected node"),
        ("a.json", '{"a": 1, "a": 2}', 'cannot be used: the key "a" is given twice in one object'),
        ("a.yaml", "a: {x: 1, y: 2, x: 3}", 'line 1, column 17: the key "x" is given twice'),
        ("a.yaml", "yes: 1\n'yes': 2", 'line 2, column 1: the key "yes" is given twice'),
        ("a.yaml", "a: !!python/object:os.x {}", "line 1, column 4: could not determine"),
        ("a.yaml", "a: !!timestamp 2020-01-01", "line 1, column 4: could not determine"),
        ("a.yaml", "[a]: 1", "line 1, column 1: a key must be text"),
        ("a.yaml", "a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a.yaml", "a: \x07", "is not valid YAML: "),
        ("a.json", "[" * 200_000, "cannot be used: nested too deeply"),
        ("a.yaml", "- " * 200_000, "nested more than 100 levels deep"),
        ("a.yaml", "a: " + "[" * 200_000, "nested more than 100 levels deep"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "holds a number of too many digits"),
        ("a.yaml", "a: " + "9" * 5000, "holds a value that cannot be read"),
        ("a.json", "[1]", "must hold one object, a job or a workflow, not a list"),
        ("a.yaml", "", "must hold one object, a job or a workflow, not nothing"),
        ("a", "hello", 'must hold one object, a job or a workflow, not the text "hello"'),
    ],
)
def test_malformed_texts(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_description(str(file))
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{file} ")
    assert message in str(problem)
    assert "\n" not in str(problem)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"/none\.json does not exist"):
        read_description(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_description(str(tmp_path))
    binary = tmp_path / "binary"
    binary.write_bytes(b"{\xff")
    with pytest.raises(SpecError, match=r"is not UTF-8 text \(byte 2\)"):
        read_description(str(binary))


def test_yaml_keeps_what_looks_like_text(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        """
tasks:
- image: &image busybox
  env:
    DATE: 2024-01-02
    TIME: 1:30
    OCTAL: 007
    HEX: 0x10
    EQUALS: =
    NO: x
    ONE: one
    INTEGER: 12
    NEGATIVE: -1
    FLOAT: 1.5
    EXPONENT: 1e3
    DOT: .5
    VERSION: 1.2.3
    UNDERSCORE: 1_000
    QUOTED: 'yes'
- {image: *image}
resources: {memory: 1}
"""
    )
    first, second = decode_job(read_description(str(file))).tasks
    assert second.image == "busybox"
    assert first.env == {
        "DATE": "2024-01-02",
        "TIME": "1:30",
        "OCTAL": "007",
        "HEX": "0x10",
        "EQUALS": "=",
        "NO": "x",
        "ONE": "one",
        "INTEGER": "12",
        "NEGATIVE": "-1",
        "FLOAT": "1.5",
        "EXPONENT": "1000.0",
        "DOT": "0.5",
        "VERSION": "1.2.3",
        "UNDERSCORE": "1_000",
        "QUOTED": "yes",
    }


def test_yaml_merges_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_description(str(file))["b"] == {"x": 1, "y": 3}


def test_yamls_yes_and_no_lead_to_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("tasks: [{image: x, cmd: yes}]\nresources: {memory: 1}\n")
    with pytest.raises(SpecError) as caught:
        decode_job(read_description(str(file)))
    assert str(caught.value) == "tasks[0].cmd: must be text, not true; write it in quotes"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, pages: dict[str, bytes], *arguments: object) -> None:
        self.pages = pages
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    pages = {
        "/job.json?token=s3cret": json.dumps(JOB).encode(),
        "/job": YAML_JOB.encode(),
        "/broken.json?token=s3cret": b"{,}",
        "/inputs.json": json.dumps(JOB | {"inputs": ["file:///etc/hostname"]}).encode(),
    }
    with HTTPServer(("127.0.0.1", 0), functools.partial(Handler, pages)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_descriptions_from_urls(address: str) -> None:
    assert read_description(f"{address}/job.json?token=s3cret") == JOB
    assert read_description(f"{address}/job") == JOB
    with pytest.raises(NotFoundError, match="/none cannot be fetched: the server answered 404"):
        read_description(f"{address}/none")
    with pytest.raises(SpecError) as caught:
        read_description(f"{address}/broken.json?token=s3cret")
    assert str(caught.value).startswith(f"{address}/broken.json is not valid JSON: line 1")


def test_a_description_from_a_url_gets_no_local_files(address: str) -> None:
    with pytest.raises(SpecError) as caught:
        decode_job(read_description(f"{address}/inputs.json"))
    assert str(caught.value) == (
        "inputs[0]: file:// is read by `prominence run` from a local description only"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/job.json", "https://:x/", "http://"])
def test_addresses_that_do_not_answer(url: str) -> None:
    with pytest.raises(ProminenceError, match="cannot be fetched: "):
        read_description(url)
