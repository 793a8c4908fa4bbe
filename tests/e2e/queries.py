"""The metrics that deploy/ queries, and those that the daemons declare."""

import re
import subprocess

from cluster import BIN, REPOSITORY

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
GRAFANA = REPOSITORY / "deploy" / "grafana"
RULES = [PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml"]

_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def metrics_in(text):
    """Names of metrics and of recorded series in PromQL, a histogram's without _bucket, _sum and _count."""
    names = set(re.findall(r"\b(?:lockstep|process)_\w+|\blockstep:[\w:]+", text))
    return {_SUFFIX.sub("", name) for name in names}


def recorded():
    return set(re.findall(r"record: (\S+)", RULES[0].read_text()))


def declared():
    """{name: (type, labels)} of both daemons, from the daemons themselves."""
    found = {}
    for daemon in ("lockstep-coordinator", "lockstep-worker"):
        printed = subprocess.run([BIN / daemon, "--print-metrics"], text=True, capture_output=True, check=True, timeout=60).stdout
        for name, kind, _, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| ([^|]*) \|", printed, re.MULTILINE):
            found[name] = (kind, frozenset(re.findall(r"\w+", labels)))
    return found
