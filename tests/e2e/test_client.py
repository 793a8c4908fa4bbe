"""The client as people and scripts use it: streams, exit codes, formats, help."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import (BIN, CANCELLED, FAILED, NOT_FINISHED, NOT_FOUND, REPOSITORY, USAGE, Cluster, EndToEndTest, digits_spec,
                     find_model, sha256)

COMMANDS = ["run", "submit", "jobs", "describe", "logs", "wait", "cancel", "pause", "scale", "resume", "delete", "workers", "checkpoints",
            "download", "plot", "completion", "version"]


class WithCluster(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(workers=1).start()
        cls.addClassCleanup(cls.shared.close)

    def tearDown(self):
        for job in self.shared.jobs():
            if job["state"] not in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"):
                self.shared.lockstep("cancel", job["id"])
                self.shared.wait_for(job["id"], "CANCELLED")


class Streams(WithCluster):
    def test_logs_follow_ends_with_the_job_and_has_its_lines(self):
        job = self.shared.submit(digits_spec(epochs=200))
        follower = self.shared.follow("logs", "-f", job)
        out, error = follower.communicate(timeout=120)
        self.assertEqual(follower.returncode, 0, error)
        self.assertEqual(self.shared.job(job)["state"], "JOB_STATE_SUCCEEDED")
        self.assertEqual(out, self.shared.logs(job))
        self.assertTrue(out.strip())

    def test_submit_follow_ends_with_the_jobs_exit_code_and_prints_plain_lines(self):
        done = self.shared.lockstep("submit", "--follow", self.shared.write_spec(digits_spec(epochs=5)))
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.assertNotIn("\r", done.stdout + done.stderr)
        self.assertSays(done.stderr + done.stdout, "step", "loss")

    def test_a_file_off_the_terminal_gets_data_on_stdout_alone(self):
        done = self.shared.lockstep("submit", "--follow", "-o", "json", self.shared.write_spec(digits_spec(epochs=5)))
        job = json.loads(done.stdout)
        self.assertEqual(job["state"], "JOB_STATE_SUCCEEDED")

    def test_plot_draws_the_losses(self):
        job = self.shared.run_to_end(digits_spec(epochs=10))
        done = self.shared.lockstep("plot", job["id"])
        self.assertGreater(len(done.stdout.splitlines()), 8)
        self.assertSays(done.stdout, "loss", r"\d\.\d")
        self.assertNotIn("\x1b", done.stdout)

    def test_download_brings_the_model_with_its_checksum(self):
        job = self.shared.run_to_end(digits_spec(epochs=1))
        target = self.folder / "model"
        self.shared.lockstep("download", job["id"], "--output", target)
        self.assertEqual(sha256(find_model(target)), job["modelSha256"])
        self.assertTrue((find_model(target).parent / "preprocessing.json").exists())


class ExitCodes(WithCluster):
    def test_wait_says_how_a_job_ended(self):
        good = self.shared.submit(digits_spec(epochs=1))
        self.shared.lockstep("wait", good, "--for", "succeeded", expect=0)
        running = self.shared.submit(digits_spec(epochs=5000))
        self.shared.lockstep("wait", running, "--for", "running", expect=0)
        self.shared.lockstep("wait", running, "--timeout", "200ms", expect=NOT_FINISHED)
        self.shared.lockstep("cancel", running)
        self.shared.lockstep("wait", running, expect=CANCELLED)
        self.shared.lockstep("wait", running, "--for", "succeeded", expect=CANCELLED)

    def test_wait_for_a_failed_job(self):
        spec = digits_spec(epochs=5)
        spec["train"]["optimizer"] = {"sgd": {"learning_rate": 1e30}}
        job = self.shared.submit(spec)
        done = self.shared.lockstep("wait", job, expect=FAILED)
        self.assertSays(done.stderr, "step")
        self.shared.lockstep("submit", "--follow", self.shared.write_spec(spec), expect=FAILED)

    def test_unknown_job_is_not_found(self):
        for command in ("describe", "logs", "wait", "cancel", "pause", "resume", "checkpoints", "plot"):
            done = self.shared.lockstep(command, "no-such-job", expect=NOT_FOUND)
            self.assertSays(done.stderr, "no-such-job")
        self.shared.lockstep("download", "no-such-job", "--output", self.folder / "x", expect=NOT_FOUND)

    def test_a_model_that_is_not_there_yet_is_said_with_what_the_job_waits_for(self):
        job = self.shared.submit(digits_spec(workers={"min": 3, "max": 3}))
        done = self.shared.lockstep("download", job, "--output", self.folder / "x", expect=None)
        self.assertSays(done.stderr, "has no model: it is queued", "waiting for 3 devices")

    def test_wrong_usage(self):
        for arguments in (["frobnicate"], ["describe"], ["jobs", "--frobnicate"], ["jobs", "-o", "xml"], ["wait"], []):
            done = self.shared.lockstep(*arguments, expect=USAGE)
            self.assertTrue(done.stderr.strip(), arguments)
            self.assertEqual(done.stdout, "", arguments)

    def test_a_misspelt_option_or_a_number_that_is_none_is_said_with_what_was_meant(self):
        for arguments, *patterns in (
                (["submit", "--folow", "digits.yaml"], "no option '--folow'", "did you mean --follow", "lockstep submit --help"),
                (["run", "digits.yaml", "--worker=2"], "no option '--worker'", "did you mean --workers"),
                (["jobs", "--cordinator", "localhost:7070"], "no option '--cordinator'", "did you mean --coordinator"),
                (["checkpoint", "verify", "--formt", "json", "j"], "no option '--formt'", "did you mean --format"),
                (["jobs", "--qqqqqqqqqqqq"], "no option '--qqqqqqqqqqqq'\n"),
                (["run", "digits.yaml", "--workers", "two"], "--workers: expected an integer from 1 to 1024, got 'two'")):
            with self.subTest(arguments=arguments):
                self.assertSays(self.shared.lockstep(*arguments, expect=USAGE).stderr, *patterns)

    def test_a_workers_address_without_a_port_is_wrong_usage(self):
        for flag in ("--coordinator", "--metrics-listen"):
            done = subprocess.run([BIN / "lockstep-worker", flag, "localhost"], text=True, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, USAGE)
            self.assertSays(done.stderr, f"^{flag}: address 'localhost': there is no port; expected HOST:PORT")


class Formats(WithCluster):
    def test_json_parses_and_uses_the_protos_names(self):
        job = self.shared.run_to_end(digits_spec(epochs=1))
        self.assertEqual(job["spec"]["train"]["batchSize"], 64)
        self.assertTrue(any(entry["id"] == job["id"] for entry in self.shared.jobs()))
        self.assertEqual(self.shared.list_workers()[0]["name"], "node-0")
        self.assertTrue(self.shared.checkpoints(job["id"]))
        self.assertTrue(self.shared.json("version"))

    def test_yaml_has_the_same_content(self):
        job = self.shared.run_to_end(digits_spec(epochs=1))
        text = self.shared.lockstep("describe", job["id"], "-o", "yaml").stdout
        self.assertSays(text, rf"id:\s*\"?{job['id']}", "JOB_STATE_SUCCEEDED|succeeded")

    def test_a_job_is_found_by_its_name(self):
        job = self.shared.run_to_end(digits_spec(epochs=1, name="by-its-name"))
        self.assertEqual(self.shared.job("by-its-name")["id"], job["id"])

    def test_tables_have_a_head_and_the_job(self):
        job = self.shared.run_to_end(digits_spec(epochs=1))
        lines = self.shared.lockstep("jobs").stdout.splitlines()
        self.assertEqual(lines[0], lines[0].upper())
        self.assertTrue(any(job["id"] in line for line in lines[1:]))
        self.assertIn("node-0", self.shared.lockstep("workers").stdout)
        self.assertSays(self.shared.lockstep("describe", job["id"]).stdout, job["id"], "succeeded", "accuracy")


class Alone(EndToEndTest):
    """Without a coordinator."""

    def client(self, *arguments, **environment):
        return subprocess.run([str(BIN / "lockstep"), *map(str, arguments)], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=120, env={**os.environ, **environment})

    def test_every_help_has_an_example_that_names_the_command(self):
        for command in COMMANDS:
            done = self.client(command, "--help")
            self.assertEqual(done.returncode, 0, command)
            self.assertSays(done.stdout, "example", rf"lockstep {command}")

    def test_version_is_one_line_from_git_and_the_same_in_every_program(self):
        version = self.client("version").stdout.strip()
        self.assertRegex(version, r"\d+\.\d+\.\d+")
        self.assertEqual(len(version.splitlines()), 1)
        number = version.split()[-1]
        for program in ("lockstep-coordinator", "lockstep-worker"):
            done = subprocess.run([str(BIN / program), "--version"], text=True, capture_output=True, timeout=60)
            self.assertIn(number, done.stdout)

    def test_bash_completion_completes_commands(self):
        bash = shutil.which("bash")
        script = self.client("completion", "bash").stdout
        (self.folder / "completion").write_text(script)
        ask = ("source \"$1\"; spec=$(complete -p lockstep); function_name=${spec##*-F }; function_name=${function_name%% *};"
               "COMP_WORDS=(lockstep che); COMP_CWORD=1; COMP_LINE='lockstep che'; COMP_POINT=12; \"$function_name\";"
               "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run([bash, "-c", ask, "ask", str(self.folder / "completion")], text=True, capture_output=True,
                              env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.split()), ["checkpoint", "checkpoints"])

    def test_zsh_and_fish_completions_name_every_command(self):
        for shell in ("zsh", "fish"):
            done = self.client("completion", shell)
            self.assertEqual(done.returncode, 0)
            for command in COMMANDS:
                self.assertIn(command, done.stdout)
            if shutil.which(shell):
                (self.folder / shell).write_text(done.stdout)
                check = subprocess.run([shell, "-n", str(self.folder / shell)], capture_output=True, text=True)
                self.assertEqual(check.returncode, 0, check.stderr)

    def test_run_takes_overrides_and_leaves_only_results(self):
        output = self.folder / "out"
        scratch = self.folder / "tmp"
        scratch.mkdir()
        done = self.client("run", REPOSITORY / "examples" / "digits.yaml", "--set", "train.epochs=2", "--set",
                           "model.mlp.hidden=[16]", "--output", output, "-o", "json", TMPDIR=str(scratch))
        self.assertEqual(done.returncode, 0, done.stderr)
        job = json.loads(done.stdout)
        self.assertEqual(job["spec"]["train"]["epochs"], 2)
        self.assertEqual(job["spec"]["model"]["mlp"]["hidden"], [16])
        self.assertEqual(list(scratch.iterdir()), [])

    def test_run_prints_accuracy_and_the_models_folder(self):
        output = self.folder / "out"
        done = self.client("run", REPOSITORY / "examples" / "digits.yaml", "--set", "train.epochs=2", "--output", output)
        self.assertSays(done.stdout, "accuracy", str(output))
        self.assertTrue(pathlib.Path(output).is_dir())

    def test_run_of_a_bad_spec_fails_before_anything_starts(self):
        (self.folder / "bad.yaml").write_text("name: x\ntrian: {}\n")
        done = self.client("run", self.folder / "bad.yaml")
        self.assertGreater(done.returncode, 0)
        self.assertSays(done.stderr, r"bad\.yaml:2", "did you mean.*train")


if __name__ == "__main__":
    unittest.main()
