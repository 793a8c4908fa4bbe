"""What the benchmark scripts share: a digits job through `lockstep run`, and reading rates off a finished job."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
from datetime import datetime

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def _seconds(timestamp):
    """RFC 3339 as protobuf's JSON prints it, to seconds; datetime alone stops at microseconds."""
    whole, fraction = re.fullmatch(r"(.*?)(\.\d+)?Z", timestamp).groups()
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(fraction or 0)


def since(job, first, last):
    return _seconds(job[last]) - _seconds(job[first])


def job_steps_per_second(job):
    """Optimizer steps by the time from the end of the first one to the job's stored end (evaluation and model included)."""
    return (int(job["progress"]["step"]) - 1) / since(job, "startedAt", "finishedAt")


def run_example(binaries, name, output, workers, settings):
    """`lockstep run examples/NAME.yaml`; returns (job, wall seconds)."""
    command = [str(pathlib.Path(binaries) / "lockstep"), "run", str(REPOSITORY / "examples" / f"{name}.yaml"), "--workers",
               str(workers), "--output", str(output), "-o", "json"]
    for setting in settings:
        command += ["--set", setting]
    started = time.perf_counter()
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"})
    wall = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout), wall


def run_digits(binaries, output, workers, epochs=None, seed=None, further=()):
    """`lockstep run examples/digits.yaml`; returns (job, wall seconds). With `epochs`: that long, no early stop, and no
    checkpoint but the last, as the peers' loops write none."""
    settings = list(further)
    if epochs is not None:
        settings += [f"train.epochs={epochs}", f"train.early_stopping.patience={epochs}", "checkpoint.every=3600s"]
    if seed is not None:
        settings.append(f"seed={seed}")
    return run_example(binaries, "digits", output, workers, settings)
