"""A trainer that gets only a part of its processor, or a node whose link is slow: it is named as the one that the others wait for, until it is as fast as
they are."""

import os
import re
import signal
import threading
import time
import unittest

from cluster import metric, until
from network import NetworkCluster, why_not
from schedule import Schedule, spec


def cpu(pid):
    """Clock ticks that it has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Throttle(threading.Thread):
    """Lets a process run a part of the time."""

    def __init__(self, pid, run=0.01, stop=0.04):
        super().__init__(daemon=True)
        self.pid, self.run_, self.stop_, self.over = pid, run, stop, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(self.stop_)
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(self.run_)

    def end(self):
        self.over.set()
        self.join()


class Stragglers(Schedule):
    def test_a_throttled_rank_is_named_until_it_runs_free(self):
        self.cluster_ = self.cluster(threads=1, workers=2)
        endless = spec({"min": 2, "max": 2})
        endless["train"] = {**endless["train"], "epochs": 1000000}
        self.job = self.cluster_.submit(endless)
        self.cluster_.wait_step(self.job, 200)
        metrics = self.cluster_.coordinator.addresses["metrics"]
        until(lambda: metric(metrics, "lockstep_rank_step_seconds"), "the ranks' step times")
        self.assertEqual(metric(metrics, "lockstep_rank_straggler"), 0)
        slow = next(member for member in self.now()["members"] if member["rank"] == 1)
        # The trainer at work, not the one that waits to follow it.
        busiest = max(self.cluster_.trainers(slow["worker"]), key=cpu)
        throttle = Throttle(busiest)
        try:
            named = until(lambda: next((member for member in self.now()["members"] if member.get("straggler")), None), "the straggler to be named")
            self.assertEqual(named["worker"], slow["worker"])
            self.assertSays(named["straggler"], "compute: .* ms of a step, the others")
            # While it is throttled: the first report of a step as fast as the others' takes the name away.
            until(lambda: metric(metrics, "lockstep_rank_straggler") == 1, "the metric to say so")
            until(lambda: re.search(f"Straggler +rank 1 on {slow['worker']}", self.cluster_.lockstep("describe", self.job).stdout), "describe to say so")
        finally:
            throttle.end()
        until(lambda: not any(member.get("straggler") for member in self.now()["members"]), "the straggler to be forgiven")
        self.cluster_.lockstep("cancel", self.job)

    def test_a_node_behind_a_slow_link_is_named_until_the_link_is_good(self):
        if why_not():
            self.skipTest(why_not())
        cluster = self.cluster_ = NetworkCluster(3)
        self.addCleanup(cluster.close)
        cluster.start()
        endless = spec({"min": 3, "max": 3})
        endless["train"] = {**endless["train"], "epochs": 1000000}
        self.job = cluster.submit(endless)
        cluster.wait_step(self.job, 200)
        slow = next(member for member in self.now()["members"] if member["rank"] == 1)
        try:
            cluster.worsen(slow["worker"], "tbf", "rate", "40mbit", "burst", "64kbit", "latency", "400ms")
        except OSError as error:
            self.skipTest(str(error))
        named = until(lambda: next((member for member in self.now()["members"] if member.get("straggler")), None), "the straggler to be named")
        self.assertEqual(named["worker"], slow["worker"])
        self.assertSays(named["straggler"], "communication: .* ms of a step, the others")
        cluster.better(slow["worker"])
        until(lambda: not any(member.get("straggler") for member in self.now()["members"]), "the straggler to be forgiven")
        cluster.lockstep("cancel", self.job)


if __name__ == "__main__":
    unittest.main()
