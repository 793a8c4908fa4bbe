"""deploy/prometheus: the rules are right by promtool, fire and stay silent as their tests say, and query metrics that the daemons declare."""

import re
import shutil
import subprocess
import unittest

from cluster import REPOSITORY, EndToEndTest
from queries import PROMETHEUS, RULES, declared, metrics_in, recorded


class Rules(EndToEndTest):
    def promtool(self, *arguments):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool (package prometheus) is not installed")
        done = subprocess.run([promtool, *map(str, arguments)], text=True, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_accepts_rules_and_configuration(self):
        self.promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
        self.promtool("check", "config", PROMETHEUS / "prometheus.yml")

    def test_alerts_fire_and_stay_silent_as_they_should(self):
        self.promtool("test", "rules", PROMETHEUS / "alerts_test.yml")

    def test_every_alert_is_tested_firing_and_silent(self):
        tests = (PROMETHEUS / "alerts_test.yml").read_text()
        for alert in re.findall(r"- alert: (\w+)", RULES[1].read_text()):
            self.assertRegex(tests, rf"alertname: {alert}\n +exp_alerts:", f"{alert} is never seen to fire")
            self.assertRegex(tests, rf"alertname: {alert} }}", f"{alert} is never seen to stay silent")

    def test_the_runbooks_query_of_dcgm_is_the_one_that_is_tested(self):
        documented = re.findall(r"^    (.*DCGM_FI_.*)$", (REPOSITORY / "docs" / "operate.md").read_text(), re.MULTILINE)
        self.assertEqual(len(documented), 1)
        self.assertIn(f"      - expr: {documented[0]}\n", (PROMETHEUS / "alerts_test.yml").read_text())
        (metric,) = metrics_in(documented[0])
        self.assertLessEqual({"uuid", "job", "rank"}, declared()[metric][1])

    def test_every_metric_of_the_rules_is_declared(self):
        queried = metrics_in("".join(path.read_text() for path in RULES))
        self.assertGreater(len(queried), 20)
        self.assertEqual(queried - set(declared()) - recorded(), set())

    def test_every_alert_says_what_it_is_and_has_its_section_in_the_runbook(self):
        sections = dict(re.findall(r"^### (Lockstep\w+)\n(.*?)(?=^### |\Z)", (REPOSITORY / "docs" / "operate.md").read_text(), re.MULTILINE | re.DOTALL))
        alerts = re.split(r"- alert: ", RULES[1].read_text())[1:]
        self.assertEqual(sorted(sections), sorted(alert.split()[0] for alert in alerts))
        for alert in alerts:
            name = alert.split()[0]
            self.assertRegex(alert, r"labels: \{ severity: (critical|warning|info) \}")
            self.assertRegex(alert, r"\n +summary: \S")
            self.assertRegex(alert, r"\n +description: \S")
            self.assertIn(f"runbook_url: docs/operate.md#{name.lower()}\n", alert)
            self.assertRegex(sections[name], r"- Look: .*\n- Do: ")


if __name__ == "__main__":
    unittest.main()
