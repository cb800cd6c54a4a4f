"""Run as a program: says "ready", waits for a time on its input, and recovers as of that time."""

import json
import sys
from pathlib import Path

from prominence_hpc.adapter.store.store import Store
from prominence_hpc.adapter.submission import recover
from tests.unit.submission.fake_scheduler import FakeBackend

if __name__ == "__main__":
    backend = FakeBackend(Path(sys.argv[2]), delay_seconds=0.02)
    with Store(Path(sys.argv[1])) as store:
        print("ready", flush=True)
        outcomes = recover(store, lambda _: backend, now=float(sys.stdin.readline()))
    print(json.dumps([[outcome.job_id, outcome.outcome] for outcome in outcomes]))
