"""The story of three clusters: what breaks, recovers, rotates and falls silent, as a pure function of time.

The live cycle takes twelve minutes; its seconds below are chosen so that the state of some resource turns at least
every two minutes. The back story has the same kinds of events, spread over five days.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from demo.estate import Inhabitant, Plot, Settlers, read_estate
from demo.sealed_secrets import SERVICE, SealingKeys
from demo.shapes import Object, World
from demo.timeline import DAY, FOREVER, HISTORY, MINUTE, Trouble

Key = tuple[str, str, str]

_REFUSED = "unable to validate store: dial tcp 10.40.2.17:8200: connect: connection refused"
_DENIED = (
    "AccessDeniedException: User: arn:aws:sts::000000000000:assumed-role/external-secrets is not authorized to "
    "perform: secretsmanager:GetSecretValue"
)
_QUOTA = "rpc error: code = ResourceExhausted desc = Quota exceeded for quota metric 'Access requests'"
_IDENTITY = "AADSTS700016: Application was not found in the directory; check the federated credential"
_NOWHERE = "Secret does not exist"

PROD_EU = Plot(
    stores={
        "@vault": Trouble(back=((-98, -96.4), (-30.2, -29.1)), cause=_REFUSED),
        "search/vault-search": Trouble(back=((-52, -51.2),), live=(500, 690), every=3, first=1, cause=_REFUSED),
    },
    missing={
        "legacy/ftp-partner": Trouble(back=((-31, FOREVER),), cause=_NOWHERE),
        "payments/adyen": Trouble(back=((-71, -66.5),), cause=_NOWHERE),
    },
    silent={
        "reports/warehouse": Trouble(back=((-60, -38),), live=(240, 930), every=2),
        "search/api": Trouble(back=((-20, -14),), live=(240, 930), every=2, first=1),
        "reports/ledger-export": Trouble(back=((-17.3, FOREVER),)),
    },
    rotated={
        "payments/stripe": Trouble(back=((-100, -99), (-28, -27)), live=(60, 61)),
        "payments/db": Trouble(back=((-77, -76),), live=(540, 541), every=3),
        "checkout/session": Trouble(back=((-90, -89), (-66, -65), (-42, -41), (-18, -17)), live=(300, 301), every=2),
        "catalog/db": Trouble(back=((-55, -54),)),
        "identity/oidc-client": Trouble(back=((-8, -7),)),
        "platform/registry-pull": Trouble(back=((-35, -34),)),
        "checkout/registry-pull": Trouble(back=((-35, -34),)),
        "payments/registry-pull": Trouble(back=((-35, -34),)),
    },
    pushes={
        "platform/registry-mirror": Trouble(
            back=((-45, -43),), live=(380, 690), cause="Error making API request: permission denied (403)"
        )
    },
    sealed={
        "web/session-cookie": Trouble(back=((-80, -77),), live=(120, 210)),
        "edge/waf": Trouble(back=((-13, -11.5),), live=(450, 555)),
    },
    resealed={
        "cron/report-mailer": Trouble(back=((-50, -49),)),
        "monitoring/alertmanager": Trouble(back=((-49, -48),)),
    },
    mounts={
        "orders/orders-db": Trouble(back=((-90, -84),), live=(60, 630)),
        "orders/kafka-client": Trouble(back=((-33, -32.9),)),
        "shipping/carrier-api": Trouble(back=((-10, -9.9),)),
    },
    node=Trouble(back=((-22, -21),)),
    first_key=-34 * DAY,
    renewals=Trouble(back=((-55, -54),)),
)

PROD_US = Plot(
    stores={
        "payments/aws-payments": Trouble(back=((-75, -72.6), (-12, -11)), live=(0, 330), cause=_DENIED),
        "analytics/azure-analytics": Trouble(back=((-9, -0.5),), live=(180, 10 * 720), every=20, cause=_IDENTITY),
    },
    missing={"notifications/smtp": Trouble(back=((-64, -61),), cause=_NOWHERE)},
    silent={"checkout/redis": Trouble(back=((-48, -41),))},
    rotated={
        "payments/db": Trouble(back=((-78, -77),), live=(400, 401), every=2),
        "checkout/session": Trouble(back=((-90, -89), (-66, -65), (-42, -41), (-18, -17)), live=(300, 301), every=2),
        "catalog/db": Trouble(back=((-54.5, -54),)),
        "checkout/registry-pull": Trouble(back=((-35, -34),)),
    },
    pushes={
        "platform/ca-bundle": Trouble(back=((-88, -86),), cause="Error making API request: permission denied (403)")
    },
    mounts={
        "orders/orders-db": Trouble(back=((-45, -41),), live=(180, 660), every=2, first=1),
        "gateway/edge-tls": Trouble(back=((-70, -69.9),)),
        "shipping/carrier-api": Trouble(back=((-10, -9.9),)),
    },
    node=Trouble(back=((-58, -56),), live=(390, 600)),
    operator=Trouble(back=((-27, -21.5),)),
    away=Trouble(back=((-8, -7.4),)),
)

STAGING = Plot(
    stores={"@gcp": Trouble(back=((-50, -44),), cause=_QUOTA)},
    missing={"web/newrelic": Trouble(back=((-94, -70), (-6, -3)), live=(30, 375), cause=_NOWHERE)},
    silent={"web/preview-auth": Trouble(back=((-36, -30),))},
    rotated={
        "payments/stripe": Trouble(back=((-84, -83),)),
        "search/api": Trouble(back=((-24, -23),), live=(200, 201)),
    },
    sealed={
        "mail/smtp": Trouble(back=((-20, FOREVER),)),
        "qa/report-upload": Trouble(back=((-63, -62),), live=(270, 360)),
    },
    resealed={"qa/device-farm": Trouble(back=((-16, -15),), live=(655, 656), every=2)},
    operator=Trouble(live=(60, 690), every=5, first=2),
    poison=Trouble(back=((-40.2, -39.1),), live=(150, 1380), every=6),
    edited={"monitoring/grafana-oauth": Trouble(back=((-30, FOREVER),))},
    opened=("secrets", "pods"),
    first_key=9 * MINUTE - 6 * DAY,
    renew_period="12h",
    # One renewal is left out, so that it is late when the fleet is first seen and comes nine minutes later.
    renewals=Trouble(
        back=tuple((9 / 60 - 24 * days, 9 / 60 - 24 * days + 1) for days in range(5, 1, -1)),
        live=(9 * MINUTE, 10 * MINUTE),
        every=120,
    ),
    away=Trouble(back=((-66, -64.5),), live=(430, 610), every=2),
)

PLOTS = {"prod-eu": PROD_EU, "prod-us": PROD_US, "staging": STAGING}


@dataclass(frozen=True)
class Certificate:
    """The sealing certificate that a cluster serves: a stable name and when it becomes valid."""

    service: str
    name: str
    not_before: datetime


class ClusterStory:
    """One cluster through time. `objects` keeps what it built, which changes nothing but the cost."""

    def __init__(self, name: str, epoch: datetime):
        self.name = name
        self.world = World(name, epoch)
        self.plot = PLOTS[name]
        self.families: list[str] = read_estate()[name]["families"]
        settlers = Settlers(self.world, self.plot)
        self._inhabitants: list[Inhabitant] = settlers.all()
        self._keys: SealingKeys | None = settlers.keys() if "sealed-secrets" in self.families else None
        self._built: list[tuple[Hashable, dict[Key, Object]] | None] = [None] * len(self._inhabitants)

    def second(self, at: datetime) -> int:
        """The instant on the story's scale; nothing is told from before its history."""
        return max(-HISTORY, (at - self.world.epoch) // timedelta(seconds=1))

    def objects(self, at: datetime) -> dict[Key, Object]:
        """Everything the cluster holds at `at`, by kind, namespace and name. What did not change is identical."""
        t, everything = self.second(at), dict[Key, Object]()
        for place, inhabitant in enumerate(self._inhabitants):
            signature, built = inhabitant.signature(t), self._built[place]
            if built is None or built[0] != signature:
                made = {
                    (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
                    for obj in inhabitant.build(t)
                }
                built = self._built[place] = (signature, made)
            everything |= built[1]
        return everything

    def fault(self, at: datetime) -> str | None:
        """Whether the cluster is away: in turn its API server hangs, or nothing listens."""
        window = self.plot.away.at(self.second(at))
        if window is None:
            return None
        return "refuse" if window.number % 2 else "hang"

    def certificate(self, at: datetime) -> Certificate | None:
        if self._keys is None:
            return None
        number, created = self._keys.newest(self.second(at))
        return Certificate(SERVICE, f"{self.name}{number:+d}", self.world.time(created))
