"""A seeded plan of random faults. LOCKSTEP_SEED chooses another one; LOCKSTEP_NIGHTLY=1 makes it five times as long."""

import os
import random
import signal
import time
import unittest

from cluster import FINAL
from schedule import NIGHTLY, Schedule


class RandomPlan(Schedule):
    def test_random_faults(self):
        seed = int(os.environ.get("LOCKSTEP_SEED", "1"))
        chance = random.Random(seed)
        self.begin(workers=3)
        faults, added, told = 100 if NIGHTLY else 20, 0, []
        for index in range(faults):
            if self.cluster_.job(self.job)["state"] in FINAL:
                break
            workers = sorted(self.cluster_.workers)
            victim = chance.choice(workers)
            fault = chance.choice(["kill", "kill", "segv", "both", "node", "drain", "scale", "coordinator", "nothing"])
            told.append(f"{index}: {fault} {victim}")
            if fault in ("kill", "segv"):
                self.signal_trainer(victim, signal.SIGKILL if fault == "kill" else signal.SIGSEGV)
            elif fault == "both":
                self.signal_trainer(victim, signal.SIGKILL)
                self.signal_trainer(chance.choice(workers), signal.SIGKILL)
            elif fault in ("node", "drain"):
                program = self.cluster_.workers.pop(victim)
                if fault == "node":
                    program.kill()
                else:
                    self.assertEqual(program.stop(), 0)
                program.close()
                added += 1
                self.cluster_.start_worker(f"added-{added}")
            elif fault == "scale":
                self.cluster_.lockstep("scale", self.job, "--workers", chance.choice([1, 2, 3, 4]))
            elif fault == "coordinator":
                self.cluster_.kill_coordinator()
                self.cluster_.start_coordinator()
            time.sleep(chance.random() * 0.6)
        print(f"seed {seed}, {len(told)} of {faults} faults: {told}", flush=True)
        self.assertGreaterEqual(len(told), faults // 2, "the job ended long before the plan did")
        self.ends_as_the_quiet_run()

    def signal_trainer(self, worker, how):
        for pid in self.cluster_.trainers(worker):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    unittest.main()
