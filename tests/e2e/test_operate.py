"""docs/operate.md: a store that is backed up and restored as it says, while the coordinator works; its commands have the flags that it names."""

import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import BIN, REPOSITORY, EndToEndTest, digits_spec
from secure_cluster import SecureCluster


class Backup(EndToEndTest):
    def back_up(self, cluster, name="state.db"):
        """As docs/operate.md says; Python's sqlite3 does the same where there is no program of that name."""
        source, copy = cluster.folder / "coordinator" / name, self.folder / name
        if shutil.which("sqlite3"):
            done = subprocess.run(["sqlite3", source, f".backup '{copy}'"], text=True, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        else:
            import sqlite3
            with sqlite3.connect(source) as database, sqlite3.connect(copy) as target:
                database.backup(target)
        return copy

    def test_a_backup_of_a_live_coordinator_restores_jobs_points_and_logs(self):
        cluster = self.cluster(workers=2, threads=1)
        done = cluster.run_to_end(digits_spec(epochs=3, name="done"))
        long = digits_spec(epochs=400, name="long", checkpoint={"every_steps": 50})
        running = cluster.submit(long)
        cluster.wait_step(running, 100)
        before = {job["id"]: job["state"] for job in cluster.jobs()}
        logs, curves = cluster.logs(done["id"]), cluster.lockstep("plot", done["id"]).stdout
        self.assertEqual(before[running], "JOB_STATE_RUNNING")
        copy = self.back_up(cluster)
        later = cluster.submit(digits_spec(epochs=1, name="later"))
        cluster.wait_for(later, "SUCCEEDED")

        # The machine is lost: the folder with the store is gone, the shared storage is not.
        cluster.kill_coordinator()
        shutil.rmtree(cluster.folder / "coordinator")
        (cluster.folder / "coordinator").mkdir()
        shutil.copy(copy, cluster.folder / "coordinator" / "state.db")
        cluster.start_coordinator()

        after = {job["id"]: job["state"] for job in cluster.jobs()}
        self.assertEqual(set(after), set(before), "the jobs of the backup, and none besides")
        self.assertEqual(after[done["id"]], "JOB_STATE_SUCCEEDED")
        self.assertEqual(cluster.job(done["id"])["modelSha256"], done["modelSha256"])
        self.assertEqual(cluster.logs(done["id"]), logs)
        self.assertEqual(cluster.lockstep("plot", done["id"]).stdout, curves)
        cluster.lockstep("download", done["id"], "--output", self.folder / "model")
        ended = cluster.wait_for(running, "SUCCEEDED")
        quiet = cluster.run_to_end({**long, "name": "quiet"})
        self.assertEqual(ended["modelSha256"], quiet["modelSha256"], "the weights of a run that was not disturbed")

    def test_tokens_and_the_audit_log_come_back_with_their_files(self):
        cluster = SecureCluster(tls=False)
        self.addCleanup(cluster.close)
        self.addCleanup(lambda: self._bad() > self._bad_before and print(cluster.all_logs()))
        cluster.start()
        kept = self.folder / "admin.token"  # whoever has the first token keeps it elsewhere
        shutil.copy(cluster.admin_token, kept)
        before = self.folder / "before.token"
        before.write_text(cluster.token("submitter", "before") + "\n")
        copies = [self.back_up(cluster, "state.db"), self.back_up(cluster, "auth.db")]
        copies.append(pathlib.Path(shutil.copy(cluster.folder / "coordinator" / "audit.log", self.folder)))
        noted = cluster.lockstep("auditlog", "verify", copies[-1]).stdout.split()[-1]
        later = self.folder / "later.token"
        later.write_text(cluster.token("submitter", "later") + "\n")
        cluster.lockstep("token", "revoke", "before")
        self.assertSays(cluster.lockstep("--token-file", before, "jobs", expect=None).stderr, "token")

        cluster.kill_coordinator()
        shutil.rmtree(cluster.folder / "coordinator")
        (cluster.folder / "coordinator").mkdir()
        for copy in copies:
            shutil.copy(copy, cluster.folder / "coordinator")
        cluster.start_coordinator()

        self.assertFalse(cluster.admin_token.exists(), "there are tokens: no first one is made")
        shutil.copy(kept, cluster.admin_token)
        cluster.lockstep("--token-file", before, "jobs")  # its revocation was not in the backup
        self.assertSays(cluster.lockstep("--token-file", later, "jobs", expect=None).stderr, "token")
        cluster.lockstep("token", "revoke", "before")
        self.assertSays(cluster.lockstep("--token-file", before, "jobs", expect=None).stderr, "token")
        cluster.lockstep("auditlog", "verify", cluster.folder / "coordinator" / "audit.log", "--noted", noted)
        self.assertIn("RevokeToken", (cluster.folder / "coordinator" / "audit.log").read_text())


class Document(unittest.TestCase):
    def help(self, words):
        return subprocess.run([BIN / words[0], *words[1:], "--help"], text=True, capture_output=True, timeout=60).stdout

    def test_every_command_and_flag_of_the_document_exists(self):
        text = (REPOSITORY / "docs" / "operate.md").read_text()
        commands = re.findall(r"^    (.*)$", text, re.MULTILINE) + re.findall(r"`([^`]+)`", text)
        known = set(re.findall(r"^  ([a-z]+) ", self.help(["lockstep"]), re.MULTILINE))
        seen = set()
        for words in (command.split("#")[0].split() for command in commands):
            programs = [word for word in words if re.fullmatch(r"lockstep(-coordinator|-worker)?", word)]
            if not programs or words[0] not in ("setpriv", "lockstep", "lockstep-coordinator", "lockstep-worker"):
                continue
            after = words[len(words) - words[::-1].index(programs[-1]):]
            asked = [programs[-1]]
            if asked == ["lockstep"] and after and re.fullmatch("[a-z]+", after[0]):
                asked.append(after[0])
                self.assertIn(after[0], known, " ".join(words))
            help_text = self.help(asked)
            below = set(re.findall(r"^  ([a-z]+) ", help_text.partition("Subcommands:")[2].partition("Examples:")[0], re.MULTILINE))
            if below and len(after) > 1 and re.fullmatch("[a-z]+", after[1]):
                self.assertIn(after[1], below, " ".join(words))
                help_text = self.help([*asked, after[1]])
            used = {flag.split("=")[0] for flag in after if flag.startswith("--")}
            self.assertLessEqual(used, set(re.findall(r"--[a-z-]+", help_text)), " ".join(words))
            seen.update(asked)
        self.assertLessEqual({"lockstep-coordinator", "lockstep-worker", "submit", "uncordon"}, seen)


if __name__ == "__main__":
    unittest.main()
