"""What is refused, and in which words."""

import pytest

from tests.integration.contract.server import CORE, IN_NAMESPACE, NAMESPACE, SECRETS, Client, Object, external_secret


def test_a_wrong_token_is_a_401(client: Client) -> None:
    answer = client.send("GET", SECRETS, token="wrong")
    assert answer.code == 401
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


@pytest.mark.parametrize(
    ("path", "message", "details"),
    [
        (
            SECRETS,
            'externalsecrets.external-secrets.io is forbidden: User "system:anonymous" cannot list resource '
            '"externalsecrets" in API group "external-secrets.io" at the cluster scope',
            {"group": "external-secrets.io", "kind": "externalsecrets"},
        ),
        (
            f"{CORE}/secrets/db",
            'secrets "db" is forbidden: User "system:anonymous" cannot get resource "secrets" in API '
            f'group "" in the namespace "{NAMESPACE}"',
            {"name": "db", "kind": "secrets"},
        ),
    ],
)
def test_what_is_not_permitted_is_a_403(client: Client, path: str, message: str, details: Object) -> None:
    answer = client.send("GET", path, token=None)
    assert answer.code == 403
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Forbidden",
        "details": details,
        "code": 403,
    }


def test_the_version_is_public(client: Client) -> None:
    assert client.send("GET", "/version", token=None).code == 200
    assert client.send("GET", "/apis", token=None).code == 403


@pytest.mark.parametrize(
    ("path", "message", "details"),
    [
        (
            f"{IN_NAMESPACE}/gone",
            'externalsecrets.external-secrets.io "gone" not found',
            {"name": "gone", "group": "external-secrets.io", "kind": "externalsecrets"},
        ),
        (f"{CORE}/secrets/gone", 'secrets "gone" not found', {"name": "gone", "kind": "secrets"}),
    ],
)
def test_an_absent_object_is_a_404_with_a_status(client: Client, path: str, message: str, details: Object) -> None:
    answer = client.get(path)
    assert answer.code == 404
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "NotFound",
        "details": details,
        "code": 404,
    }


def test_a_list_in_a_namespace_that_does_not_exist_is_empty(client: Client) -> None:
    assert client.get("/apis/external-secrets.io/v1/namespaces/nowhere/externalsecrets").json["items"] == []


def test_broken_json_is_a_400(client: Client) -> None:
    answer = client.send("POST", IN_NAMESPACE, b"{")
    assert (answer.code, answer.json["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(("size", "code"), [(1_200_000, 201), (4_000_000, 413)])
def test_large_objects(client: Client, size: int, code: int) -> None:
    large = external_secret("a")
    large["spec"]["target"]["template"] = {"data": {"large": "x" * size}}
    assert client.send("POST", IN_NAMESPACE, large).code == code


def test_reviews_of_ones_own_rights(client: Client) -> None:
    review = {
        "spec": {"resourceAttributes": {"verb": "list", "group": "external-secrets.io", "resource": "externalsecrets"}}
    }
    answer = client.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.code == 201
    assert answer.json["status"]["allowed"] is True
    rules = client.send(
        "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": NAMESPACE}}
    )
    assert rules.code == 201
    assert rules.json["status"]["resourceRules"]
