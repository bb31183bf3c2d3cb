"""A small synchronous client that puts objects into an API server and takes them out again.

It writes what a controller would have written: the object first, then its status through the
status subresource where the kind has one. `uid`, `creationTimestamp`, `generation` and
`managedFields` are the API server's own and cannot be set, so that the ages of what it makes are
always "just now"; every time inside a status can be set.
"""

import functools
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.envtest.server import ApiServer, tls_context, wait_until

Object = dict[str, Any]

_REPOSITORY = Path(__file__).parents[2]
_TIMEOUT_SECONDS = 30
_SET_BY_SERVER = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
# Anything shorter could stand in a text by chance.
_UID_LENGTH = 36
_READER_NAMESPACE = "secretsdash"
_READER_ACCOUNT = "secretsdash-reader"
_READER_TOKEN_SECONDS = 3600
# Each tier is applied on top of the ones before it.
_TIERS = ("t0", "t1", "t2")


class ApiError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class _Endpoint:
    """Where the objects of one kind live, as discovery told it."""

    prefix: str
    plural: str
    namespaced: bool
    has_status: bool

    def collection(self, namespace: str) -> str:
        middle = f"namespaces/{namespace}/" if self.namespaced else ""
        return f"{self.prefix}/{middle}{self.plural}"


class Client:
    """Requests to one API server as one identity. Remembers what discovery said while it lives."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls_context(server))
        )

    def get(self, path: str) -> Object:
        """The decoded answer to GET of a path such as `/api/v1/namespaces`. Raises ApiError."""
        return self.request("GET", path)

    def request(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        """Send one request and decode the answer. Raises ApiError, and OSError when there is no answer."""
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self._server.token}",
            "Content-Type": content_type,
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server.url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer: Object = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _api_error(error.code, error.read()) from error
        return answer

    def status_of(self, path: str) -> int:
        """The HTTP status that GET of the path ends with."""
        try:
            self.get(path)
        except ApiError as error:
            return error.status
        return http.client.OK

    def path_of(self, obj: Object) -> str:
        """The path of the object that has this apiVersion, kind, namespace and name."""
        return f"{self._collection_of(obj)}/{obj['metadata']['name']}"

    def create_or_update(self, obj: Object) -> Object:
        """Write the object and its status; return it as the API server has it then.

        A custom resource that exists is replaced. An object of a built-in kind that exists is merged
        into, because most of those refuse to lose the fields that the API server filled in.
        """
        endpoint = self._endpoint_of(obj)
        written = self._write(endpoint, _without_server_fields(obj))
        if endpoint.has_status and "status" in obj and obj["kind"] != "Namespace":
            written = self.request("PUT", f"{self.path_of(obj)}/status", {**written, "status": obj["status"]})
        if "deletionTimestamp" in obj["metadata"] and "deletionTimestamp" not in written["metadata"]:
            self.request("DELETE", self.path_of(obj))
            written = self.get(self.path_of(obj))  # its finalizers keep it
        return written

    def ensure_namespace(self, name: str) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            self.request("POST", "/api/v1/namespaces", namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    def _write(self, endpoint: _Endpoint, obj: Object) -> Object:
        if endpoint.namespaced:
            self.ensure_namespace(obj["metadata"].setdefault("namespace", "default"))
        try:
            return self.request("POST", self._collection_of(obj), obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        if not _is_custom(obj):
            return self.request("PATCH", self.path_of(obj), obj, "application/merge-patch+json")
        known = self.get(self.path_of(obj))
        metadata = {**obj["metadata"], "resourceVersion": known["metadata"]["resourceVersion"]}
        return self.request("PUT", self.path_of(obj), {**obj, "metadata": metadata})

    def _collection_of(self, obj: Object) -> str:
        return self._endpoint_of(obj).collection(obj["metadata"].get("namespace", "default"))

    def _endpoint_of(self, obj: Object) -> _Endpoint:
        group_version, kind = obj["apiVersion"], obj["kind"]
        if (group_version, kind) not in self._endpoints:
            self._discover(group_version)
        if (group_version, kind) not in self._endpoints:
            raise ValueError(f"the API server has no kind {kind} in {group_version}")
        return self._endpoints[group_version, kind]

    def _discover(self, group_version: str) -> None:
        prefix = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        try:
            listed = self.get(prefix)["resources"]
        except ApiError as error:
            if error.status == http.client.NOT_FOUND:
                return
            raise
        with_status = {item["name"].removesuffix("/status") for item in listed if item["name"].endswith("/status")}
        for item in listed:
            if "/" not in item["name"]:
                self._endpoints[group_version, item["kind"]] = _Endpoint(
                    prefix, item["name"], item["namespaced"], item["name"] in with_status
                )


def apply(server: ApiServer, objects: Iterable[Object]) -> list[Object]:
    """Write the objects with their namespaces and statuses; return them as the API server has them.

    Owners are written before what they own, the answer has the order of the argument. Wherever a
    recorded uid of one object stands in another one (ownerReferences, involvedObject, the target path
    of a mount), it becomes the uid that the API server gave. Lists are written item by item. An object
    with a deletionTimestamp is deleted after it was written; it stays as long as a finalizer holds it.
    Raises ApiError, and ValueError for a kind that is not served.
    """
    client = Client(server)
    pending = dict(enumerate(_flat(objects)))
    written: dict[int, Object] = {}
    new_uids: dict[str, str] = {}
    while pending:
        number = _next_without_pending_owner(pending)
        obj = pending.pop(number)
        written[number] = client.create_or_update(_with_uids(obj, new_uids))
        old_uid = obj["metadata"].get("uid", "")
        if len(old_uid) == _UID_LENGTH:
            new_uids[old_uid] = written[number]["metadata"]["uid"]
    return [written[number] for number in sorted(written)]


def delete(server: ApiServer, obj: Object) -> None:
    """Delete the object with this apiVersion, kind, namespace and name. Raises ApiError when it is not there."""
    client = Client(server)
    client.request("DELETE", client.path_of(obj))


def create_reader(server: ApiServer, tier: str = "t0") -> ApiServer:
    """Apply the shipped manifests up to the tier; return the API server as their ServiceAccount sees it.

    `server` carries an administrator's token. Returns when the rights are in force.
    """
    for name in _TIERS[: _TIERS.index(tier) + 1]:
        apply(server, yaml.safe_load_all((_REPOSITORY / "deploy" / "rbac" / f"{name}.yaml").read_text()))
    path = f"/api/v1/namespaces/{_READER_NAMESPACE}/serviceaccounts/{_READER_ACCOUNT}/token"
    answer = Client(server).request("POST", path, _token_request())
    reader = replace(server, token=answer["status"]["token"])
    # The authorizer learns of new bindings through a watch, the newest manifest last.
    last_right = {"t0": "/api/v1/namespaces", "t1": "/api/v1/pods", "t2": "/api/v1/namespaces/kube-system/secrets"}
    client = Client(reader)
    wait_until(lambda: client.status_of(f"{last_right[tier]}?limit=1") == http.client.OK, f"the rights of {tier}")
    return reader


def install_crds(server: ApiServer) -> None:
    """Install the watched kinds; return when every served version of each can be listed."""
    documents = [
        document
        for path in sorted((Path(__file__).parent / "crds").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]
    apply(server, documents)
    client = Client(server)
    for path in (path for document in documents for path in _served_paths(document)):
        wait_until(functools.partial(_can_list, client, path), f"{path} is served")


def _served_paths(crd: Object) -> list[str]:
    spec = crd["spec"]
    return [
        f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
        for version in spec["versions"]
        if version["served"]
    ]


def _can_list(client: Client, path: str) -> bool:
    group_version, _, plural = path.rpartition("/")
    if client.status_of(f"{path}?limit=1") != http.client.OK or client.status_of(group_version) != http.client.OK:
        return False
    return plural in {item["name"] for item in client.get(group_version)["resources"]}


def _flat(objects: Iterable[Object]) -> list[Object]:
    """The objects with each list (`List`, `EventList`) replaced by its items.

    The items of a typed list do not say what they are, the list does; an empty one may hold null.
    """
    flat: list[Object] = []
    for obj in objects:
        if not obj["kind"].endswith("List"):
            flat.append(obj)
            continue
        implied = {"apiVersion": obj["apiVersion"], "kind": obj["kind"].removesuffix("List")}
        flat.extend({**implied, **item} for item in obj["items"] or [])
    return flat


def _next_without_pending_owner(pending: Mapping[int, Object]) -> int:
    uids = {obj["metadata"].get("uid") for obj in pending.values()} - {None}
    for number, obj in pending.items():
        if uids.isdisjoint(_uids_of_owners(obj)):
            return number
    return next(iter(pending))  # owners in a circle: any order is as good


def _uids_of_owners(obj: Object) -> Sequence[str]:
    owners = [owner["uid"] for owner in obj["metadata"].get("ownerReferences", [])]
    return [*owners, obj["involvedObject"].get("uid")] if "involvedObject" in obj else owners


def _with_uids(obj: Object, new_uids: Mapping[str, str]) -> Object:
    text = json.dumps(obj)
    for old, new in new_uids.items():
        text = text.replace(old, new)
    replaced: Object = json.loads(text)
    return replaced


def _without_server_fields(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "spec")}
    if "spec" in obj:
        rest["spec"] = _without_addresses(obj["spec"]) if obj["kind"] == "Service" else obj["spec"]
    return {**rest, "metadata": metadata}


def _without_addresses(spec: Object) -> Object:
    """A Service's spec without the cluster addresses, which may lie in another server's range or be taken."""
    return {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}


def _is_custom(obj: Object) -> bool:
    group = obj["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def _token_request() -> Object:
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _READER_TOKEN_SECONDS},
    }


def _api_error(status: int, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
    except ValueError:
        return ApiError(status, "NotJson", content[:200].decode(errors="replace"))
    return ApiError(status, answer.get("reason", ""), answer.get("message", ""))
