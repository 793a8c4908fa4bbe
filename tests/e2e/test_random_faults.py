"""A seeded plan of random faults, each of which is seen to hit a rank at work, a node, the network or the coordinator.

LOCKSTEP_SEED chooses another plan; LOCKSTEP_NIGHTLY=1 makes it five times as long. Where network namespaces are allowed, each worker is one and may be cut
off; elsewhere the plan goes without cuts, and says so.
"""

import contextlib
import os
import random
import re
import signal
import time
import unittest

from cluster import FINAL, until
from network import NetworkCluster, why_not
from schedule import NIGHTLY, Schedule, spec

FEWEST = 3  # workers; where a fault leaves fewer, a new one starts
WORKERS = {"min": 1, "max": 8, "silence": "1s"}


def process_state(pid):
    """As in proc(5), "T": stopped. None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def step(job):
    return int(job.get("progress", {}).get("step", 0))


class RandomPlan(Schedule):
    # One of each is dealt before any comes again, so that no seed leaves one out. A fault is a method that returns what it hit; None: the job ended first.
    KINDS = ("kill", "segv", "two_at_once", "stop", "node", "cut", "drain", "add", "coordinator", "corrupt")

    def test_random_faults(self):
        seed = int(os.environ.get("LOCKSTEP_SEED", "1"))
        self.chance, self.added = random.Random(seed), 0
        reason, faults = why_not(), 100 if NIGHTLY else 20
        kinds = [kind for kind in self.KINDS if not (reason and kind == "cut")]
        cluster = self.cluster(threads=1, workers=FEWEST, allow_chaos=True) if reason else self.started(NetworkCluster(FEWEST, allow_chaos=True))
        self.begin_on(cluster, WORKERS)
        hits, tries, jobs, deck = [], 0, 1, []
        while len(hits) < faults:
            tries += 1
            self.assertLess(tries, 5 * faults, f"{deck[-1:]} hits nothing, again and again; before it hit {hits}")
            if self.over():  # on a fast machine; the plan goes on with another one
                self.ends_as_the_quiet_run()
                self.job, jobs = cluster.submit(spec(WORKERS)), jobs + 1
                self.makes_a_step()
            deck = deck or self.chance.sample(kinds, len(kinds))
            if hit := getattr(self, deck[-1])():
                hits.append(f"{deck.pop()} {hit}")
            time.sleep(self.chance.random() * 0.6)
            if len(hits) % 3 == 0:  # six failures without a new step would be the job's end
                self.makes_a_step()
        print(f"seed {seed}, {reason or 'nodes are network namespaces'}, {len(hits)} faults to {jobs} job(s): {hits}", flush=True)
        self.assertEqual({hit.split()[0] for hit in hits}, set(kinds), "a kind of fault never hit")
        self.ends_as_the_quiet_run()

    # What there is to hit

    def over(self):
        return self.cluster_.job(self.job)["state"] in FINAL

    def seen(self, question, what):
        """What `question` says once that is true; None if the job ended first."""
        answer = until(lambda: question() or (self.over() and [None]), what)
        return None if answer == [None] else answer

    def makes_a_step(self):
        """The job if it made two steps in one generation, so that every member of it is alive; None if it ended first."""
        before = {}

        def stepped():
            now = self.cluster_.job(self.job)
            if now["state"] != "JOB_STATE_RUNNING" or now["generation"] != before.get("generation"):
                before.update(now)
                return None
            return step(now) >= step(before) + 2 and now

        return self.seen(stepped, lambda: f"the job to go on; it says {self.cluster_.job(self.job)}")

    def at_work(self):
        """(worker, process id) of each trainer that lives and was given this job."""
        found = []
        for worker, agent in sorted(self.cluster_.workers.items()):
            given = set(map(int, re.findall(rf"assignment begins job={self.job} .*\bpid=(\d+)", agent.text())))
            found += [(worker, pid) for pid in agent.children("lockstep-trainer") if pid in given]
        return found

    def rank(self):
        """One of those; (None, None) if the job ended first."""
        found = self.seen(self.at_work, "a trainer at work")
        return self.chance.choice(found) if found else (None, None)

    def start_worker(self):
        self.added += 1
        name = f"added-{self.added}"
        self.cluster_.start_worker(name)
        return name

    def without(self, worker, how):
        """Takes the worker's agent, which `how` ends, out of the cluster."""
        agent = self.cluster_.workers.pop(worker)
        how(agent)
        agent.close()
        if len(self.cluster_.workers) < FEWEST:
            self.start_worker()

    # Faults

    def crash(self, worker, pid, how):
        """True if the agent reports the death of a trainer that served the job; None if it had taken the order back by then, or the job ended."""
        agent = self.cluster_.workers[worker]
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return None

        def replaced():
            return [child for child in agent.children("lockstep-trainer") if child != pid and process_state(pid) is None]

        def crashed():
            return re.search(rf'trainer crashed job={self.job} .*\bpid={pid} end="signal {int(how)}\b', agent.text())

        self.seen(lambda: crashed() or replaced(), f"the agent of {worker} to report the death of its trainer {pid}")
        return crashed() and True

    def kill(self, how=signal.SIGKILL):
        worker, pid = self.rank()
        return worker and self.crash(worker, pid, how) and worker

    def segv(self):
        return self.kill(signal.SIGSEGV)

    def two_at_once(self):
        found = self.seen(lambda: len(ranks := self.at_work()) >= 2 and ranks, "two trainers at work")
        if not found:
            return None
        (worker, pid), (other, other_pid) = self.chance.sample(found, 2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(other_pid, signal.SIGSTOP)  # so that it cannot leave before its turn
        hits = [self.crash(worker, pid, signal.SIGKILL), self.crash(other, other_pid, signal.SIGKILL)]
        return all(hits) and f"{worker} {other}"

    def stop(self):
        worker, pid = self.rank()
        if not worker:
            return None
        try:
            os.kill(pid, signal.SIGSTOP)  # its agent kills it after `silence`, unless a later fault is faster
        except ProcessLookupError:
            return None
        until(lambda: process_state(pid) in ("T", "Z", None), f"trainer {pid} to be stopped")
        return process_state(pid) == "T" and worker

    def node(self):
        worker, pid = self.rank()
        if not worker:
            return None
        self.without(worker, lambda agent: agent.kill())
        until(lambda: process_state(pid) in ("Z", None), "a trainer to die with its agent")
        return worker

    def drain(self):
        worker, _ = self.rank()
        if not worker:
            return None
        self.without(worker, lambda agent: self.assertEqual(agent.stop(), 0))
        return worker

    def cut(self):
        worker, _ = self.rank()
        if not worker:
            return None
        lost = rf"worker {worker}\b.* was lost: "
        before = len(re.findall(lost, self.cluster_.coordinator.text()))
        self.cluster_.cut(worker)
        try:
            return self.seen(lambda: len(re.findall(lost, self.cluster_.coordinator.text())) > before and worker, f"{worker} to be given up")
        finally:
            self.cluster_.heal(worker)

    def add(self):
        name = self.start_worker()
        return self.seen(lambda: name in [worker for worker, _ in self.at_work()] and name, f"{name} to be given the job")

    def coordinator(self):
        if self.over():
            return None
        self.cluster_.kill_coordinator()
        time.sleep(self.chance.random() * 0.3)
        self.cluster_.start_coordinator()
        return "" if self.over() else "killed"

    def corrupt(self):
        """Of three ranks or more the odd one is found out; the last fault has to be over, for a rank that is left alone compares with nobody."""
        now = self.seen(lambda: (there := self.makes_a_step()) is not None and len(there["members"]) >= FEWEST and there, "three ranks at work")
        if not now:
            return None
        worker = self.chance.choice(sorted(member["worker"] for member in now["members"]))
        plan = self.cluster_.folder / "plan.yaml"
        plan.write_text(f"faults: [{{at: 0s, fault: corrupt, worker: {worker}}}]\n")
        fault, = self.cluster_.json("chaos", self.job, "--plan", plan)["faults"]
        if fault.get("problem") and self.over():
            return None
        self.assertEqual(fault.get("problem", ""), "")

        def cordoned():
            return [device["cordoned"] for entry in self.cluster_.list_workers() if entry["name"] == worker for device in entry["devices"]]

        reason = self.seen(lambda: "".join(cordoned()), f"{worker} to be quarantined")
        if not reason:
            return None
        self.assertSays(reason, "weights are not those of the others")
        self.cluster_.lockstep("uncordon", worker)
        return worker


if __name__ == "__main__":
    unittest.main()
