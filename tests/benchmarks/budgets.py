"""What a row may take, and the result that is held against it. Shared by both sides."""

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

# TIMES: at most `limit` times the bare counterpart; OVER: at most `limit` seconds more than it;
# SECONDS: at most `limit` by itself; RATE: at least `limit` MB/s.
Kind = Literal["times", "over", "seconds", "rate"]

MB: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Budget:
    kind: Kind
    limit: float
    resident_mib: int | None = None  # peak of the largest process


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the table; times in seconds, medians of `runs` each."""

    row: str
    ours: float
    bare: float | None
    beside: str  # what the bare counterpart is
    runs: int
    size_bytes: int | None
    resident_mib: float | None
    budget: Budget

    def value(self) -> float:
        """The number that the budget limits."""
        match self.budget.kind:
            case "times":
                return self.ours / self._bare()
            case "over":
                return self.ours - self._bare()
            case "seconds":
                return self.ours
            case "rate":
                return (self.size_bytes or 0) / MB / self.ours

    def within(self) -> bool:
        limit = self.budget.limit
        well = self.value() >= limit if self.budget.kind == "rate" else self.value() <= limit
        return well and not self._too_large()

    def _too_large(self) -> bool:
        allowed = self.budget.resident_mib
        return allowed is not None and self.resident_mib is not None and self.resident_mib > allowed

    def _bare(self) -> float:
        if self.bare is None:
            message = f"the row {self.row} has a budget relative to nothing"
            raise ValueError(message)
        return self.bare


def encode(result: Result) -> str:
    return json.dumps(asdict(result))


def decode(line: str) -> Result:
    fields = json.loads(line)
    return Result(**{**fields, "budget": Budget(**fields["budget"])})
