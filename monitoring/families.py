"""The kinds that we judge, grouped as people think of them: one column of the overview for each family.

Supporting kinds (nodes, drivers, sealing keys) are read to judge these; they are shown with their cluster only.
"""

from typing import NamedTuple


class Family(NamedTuple):
    """`code` names the family in addresses, `word` on pages; `kinds` are Kubernetes kinds."""

    code: str
    word: str
    kinds: tuple[str, ...]


FAMILIES = (
    Family(
        "external-secrets",
        "External Secrets",
        ("ExternalSecret", "ClusterExternalSecret", "PushSecret", "ClusterPushSecret"),
    ),
    Family("sealed-secrets", "Sealed Secrets", ("SealedSecret",)),
    Family("csi-mounts", "CSI mounts", ("SecretProviderClass", "SecretProviderClassPodStatus", "Pod")),
    Family("stores", "Stores", ("SecretStore", "ClusterSecretStore")),
)
JUDGED_KINDS = tuple(kind for family in FAMILIES for kind in family.kinds)
# Only a higher tier of rights than the first shows them (deploy/rbac): where they may not be read, somebody chose so.
OPTIONAL_KINDS = ("Pod",)
FAMILY_OF = {kind: family for family in FAMILIES for kind in family.kinds}
# One of these is compared with its namesakes in other clusters.
DRIFT_KINDS = ("ExternalSecret", "SealedSecret", "SecretProviderClass")

# What people call a kind whose own name is too long for a table. Everything else is called by its Kubernetes name.
SHORT_NAMES = {"SecretProviderClassPodStatus": "Mount", "SecretProviderClass": "Provider class"}

# Supporting kinds that go with one resource each: what a Secret or a generator says is said of those that refer to it.
ATTACHED_KINDS = ("Secret", "Password")
