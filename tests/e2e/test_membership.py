"""Workers join and leave, by hand, by priority and by signal, and the coordinator is killed meanwhile: the weights are those of the quiet run."""

import time
import unittest

from cluster import digits_spec
from schedule import NIGHTLY, Schedule


class JoinsAndLeaves(Schedule):
    def test_one_two_three_one(self):
        self.begin(workers=1)
        self.cluster_.start_worker("node-1")
        self.running_on(2)
        self.cluster_.start_worker("node-2")
        self.running_on(3)
        self.assertEqual(self.cluster_.workers["node-0"].stop(), 0)
        self.assertEqual(self.cluster_.workers["node-1"].stop(), 0)
        self.running_on(1)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")

    def test_four_two_three(self):
        self.begin(workers=4)
        self.running_on(4)
        self.cluster_.workers["node-0"].kill()
        self.cluster_.workers["node-3"].kill()
        self.running_on(2)
        self.cluster_.start_worker("node-4")
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()


class Scale(Schedule):
    def test_down_and_up_by_hand_without_doing_a_step_twice(self):
        self.begin(workers=3, maximum=2)
        self.running_on(2)
        for workers in (1, 3, 2):
            self.cluster_.lockstep("scale", self.job, "--workers", workers)
            self.running_on(workers)
        self.assertSays(self.cluster_.lockstep("scale", self.job, "--workers", 9, expect=None).stderr, "expected 1 to 8")
        done = self.ends_as_the_quiet_run()
        self.assertEqual(int(done["workersWanted"]), 2)
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")
        self.cluster_.lockstep("scale", self.job, "--workers", 1, expect=None)

    def test_a_higher_priority_shrinks_the_others_and_they_grow_again(self):
        self.begin(workers=2)
        self.running_on(2)
        urgent = self.cluster_.run_to_end(digits_spec(epochs=1, name="urgent", priority=10))
        self.assertEqual(len(urgent["members"]), 1)
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.assertNotIn("waits for the next generation", self.cluster_.logs(self.job), "a clean leave cost a step")


    def test_a_higher_priority_preempts_where_shrinking_is_not_enough(self):
        self.begin(workers=2, minimum=2)
        self.running_on(2)
        urgent = self.cluster_.run_to_end(digits_spec(epochs=1, name="urgent", priority=10, workers={"min": 2, "max": 2}))
        self.assertEqual(len(urgent["members"]), 2)
        self.running_on(2)
        self.ends_as_the_quiet_run()
        self.assertSays(self.cluster_.coordinator.text(), f"job {self.job} is preempted: its devices go to urgent")
        self.assertSays(self.cluster_.logs(self.job), "starts from")


class Coordinator(Schedule):
    def test_a_death_while_the_coordinator_is_away(self):
        self.begin(workers=3)
        self.running_on(3)
        self.cluster_.kill_coordinator()
        self.kill_trainer("node-1")
        time.sleep(1)
        self.cluster_.start_coordinator()
        self.running_on(3)
        self.ends_as_the_quiet_run()
        self.no_checkpoint_was_read()

    def test_killed_again_and_again(self):
        self.begin(workers=2)
        self.running_on(2)
        trainers = self.cluster_.trainers("node-0") + self.cluster_.trainers("node-1")
        for _ in range(30 if NIGHTLY else 4):
            self.cluster_.kill_coordinator()
            self.cluster_.start_coordinator()
            time.sleep(2 if NIGHTLY else 1)
        self.assertEqual(self.cluster_.trainers("node-0") + self.cluster_.trainers("node-1"), trainers)
        done = self.ends_as_the_quiet_run()
        self.assertEqual(len(done["members"]), 2)


if __name__ == "__main__":
    unittest.main()
