"""A bit of one replica's weights flips in the real memory of a running trainer: it is found before the next step's effect, and the weights are those of
the quiet run. And devices out of service by hand, or because they failed too often."""

import json
import pathlib
import struct
import unittest

from cluster import http_get, until
from schedule import Schedule, spec

FROZEN = "layers.0.weight"  # never changes, so that it can be found in memory


def corruptible(workers, **further):
    frozen = spec(workers, **further)
    frozen["train"] = {**frozen["train"], "freeze": ["layers.0.*"]}
    frozen["checkpoint"] = {"every_steps": 200, "keep_last": 2}
    return frozen


def first_bytes(model, tensor, count=64):
    content = pathlib.Path(model).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    begin = 8 + length + json.loads(content[8:8 + length])[tensor]["data_offsets"][0]
    return content[begin:begin + count]


def flip_a_bit(pid, pattern):
    """In the middle of each place of the process's memory that holds `pattern`. How many there were."""
    flipped = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        for line in maps.read().splitlines():  # all at once: a process that was found out exits meanwhile
            span, permissions = line.split()[:2]
            if not permissions.startswith("rw") or "[v" in line:
                continue
            begin, end = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(begin)
                content = memory.read(end - begin)
            except OSError:
                continue
            at = content.find(pattern)
            while at >= 0:
                place = at + len(pattern) // 2
                memory.seek(begin + place)
                memory.write(bytes([content[place] ^ 1]))
                flipped += 1
                at = content.find(pattern, at + 1)
    return flipped


class Quiet:
    digest = None

    @classmethod
    def get(cls, cluster):
        if cls.digest is None:
            cls.digest = cluster.run_to_end(corruptible({"min": 1, "max": 1}, name="quiet"))["modelSha256"]
        return cls.digest


class Corruption(Schedule):
    def start(self, workers):
        self.cluster_ = self.cluster(threads=1, workers=workers)
        self.expected = Quiet.get(self.cluster_)
        self.job = self.cluster_.submit(corruptible({"min": 1, "max": workers}))
        self.cluster_.wait_step(self.job, 300)
        self.running_on(workers)

    def corrupt(self, worker):
        newest = self.cluster_.checkpoints(self.job)[0]["path"]
        pattern = first_bytes(pathlib.Path(newest) / "model.safetensors", FROZEN)
        flipped = 0
        for pid in self.cluster_.trainers(worker):
            try:
                flipped += flip_a_bit(pid, pattern)
            except PermissionError as error:
                self.skipTest(f"another process's memory may not be written here: {error}")
        self.assertGreater(flipped, 0, "the weights were not found in the trainer's memory")

    def device(self, worker):
        return next(entry["devices"][0] for entry in self.cluster_.list_workers() if entry["name"] == worker)

    def test_the_odd_one_of_three_is_named_evicted_and_quarantined(self):
        self.start(workers=3)
        self.corrupt("node-1")
        cordoned = until(lambda: self.device("node-1").get("cordoned"), "the device to be quarantined")
        self.assertSays(cordoned, "weights are not those of the others")
        self.assertEqual(self.device("node-0")["cordoned"], "")
        self.assertEqual(self.device("node-2")["cordoned"], "")
        self.running_on(2)
        self.assertSays(self.cluster_.lockstep("workers").stdout, "CORDONED")
        # What LockstepCorruption asks for (deploy/prometheus/alerts.yml).
        self.assertIn(f'lockstep_job_restarts_total{{job="{self.job}",reason="corrupt"}} 1\n', http_get(self.cluster_.coordinator.addresses["metrics"]))
        self.cluster_.lockstep("uncordon", "node-1")
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_of_two_nobody_can_tell_so_the_newest_checkpoint_does(self):
        self.start(workers=2)
        self.corrupt("node-1")
        until(lambda: "starts from" in self.cluster_.logs(self.job), "the job to go back to its newest checkpoint")
        self.ends_as_the_quiet_run()


class ByHand(Schedule):
    def test_a_cordoned_worker_gives_its_job_back_and_gets_none_until_it_is_uncordoned(self):
        self.begin(workers=2)
        self.running_on(2)
        self.assertSays(self.cluster_.lockstep("cordon", "nobody", expect=102).stderr, "nobody")
        self.assertSays(self.cluster_.lockstep("cordon", "node-0", "--device", "gpu:9", expect=102).stderr, "gpu:9")
        self.cluster_.lockstep("cordon", "node-0", "--reason", "memory test")
        self.running_on(1)
        self.assertSays(self.cluster_.lockstep("workers").stdout, "CORDONED: memory test")
        self.cluster_.kill_coordinator()
        self.cluster_.start_coordinator()
        self.running_on(1)
        self.assertSays(self.cluster_.lockstep("workers").stdout, "CORDONED: memory test")
        self.assertSays(self.cluster_.lockstep("uncordon", "node-0").stderr, "back in service", "memory test")
        self.running_on(2)
        self.assertSays(self.cluster_.lockstep("uncordon", "node-0", expect=102).stderr, "not cordoned")
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")


class Quarantine(Schedule):
    def test_a_worker_that_failed_three_times_gets_no_more_work_until_it_is_uncordoned(self):
        self.cluster_ = self.cluster(threads=1, workers=2, quarantine_after=3)
        self.expected = Quiet.get(self.cluster_)
        self.job = self.cluster_.submit(corruptible({"min": 1, "max": 2}))
        for _ in range(3):
            self.running_on(2)
            self.kill_trainer("node-1")
        self.running_on(1)
        self.assertSays(self.cluster_.lockstep("workers").stdout, "CORDONED: failed 3 times within an hour", "SIGKILL")
        self.cluster_.lockstep("uncordon", "node-1")
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()


if __name__ == "__main__":
    unittest.main()
