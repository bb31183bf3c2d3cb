"""The API server to read from, in a process of its own, so that its CPU is not counted as ours.

Prints one JSON line with url, ca_pem and token when it listens, and serves until its standard input closes.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

COUNT = 10_000
CREATED = "2026-11-01T00:00:00Z"
REFRESHED = "2026-11-24T00:00:00Z"
PADDING = "/".join(f"team-{number:03d}" for number in range(60))  # brings an object to the 3 kB of real ones


@contextmanager
def serving(count: int = COUNT) -> Iterator[dict[str, str]]:
    """A simulated cluster with `count` ExternalSecrets and nothing else."""
    with Popen([sys.executable, "-m", "benchmarks.server", str(count)], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            access: dict[str, str] = json.loads(process.stdout.readline())
            yield access
        finally:
            process.stdin.close()


def external_secret(number: int) -> dict[str, object]:
    """An ExternalSecret as kube-apiserver returns it: about 3 kB, a third of it managedFields."""
    name, namespace = f"secret-{number:05d}", f"team-{number % 970:03d}"
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "creationTimestamp": CREATED,
            "generation": 1,
            "labels": {"app.kubernetes.io/name": name, "team": namespace},
            "annotations": {"argocd.argoproj.io/tracking-id": f"{namespace}:{PADDING}"},
            "managedFields": [_managed_by(manager) for manager in ("argocd-controller", "external-secrets")],
        },
        "spec": {
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [
                {"secretKey": f"key-{n}", "remoteRef": {"key": f"kv/{namespace}/{name}", "property": f"key-{n}"}}
                for n in range(4)
            ],
        },
        "status": _status(name),
    }


def _managed_by(manager: str) -> dict[str, object]:
    fields: dict[str, dict[str, str]] = {f"f:field-{n}": {} for n in range(20)}
    return {"manager": manager, "operation": "Update", "time": CREATED, "fieldsV1": {"f:spec": fields}}


def _status(name: str) -> dict[str, object]:
    ready = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced"}
    return {
        "binding": {"name": name},
        "refreshTime": REFRESHED,
        "syncedResourceVersion": "1-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2",
        "conditions": [ready | {"lastTransitionTime": CREATED}],
    }


def main() -> None:
    from demo.apiserver import Fleet, running

    fleet = Fleet()
    cluster = fleet.add("bench")
    for family in ("sealed-secrets", "secrets-store-csi"):
        cluster.uninstall(family)
    with running(fleet):
        cluster.load(external_secret(number) for number in range(int(sys.argv[1])))
        access = {"url": cluster.url, "ca_pem": cluster.ca_pem, "token": cluster.token}
        print(json.dumps(access), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
