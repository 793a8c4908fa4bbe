"""`lockstep chaos`: every kind of fault, done by the real daemons to themselves; the weights stay those of the quiet run."""

import os
import signal
import statistics
import threading
import unittest

from cluster import until
from schedule import Schedule, spec, step_of


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

    def was_got_over(self, fault):
        for value in ("detectionSeconds", "regroupSeconds", "nextStepSeconds"):
            self.assertIn(value, fault, fault)
        self.assertAlmostEqual(fault["detectionSeconds"] + fault["regroupSeconds"], fault["nextStepSeconds"])

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
            self.was_got_over(fault)
            self.assertEqual(int(fault["lostSteps"]), 0, fault)
            self.assertEqual(fault["lostSeconds"], 0, fault)
        totals = report["totals"]
        self.assertEqual(totals["faults"], 4)
        for value in ("detection", "regroup", "nextStep"):
            known = [fault[value + "Seconds"] for fault in faults if value + "Seconds" in fault]
            self.assertEqual(totals[value + "MedianSeconds"], statistics.median(known))
            self.assertEqual(totals[value + "LongestSeconds"], max(known))
        self.assertEqual(totals["lostSeconds"], sum(fault.get("lostSeconds", 0) for fault in faults))
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
        self.assertGreater(cut["detectionSeconds"], 1)  # the worker's timeout is 2 s
        self.was_got_over(cut)
        self.was_got_over(drained)
        until(lambda: not self.cluster_.workers["node-2"].alive(), "the drained worker to end")
        self.ends_as_the_quiet_run()

    def test_an_agent_that_kills_itself_takes_its_trainers_along(self):
        self.begin_with_chaos()
        agent, trainers = self.cluster_.workers["node-1"], self.cluster_.trainers("node-1")
        self.assertEqual(len(trainers), 1)
        report = self.run_plan("faults: [{at: 0s, fault: kill_worker, worker: node-1}]")
        killed, = report["faults"]
        self.assertEqual(killed.get("problem", ""), "")
        self.was_got_over(killed)
        until(lambda: not agent.alive(), "the agent to die")
        self.assertEqual(agent.process.returncode, -signal.SIGKILL)
        until(lambda: not os.path.exists(f"/proc/{trainers[0]}"), "its trainer to die with it")
        self.assertNotIn("node-1", [member["worker"] for member in self.now()["members"]])
        self.ends_as_the_quiet_run()

    def test_a_table_of_each_fault_and_of_all(self):
        self.begin_with_chaos(maximum=2)
        table = self.cluster_.lockstep("chaos", self.job, "--plan", self.plan("faults: [{at: 0s, fault: kill, worker: node-1}]")).stdout
        head, killed, median, longest, total = [line.split() for line in table.splitlines()]
        self.assertEqual(" ".join(head), "FAULT WORKER AT DETECTION REGROUP NEXT STEP LOST STEPS LOST TIME")
        self.assertEqual(killed[:2], ["kill", "node-1"])
        for row, name in ((median, "median"), (longest, "longest")):
            self.assertEqual(row, [name, *killed[4:10]])  # of one fault: its detection, regroup and next step
        self.assertEqual(total, ["sum", "0", "0", "ms"])

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
    def test_an_agent_that_was_started_without_the_flag_is_left_alone(self):
        self.cluster_ = self.cluster(threads=1, workers=0, allow_chaos=True)
        quiet = self.cluster_.start_worker("quiet", chaos=False)
        self.job = self.cluster_.submit(spec({"min": 1, "max": 1}))
        self.cluster_.wait_step(self.job, 50)
        trainers = self.cluster_.trainers("quiet")
        for fault in ("kill", "kill_worker", "drain"):
            plan = self.cluster_.folder / "plan.yaml"
            plan.write_text(f"faults: [{{at: 0s, fault: {fault}, worker: quiet}}]\n")
            refused = self.cluster_.lockstep("chaos", self.job, "--plan", plan, expect=None)
            self.assertSays(refused.stderr, "worker quiet was started without --allow-chaos")
        self.cluster_.wait_step(self.job, step_of(self.now()) + 50)
        self.assertTrue(quiet.alive())
        self.assertEqual(self.cluster_.trainers("quiet"), trainers)
        self.assertEqual(self.now()["generation"], "1")

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
