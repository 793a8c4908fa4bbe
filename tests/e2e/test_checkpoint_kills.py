"""Killed in the middle of a checkpoint's write: the newest whole one stays loadable, and the weights are those of the quiet run."""

import os
import pathlib
import signal
import time
import unittest

from cluster import until
from schedule import Quiet, Schedule, spec


class Killed(Schedule):
    def start(self, workers):
        self.cluster_ = self.cluster(threads=1, workers=workers)
        self.expected = Quiet.get(self.cluster_)
        self.job = self.cluster_.submit({**spec({"min": 1, "max": workers}), "checkpoint": {"every_steps": 20, "keep_last": 2}})
        self.cluster_.wait_step(self.job, 200)
        self.folder = pathlib.Path(self.cluster_.checkpoints(self.job)[0]["path"]).parent

    def in_the_middle_of_a_write(self, pids, lead_lives=False):
        """Kills these once a checkpoint has its temporary folder. True: that one was not whole, and never gets its name."""
        deadline = time.monotonic() + 60
        while not (unfinished := [name for name in os.listdir(self.folder) if name.startswith(".tmp-step-")]):
            self.assertLess(time.monotonic(), deadline, "no checkpoint was written")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids), "the killed ones to be gone")
        if not lead_lives:
            return any((self.folder / name).exists() for name in unfinished)
        # It gives up and removes the folder, or had every part already.
        until(lambda: not any((self.folder / name).exists() for name in unfinished), "the lead to give up")
        return not any((self.folder / name.removeprefix(".tmp-").rsplit("-", 1)[0]).exists() for name in unfinished)

    def everything_is_whole_at_the_end(self, unfinished):
        self.assertGreater(unfinished, 0, "no kill came in the middle of a write")
        self.ends_as_the_quiet_run()
        self.cluster_.lockstep("checkpoint", "verify", self.job)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".tmp-")], [], "a torn write stayed behind")

    def test_the_writer_again_and_again(self):
        self.start(workers=2)
        self.running_on(2)
        unfinished = 0
        for _ in range(4):
            writer = self.now()["members"][0]["worker"]
            unfinished += self.in_the_middle_of_a_write(self.cluster_.trainers(writer))
            self.cluster_.lockstep("checkpoint", "verify", self.job)
            self.running_on(2)
        self.everything_is_whole_at_the_end(unfinished)
        self.no_checkpoint_was_read()

    def test_a_rank_that_writes_a_part(self):
        self.start(workers=3)
        self.running_on(3)
        unfinished = 0
        for _ in range(3):
            other = self.now()["members"][-1]["worker"]
            unfinished += self.in_the_middle_of_a_write(self.cluster_.trainers(other), lead_lives=True)
            self.cluster_.lockstep("checkpoint", "verify", self.job)
            self.running_on(3)
        newest = pathlib.Path(self.cluster_.checkpoints(self.job)[0]["path"])
        self.assertGreater(len(list(newest.glob("optimizer-*.safetensors"))), 1, "one rank wrote all of it")
        self.everything_is_whole_at_the_end(unfinished)
        self.no_checkpoint_was_read()

    def test_everybody(self):
        self.start(workers=1)
        unfinished = 0
        for _ in range(4):
            unfinished += self.in_the_middle_of_a_write(self.cluster_.trainers())
            self.running_on(1)
        self.everything_is_whole_at_the_end(unfinished)
        self.assertIn("starts from", self.cluster_.logs(self.job))


if __name__ == "__main__":
    unittest.main()
