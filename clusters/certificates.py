"""Read the certificate that a sealed-secrets controller serves, through the API server's service proxy."""

import asyncio
from collections.abc import Iterable

from clusters.connection import Connection, ReadFailed
from clusters.discovery import Knowledge
from clusters.facts import ResourceKey, WorkloadFacts
from clusters.kinds.sealed_secrets import certificate_paths, observe_certificate
from clusters.kinds.workloads import SEALED_SECRETS_ROLE
from clusters.observations import Failure, KindResult, Observation, Outcome, ReadCursor

KIND = "SealingCertificate"
ACCEPT = "application/x-pem-file"
NOT_SERVED = 503
NONE = KindResult(kind=KIND, outcome=Outcome.NOT_INSTALLED)


def controllers_among(operators: Iterable[Observation]) -> list[ResourceKey]:
    """The Deployments of Sealed Secrets. Each is served by a Service of its own name."""
    return [entry.key for entry in operators if _is_controller(entry)]


def _is_controller(entry: Observation) -> bool:
    return isinstance(entry.facts, WorkloadFacts) and entry.facts.role == SEALED_SECRETS_ROLE


async def read(
    connection: Connection, known: Knowledge, controllers: Iterable[ResourceKey], cursor: ReadCursor
) -> KindResult:
    """The certificate of each controller. Raises ReadFailed if one cannot be had, NOT_SERVED if nothing serves it."""
    found = [await _read_one(connection, known, controller) for controller in controllers]
    return KindResult(
        kind=KIND,
        outcome=Outcome.COMPLETE,
        served_version="v1",
        observations=tuple(entry for entry in found if entry.fingerprint not in cursor.known),
        unchanged=frozenset(entry.fingerprint for entry in found) & cursor.known,
    )


async def _read_one(connection: Connection, known: Knowledge, controller: ResourceKey) -> Observation:
    """Try all ids: a wrong port name is 503, a Service without endpoints 404 or 503, an id not in the Role 403."""
    forbidden: ReadFailed | None = None
    # The one that worked last time first: each wrong one costs a request.
    for path in sorted(certificate_paths(controller), key=lambda path: path != known.certificate_path):
        try:
            answer = await connection.get(path, accept=ACCEPT, proxied=True)
        except ReadFailed as failed:
            if failed.status == 401:
                raise ReadFailed(Failure.BAD_ANSWER, "The sealing certificate's Service wants a sign-in.") from failed
            if failed.status not in (403, 404, NOT_SERVED):
                raise
            forbidden = failed if failed.status == 403 else forbidden
            continue
        known.certificate_path = path
        return await _parse(answer.body, controller)
    raise forbidden or ReadFailed(
        Failure.SERVER_ERROR, f"No Service {controller.name} serves the sealing certificate.", status=NOT_SERVED
    )


async def _parse(pem: bytes, controller: ResourceKey) -> Observation:
    try:
        return await asyncio.to_thread(observe_certificate, pem, controller)
    except ValueError:
        raise ReadFailed(Failure.BAD_ANSWER, "The sealing certificate is not a certificate.") from None
