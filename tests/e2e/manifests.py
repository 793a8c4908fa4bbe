"""deploy/kubernetes as documents. PyYAML (package python3-yaml) and, for overlays, kubectl or kustomize are needed."""

import functools
import json
import re
import shutil
import subprocess

from cluster import REPOSITORY

try:
    import yaml
except ImportError:
    yaml = None

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())


@functools.cache
def renderer():
    """The command that renders a folder; empty: there is none. Debian 12's kubectl (1.20) has a kustomize that is too old."""
    if shutil.which("kubectl"):
        version = json.loads(subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, timeout=60).stdout)
        if int(version["clientVersion"]["minor"].rstrip("+")) >= 22:
            return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else []


def render(overlay):
    done = subprocess.run([*renderer(), str(KUBERNETES / "overlays" / overlay)], text=True, capture_output=True, timeout=120)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"overlay {overlay}: {done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def all_variants():
    """{name: documents}: the base as it is written, and each overlay where it can be rendered."""
    base = [document for path in sorted((KUBERNETES / "base").glob("*.yaml")) for document in documents(path.read_text())]
    variants = {"base": [document for document in base if document["kind"] != "Kustomization"]}
    if renderer():
        variants.update({overlay: documents(render(overlay)) for overlay in OVERLAYS})
    return variants


def find(variant, kind, name):
    found = [document for document in variant if document["kind"] == kind and document["metadata"]["name"] == name]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} {kind} named {name}")
    return found[0]


def pod(variant, name):
    return find(variant, "StatefulSet", name)["spec"]["template"]["spec"]


def flags(container):
    """{"--listen": "0.0.0.0:7070", "--insecure": None}"""
    return {match[1]: match[2] for match in (re.fullmatch(r"(--[a-z-]+)(?:=(.*))?", argument) for argument in container["args"])}
