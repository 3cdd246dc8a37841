"""deploy.py RUNNER: whether deploy/kubernetes.yaml is what it says. Its schema is kubernetes-validate's to judge; here its
settings are the runner's own, and its numbers fit each other and the image. Needs PyYAML."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

root = Path(__file__).resolve().parent.parent
[runner] = sys.argv[1:]


def check(holds, what):
    if not holds:
        sys.exit(f"deploy/kubernetes.yaml: {what}")


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h|)", text).groups()
    return float(number) * {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600}[unit]


def settings(environment):
    said = subprocess.run([runner, "config", "show", "--json"], env={"HOME": "/nowhere", **environment}, capture_output=True, text=True)
    check(said.returncode == 0, said.stderr.strip())
    return {setting["environment"]: setting for setting in json.loads(said.stdout)}


documents = {document["kind"]: document for document in yaml.safe_load_all((root / "deploy/kubernetes.yaml").read_text())}
deployment, budget = documents["Deployment"], documents["PodDisruptionBudget"]
pod = deployment["spec"]["template"]
[container] = pod["spec"]["containers"]
labels = pod["metadata"]["labels"]
for kind, selector in (("Deployment", deployment["spec"]["selector"]), ("PodDisruptionBudget", budget["spec"]["selector"])):
    check(selector["matchLabels"].items() <= labels.items(), f"the {kind} does not select its pods")

given = {variable["name"]: variable["value"] for variable in container["env"]}
values = settings(given)
for name in given:
    check(name in values, f"there is no setting {name}")
    check(values[name]["origin"] == f"environment {name}", f"{name} does not count")
inside = [mount["mountPath"] for mount in container["volumeMounts"]]
check(str(Path(given["RUNNER_PASSWORD_FILE"]).parent) in inside, "the password is not where the runner looks for it")

# What a drain can take: a task, twice the grace, the last delivery.
drain = seconds(values["RUNNER_TIMEOUT"]["value"]) + 2 * seconds(values["RUNNER_GRACE"]["value"]) + 10
grace = pod["spec"]["terminationGracePeriodSeconds"]
check(grace > drain, f"terminationGracePeriodSeconds {grace} is too short for a drain of {drain:.0f} s")

dockerfile = (root / "Dockerfile").read_text()
user = int(re.search(r"useradd --uid (\d+) .*ostest-runner", dockerfile).group(1))
check(pod["spec"]["securityContext"]["runAsUser"] == user, f"the image's user is {user}")
check(re.search(r"^VOLUME (\S+)", dockerfile, re.MULTILINE).group(1) in inside, "the image's volume is not mounted")
[port] = container["ports"]
check(given["RUNNER_LISTEN"].endswith(f":{port['containerPort']}"), "the port is not the one that the runner listens on")
for name in ("livenessProbe", "readinessProbe", "startupProbe"):
    check(container[name]["httpGet"]["port"] == port["name"], f"{name} asks another port")
print(f"deploy/kubernetes.yaml: {len(given)} settings, a drain of at most {drain:.0f} s within {grace} s")
