"""Checks what is deployed: the chart, the plain manifests, the dashboard. Usage: check.py [--bless]

The chart is rendered by render.go and every object is validated against the schemas of Kubernetes. The plain manifests of the
services are what the chart renders without options: --bless writes them anew.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/bookinfo"
PLAIN = ROOT / "deploy/kubernetes"
COMPOSE = ROOT / "docker/compose.yaml"
# What a service may need for its stop on top of its delay and its drain: 1 s each for the calls and tasks that are cut, the
# figures and the admin ports, 11 s for its hooks, 5 s for its log.
AFTER_DRAIN = 20
HEAD = "# Made of deploy/helm/bookinfo without options by `.ci/deploy --bless`: change the chart.\n"
# The oldest and the newest release that the chart is for.
VERSIONS = ("1.27", "1.34")


def fail(what):
    raise SystemExit(f"FAILED: {what}")


def merge(base, over):
    if isinstance(base, dict) and isinstance(over, dict):
        return {key: merge(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key))
                for key in [*base, *(key for key in over if key not in base)]}
    return over


def render(over):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = merge(yaml.safe_load((CHART / "values.yaml").read_text()), over)
    command = ["go", "run", str(ROOT / "deploy/check/render.go"), str(CHART), "bookinfo"]
    done = subprocess.run(command, input=json.dumps({"chart": chart, "values": values}), text=True, capture_output=True)
    if done.returncode != 0:
        fail(f"the chart cannot be rendered: {done.stderr}")
    rendered = json.loads(done.stdout)
    notes = rendered.pop("NOTES.txt")
    if "port-forward" not in notes:
        fail("the notes are empty")
    objects = []
    for name, text in sorted(rendered.items()):
        try:
            objects += [one for one in yaml.safe_load_all(text) if one]
        except yaml.YAMLError as error:
            fail(f"{name} renders no YAML: {error}\n{text}")
    return objects


def name(one):
    return f"{one['kind']}/{one['metadata']['name']}"


def validate(objects, where):
    names = [name(one) for one in objects]
    if len(set(names)) != len(names):
        fail(f"{where}: the same object twice in {names}")
    checked = 0
    for one in objects:
        if one["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # of an operator: its schema is not Kubernetes' own
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                fail(f"{where}: {name(one)} is not valid for {version}: {'.'.join(map(str, error.path))}: {error.message}")
        checked += 1
    return checked


def hang_together(objects, where):
    """What schemas do not see: names that point at nothing, a stop that is longer than the patience with it, no place to write."""
    have = {name(one) for one in objects}
    pods = {}
    for one in objects:
        if one["kind"] != "Deployment":
            continue
        spec = one["spec"]["template"]["spec"]
        labels = one["spec"]["template"]["metadata"]["labels"]
        if not one["spec"]["selector"]["matchLabels"].items() <= labels.items():
            fail(f"{where}: {name(one)} does not select its own pods")
        pods[one["metadata"]["name"]] = (labels, {port["name"] for port in spec["containers"][0].get("ports", [])})
        for container in spec["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
            empty = {volume["name"] for volume in spec.get("volumes", []) if volume.get("emptyDir", {}).get("sizeLimit")}
            locked = container.get("securityContext", {}).get("readOnlyRootFilesystem")
            if locked and mounts.get("/tmp") not in empty:
                fail(f"{where}: {name(one)} can write nowhere: its root is read-only, and /tmp is no emptyDir with a limit")
        for source in spec["containers"][0].get("envFrom", []):
            config = "ConfigMap/" + source["configMapRef"]["name"]
            if config not in have:
                fail(f"{where}: {name(one)} wants {config}")
            data = next(it["data"] for it in objects if name(it) == config)
            patience = sum(int(data[key][:-1]) for key in data if key.endswith(("_SHUTDOWN_DELAY", "_DRAIN_TIMEOUT")))
            if patience + AFTER_DRAIN > spec["terminationGracePeriodSeconds"]:
                fail(f"{where}: {name(one)} is killed before its stop of {patience} + {AFTER_DRAIN} s is over")
    for one in objects:
        if one["kind"] == "Service":
            selector = one["spec"]["selector"].items()
            ports = [ports for labels, ports in pods.values() if selector <= labels.items()]
            if len(ports) != 1:
                fail(f"{where}: {name(one)} selects the pods of {len(ports)} deployments")
            for port in one["spec"]["ports"]:
                if isinstance(port.get("targetPort"), str) and port["targetPort"] not in ports[0]:
                    fail(f"{where}: {name(one)} leads to no port {port['targetPort']}")
        if one["kind"] == "HorizontalPodAutoscaler":
            if "Deployment/" + one["spec"]["scaleTargetRef"]["name"] not in have:
                fail(f"{where}: {name(one)} scales nothing")


def manifests(bless):
    plain = render({})
    every = render(yaml.safe_load((ROOT / "deploy/check/everything.yaml").read_text()))
    text = HEAD + "---\n" + yaml.safe_dump_all(plain, sort_keys=False, width=120)
    file = PLAIN / "bookinfo.yaml"
    if bless:
        file.write_text(text)
    if not file.exists() or file.read_text() != text:
        fail(f"{file.relative_to(ROOT)} is not what the chart renders: run .ci/deploy --bless")
    kinds = {one["kind"] for one in every}
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"):
        if kind not in kinds:
            fail(f"with every option there is no {kind}")
    count = validate(every, "chart with every option")
    hang_together(every, "chart with every option")
    for file in sorted(PLAIN.glob("*.yaml")):
        objects = [one for one in yaml.safe_load_all(file.read_text()) if one]
        count += validate(objects, file.name)
        hang_together(objects, file.name)
    print(f"{count} manifests are valid for Kubernetes {' and '.join(VERSIONS)}")


def default_of(setting):
    source = (ROOT / "kit/src/server/config.rs").read_text()
    return int(re.search(rf"{setting}: Duration::from_secs\((\d+)\)", source)[1])


def compose():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    needed = default_of("drain_timeout") + AFTER_DRAIN
    ours = 0
    for name, service in services.items():
        if service.get("read_only") and "/tmp" not in service.get("tmpfs", []):
            fail(f"{COMPOSE.name}: {name} can write nowhere: its root is read-only, and /tmp is no tmpfs")
        if service["image"].startswith("bookinfo:"):
            ours += 1
            if int(service["stop_grace_period"].removesuffix("s")) < needed:
                fail(f"{COMPOSE.name}: {name} is killed before its stop of {needed} s is over")
    if ours != 2:
        fail(f"{COMPOSE.name}: {ours} services of ours")


def queries(node):
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from queries(value)


def known():
    names = set()
    for line in (ROOT / "docker/prometheus/metrics.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            metric, *kind = line.split()
            names |= {metric + suffix for suffix in ("_bucket", "_count", "_sum")} if kind else {metric}
    return names


WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "inf", "nan"}


def metrics_of(query):
    """The names of metrics in a query: what is left when labels, texts, times and functions are gone."""
    query = re.sub(r'"(?:[^"\\]|\\.)*"', "", query)
    query = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", query)
    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    for match in re.finditer(r"[A-Za-z_:][A-Za-z0-9_:]*", query):
        if match[0].lower() not in WORDS and not query[match.end():].lstrip().startswith("("):
            yield match[0]


def dashboards():
    rules = yaml.safe_load((ROOT / "docker/prometheus/rules.yml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    allowed = known() | recorded
    asked = [(rule.get("record") or rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    files = sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))
    if not files:
        fail("there is no dashboard")
    for file in files:
        board = json.loads(file.read_text())
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        ids = [panel["id"] for panel in board["panels"]]
        if len(set(ids)) != len(ids):
            fail(f"{file.name}: two panels have the same id")
        sources = {"prometheus", "zipkin"}
        for panel in panels:
            if panel["datasource"]["uid"] not in sources or not panel["targets"]:
                fail(f"{file.name}: {panel['title']} has no query or an unknown source")
            grid = panel["gridPos"]
            if grid["x"] + grid["w"] > 24:
                fail(f"{file.name}: {panel['title']} does not fit")
        asked += [(file.name, query) for query in queries(board)]
    for where, query in asked:
        for metric in metrics_of(query):
            if metric not in allowed:
                fail(f"{where}: nothing is called {metric}: {query}")
    # promtool reads no dashboards, but rules: each query becomes one.
    plain = [query.replace("$__rate_interval", "1m").replace("$service", ".+") for _, query in asked]
    made = {"groups": [{"name": "queries", "rules": [{"record": f"query:{i}", "expr": q} for i, q in enumerate(plain)]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as out:
        yaml.safe_dump(made, out)
        out.flush()
        done = subprocess.run(["promtool", "check", "rules", out.name], text=True, capture_output=True)
    if done.returncode != 0:
        fail(f"a query is not PromQL: {done.stdout}{done.stderr}")
    print(f"{len(asked)} queries are PromQL about metrics that there are")


manifests("--bless" in sys.argv)
compose()
dashboards()
