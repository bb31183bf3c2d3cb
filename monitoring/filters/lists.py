"""Filters of the lists of resources, causes, transitions, collections, clusters and advice."""

from dataclasses import dataclass

from monitoring.families import JUDGED_KINDS
from monitoring.filters.parameters import (
    AT,
    CAUSE_CLASS,
    CAUSE_CLASSES,
    CLUSTER,
    FINDING_RULES,
    HEALTH,
    HEALTH_CODES,
    KIND,
    LINT_RULES,
    MAX_ID,
    MIN_SEARCH,
    NAME,
    NAMESPACE,
    RESULTS,
    SIGNATURE,
    SIGNATURE_FORM,
    Parameter,
    Query,
    choices,
    healths,
    matching,
    refuse_unknown,
    search,
    texts,
    whole_number,
)
from monitoring.health import Health

RESOURCE_PARAMETERS = (
    HEALTH,
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    Parameter("store", "Secret store that is referred to: its name, or Kind/name."),
    Parameter("finding", "Id of a rule that has a finding now.", FINDING_RULES),
    SIGNATURE,
    CAUSE_CLASS,
    Parameter("lint", "Id of a rule whose advice it has.", LINT_RULES),
    Parameter("q", f"Part of namespace/name, at least {MIN_SEARCH} characters.", (), False),
    AT,
)
CAUSE_PARAMETERS = (HEALTH, CLUSTER, KIND, CAUSE_CLASS, AT)
TRANSITION_PARAMETERS = (
    Parameter("health", "Health that it changed to.", HEALTH_CODES),
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    Parameter("resource", "Id of a resource.", (), False),
    AT,
)
COLLECTION_PARAMETERS = (CLUSTER, Parameter("result", "How the collection ended.", RESULTS), AT)
CLUSTER_PARAMETERS = (CLUSTER, AT)
LINT_PARAMETERS = (AT,)


@dataclass(frozen=True, kw_only=True)
class ResourceFilters:
    """Every condition holds; inside one field any value does. Empty fields do not restrict. `name` etc. are exact."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    cause_classes: tuple[str, ...] = ()
    lints: tuple[str, ...] = ()
    q: str = ""

    @property
    def countable(self) -> bool:
        """True if the summary table alone can say how many rows there are."""
        chosen = (self.namespaces, self.names, self.stores, self.findings, self.signatures, self.cause_classes)
        return not (any(chosen) or self.lints or self.q)


@dataclass(frozen=True, kw_only=True)
class CauseFilters:
    """Which resources and findings about clusters count. With `kinds` no finding about a cluster does."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    cause_classes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TransitionFilters:
    """`healths` is what it changed to; `resource` the id of one resource."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    resource: int | None = None


@dataclass(frozen=True, kw_only=True)
class CollectionFilters:
    clusters: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def parse_resources(query: Query) -> ResourceFilters:
    refuse_unknown(query, RESOURCE_PARAMETERS)
    return ResourceFilters(
        healths=healths(query),
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", JUDGED_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        stores=texts(query, "store"),
        findings=choices(query, "finding", FINDING_RULES),
        signatures=matching(query, "signature", SIGNATURE_FORM, "is not the signature of a cause"),
        cause_classes=choices(query, "cause_class", CAUSE_CLASSES),
        lints=choices(query, "lint", LINT_RULES),
        q=search(query),
    )


def parse_causes(query: Query) -> CauseFilters:
    refuse_unknown(query, CAUSE_PARAMETERS)
    return CauseFilters(
        healths=healths(query),
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", JUDGED_KINDS),
        cause_classes=choices(query, "cause_class", CAUSE_CLASSES),
    )


def parse_transitions(query: Query) -> TransitionFilters:
    refuse_unknown(query, TRANSITION_PARAMETERS)
    return TransitionFilters(
        healths=healths(query),
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", JUDGED_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        resource=whole_number(query, "resource", maximum=MAX_ID),
    )


def parse_collections(query: Query) -> CollectionFilters:
    refuse_unknown(query, COLLECTION_PARAMETERS)
    return CollectionFilters(clusters=texts(query, "cluster"), results=choices(query, "result", RESULTS))


def parse_clusters(query: Query) -> tuple[str, ...]:
    """The patterns of the parameter `cluster`; empty for all clusters."""
    refuse_unknown(query, CLUSTER_PARAMETERS)
    return texts(query, "cluster")
