"""When a mount got the version that it has, as exactly as can be known.

A pod status carries no time per object, and its own time moves with any of its objects, so the moment of each change
is kept from one observation to the next.
"""

from datetime import datetime

import msgspec

from clusters.facts import MountedObject, MountFacts


def with_change_times(previous: MountFacts | None, observed: MountFacts, created_at: datetime | None) -> MountFacts:
    """`observed` with `changed_at` set on every object.

    An object that has the version of `previous` keeps its moment; another version is as old as the driver's write.
    At first sight a mount that was written once got its versions when it was made, since a fresh mount reads the newest
    value then; one that was written again could have changed any object with its last write.
    `previous` must be of the same pod (same object UID): a recreated mount is seen for the first time.
    """
    if previous is None:
        first = observed.written_at if observed.generation > 1 else created_at
        moments = {item.id: first or observed.written_at or created_at for item in observed.objects}
    else:
        known = {item.id: item for item in previous.objects}
        moments = {item.id: _moment(known.get(item.id), item, observed, created_at) for item in observed.objects}
    objects = tuple(msgspec.structs.replace(item, changed_at=moments[item.id]) for item in observed.objects)
    return msgspec.structs.replace(observed, objects=objects)


def _moment(
    known: MountedObject | None, item: MountedObject, observed: MountFacts, created_at: datetime | None
) -> datetime | None:
    if known is not None and known.version == item.version:
        return known.changed_at
    return observed.written_at or created_at
