"""A pyslurm of our own, for what we make of its words; the real one is tested on a real Slurm."""

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FakePyslurm"]


class PyslurmError(Exception):
    pass


class RPCError(PyslurmError):
    def __init__(self, errno: int, msg: str) -> None:
        super().__init__(msg)
        self.errno = errno


class FakePyslurm:
    """What it does is set before the child is made; what it was asked is kept in a file."""

    def __init__(self, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = calls
        self.config: dict[str, Any] = {
            "version": "25.11.4",
            "accounting_storage_type": "accounting_storage/slurmdbd",
            "accounting_store_flags": ["JOB_COMMENT"],
            "cli_filter_plugins": [],
            "plugin_stack_config": "/nowhere/plugstack.conf",
        }
        self.headers = (25, 11, 2)
        self.jobs: dict[int, dict[str, Any]] = {}
        self.raised: Exception | None = None
        for name, module in self._modules().items():
            monkeypatch.setitem(sys.modules, name, module)

    def heard(self) -> list[list[Any]]:
        text = self.calls.read_text() if self.calls.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def refuse(self, words: str, errno: int = 2000) -> None:
        self.raised = RPCError(errno, words)

    def note(self, *words: Any) -> None:
        with self.calls.open("a") as file:  # calls are made in a child process
            file.write(json.dumps(words, default=list) + "\n")  # iterators too

    def _modules(self) -> dict[str, types.ModuleType]:
        fake = self

        class Description:
            def __init__(self, **attributes: Any) -> None:
                self.attributes = attributes

            def submit(self) -> int:
                fake.note("submit", self.attributes, dict(os.environ))
                if fake.raised is not None:
                    raise fake.raised
                return 4711

        class Job:
            def __init__(self, number: int) -> None:
                self.number = number

            @staticmethod
            def load(number: int) -> Any:
                fake.note("load", number)
                if number not in fake.jobs:
                    raise RPCError(2017, "Invalid job id specified")
                return types.SimpleNamespace(id=number, user_id=os.getuid(), **fake.jobs[number])

            def cancel(self) -> None:
                fake.note("cancel", self.number)
                if fake.raised is not None:
                    raise fake.raised

        pyslurm = types.ModuleType("pyslurm")
        vars(pyslurm).update(
            __version__="25.11.2",
            PyslurmError=PyslurmError,
            RPCError=RPCError,
            JobSubmitDescription=Description,
            Job=Job,
            slurmctld=types.SimpleNamespace(Config=types.SimpleNamespace(load=self._config)),
        )
        deprecated = types.ModuleType("pyslurm.deprecated")
        vars(deprecated).update(slurm_api_version=lambda: fake.headers)
        return {"pyslurm": pyslurm, "pyslurm.deprecated": deprecated}

    def _config(self) -> Any:
        return types.SimpleNamespace(**self.config)
