"""Nothing below /api/ answers without a token or a sign-in, and only staff may change anything."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import URLPattern

from monitoring.api.models import ApiToken
from monitoring.api.urls import urlpatterns
from tests.web.api_data import add_cluster, add_resource, client_for

pytestmark = pytest.mark.django_db

METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
ENDPOINTS = [
    "/api/",
    "/api/nothing/",
    "/api/schema/",
    "/api/docs/",
    "/api/v1/clusters/",
    "/api/v1/clusters/prod/",
    "/api/v1/clusters/prod/collect/",
    "/api/v1/causes/",
    "/api/v1/causes/0123456789abcdef/",
    "/api/v1/diff/",
    "/api/v1/drift/",
    "/api/v1/lints/",
    "/api/v1/resources/",
    "/api/v1/resources/1/",
    "/api/v1/rotations/",
    "/api/v1/rotations/ages/",
    "/api/v1/waves/",
    "/api/v1/waves/0123456789abcdef0123456789abcdef/0123456789abcdef/",
    "/api/v1/transitions/",
    "/api/v1/trend/",
    "/api/v1/collections/",
]
WRITES = [
    ("post", "/api/v1/clusters/"),
    ("patch", "/api/v1/clusters/prod/"),
    ("delete", "/api/v1/clusters/prod/"),
    ("post", "/api/v1/clusters/prod/collect/"),
]


def test_every_address_has_its_case() -> None:
    matched = set()
    for endpoint in ENDPOINTS:
        found = next(pattern for pattern in urlpatterns if pattern.resolve(endpoint.removeprefix("/api/")))
        matched.add(id(found))
    assert all(isinstance(pattern, URLPattern) for pattern in urlpatterns)
    assert len(matched) == len(urlpatterns)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_nothing_answers_without_signing_in(endpoint: str, method: str) -> None:
    answer = getattr(Client(), method)(endpoint)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize(
    "header", ["Token", "Token x", "Token a b", "Token \xff\xfe", "Token a\x00b", "Bearer x", "Basic eDp4", "x"]
)
def test_what_is_no_token_is_refused(header: str) -> None:
    assert Client(headers={"Authorization": header}).get("/api/v1/clusters/").status_code == 401


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.endswith("s/") and "nothing" not in e])
def test_a_token_opens_what_can_be_read(endpoint: str) -> None:
    assert client_for().get(endpoint).status_code == 200


def test_answers_are_not_kept_on_the_way() -> None:
    header = client_for().get("/api/v1/resources/").headers["Cache-Control"]
    assert {"no-store", "private"} <= {part.strip() for part in header.split(",")}


def test_a_sign_in_opens_it_too() -> None:
    client = Client()
    client.force_login(User.objects.create_user("reader"))
    assert client.get("/api/v1/resources/").status_code == 200
    assert client.get("/api/docs/").status_code == 200


def test_an_address_that_is_not_there_is_json() -> None:
    answer = client_for().get("/api/v2/secrets/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")


def test_an_address_without_its_slash_is_sent_on() -> None:
    assert client_for().get("/api/v1/clusters").headers["Location"] == "/api/v1/clusters/"


def test_an_expired_token_is_refused() -> None:
    client = client_for(days=1)
    ApiToken.objects.update(expiry=datetime.now(UTC) - timedelta(seconds=1))
    assert client.get("/api/v1/clusters/").status_code == 401


def test_the_token_of_a_closed_account_is_refused() -> None:
    client = client_for()
    User.objects.update(is_active=False)
    assert client.get("/api/v1/clusters/").status_code == 401


@pytest.mark.parametrize(("method", "endpoint"), WRITES)
def test_changes_take_a_staff_account(method: str, endpoint: str) -> None:
    add_cluster("prod", datetime.now(UTC))
    answer = getattr(client_for(), method)(endpoint, {}, content_type="application/json")
    assert answer.status_code == 403
    assert answer.json() == {"detail": "This takes a staff account."}


@pytest.mark.parametrize(("method", "endpoint"), WRITES)
def test_a_sign_in_changes_nothing_without_its_csrf_token(method: str, endpoint: str) -> None:
    add_cluster("prod", datetime.now(UTC))
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("admin", is_staff=True))
    answer = getattr(client, method)(endpoint, {}, content_type="application/json")
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]


def made(*arguments: str) -> str:
    output = StringIO()
    call_command("createtoken", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue().strip()


def test_a_made_token_works_reads_only_and_is_stored_as_a_hash() -> None:
    token = made("deploy-pipeline", "--days", "3")
    client = Client(headers={"Authorization": f"Token {token}"})
    assert client.get("/api/v1/clusters/").status_code == 200
    assert client.post("/api/v1/clusters/", {}, content_type="application/json").status_code == 403
    row = ApiToken.objects.values().get()
    assert token not in str(row)
    assert timedelta(days=2, hours=23) < row["expiry"] - datetime.now(UTC) <= timedelta(days=3)


def test_a_token_can_have_the_rights_of_an_account() -> None:
    User.objects.create_user("admin", is_staff=True)
    client = Client(headers={"Authorization": f"Token {made('ci', '--user', 'admin')}"})
    assert client.post("/api/v1/clusters/", {}, content_type="application/json").status_code == 400


def test_a_token_can_be_made_anew_after_it_was_revoked() -> None:
    first = made("ci")
    with pytest.raises(CommandError, match="already"):
        made("ci")
    call_command("revoketoken", "ci", stdout=StringIO())
    assert Client(headers={"Authorization": f"Token {first}"}).get("/api/v1/clusters/").status_code == 401
    assert made("ci") != first


def test_tokens_are_listed_by_name_without_the_token() -> None:
    token, output = made("ci"), StringIO()
    call_command("listtokens", stdout=output)
    assert output.getvalue().startswith("ci\tci\t")
    assert token[:8] not in output.getvalue()


@pytest.mark.parametrize(
    "arguments", [["x" * 61], [" "], ["a\nb"], ["ci", "--days", "0"], ["ci", "--user", "nobody"], ["a b"], ["admin"]]
)
def test_tokens_that_are_not_made(arguments: list[str]) -> None:
    User.objects.create_user("admin", is_staff=True)
    with pytest.raises(CommandError):
        made(*arguments)
    assert not ApiToken.objects.exists()
    assert User.objects.count() == 1


def test_a_token_that_is_not_there_cannot_be_revoked() -> None:
    with pytest.raises(CommandError):
        call_command("revoketoken", "ci")


def test_resources_of_a_reader_hold_no_credential() -> None:
    now = datetime.now(UTC)
    add_resource(add_cluster("prod", now), "db", now)
    body = client_for().get("/api/v1/clusters/prod/").content.decode()
    assert "token" not in body
    assert "ca_pem" not in body
