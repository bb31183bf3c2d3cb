"""Creating, changing and deleting, and what the server itself sets then."""

from tests.integration.contract.server import IN_NAMESPACE, MOUNTS, Client, external_secret, fill, mount


def test_what_the_server_sets_at_creation(client: Client) -> None:
    made = client.create(
        IN_NAMESPACE,
        external_secret("a", creationTimestamp="2001-01-01T00:00:00Z", generation=7)
        | {"status": {"refreshTime": "2001-01-01T00:00:00Z"}},
    )
    assert made["metadata"]["generation"] == 1
    assert not made["metadata"]["creationTimestamp"].startswith("2001")
    assert made["metadata"]["uid"]
    assert "status" not in made
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("contract", "Update")
    assert "f:spec" in entry["fieldsV1"]


def test_creating_twice_is_a_409(client: Client) -> None:
    fill(client, "a")
    answer = client.send("POST", IN_NAMESPACE, external_secret("a"))
    assert (answer.code, answer.json["reason"]) == (409, "AlreadyExists")
    assert answer.json["message"] == 'externalsecrets.external-secrets.io "a" already exists'


def test_an_old_version_is_a_conflict_and_none_is_invalid(client: Client) -> None:
    made = client.create(IN_NAMESPACE, external_secret("a"))
    newer = made | {"spec": made["spec"] | {"refreshInterval": "2h"}}
    assert client.send("PUT", f"{IN_NAMESPACE}/a", newer).code == 200
    again = client.send("PUT", f"{IN_NAMESPACE}/a", made)
    assert (again.code, again.json["reason"]) == (409, "Conflict")
    assert "the object has been modified" in again.json["message"]
    blind = client.send("PUT", f"{IN_NAMESPACE}/a", external_secret("a"))
    assert (blind.code, blind.json["reason"]) == (422, "Invalid")


def test_an_update_without_news_writes_nothing(client: Client) -> None:
    made = client.create(IN_NAMESPACE, external_secret("a"))
    answer = client.send("PUT", f"{IN_NAMESPACE}/a", made)
    assert answer.json["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_status_and_spec_are_written_apart(client: Client) -> None:
    fill(client, "a")
    status = {
        "refreshTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    answer = client.patch(f"{IN_NAMESPACE}/a/status", {"status": status, "spec": {"refreshInterval": "9h"}}).json
    assert answer["status"]["refreshTime"] == "2026-01-01T00:00:00Z"
    assert answer["spec"]["refreshInterval"] == "1h"
    assert answer["metadata"]["generation"] == 1
    assert [entry.get("subresource") for entry in answer["metadata"]["managedFields"]].count("status") == 1
    answer = client.patch(
        f"{IN_NAMESPACE}/a", {"spec": {"refreshInterval": "2h"}, "status": {"refreshTime": None}}
    ).json
    assert answer["status"]["refreshTime"] == "2026-01-01T00:00:00Z"
    assert answer["metadata"]["generation"] == 2


def test_labels_do_not_count_as_generation(client: Client) -> None:
    fill(client, "a")
    answer = client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}}).json
    assert answer["metadata"]["generation"] == 1
    assert answer["metadata"]["labels"] == {"team": "x"}


def test_a_kind_without_status_subresource_counts_status_as_generation(client: Client) -> None:
    made = client.create(MOUNTS, mount("m", "1"))
    assert made["status"]["objects"][0]["version"] == "1"
    rotated = client.send(
        "PUT",
        f"{MOUNTS}/m?fieldManager=csi-secrets-store",
        mount("m", "2") | {"metadata": {"name": "m", "resourceVersion": made["metadata"]["resourceVersion"]}},
    ).json
    assert rotated["metadata"]["generation"] == 2
    assert "csi-secrets-store" in [entry["manager"] for entry in rotated["metadata"]["managedFields"]]


def test_the_last_writer_of_a_field_manages_it(client: Client) -> None:
    fill(client, "a")
    changed = client.send(
        "PATCH",
        f"{IN_NAMESPACE}/a",
        {"spec": {"refreshInterval": "2h"}},
        User_Agent="kubectl-edit/v1.36",
        Content_Type="application/merge-patch+json",
    ).json
    spec = {entry["manager"]: entry["fieldsV1"]["f:spec"] for entry in changed["metadata"]["managedFields"]}
    assert "f:refreshInterval" in spec["kubectl-edit"]
    assert "f:refreshInterval" not in spec["contract"]
    assert "f:data" in spec["contract"]


def test_deleting(client: Client) -> None:
    fill(client, "a")
    answer = client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert (answer.code, answer.json["kind"], answer.json["status"]) == (200, "Status", "Success")
    assert client.get(f"{IN_NAMESPACE}/a").code == 404
    assert client.send("DELETE", f"{IN_NAMESPACE}/a").code == 404


def test_a_finalizer_holds_a_deletion_and_raises_the_generation(client: Client) -> None:
    client.create(IN_NAMESPACE, external_secret("a", finalizers=["example.com/cleanup"]))
    begin = client.version()
    answer = client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert answer.code == 200
    held = client.get(f"{IN_NAMESPACE}/a").json["metadata"]
    assert held["deletionTimestamp"]
    assert held["generation"] == 2
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"finalizers": None}})
    assert client.get(f"{IN_NAMESPACE}/a").code == 404
    events = client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1).lines
    assert events[0]["type"] == "MODIFIED"
    assert events[-1]["type"] == "DELETED"


def test_recreating_gives_another_uid(client: Client) -> None:
    first = client.create(IN_NAMESPACE, external_secret("a"))
    client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert client.create(IN_NAMESPACE, external_secret("a"))["metadata"]["uid"] != first["metadata"]["uid"]
