"""Sealed Secrets (group bitnami.com), read against 0.36.6: the resource, and the certificate its controller serves."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Raw

from clusters.kinds.base import (
    SEALED_SECRETS,
    Condition,
    Described,
    Document,
    Item,
    ManagedMetadata,
    Resource,
    WatchedKind,
    common,
    count,
    find_condition,
    moment,
    names,
    observer,
    reconciled,
)
from clusters.observations import (
    Observation,
    Reference,
    Relation,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
)

GROUP = "bitnami.com"
# Where the manifest `controller.yaml` puts the controller; the Helm chart takes other names.
DEFAULT_CONTROLLER = ResourceKey("Deployment", "kube-system", "sealed-secrets-controller")
CERTIFICATE_LIMIT = 100_000


class _TemplateMetadata(Document):
    annotations: dict[str, str] | None = None


class _Template(Document):
    metadata: _TemplateMetadata | None = None


class _Spec(Document):
    # Only the names of the items are looked at.
    encrypted_data: dict[str, Raw] | None = None
    template: _Template | None = None


class _Status(Document):
    observed_generation: int | None = None
    conditions: list[Condition] | None = None


class _SealedSecret(Resource):
    metadata: ManagedMetadata
    spec: _Spec | None = None
    status: _Status | None = None


def _describe_sealed_secret(resource: _SealedSecret) -> Described:
    metadata, spec, status = resource.metadata, resource.spec or _Spec(), resource.status or _Status()
    synced = find_condition(status.conditions, "Synced")
    template = spec.template.metadata if spec.template and spec.template.metadata else _TemplateMetadata()
    facts = SealedSecretFacts(
        **common(metadata),
        **reconciled(status.conditions, "Synced"),
        observed_generation=count(status.observed_generation),
        updated_at=moment(synced.last_update_time) if synced else None,
        spec_written_at=metadata.spec_written_at(),
        scope=_scope(metadata.annotations),
        template_scope=_scope(template.annotations),
        items=names(sorted(spec.encrypted_data or ())),
        target=metadata.name,
    )
    # The controller gives the Secret the name and namespace of the SealedSecret, whatever its template says.
    return facts, [Reference(Relation.TARGET, ResourceKey("Secret", metadata.namespace or "", metadata.name))]


def _scope(annotations: dict[str, str] | None) -> str:
    """sealedsecret_expansion.go: cluster-wide wins over namespace-wide; anything but "true" does not count."""
    for scope in ("cluster-wide", "namespace-wide"):
        if (annotations or {}).get(f"sealedsecrets.bitnami.com/{scope}") == "true":
            return scope
    return "strict"


def certificate_paths(controller: ResourceKey) -> tuple[str, ...]:
    """Where the certificate may be read through the API server's service proxy, most specific first.

    These ids and no others: the Role that both installs ship names exactly them, and gives them to every
    authenticated user. Helm names the port `http`, the manifest leaves it unnamed; the wrong one is 503.
    """
    service = f"/api/v1/namespaces/{controller.namespace}/services/"
    ids = (f"http:{controller.name}:http", f"http:{controller.name}:", controller.name)
    return tuple(f"{service}{identifier}/proxy/v1/cert.pem" for identifier in ids)


def observe_certificate(pem: bytes, controller: ResourceKey) -> Observation:
    """The one certificate in `pem`, filed under the service that serves it. Raises ValueError for anything else.

    Parsing takes about 0.1 ms, and much longer for a hostile key: call it outside the event loop.
    """
    if len(pem) > CERTIFICATE_LIMIT:
        raise ValueError("the certificate is too large")
    certificate = x509.load_pem_x509_certificate(pem)
    digest = certificate.fingerprint(SHA256())
    key = certificate.public_key()
    facts = SealingCertificateFacts(
        not_before=moment(certificate.not_valid_before_utc),
        not_after=moment(certificate.not_valid_after_utc),
        sha256=digest.hex(),
        key_bits=key.key_size if isinstance(key, RSAPublicKey) else 0,
    )
    return Observation(
        key=ResourceKey("SealingCertificate", controller.namespace, controller.name),
        uid=digest.hex(),
        fingerprint=int.from_bytes(digest[:8], "big", signed=True),
        created_at=facts.not_before,
        facts=facts,
    )


def _not_listed(item: Item) -> Observation | None:
    """A certificate is served, not listed: no item of a list is one. See `observe_certificate`."""
    return None


KINDS = (
    WatchedKind(
        kind="SealedSecret",
        group=GROUP,
        versions=("v1alpha1",),
        plural="sealedsecrets",
        family=SEALED_SECRETS,
        judged=True,
        observe=observer("SealedSecret", _SealedSecret, _describe_sealed_secret),
    ),
    WatchedKind(
        kind="SealingCertificate",
        group="",
        versions=("v1",),
        plural="services",
        family=SEALED_SECRETS,
        judged=False,
        observe=_not_listed,
        listed=False,
    ),
)
