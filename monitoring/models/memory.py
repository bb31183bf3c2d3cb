"""What we remember beyond the newest state of each resource, to judge by."""

from django.db import models

from clusters.models import Cluster


class Ciphertext(models.Model):
    """One encrypted item of a SealedSecret, by the digest of its ciphertext, from when we first saw it there.

    Kept after the item changed or went away: it tells since when something is sealed, and where else it was opened.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    digest = models.CharField(max_length=32)
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            # digest first: the same ciphertext in any cluster
            models.UniqueConstraint(fields=["digest", "cluster", "namespace", "name"], name="ciphertext_unique")
        ]
        indexes = [models.Index(fields=["cluster"], name="ciphertext_by_cluster")]

    def __str__(self) -> str:
        return f"ciphertext {self.digest} of {self.namespace}/{self.name}"


class MountedVersion(models.Model):
    """The version of one object of one source that some mount, in any cluster, changed to last.

    `source` is ClassFacts.source, or for what is comparable in one place only that of the class itself.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=64)
    object_id = models.CharField(max_length=253)
    version = models.CharField(max_length=253)
    changed_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "object_id"], name="mounted_version_unique")]

    def __str__(self) -> str:
        return f"{self.object_id} of {self.source}"


class ServedCertificate(models.Model):
    """A sealing certificate that a cluster served. With time this is the public history of all its keys."""

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    sha256 = models.CharField(max_length=64)
    not_before = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "sha256"], name="served_certificate_unique"),
        ]
        indexes = [models.Index(fields=["sha256"], name="served_certificate_by_digest")]

    def __str__(self) -> str:
        return f"certificate {self.sha256[:16]} of cluster {self.cluster_id}"


class KnownKey(models.Model):
    """A sealing key's Secret that a cluster had. `gone_at`: since when it is not there any more."""

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    created_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=253)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "uid"], name="known_key_unique")]

    def __str__(self) -> str:
        return f"key {self.name} of cluster {self.cluster_id}"
