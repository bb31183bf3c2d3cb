"""Registering a cluster in the browser: what is refused says why, and no credential ever comes back."""

import pytest
import yaml
from django.test import Client

from clusters.models import Cluster, Credential

pytestmark = pytest.mark.django_db
TOKEN = "CANARY-form-token"
BY_HAND = {"name": "prod-eu", "api_url": "https://10.0.0.1:6443", "token": TOKEN, "interval_seconds": "30"}


def kubeconfig(**user: object) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [
                {"name": "first", "context": {"cluster": "c", "user": "u"}},
                {"name": "second", "context": {"cluster": "c", "user": "u"}},
            ],
        }
    )


def test_by_hand(staff: Client) -> None:
    response = staff.post("/add-cluster/", BY_HAND, follow=True)
    assert b"Registered: prod-eu." in response.content
    made = Cluster.objects.get()
    assert (made.name, made.api_url, made.interval_seconds) == ("prod-eu", "https://10.0.0.1:6443", 30)
    assert TOKEN.encode() not in bytes(Credential.objects.get().sealed)


def test_namespaces_with_secrets_are_given_between_commas_or_blanks(staff: Client) -> None:
    staff.post("/add-cluster/", {**BY_HAND, "secret_namespaces": " kube-system,shop  web,\n"})
    assert Cluster.objects.get().secret_namespaces == ["kube-system", "shop", "web"]


def test_from_a_kubeconfig(staff: Client) -> None:
    staff.post("/add-cluster/", {"kubeconfig": kubeconfig(token=TOKEN), "contexts": "second"})
    assert list(Cluster.objects.values_list("name", flat=True)) == ["second"]
    Cluster.objects.all().delete()
    staff.post("/add-cluster/", {"kubeconfig": kubeconfig(token=TOKEN)})
    assert list(Cluster.objects.values_list("name", flat=True)) == ["first", "second"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({**BY_HAND, "api_url": "http://10.0.0.1"}, "must begin with https://"),
        ({**BY_HAND, "name": "prod eu"}, "must be 1 to 63 letters"),
        ({**BY_HAND, "token": ""}, "needs a token"),
        ({**BY_HAND, "ca_pem": "nonsense"}, "does not hold certificates"),
        ({**BY_HAND, "interval_seconds": "1"}, "greater than or equal to 10"),
        ({**BY_HAND, "secret_namespaces": "shop, a/b"}, "&quot;a/b&quot; is not the name of a namespace"),
        ({**BY_HAND, "kubeconfig": kubeconfig(token=TOKEN)}, "not both"),
        ({"kubeconfig": "a: [", "contexts": ""}, "not valid YAML"),
        ({"kubeconfig": kubeconfig(token=TOKEN, exec={"command": "/bin/sh"})}, "runs a program"),
        ({"kubeconfig": kubeconfig(token=TOKEN), "contexts": "third"}, "third"),
        ({}, "needs a token"),
    ],
)
def test_a_refusal_says_why_and_repeats_no_credential(staff: Client, data: dict[str, str], reason: str) -> None:
    response = staff.post("/add-cluster/", data)
    assert response.status_code == 400
    page = response.content.decode()
    assert reason in page
    assert TOKEN not in page
    assert not Cluster.objects.exists()


def test_a_name_that_is_taken(staff: Client) -> None:
    staff.post("/add-cluster/", BY_HAND)
    response = staff.post("/add-cluster/", {**BY_HAND, "name": "PROD-EU"})
    assert b"registered already" in response.content
    assert Cluster.objects.count() == 1


def test_all_contexts_or_none(staff: Client) -> None:
    staff.post("/add-cluster/", {**BY_HAND, "name": "second"})
    response = staff.post("/add-cluster/", {"kubeconfig": kubeconfig(token=TOKEN)})
    assert b"registered already" in response.content
    assert list(Cluster.objects.values_list("name", flat=True)) == ["second"]
    assert response.context["form"].errors.keys() == {"kubeconfig"}, "said where it was pasted"
    assert b"Nothing was registered." in response.content


def test_only_staff_registers_clusters(viewer: Client) -> None:
    assert viewer.get("/add-cluster/").status_code == 403
    assert viewer.post("/add-cluster/", BY_HAND).status_code == 403
    assert not Cluster.objects.exists()


def test_a_post_without_its_token_is_refused(staff: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    response = strict.post("/add-cluster/", BY_HAND)
    assert response.status_code == 403
    assert b"This form was not accepted." in response.content
