"""Stage-out: what the plan calls outputs, found in the working directory and stored."""

import os
import stat

from .errors import OUTPUT_MISSING, UPLOAD_FAILED, Stopped, TransferError, UnsafeName
from .patterns import expand
from .text import decode, encode, scrub, shown
from .upload import file_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from .log import Log
    from .namespace import Namespace
    from .planfile import PlanFile
    from .report import ReportFile
    from .upload import Body, Uploader

# Of packed folders that wait in memory for their length to be known: a part of the job's memory,
# which its tasks have left by now; four folders may be under way at once.
MEMORY_PART, LEAST_BYTES, MOST_BYTES = 1 / 8, 32 << 20, 512 << 20


class Missing(Exception):
    """An output that is not there, or is of another kind."""


class StageOut:
    """Stores outputs one by one; what fails is noted and the rest goes on."""

    def __init__(
        self,
        plan: "PlanFile",
        namespace: "Namespace",
        uploader: "Uploader",
        report: "ReportFile",
        log: "Log",
    ) -> None:
        self.plan = plan
        self.namespace = namespace
        self.uploader = uploader
        self.log = log
        self.entries = [
            {"name": output["name"], "kind": output["kind"], "objects": [], "error": None}
            for output in plan.document["outputs"]
        ]  # type: list[dict[str, Any]]
        self.reasons: "dict[int, str]" = {}
        report.document["outputs"] = self.entries

    def store(self, index: int) -> None:
        """Store one output; its entry in the report says what came of it. Raises nothing of it."""
        output = self.plan.document["outputs"][index]
        entry = self.entries[index]
        self.log("output %s: begins" % output["name"])
        try:
            for name, body in self._bodies(output):
                stored = self.uploader.store(
                    lambda: dict(self.plan.document["outputs"][index]["destination"]),
                    name,
                    body,
                    lambda words: self.log("output %s: %s" % (output["name"], words)),
                )
                entry["objects"].append(stored)
        except (Missing, UnsafeName) as error:
            self._failed(index, OUTPUT_MISSING, str(error))
        except TransferError as error:
            self._failed(index, UPLOAD_FAILED, str(error))
        except OSError as error:
            self._failed(index, UPLOAD_FAILED, error.strerror or str(error))
        except Stopped:
            self._failed(index, UPLOAD_FAILED, "no time was left for it")
        else:
            self.log("output %s: stored" % output["name"])

    def _failed(self, index: int, reason: str, words: str) -> None:
        name = self.entries[index]["name"]
        words = scrub(words)
        self.entries[index]["error"] = words
        self.reasons[index] = reason
        self.log("output %s: %s" % (name, words))

    def unfinished(self) -> None:
        """Time was over: say so of every output that had no end yet."""
        for index, entry in enumerate(self.entries):
            if entry["error"] is None and not entry["objects"]:
                self._failed(index, UPLOAD_FAILED, "no time was left for it")

    def failure(self) -> "tuple[str, str] | None":
        """Reason and detail of the first output, in the plan's order, that was not stored."""
        if not self.reasons:
            return None
        first = min(self.reasons)
        entry = self.entries[first]
        more = " (and %d more)" % (len(self.reasons) - 1) if len(self.reasons) > 1 else ""
        return self.reasons[first], "Output %s: %s%s." % (
            shown(entry["name"]),
            entry["error"],
            more,
        )

    def _bodies(self, output: "dict[str, Any]") -> "Iterator[tuple[str, Body]]":
        if output["kind"] == "pattern":
            for name, path in self._matches(encode(output["name"])):
                yield output["object_name"] + decode(name), file_body(path)
            return
        path = self.namespace.resolve(encode(output["name"]))
        kind = _kind(path)
        if output["kind"] == "file":
            if kind != stat.S_IFREG:
                msg = "it is not a regular file"
                raise Missing(msg)
            yield output["object_name"], file_body(path)
        else:
            if kind != stat.S_IFDIR:
                msg = "it is not a directory"
                raise Missing(msg)
            known = output["destination"]["method"] != "folder"
            yield output["object_name"], self._folder_body(path, encode(output["name"]), known)

    def _matches(self, pattern: bytes) -> "list[tuple[bytes, bytes]]":
        """The regular files that match, each with its name below the working directory."""
        found = []
        for name in sorted(expand(self.namespace, pattern)):
            path = self.namespace.resolve(name)
            # Of "*/x" those that there are: a folder need not have an x.
            if os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode):
                found.append((name.lstrip(b"/"), path))
        if not found:
            msg = "no file matches"
            raise Missing(msg)
        return found

    def _memory(self) -> int:
        part = int(self.plan.document["memory_gb"] * MEMORY_PART * (1 << 30))
        return max(LEAST_BYTES, min(part, MOST_BYTES))

    def _folder_body(self, path: bytes, name: bytes, need_length: bool) -> "Body":
        from .packing import folder_body

        top = os.path.basename(name.rstrip(b"/")) or b"output"
        threads = max(1, min(int(self.plan.document["cpus"]), os.cpu_count() or 1, 8))
        body, folder = folder_body(path, top, threads, self._memory() if need_length else 0)
        for skipped in folder.skipped:
            self.log("output %s: %s is no file and is left out" % (decode(name), decode(skipped)))
        return body


def _kind(path: bytes) -> int:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError as error:
        msg = "no such file or directory"
        raise Missing(msg) from error
