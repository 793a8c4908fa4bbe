"""The coordinator's live page in a real Chromium. Screenshots of each test lie in build/<preset>/page-screenshots."""

import json
import os
import re
import signal
import unittest
import urllib.error
import urllib.request

from browser import Browser, Keys, skip_without_browser
from cluster import EndToEndTest, digits_spec, http_get, until
from secure_cluster import SecureCluster

KINDS = ["compute", "communication", "input", "checkpoint", "recovery", "idle"]
LONG = dict(epochs=4000, workers={"min": 1, "max": 1}, checkpoint={"every_steps": 400})


class Page(EndToEndTest):
    def open_page(self, cluster, fragment="", **options):
        skip_without_browser()
        browser = Browser(**options)
        self.addCleanup(browser.close)
        browser.open(cluster.coordinator.addresses["http"], fragment)
        self.addCleanup(lambda: self._bad() > self._bad_before and browser.screenshot(f"failed-{self._testMethodName}"))
        return browser

    def assert_goodput_is_shown(self, cluster, browser, job):
        """The share, its parts in seconds as a text, and a bar whose slices are as wide as they are large. For a job that ran and is over."""
        shown = {}

        def settled():
            seconds = json.loads(http_get(cluster.coordinator.addresses["http"], f"/api/jobs/{job}"))["device_time"]["seconds"]
            shown.update(browser.run("return [...document.querySelectorAll('.goodput dl > div')].map(e => [e.children[0].innerText, e.children[1].innerText])"))
            return all(abs(float(shown[kind].removesuffix(" s")) - value) <= 0.0501 for kind, value in seconds.items()) and seconds

        seconds = until(settled, lambda: f"the page to show what the coordinator has: {shown}")
        self.assertEqual(list(shown), ["goodput", *KINDS])
        self.assertEqual(list(seconds), KINDS)
        self.assertGreater(seconds["compute"], 0)
        self.assertRegex(shown["goodput"], r"^\d+\.\d %$")
        share = float(shown["goodput"].split()[0])
        self.assertTrue(0 < share <= 100, shown)
        steps = seconds["compute"] + seconds["communication"]
        self.assertAlmostEqual(share, 100 * steps / (sum(seconds.values()) - seconds["idle"]), delta=0.06)
        widths = browser.run("return [...document.querySelectorAll('.goodput .slices span')].map(e => e.getBoundingClientRect().width)")
        for kind, width in zip(KINDS, widths, strict=True):
            self.assertAlmostEqual(width / sum(widths), seconds[kind] / sum(seconds.values()), delta=0.01, msg=f"{kind}: {widths} {seconds}")
        colours = lambda: browser.run("return [...document.querySelectorAll('.goodput .slices span')].map(e => getComputedStyle(e).backgroundColor)")
        light = colours()
        self.assertEqual(len(set(light)), len(KINDS), light)
        browser.press("t")
        until(lambda: set(colours()).isdisjoint(light), "other colours in the dark")
        self.assertEqual(len(set(colours())), len(KINDS), colours())
        browser.screenshot("goodput-dark")
        browser.press("t")
        until(lambda: colours() == light, "the light colours again")

    def test_a_curve_moves_and_the_job_is_cancelled_with_a_token(self):
        skip_without_browser()
        cluster = self.cluster(workers=1, threads=1)
        browser = self.open_page(cluster)
        job = cluster.submit(digits_spec(name="moving", **LONG))
        browser.wait_text(".row", "moving")
        browser.wait_text(".pill", "running")
        until(lambda: len(browser.texts(".legend tbody tr")) >= 2, "both curves of the job")
        self.assertIn("train/loss", browser.text(".legend"))
        self.assertIn("validation/loss", browser.text(".legend"))
        picture, step = browser.drawn(), browser.facts()["step"]
        until(lambda: browser.drawn() != picture and browser.facts()["step"] != step, "the curve to move")
        until(lambda: "train loss" in browser.facts() and "valid. loss" in browser.facts(), "the losses")
        browser.screenshot("running")

        # What the page sends is seen from inside: the token in its header, and nowhere else.
        browser.find("#token").click()
        browser.find("#token-text").send_keys("secret-token")
        browser.find("#token-use").click()
        browser.run("""window.sent = []; const ask = window.fetch;
                       window.fetch = (path, options) => { window.sent.push([path, options?.method, options?.headers?.Authorization]); return ask(path, options); }""")
        browser.press("c")
        browser.screenshot("cancel")
        browser.find("#confirm").click()
        browser.wait_text(".pill", "cancelled")
        self.assertIn([f"/api/jobs/{job}/cancel", "POST", "Bearer secret-token"], browser.run("return window.sent"))
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_CANCELLED")
        self.assert_goodput_is_shown(cluster, browser, job)
        self.assertFalse([path for path, *_ in browser.run("return window.sent") if "secret" in path])
        browser.screenshot("cancelled")

        browser.press("d")
        browser.find("#confirm").click()
        until(lambda: browser.run("return document.querySelector('#rows').dataset.empty").startswith("no job yet"), "the list to be empty")
        self.assertIn([f"/api/jobs/{job}/delete", "POST", "Bearer secret-token"], browser.run("return window.sent"))
        self.assertEqual(cluster.json("jobs").get("jobs", []), [])
        self.assertEqual(browser.errors(), [])

    def use_token(self, browser, secret):
        field = browser.find("#token-text")
        field.clear()
        field.send_keys(secret)
        browser.find("#token-use").click()
        until(lambda: browser.run("return document.querySelector('dialog') === null"), "the question for a token to go")

    def test_a_viewers_token_may_not_cancel_and_a_submitters_may(self):
        skip_without_browser()
        cluster = SecureCluster(tls=False)
        self.addCleanup(cluster.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(cluster.all_logs()))
        cluster.start()
        job = cluster.submit(digits_spec(name="guarded"))
        viewer, submitter = cluster.token("viewer", "ada"), cluster.token("submitter", "grace")
        browser = self.open_page(cluster)
        browser.wait_text("dialog", "a token is needed")
        self.assertNotIn("guarded", browser.text("body"))
        self.use_token(browser, viewer)
        browser.wait_text(".pill", "queued")
        browser.press("c")
        browser.find("#confirm").click()
        self.assertSays(browser.wait_text("#notices", "submitter"), "needs the role submitter", "ada has viewer")
        browser.screenshot("cancel-refused")
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_QUEUED")
        self.assertEqual(browser.text(".pill"), "queued")

        browser.find("#token").click()
        self.use_token(browser, submitter)
        browser.press("c")
        browser.find("#confirm").click()
        browser.wait_text(".pill", "cancelled")
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_CANCELLED")
        noted = lambda: [(line["who"], line["outcome"]) for line in cluster.audit_lines() if line["rpc"] == f"POST /api/jobs/{job}/cancel"]
        until(lambda: noted() == [("ada", "PERMISSION_DENIED"), ("grace", "OK")], lambda: f"both in the audit log: {noted()}")
        # Chromium says itself that something was refused; nothing else went wrong.
        self.assertEqual([error for error in browser.errors() if not re.search(r"status of 40[13] ", error)], [])

    def test_two_jobs_over_each_other_by_keys_alone(self):
        cluster = self.cluster(workers=1, threads=1)
        cluster.run_to_end(digits_spec(epochs=8, name="wide", checkpoint={"every_steps": 20}))
        second = digits_spec(epochs=8, name="narrow")
        second["model"]["mlp"]["hidden"] = [8]
        second["train"]["optimizer"] = {"sgd": {"learning_rate": 0.05}}
        cluster.run_to_end(second)
        browser = self.open_page(cluster)
        browser.wait_text("h2", "narrow")
        until(lambda: len(browser.texts(".legend tbody tr")) == 2, "the curves of one job")
        linear = browser.drawn()
        browser.press("l")
        until(lambda: browser.drawn() != linear, "a logarithmic axis")
        self.assertEqual(browser.find("#log").get_attribute("aria-pressed"), "true")
        browser.press("v")
        browser.press("j")
        browser.wait_text("h2", "wide")
        until(lambda: len(browser.texts(".legend tbody tr")) == 4, "the curves of both jobs")
        browser.press("]")
        browser.press("]")
        browser.wait_text(".tools output", "0.20")
        browser.press("x")
        browser.wait_text(".tools", "epoch")
        browser.screenshot("two-jobs-light")
        browser.press("6")
        text = browser.wait_text("#tab-box", "learning_rate")
        self.assertRegex(text, r"(?m)^- .*sgd:")
        self.assertRegex(text, r"(?m)^\+ .*adamw:")
        self.assertNotRegex(text, r"batch_size", "what both have is folded away")
        browser.press("t")
        browser.screenshot("difference-dark")
        for key, tab in (("1", "Confusion"), ("2", "succeeded"), ("3", "best|/checkpoints/"), ("4", "epoch|worker"), ("5", "hidden")):
            browser.press(key)
            until(lambda: any(part in browser.text("#tab-box") for part in tab.split("|")), lambda: f"{tab}: {browser.text('#tab-box')[:300]}")
            browser.screenshot(f"tab-{key}-dark")
        self.assertIn("with=", browser.driver.current_url)
        browser.press("?")
        browser.wait_text("dialog", "these keys")
        browser.screenshot("keys-dark")
        browser.press(Keys.ESCAPE)
        browser.press("/")
        browser.press("wid")
        until(lambda: len(browser.texts(".row")) == 1, "the filter")
        browser.press(Keys.ESCAPE)
        self.assertEqual(browser.run("return document.activeElement.id"), "rows")
        self.assertEqual(browser.errors(), [])

    def test_a_killed_trainer_and_a_lost_worker_are_on_the_timeline(self):
        cluster = self.cluster(workers=2, threads=1)
        job = cluster.submit(digits_spec(name="shaken", **{**LONG, "workers": {"min": 1, "max": 2}}))
        cluster.wait_step(job, 20)
        browser = self.open_page(cluster)
        browser.wait_text(".pill", "running")
        os.kill(cluster.trainers("node-0")[0], signal.SIGKILL)
        browser.press("2")
        browser.wait_text("#tab-box", "SIGKILL")
        browser.screenshot("timeline")
        cluster.workers["node-1"].kill()
        browser.press("w")
        browser.wait_text("#events", "lost")
        self.assertIn("failure", browser.text("#events"))
        self.assertIn("SIGKILL", browser.text("#events"))
        self.assertIn("node-1", browser.text("#worker-table"))
        browser.screenshot("workers")
        browser.press("w")
        browser.press("1")
        browser.wait_text("h2", "shaken")
        self.assertEqual(browser.errors(), [])

    def test_text_of_users_stays_text_and_a_restart_is_survived(self):
        cluster = self.cluster(workers=0)
        name = "<img src=x onerror=alert(1)>"
        path = self.folder / "rows.csv"
        path.write_text("a,<script>document.title=1</script>\n" + "\n".join(f"{i},{i % 2}" for i in range(40)) + "\n")
        spec = {"name": name, "dataset": {"path": str(path), "label": "<script>document.title=1</script>"},
                "model": {"softmax": {}}, "train": {"epochs": 1, "optimizer": {"sgd": {"learning_rate": 0.1}}}}
        try:
            cluster.submit(spec)
        except AssertionError:  # a name is refused: then its other texts must do
            cluster.submit({**spec, "name": "marked-up"})
        browser = self.open_page(cluster)
        browser.wait_text(".pill", "queued")
        browser.press("5")
        browser.wait_text("#tab-box", "<script>document.title=1</script>")
        self.assertEqual(browser.run("return document.querySelectorAll('#detail script, #detail img, .row img').length"), 0)
        self.assertEqual(browser.errors(), [])
        cluster.kill_coordinator()
        browser.wait_text("#link", "not live")
        browser.screenshot("not-live")


class WithoutBrowser(EndToEndTest):
    """What the page's server answers to others than browsers."""

    def ask(self, cluster, path, method="GET", headers=None, body=None):
        request = urllib.request.Request(f"http://{cluster.coordinator.addresses['http']}{path}", method=method, headers=headers or {}, data=body)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_steering_and_reading(self):
        cluster = self.cluster(workers=0)
        job = cluster.submit(digits_spec(name="waiting"))
        status, text = self.ask(cluster, "/api/jobs")
        self.assertEqual((status, [one["id"] for one in json.loads(text)["jobs"]]), (200, [job]))
        answer = json.loads(text)
        self.assertEqual(json.loads(self.ask(cluster, f"/api/jobs?after={answer['cursor']}")[1])["jobs"], [])
        status, text = self.ask(cluster, f"/api/jobs/{job}")
        self.assertEqual((status, json.loads(text)["job"]["name"]), (200, "waiting"))
        self.assertEqual(self.ask(cluster, "/api/jobs/nobody")[0], 404)
        for path in ("/api/workers", f"/api/jobs/{job}/metrics", f"/api/jobs/{job}/logs?tail=5", f"/api/jobs/{job}/checkpoints"):
            self.assertEqual(self.ask(cluster, path)[0], 200, path)
        self.assertEqual(self.ask(cluster, f"/api/jobs/{job}/metrics?from=x")[0], 400)

        json_type = {"Content-Type": "application/json"}
        self.assertEqual(self.ask(cluster, f"/api/jobs/{job}/cancel", "POST", {**json_type, "Origin": "http://evil.example"}, b"{}")[0], 403)
        self.assertEqual(self.ask(cluster, f"/api/jobs/{job}/cancel", "POST", {"Content-Type": "text/plain"}, b"{}")[0], 400)
        self.assertEqual(self.ask(cluster, f"/api/jobs/{job}/cancel")[0], 405)
        self.assertEqual(cluster.job(job)["state"], "JOB_STATE_QUEUED")
        for verb, state in (("pause", "PAUSED"), ("resume", "QUEUED"), ("cancel", "CANCELLED")):
            status, text = self.ask(cluster, f"/api/jobs/{job}/{verb}", "POST", json_type, b"{}")
            self.assertEqual((status, cluster.job(job)["state"]), (200, f"JOB_STATE_{state}"), text)
        changed = until(lambda: json.loads(self.ask(cluster, f"/api/jobs?after={answer['cursor']}")[1])["jobs"], "the list, at most 0.2 s behind, to change")
        self.assertEqual([one["state"] for one in changed], ["cancelled"])
        unfinished = cluster.submit(digits_spec(name="unfinished"))
        status, text = self.ask(cluster, f"/api/jobs/{unfinished}/delete", "POST", json_type, b"{}")
        self.assertEqual(status, 409, text)
        self.assertIn("lockstep cancel", text)
        self.assertFalse(json.loads(self.ask(cluster, f"/api/jobs?after={answer['cursor']}")[1])["reset"])
        self.assertEqual(cluster.coordinator.stop(), 0)


if __name__ == "__main__":
    unittest.main()
