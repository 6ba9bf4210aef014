"""Holds Kubernetes manifests against the schemas that Kubernetes publishes, and against rules that
those do not have.

usage: python check_manifest.py FILE...

A file is a Job as JSON, or one of tests/rendered/kube. Needs `pip install kubernetes-validate`.
"""

import json
import re
import sys
from pathlib import Path

import kubernetes_validate

VERSIONS = ["1.29", "1.33", "1.37"]


def manifest(text):
    """The manifest in a rendered case; `None`: the options were refused."""
    if "\n(refused)\n" in text:
        return None
    _, found, rest = text.partition("---- manifest.json\n")
    return json.loads(rest.partition("\n---- ")[0] if found else text)


def wrong(job):
    """What the schemas let pass and a server does not."""
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    name = job["metadata"]["name"]
    # Pods are called NAME-INDEX, and each is a host name.
    longest = f"{name}-{spec['completions'] - 1}"
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", longest):
        yield f"{longest} is no name of a pod"
    if spec["completionMode"] != "Indexed" or pod["restartPolicy"] != "Never":
        yield "backoffLimitPerIndex is for Indexed jobs that restart no container"
    if not 0 < spec["parallelism"] <= spec["completions"]:
        yield "more at once than there are"
    if not set(job["metadata"]["labels"].items()) <= set(spec["template"]["metadata"]["labels"].items()):
        yield "pods lack labels of their job"
    mounted = [mount["name"] for mount in container["volumeMounts"]]
    if mounted != [volume["name"] for volume in pod["volumes"]]:
        yield "what is mounted is not what there is"
    limits, requests = (container["resources"].get(kind, {}) for kind in ("limits", "requests"))
    for kind in limits.keys() & requests.keys():
        if limits[kind] != requests[kind]:
            yield f"two amounts of {kind}"
    for words in container["command"]:
        if "$(" in words.replace("$$", ""):
            yield f"Kubernetes would fill in a variable: {words}"


def main(paths):
    bad = 0
    for path in paths:
        job = manifest(Path(path).read_text())
        if job is None:
            print(f"{path}: refused before")
            continue
        complaints = []
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(job, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                at = ".".join(str(key) for key in error.path)
                complaints.append(f"{version}: {at}: {error.message}")
        complaints = complaints or list(wrong(job))
        print(f"{path}: {'; '.join(complaints) or 'valid for ' + ', '.join(VERSIONS)}")
        bad += bool(complaints)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
