"""The one way in which a cluster comes into our books, changes there and leaves; for the command, the API and the form.

Settings give the key that credentials are sealed for. Errors are meant for the user and name the field.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address

from django.conf import settings
from django.db import IntegrityError, transaction

from clusters import dial
from clusters.credentials import payload_of, seal
from clusters.entries import ClusterEntry, InvalidField, check_namespaces
from clusters.models import MAX_INTERVAL, MIN_INTERVAL, Cluster, Credential

MAX_LABELS, MAX_LABEL = 20, 63


class AlreadyRegistered(InvalidField):
    """There is a cluster of this name (names are compared without regard to case)."""

    def __init__(self, name: str) -> None:
        super().__init__("name", f"{name} is registered already")


def register(
    entry: ClusterEntry,
    *,
    now: datetime,
    labels: Mapping[str, object] | None = None,
    interval: int | None = None,
    secret_namespaces: Sequence[object] | None = None,
    replace: bool = False,
) -> Cluster:
    """Stores the cluster and its sealed credential. `interval` in seconds, None for POLL_INTERVAL.

    With `replace` a cluster of this name gets address, trust and credential anew and keeps its history; labels,
    interval and namespaces change only if given. Raises InvalidField (AlreadyRegistered) or credentials.KeyMissing.
    """
    check_address(entry.api_url)
    sealed = seal(payload_of(entry), settings.CREDENTIAL_PUBLIC_KEY)
    given = _checked(labels, interval, secret_namespaces)
    with transaction.atomic():
        cluster = Cluster.objects.select_for_update().filter(name__iexact=entry.name).first()
        if cluster is None:
            cluster = _created(entry, now, {**_checked(interval=settings.POLL_INTERVAL), **given})
        elif not replace:
            raise AlreadyRegistered(cluster.name)
        else:
            _update(cluster, now, {"api_url": entry.api_url, "ca_pem": entry.ca_pem, **given})
        Credential.objects.update_or_create(cluster=cluster, defaults={"sealed": sealed, "updated_at": now})
    return cluster


def change(
    cluster: Cluster,
    *,
    now: datetime,
    enabled: bool | None = None,
    labels: Mapping[str, object] | None = None,
    interval: int | None = None,
    secret_namespaces: Sequence[object] | None = None,
) -> Cluster:
    """Changes what is given. Address and credential are changed only together, by `register(replace=True)`."""
    given = _checked(labels, interval, secret_namespaces)
    _update(cluster, now, {**given, **({} if enabled is None else {"enabled": enabled})})
    return cluster


def remove(cluster: Cluster) -> None:
    """Forgets the cluster with its credential and everything known of it."""
    cluster.delete()


def _created(entry: ClusterEntry, now: datetime, given: Mapping[str, object]) -> Cluster:
    cluster = Cluster(name=entry.name, api_url=entry.api_url, ca_pem=entry.ca_pem, created_at=now, updated_at=now)
    for field, value in given.items():
        setattr(cluster, field, value)
    try:
        with transaction.atomic():
            cluster.save(force_insert=True)
    except IntegrityError:  # somebody else was faster: the name is unique in the database
        raise AlreadyRegistered(entry.name) from None
    return cluster


def _update(cluster: Cluster, now: datetime, given: Mapping[str, object]) -> None:
    for field, value in {**given, "updated_at": now}.items():
        setattr(cluster, field, value)
    cluster.save(update_fields=[*given, "updated_at"])


def _checked(
    labels: Mapping[str, object] | None = None,
    interval: int | None = None,
    secret_namespaces: Sequence[object] | None = None,
) -> dict[str, object]:
    given: dict[str, object] = {}
    if labels is not None:
        given["labels"] = check_labels(labels)
    if interval is not None:
        given["interval_seconds"] = check_interval(interval)
    if secret_namespaces is not None:
        given["secret_namespaces"] = check_namespaces(secret_namespaces)
    return given


def check_address(api_url: str) -> None:
    """Refuses an address below the floor of clusters.dial. A name is not resolved here: a worker does, and checks."""
    host, _ = dial.host_and_port(api_url)
    try:
        ip_address(host)
    except ValueError:
        return
    try:
        reason = dial.refusal(host, dial.policy(settings.DIAL_ALLOWED_NETWORKS))
    except dial.DialRefused as refused:
        raise InvalidField("api_url", str(refused)) from None
    if reason:
        raise InvalidField("api_url", f"{reason}; an administrator can allow its network (DIAL_ALLOWED_NETWORKS)")


def check_interval(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not MIN_INTERVAL <= seconds <= MAX_INTERVAL:
        raise InvalidField(
            "interval_seconds", f"must be a whole number of seconds from {MIN_INTERVAL} to {MAX_INTERVAL}"
        )
    return seconds


def check_labels(labels: object) -> dict[str, str]:
    """Short printable texts by short printable names."""
    if not isinstance(labels, Mapping) or len(labels) > MAX_LABELS:
        raise InvalidField("labels", f"must be at most {MAX_LABELS} pairs of a name and a text")
    for part in (*labels, *labels.values()):
        if not isinstance(part, str) or len(part) > MAX_LABEL or not part.isprintable():
            raise InvalidField("labels", f"must be names and texts of at most {MAX_LABEL} printable characters")
    if "" in labels:
        raise InvalidField("labels", "must have no empty name")
    return dict(labels)
