"""Plain requests to an API server, and objects to send it."""

import http.client
import json
import ssl
import urllib.parse
from dataclasses import dataclass
from typing import Any, Protocol

SECRETS = "/apis/external-secrets.io/v1/externalsecrets"
NAMESPACE = "contract"
IN_NAMESPACE = f"/apis/external-secrets.io/v1/namespaces/{NAMESPACE}/externalsecrets"
MOUNTS = f"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{NAMESPACE}/secretproviderclasspodstatuses"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"

Object = dict[str, Any]


class Address(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def ca_pem(self) -> str: ...

    @property
    def token(self) -> str: ...


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]


class Client:
    """Plain requests, so that nothing between us and the wire smooths a difference."""

    def __init__(self, server: Address):
        self.server = server
        self.context = ssl.create_default_context(cadata=server.ca_pem)

    def send(
        self, method: str, path: str, body: Object | bytes | None = None, *, token: str | None = "", **headers: str
    ) -> Answer:
        given = {"Accept": "application/json", "User-Agent": "contract/1.0", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.server.token}"
        address = urllib.parse.urlsplit(self.server.url)
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=self.context, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, given)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, accept: str = "application/json", **query: str | int) -> Answer:
        return self.send("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path, Accept=accept)

    def create(self, path: str, body: Object) -> Object:
        answer = self.send("POST", path, body)
        assert answer.code == 201, answer.body
        made: Object = answer.json
        return made

    def patch(self, path: str, body: Object) -> Answer:
        return self.send("PATCH", path, body, Content_Type="application/merge-patch+json")

    def version(self) -> str:
        version: str = self.get(IN_NAMESPACE, limit=1).json["metadata"]["resourceVersion"]
        return version


def external_secret(name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name} | metadata,
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "SecretStore", "name": "vault"},
            "target": {"name": name},
            "data": [{"secretKey": "password", "remoteRef": {"key": "prod/db"}}],
        },
    }


def mount(name: str, version: str) -> Object:
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {"name": name},
        "status": {"mounted": True, "podName": "p", "objects": [{"id": "secret/db", "version": version}]},
    }


def k8s_event(name: str, involved: str, kind: str, reason: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "reason": reason,
        "type": "Warning",
        "message": "text",
        "source": {"component": "external-secrets"},
        "involvedObject": {"kind": kind, "name": involved, "namespace": NAMESPACE},
    }


def fill(client: Client, names: str) -> None:
    for name in names:
        client.create(IN_NAMESPACE, external_secret(name))
