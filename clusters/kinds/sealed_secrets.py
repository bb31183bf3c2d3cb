"""Sealed Secrets (group bitnami.com), read against 0.36.6: the resource, and the certificate its controller serves."""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Raw, field

from clusters.facts import Reference, Relation, ResourceKey, SealedItem, SealedSecretFacts, SealingCertificateFacts
from clusters.kinds.base import (
    LIST_LIMIT,
    NULL,
    SEALED_SECRETS,
    Condition,
    Described,
    Document,
    Item,
    ManagedContent,
    ManagedFields,
    ManagedMetadata,
    Present,
    Resource,
    WatchedKind,
    common,
    count,
    find_condition,
    moment,
    names,
    observer,
    reconciled,
    rotate_after_days,
    text,
)
from clusters.observations import Observation

GROUP = "bitnami.com"
# Where the manifest `controller.yaml` puts the controller; the Helm chart takes other names.
DEFAULT_CONTROLLER = ResourceKey("Deployment", "kube-system", "sealed-secrets-controller")
CERTIFICATE_LIMIT = 100_000

# Annotations of the template with which other writers of the Secret are no sign of a conflict.
_SHARING = ("sealedsecrets.bitnami.com/patch", "sealedsecrets.bitnami.com/skip-set-owner-references")
_DIGEST_LENGTH = 32
_KEY_BYTES = frozenset({128, 256, 384, 512, 768, 1024, 2048})


class _TemplateMetadata(Document):
    annotations: dict[str, str] | None = None


class _Template(Document):
    metadata: _TemplateMetadata | None = None
    # Only the names: a template's text may hold anything.
    data: dict[str, Raw] | None = None


class _Spec(Document):
    encrypted_data: dict[str, Raw] | None = None
    data: Raw = NULL
    template: _Template | None = None


class _ManagedSpec(Present):
    encrypted_data: dict[str, Raw] | None = field(default=None, name="f:encryptedData")
    data: Raw = field(default=NULL, name="f:data")


class _ManagedContent(ManagedContent):
    spec: _ManagedSpec | None = field(default=None, name="f:spec")


class _ManagedFields(ManagedFields):
    fields_v1: _ManagedContent | None = None


class _Metadata(ManagedMetadata):
    managed_fields: list[_ManagedFields] | None = None  # type: ignore[assignment]


class _Status(Document):
    observed_generation: int | None = None
    conditions: list[Condition] | None = None


class _SealedSecret(Resource):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


def _describe_sealed_secret(resource: _SealedSecret) -> Described:
    metadata, spec, status = resource.metadata, resource.spec or _Spec(), resource.status or _Status()
    synced = find_condition(status.conditions, "Synced")
    template = spec.template or _Template()
    annotations = template.metadata.annotations if template.metadata else None
    facts = SealedSecretFacts(
        **common(metadata),
        **reconciled(status.conditions, "Synced"),
        **metadata.spec_written(),
        observed_generation=count(status.observed_generation),
        updated_at=moment(synced.last_update_time) if synced else None,
        scope=_scope(metadata.annotations),
        template_scope=_scope(annotations),
        sealed=_sealed(metadata, spec),
        template_items=names(sorted(template.data or ())),
        shares_target=any((annotations or {}).get(name) == "true" for name in _SHARING),
        target=metadata.name,
        rotate_after_days=rotate_after_days(metadata),
    )
    # The controller gives the Secret the name and namespace of the SealedSecret, whatever its template says.
    return facts, [Reference(Relation.TARGET, ResourceKey("Secret", metadata.namespace or "", metadata.name))]


def _sealed(metadata: _Metadata, spec: _Spec) -> tuple[SealedItem, ...]:
    """The encrypted items, by name; the whole Secret in one, spec.data as kubeseal wrote it before 0.8, has none."""
    times = _item_times(metadata)
    found = {
        text(name): _item(text(name), ciphertext, times.get(name))
        for name, ciphertext in sorted((spec.encrypted_data or {}).items())[:LIST_LIMIT]
    }
    found.pop("", None)
    if not found and spec.data != NULL:
        return (_item("", spec.data, times.get("")),)
    return tuple(found.values())


def _item_times(metadata: _Metadata) -> Mapping[str, datetime]:
    """When each item was written last, "" being spec.data. A manager's entry has one time for all it owns."""
    times: dict[str, datetime] = {}
    for entry in metadata.managed_fields or ():
        time = moment(entry.time)
        spec = entry.fields_v1.spec if entry.fields_v1 and not entry.subresource else None
        if spec is None or time is None:
            continue
        owned = [name.removeprefix("f:") for name in spec.encrypted_data or () if name.startswith("f:")]
        for name in [*owned, *([""] if spec.data != NULL else ())]:
            times[name] = max(time, times.get(name, time))
    return times


def _item(name: str, ciphertext: Raw, written_at: datetime | None) -> SealedItem:
    """Of the ciphertext only its digest and the size of its key stay."""
    sealed = _plain(ciphertext)
    digest = sha256(sealed).hexdigest()[:_DIGEST_LENGTH] if sealed else ""
    return SealedItem(name=name, digest=digest, written_at=written_at, key_bits=_key_bits(sealed))


def _plain(ciphertext: Raw) -> bytes:
    """The text of a JSON string; empty for what is none, and for one with an escape, which base64 never has."""
    quoted = bytes(ciphertext)
    return quoted[1:-1] if quoted[:1] == b'"' and b"\\" not in quoted else b""


def _key_bits(sealed: bytes) -> int:
    """crypto.go: the ciphertext begins with the length of the RSA part, which is that of the modulus."""
    try:
        length = int.from_bytes(a2b_base64(sealed[:4])[:2], "big")
    except Base64Error:
        return 0
    return 8 * length if length in _KEY_BYTES else 0


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
