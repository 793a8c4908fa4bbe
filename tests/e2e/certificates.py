"""A certificate authority of a test's own, by the openssl program: what people would use."""

import pathlib
import subprocess

CONFIG = """
[ca]
default_ca = test
[test]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


class Authority:
    def __init__(self, folder, name="test-ca"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.certificate, self._key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate)
        self._config = self.folder / "ca.conf"
        self._config.write_text(CONFIG.format(folder=self.folder))
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("01\n")

    def issue(self, name, names="IP:127.0.0.1,DNS:localhost", expired=False, into=None):
        """The certificate and its key, as two files."""
        into = pathlib.Path(into or self.folder)
        certificate, key, request = into / f"{name}.pem", into / f"{name}.key", into / f"{name}.csr"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={names}", "-keyout", key, "-out", request)
        times = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else ["-days", "1"]
        openssl("ca", "-batch", "-config", self._config, "-cert", self.certificate, "-keyfile", self._key, "-notext",
                "-in", request, "-out", certificate, *times)
        return certificate, key
