"""`lockstep chaos`: every kind of fault, done by the real daemons to themselves; the weights stay those of the quiet run."""

import threading
import unittest

from cluster import until
from schedule import Schedule, spec


class Chaos(Schedule):
    def plan(self, text):
        path = self.cluster_.folder / "plan.yaml"
        path.write_text(text)
        return path

    def begin_with_chaos(self, minimum=1, maximum=3):
        self.begin(minimum=minimum, maximum=maximum, workers=maximum, allow_chaos=True)
        self.running_on(maximum)

    def run_plan(self, text):
        return self.cluster_.json("chaos", self.job, "--plan", self.plan(text))

    def test_a_plan_of_faults_to_workers(self):
        self.begin_with_chaos()
        report = self.run_plan(
            "faults:\n"
            "  - {at: 0s, fault: kill}\n"
            "  - {at: 2s, fault: stop, duration: 500ms}\n"
            "  - {at: 3500ms, fault: corrupt}\n"
            "  - {at: 5s, fault: add}\n")
        faults = report["faults"]
        self.assertEqual([fault["planned"]["fault"] for fault in faults], ["FAULT_KIND_KILL", "FAULT_KIND_STOP", "FAULT_KIND_CORRUPT", "FAULT_KIND_ADD"])
        for fault in faults:
            self.assertEqual(fault.get("problem", ""), "")
        killed, _, corrupt, added = faults
        for fault in (killed, corrupt, added):
            self.assertIn("noticed", fault, fault)
            self.assertIn("nextStep", fault, fault)
            self.assertEqual(int(fault.get("stepsRedone", 0)), 0, fault)
        self.assertTrue(added["planned"]["worker"].startswith("chaos-"))
        self.assertSays(self.cluster_.logs(self.job), "chaos: weight", "as ordered")
        self.ends_as_the_quiet_run()
        self.assertNotIn(added["planned"]["worker"], [worker["name"] for worker in self.cluster_.list_workers()
                                                      if worker["state"] == "WORKER_STATE_READY"])

    def test_a_node_that_falls_silent_and_one_that_drains(self):
        self.begin_with_chaos()
        report = self.run_plan(
            "faults:\n"
            "  - {at: 0s, fault: cut, worker: node-1, duration: 3s}\n"
            "  - {at: 5s, fault: drain, worker: node-2}\n")
        cut, drained = report["faults"]
        self.assertGreater(float(cut["noticed"].rstrip("s")), 1)  # the worker's timeout is 2 s
        self.assertIn("nextStep", cut)
        self.assertIn("nextStep", drained)
        until(lambda: not self.cluster_.workers["node-2"].alive(), "the drained worker to end")
        self.ends_as_the_quiet_run()

    def test_the_coordinator_kills_itself(self):
        self.begin_with_chaos(maximum=2)
        reports = []
        chaos = threading.Thread(target=lambda: reports.append(self.cluster_.json(
            "chaos", self.job, "--connect-timeout", "30s", "--plan", self.plan("faults: [{at: 1s, fault: kill_coordinator}]"))))
        chaos.start()
        until(lambda: not self.cluster_.coordinator.alive(), "the coordinator to die")
        self.cluster_.start_coordinator()  # from the thread that lives: daemons die with the one that started them
        chaos.join()
        report = reports[0]
        self.assertEqual(report["faults"][0].get("problem", ""), "")
        self.ends_as_the_quiet_run()

    def test_random_kills_are_the_same_for_the_same_seed(self):
        self.begin_with_chaos(maximum=2)
        report = self.cluster_.json("chaos", self.job, "--kill-mtbf", "2s", "--for", "5s", "--seed", "3")
        self.assertGreater(len(report["faults"]), 0)
        self.assertEqual(report["faults"][0]["planned"]["fault"], "FAULT_KIND_KILL")
        self.ends_as_the_quiet_run()


class NotAllowed(Schedule):
    def test_without_the_flag_nothing_happens(self):
        cluster = self.cluster(threads=1, workers=1)
        self.cluster_ = cluster
        self.job = cluster.submit(spec({"min": 1, "max": 1}))
        cluster.wait_step(self.job, 50)
        plan = cluster.folder / "plan.yaml"
        plan.write_text("faults: [{at: 0s, fault: kill}]\n")
        refused = cluster.lockstep("chaos", self.job, "--plan", plan, expect=None)
        self.assertSays(refused.stderr, "this coordinator was started without --allow-chaos")
        for arguments, says in ((("--plan", "/nowhere.yaml"), "/nowhere.yaml"), ((), "expected either --plan FILE or --kill-mtbf"),
                                (("--plan", plan, "--kill-mtbf", "1s"), "expected either")):
            self.assertSays(cluster.lockstep("chaos", self.job, *arguments, expect=None).stderr, says)
        plan.write_text("faults: [{at: 0s, fault: explode}]\n")
        self.assertSays(cluster.lockstep("chaos", self.job, "--plan", plan, expect=None).stderr, "plan.yaml:1", "explode")
        self.assertSays(cluster.lockstep("chaos", "no-such-job", "--kill-mtbf", "1s", expect=102).stderr, "no-such-job")


if __name__ == "__main__":
    unittest.main()
