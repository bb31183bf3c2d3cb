"""External Secrets (group external-secrets.io), read against 2.9.0; all versions since 0.5 have the same shape."""

from collections.abc import Iterable
from functools import partial
from hashlib import md5, sha3_224
from typing import Any

from msgspec import Raw

from clusters.facts import (
    FailedNamespace,
    ParentFacts,
    Reference,
    RefreshedFacts,
    Relation,
    RemoteKey,
    ResourceKey,
    SyncWindow,
    key_digest,
)
from clusters.kinds.base import (
    EXTERNAL_SECRETS,
    LIST_LIMIT,
    NULL,
    SHORT,
    Condition,
    Described,
    Document,
    ManagedMetadata,
    Metadata,
    Observe,
    Present,
    Resource,
    Time,
    WatchedKind,
    common,
    count,
    is_name,
    message,
    moment,
    observer,
    parents,
    reconciled,
    rotate_after_days,
    text,
    written,
    written_version,
)
from clusters.kinds.secret_stores import GROUP, VERSIONS
from clusters.kinds.templates import canonical
from clusters.tagging import Tag, no_tag

# Each costs the judge a search through the calendar, at every judgement; people write one or two.
WINDOW_LIMIT = 50
# Each is a row of its own, for whom else reads the key; people write one to twenty.
REMOTE_LIMIT = 100
# The longest name of a secret in AWS, more than others allow. Longer paths are cut, and count as equal from there on.
_KEY_LIMIT = 512
# Patterns of dataFrom[].find.name.regexp that every name fits.
_ANY_NAME = frozenset({"", ".", ".*", ".+", "^.*$", "^.+$", "^.*", "^"})


class _StoreRef(Document):
    name: str | None = None
    kind: str | None = None


class _SourceRef(Document):
    store_ref: _StoreRef | None = None


class _FindName(Document):
    regexp: str | None = None


class _Find(Document):
    name: _FindName | None = None
    path: str | None = None
    tags: dict[str, Raw] | None = None


class _RemoteRef(Document):
    key: str | None = None
    property: str | None = None
    version: str | None = None
    conversion_strategy: str | None = None
    decoding_strategy: str | None = None
    metadata_policy: str | None = None


class _Source(Document):
    """An entry of spec.data or spec.dataFrom."""

    secret_key: str | None = None
    remote_ref: _RemoteRef | None = None
    extract: _RemoteRef | None = None
    source_ref: _SourceRef | None = None
    find: _Find | None = None


class _Target(Document):
    name: str | None = None
    creation_policy: str | None = None
    deletion_policy: str | None = None
    immutable: bool | None = None
    manifest: Present | None = None
    template: Raw = NULL


class _Window(Document):
    schedule: str | None = None
    duration: str | None = None


class _SyncWindows(Document):
    kind: str | None = None
    windows: list[_Window] | None = None


class _ExternalSecretSpec(Document):
    refresh_interval: str | None = None
    refresh_policy: str | None = None
    secret_store_ref: _StoreRef | None = None
    data: list[_Source] | None = None
    data_from: list[_Source] | None = None
    target: _Target | None = None
    sync_windows: _SyncWindows | None = None


class _RefreshedStatus(Document):
    refresh_time: Time | None = None
    synced_resource_version: str | None = None
    conditions: list[Condition] | None = None


class _ExternalSecret(Resource):
    metadata: ManagedMetadata
    api_version: str | None = None
    spec: _ExternalSecretSpec | None = None
    status: _RefreshedStatus | None = None


def _observing_external_secrets(tag: Tag) -> Observe:
    return observer("ExternalSecret", _ExternalSecret, partial(_describe_external_secret, tag=tag))


def _describe_external_secret(resource: _ExternalSecret, tag: Tag) -> Described:
    metadata, spec = resource.metadata, resource.spec or _ExternalSecretSpec()
    target = spec.target or _Target()
    stores = _stores(metadata, [spec.secret_store_ref, *_sources(spec.data), *_sources(spec.data_from)])
    secret, keys = _target_name(metadata, target), _keys(metadata, spec)
    windows = spec.sync_windows or _SyncWindows()
    facts = RefreshedFacts(
        **common(metadata),
        **_refreshed(metadata, resource.status or _RefreshedStatus()),
        problem=_left_out(windows),
        interval=text(spec.refresh_interval, SHORT),
        policy=text(spec.refresh_policy, SHORT),
        store=_display(stores),
        stores=stores,
        target=secret,
        creation_policy=text(target.creation_policy, SHORT),
        deletion_policy=text(target.deletion_policy, SHORT),
        immutable=bool(target.immutable),
        sync_windows=_windows(windows),
        written_api=written_version(metadata, resource.api_version, VERSIONS),
        finds_all=any(source.find is not None and _finds_all(source.find) for source in spec.data_from or ()),
        keys=keys,
        template_tag=tag(template) if (template := canonical(target.template)) else "",
        rotate_after_days=rotate_after_days(metadata),
    )
    references = [Reference(Relation.STORE, store) for store in stores]
    if secret:
        references.append(Reference(Relation.TARGET, ResourceKey("Secret", metadata.namespace or "", secret)))
    references += [Reference(Relation.KEY, _key_reference(key)) for key in keys]
    return facts, references + parents(metadata, GROUP, "ClusterExternalSecret")


def _target_name(metadata: Metadata, target: _Target) -> str:
    """Name of the Secret that is written; empty for a generic target and for creationPolicy None."""
    if target.manifest is not None or target.creation_policy == "None":
        return ""
    return text(target.name) or metadata.name


def _finds_all(find: _Find) -> bool:
    """Whether nothing narrows the search: the provider gives every secret that its credential may read."""
    named = find.name is not None and (find.name.regexp or "") not in _ANY_NAME
    return not (named or find.path or find.tags)


def _sources(entries: list[_Source] | None) -> Iterable[_StoreRef | None]:
    return (entry.source_ref.store_ref for entry in entries or () if entry.source_ref is not None)


def _stores(metadata: Metadata, refs: Iterable[_StoreRef | None]) -> tuple[ResourceKey, ...]:
    """Distinct stores in the order of the spec; generators are no stores."""
    keys = dict.fromkeys(_store(metadata, ref) for ref in refs)
    return tuple(key for key in keys if key is not None)[:LIST_LIMIT]


def _store(metadata: Metadata, ref: _StoreRef | None) -> ResourceKey | None:
    """None where no store is named. An empty kind means SecretStore."""
    if ref is None or not is_name(ref.name):
        return None
    if ref.kind == "ClusterSecretStore":
        return ResourceKey("ClusterSecretStore", "", ref.name)
    return ResourceKey("SecretStore", metadata.namespace or "", ref.name)


def _keys(metadata: Metadata, spec: _ExternalSecretSpec) -> tuple[RemoteKey, ...]:
    """See RefreshedFacts. In an entry of dataFrom a search wins over what else stands beside it."""
    named = [(entry, entry.remote_ref) for entry in spec.data or ()]
    named += [(entry, entry.extract) for entry in spec.data_from or () if entry.find is None]
    keys = (_key(metadata, spec.secret_store_ref, entry, ref) for entry, ref in named[:LIST_LIMIT] if ref is not None)
    return tuple(key for key in keys if key is not None)[:REMOTE_LIMIT]


def _key(metadata: Metadata, usual: _StoreRef | None, entry: _Source, ref: _RemoteRef) -> RemoteKey | None:
    """None for an entry that names no key or no store."""
    own = entry.source_ref.store_ref if entry.source_ref is not None else None
    store, key = _store(metadata, own or usual), text(ref.key, _KEY_LIMIT)
    if store is None or not key:
        return None
    return RemoteKey(
        store=store,
        key=key,
        property=text(ref.property, _KEY_LIMIT),
        version=text(ref.version, SHORT),
        secret_key=text(entry.secret_key),
        conversion=_unless(ref.conversion_strategy, "Default"),
        decoding=_unless(ref.decoding_strategy, "None"),
        metadata_policy=_unless(ref.metadata_policy, "None"),
    )


def _unless(given: str | None, default: str) -> str:
    return "" if given == default else text(given, SHORT)


def _key_reference(key: RemoteKey) -> ResourceKey:
    """The key as if it were an object beside its store, so that whoever reads it is found like a store's readers."""
    return key.store._replace(name=f"{key.store.name}#{key_digest(key.key, key.property)}")


def _display(stores: tuple[ResourceKey, ...]) -> str:
    return f"{stores[0].kind} {stores[0].name}" if stores else ""


def _windows(given: _SyncWindows) -> tuple[SyncWindow, ...]:
    kind = text(given.kind, SHORT)
    return tuple(
        SyncWindow(kind=kind, schedule=text(window.schedule, SHORT), duration=text(window.duration, SHORT))
        for window in (given.windows or ())[:WINDOW_LIMIT]
    )


def _left_out(given: _SyncWindows) -> str:
    """The `problem` of an object with more sync windows than we keep."""
    total = len(given.windows or ())
    return f"Of its {total} sync windows only the first {WINDOW_LIMIT} are judged." if total > WINDOW_LIMIT else ""


def _refreshed(metadata: ManagedMetadata, status: _RefreshedStatus) -> dict[str, Any]:
    synced = text(status.synced_resource_version, SHORT)
    # Labels and annotations are hashed into syncedResourceVersion, so they count like the spec.
    of_spec = (entry for entry in metadata.managed_fields or () if entry.hold_spec() or entry.hold_labels())
    return {
        **reconciled(status.conditions),
        **written(of_spec),
        "refreshed_at": moment(status.refresh_time),
        "synced_version": synced,
        "expected_version": expected_version(metadata, synced),
    }


def expected_version(metadata: Metadata, synced_version: str) -> str:
    """What status.syncedResourceVersion is once the present generation, labels and annotations are synced.

    ESO pkg/controllers/util/util.go: "<generation>-<hash>" over Go's `%+v` of the two maps; SHA3-224 since 0.16.2,
    MD5 before, told apart by the length of the hash that is there. Empty without one.
    """
    present = synced_version.rpartition("-")[2]
    algorithm = {56: sha3_224, 32: md5}.get(len(present))
    if algorithm is None:
        return ""
    form = f"{{annotations:{_go_map(metadata.annotations)} labels:{_go_map(metadata.labels)}}}"
    digest = algorithm(form.encode(), usedforsecurity=False).hexdigest()
    return f"{metadata.generation or 0}-{digest}"


def _go_map(values: dict[str, str] | None) -> str:
    """Go's `%+v` of a map[string]string: keys in byte order, which for UTF-8 is the order of code points."""
    return f"map[{' '.join(f'{key}:{value}' for key, value in sorted((values or {}).items()))}]"


class _SecretSelector(Document):
    name: str | None = None


class _Selector(Document):
    secret: _SecretSelector | None = None


class _PushSecretSpec(Document):
    refresh_interval: str | None = None
    secret_store_refs: list[_StoreRef] | None = None
    selector: _Selector | None = None
    deletion_policy: str | None = None


class _PushSecret(Resource):
    metadata: ManagedMetadata
    spec: _PushSecretSpec | None = None
    status: _RefreshedStatus | None = None


def _describe_push_secret(resource: _PushSecret) -> Described:
    metadata, spec = resource.metadata, resource.spec or _PushSecretSpec()
    stores = _stores(metadata, spec.secret_store_refs or ())
    facts = RefreshedFacts(
        **common(metadata),
        **_refreshed(metadata, resource.status or _RefreshedStatus()),
        interval=text(spec.refresh_interval, SHORT),
        store=_display(stores),
        stores=stores,
        deletion_policy=text(spec.deletion_policy, SHORT),
    )
    references = [Reference(Relation.STORE, store) for store in stores]
    if spec.selector and spec.selector.secret and spec.selector.secret.name:
        source = ResourceKey("Secret", metadata.namespace or "", spec.selector.secret.name)
        references.append(Reference(Relation.SOURCE, source))
    return facts, references + parents(metadata, GROUP, "ClusterPushSecret")


class _FailedNamespace(Document):
    namespace: str | None = None
    reason: str | None = None


class _ParentSpec(Document):
    external_secret_name: str | None = None
    push_secret_name: str | None = None
    refresh_time: str | None = None  # the interval, in spite of its name


class _ParentStatus(Document):
    conditions: list[Condition] | None = None
    external_secret_name: str | None = None
    push_secret_name: str | None = None
    failed_namespaces: list[_FailedNamespace] | None = None
    provisioned_namespaces: list[str] | None = None


class _Parent(Resource):
    spec: _ParentSpec | None = None
    status: _ParentStatus | None = None


def _describe_parent(resource: _Parent) -> Described:
    spec, status = resource.spec or _ParentSpec(), resource.status or _ParentStatus()
    given = (status.external_secret_name, status.push_secret_name, spec.external_secret_name, spec.push_secret_name)
    facts = ParentFacts(
        **common(resource.metadata),
        **reconciled(status.conditions),
        child_name=text(next((name for name in given if name), resource.metadata.name)),
        failed_namespaces=tuple(
            FailedNamespace(namespace=text(failed.namespace), reason=message(failed.reason))
            for failed in (status.failed_namespaces or ())[:LIST_LIMIT]
        ),
        provisioned=count(len(status.provisioned_namespaces or ())),
        interval=text(spec.refresh_time, SHORT),
    )
    return facts, ()


_ALPHA = ("v1alpha1",)

KINDS = (
    WatchedKind(
        kind="ExternalSecret",
        group=GROUP,
        versions=VERSIONS,
        plural="externalsecrets",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=_observing_external_secrets(no_tag),
        tagging=_observing_external_secrets,
    ),
    WatchedKind(
        kind="PushSecret",
        group=GROUP,
        versions=_ALPHA,
        plural="pushsecrets",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=observer("PushSecret", _PushSecret, _describe_push_secret),
    ),
    WatchedKind(
        kind="ClusterExternalSecret",
        group=GROUP,
        versions=VERSIONS,
        plural="clusterexternalsecrets",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=observer("ClusterExternalSecret", _Parent, _describe_parent),
    ),
    WatchedKind(
        kind="ClusterPushSecret",
        group=GROUP,
        versions=_ALPHA,
        plural="clusterpushsecrets",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=observer("ClusterPushSecret", _Parent, _describe_parent),
    ),
)
