"""What the measurements of recovery share: moments in the daemons' logs, and how values are spread."""

import datetime
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))

STAMP = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z"
NEXT_STEP = r" info +coordinator: job .*recovering -> running"


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp + "+00:00").timestamp()


def first_after(text, pattern, after):
    """The time of the first line that matches and is not before `after`, less the millisecond of the stamps; None: none yet."""
    times = [seconds(match[1]) for match in re.finditer(STAMP + pattern, text)]
    return min((at for at in times if at >= after - 0.001), default=None)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def on_all(cluster, job, workers):
    """The job if it runs on so many devices and nothing is under way; else something false."""
    now = cluster.job(job)
    return (now["state"] == "JOB_STATE_RUNNING" and len(now["members"]) == workers
            and re.match(r"running on \d+ devices?(,|$)(?! growing)", now["reason"]) and now)


def tell(name, values):
    print(f"{name:10} p50 {1e3 * quantile(values, 0.5):6.0f} ms   p99 {1e3 * quantile(values, 0.99):6.0f} ms   "
          f"longest {1e3 * max(values):6.0f} ms")
