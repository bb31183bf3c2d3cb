"""The story of three clusters: what breaks, recovers, rotates and falls silent, as a pure function of time.

The live cycle takes twelve minutes; its seconds below are chosen so that the state of some resource turns at least
every two minutes. The back story has the same kinds of events: many in its last five days, some in the weeks before.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from demo.estate import Inhabitant, Plot, Settlers, read_estate
from demo.sealed_secrets import SERVICE, SealingKeys
from demo.shapes import Object, World
from demo.timeline import DAY, FOREVER, HISTORY, HOUR, MINUTE, Trouble, weekly

Key = tuple[str, str, str]

_REFUSED = "unable to validate store: dial tcp 10.40.2.17:8200: connect: connection refused"
_DENIED = (
    "AccessDeniedException: User: arn:aws:sts::000000000000:assumed-role/external-secrets is not authorized to "
    "perform: secretsmanager:GetSecretValue"
)
_QUOTA = "rpc error: code = ResourceExhausted desc = Quota exceeded for quota metric 'Access requests'"
_IDENTITY = "AADSTS700016: Application was not found in the directory; check the federated credential"
_NOWHERE = "Secret does not exist"
_EVER = -10_000
"""Hours: long before the back story."""

# Keys that several clusters read: one rotation arrives in each of them with the next refresh there.
REGISTRY = Trouble(back=(*weekly(-3, range(1, 5)), (-35, -34), (-5, -4)))
TELEMETRY = Trouble(back=(*weekly(-51, range(1, 4)), (-99, -98), (-51, -50), (-27, -26)), live=(240, 241), every=2)
OIDC = Trouble(back=(*weekly(-7, range(2, 5)), (-8, -7)))
LDAP = Trouble(back=(*weekly(-61, range(2, 4)), (-61, -60)))
# Other keys by the same calendar.
SESSION = Trouble(
    back=(*weekly(-41, range(1, 4)), (-90, -89), (-66, -65), (-42, -41), (-18, -17)), live=(300, 301), every=2
)
CARRIER = Trouble(back=((-346, -345.9), (-178, -177.9), (-10, -9.9)))

PROD_EU = Plot(
    stores={
        "@vault": Trouble(
            back=((-602, -599), (-410.5, -404), (-251, -249.5), (-98, -96.4), (-30.2, -29.1)), cause=_REFUSED
        ),
        "search/vault-search": Trouble(
            back=((-480, -476), (-52, -51.2)), live=(500, 690), every=3, first=1, cause=_REFUSED
        ),
    },
    missing={
        "legacy/ftp-partner": Trouble(back=((-31, FOREVER),), cause=_NOWHERE),
        "payments/adyen": Trouble(back=((-333, -320), (-71, -66.5)), cause=_NOWHERE),
        "notifications/twilio": Trouble(back=((-540, -530),), cause=_NOWHERE),
    },
    silent={
        "reports/warehouse": Trouble(back=((-300, -280), (-60, -38)), live=(240, 930), every=2),
        "search/api": Trouble(back=((-20, -14),), live=(240, 930), every=2, first=1),
        "reports/ledger-export": Trouble(back=((-17.3, FOREVER),)),
    },
    rotated={
        "payments/stripe": Trouble(back=(*weekly(-5, range(1, 5)), (-100, -99), (-28, -27)), live=(60, 61)),
        "payments/db": Trouble(back=((-581, -580), (-245, -244), (-77, -76)), live=(540, 541), every=3),
        "checkout/session": SESSION,
        "catalog/db": Trouble(back=((-391, -390), (-55, -54))),
        "identity/oidc-client": OIDC,
        "identity/ldap-bind": LDAP,
        "platform/telemetry": TELEMETRY,
        "platform/registry-pull": REGISTRY,
        "checkout/registry-pull": REGISTRY,
        "payments/registry-pull": REGISTRY,
        "billing/dunning": Trouble(back=((-627, -626), (-291, -290))),
        "notifications/smtp": Trouble(back=((-439, -438),)),
        "search/elastic": Trouble(back=((-313, -312),)),
    },
    pushes={
        "platform/registry-mirror": Trouble(
            back=((-45, -43),), live=(380, 690), cause="Error making API request: permission denied (403)"
        )
    },
    sealed={
        "web/session-cookie": Trouble(back=((-450, -440), (-80, -77)), live=(120, 210)),
        "edge/waf": Trouble(back=((-13, -11.5),), live=(450, 555)),
    },
    resealed={
        "cron/report-mailer": Trouble(back=((-386, -385), (-50, -49))),
        "ingress/dns-token": Trouble(back=((-601, -600), (-265, -264))),
        "monitoring/alertmanager": Trouble(back=((-49, -48),)),
    },
    mounts={
        "orders/orders-db": Trouble(back=((-594, -590), (-426, -421), (-258, -257), (-90, -84)), live=(60, 630)),
        "orders/kafka-client": Trouble(back=((-501, -500.5), (-33, -32.9))),
        "shipping/carrier-api": CARRIER,
    },
    node=Trouble(back=((-380, -378), (-22, -21))),
    operator=Trouble(back=((-230, -226),)),
    versions={"v2.8.0": Trouble(back=((_EVER, -230.3),))},
    first_key=-34 * DAY,
    renewals=Trouble(back=((-43, -42),)),
    away=Trouble(back=((-470, -465),)),
)

PROD_US = Plot(
    stores={
        "@aws": Trouble(back=((-560, -556), (-290, -288.5)), cause=_DENIED),
        "payments/aws-payments": Trouble(
            back=((-420, -418), (-75, -72.6), (-12, -11)), live=(0, 330), cause=_DENIED, by="kubectl-edit"
        ),
        "analytics/azure-analytics": Trouble(
            back=((-370, -361), (-9, -0.5)), live=(180, 10 * 720), every=20, cause=_IDENTITY
        ),
    },
    missing={"notifications/smtp": Trouble(back=((-64, -61),), cause=_NOWHERE)},
    silent={"checkout/redis": Trouble(back=((-240, -228), (-48, -41)))},
    rotated={
        "payments/db": Trouble(back=((-414, -413), (-246, -245), (-78, -77)), live=(400, 401), every=2),
        "payments/payouts": Trouble(back=((-530, -529), (-194, -193))),
        "checkout/session": SESSION,
        "catalog/db": Trouble(back=((-390.5, -390), (-54.5, -54))),
        "search/api": Trouble(back=weekly(-39, range(1, 4))),
        "identity/oidc-client": OIDC,
        "identity/ldap-bind": LDAP,
        "platform/telemetry": TELEMETRY,
        "checkout/registry-pull": REGISTRY,
    },
    pushes={
        "platform/ca-bundle": Trouble(back=((-88, -86),), cause="Error making API request: permission denied (403)")
    },
    mounts={
        "orders/orders-db": Trouble(back=((-549, -540), (-213, -210), (-45, -41)), live=(180, 660), every=2, first=1),
        "gateway/edge-tls": Trouble(back=((-406, -405.9), (-238, -237.8), (-70, -69.9))),
        "shipping/carrier-api": CARRIER,
    },
    node=Trouble(back=((-58, -56),), live=(390, 600)),
    operator=Trouble(back=((-27, -21.5),)),
    # The stores in Azure fail soon after the operator was brought up to date.
    versions={"v2.8.0": Trouble(back=((_EVER, -9.4),))},
    opened=("secrets",),
    away=Trouble(back=((-352, -350), (-8, -7.4))),
)

STAGING = Plot(
    stores={"@gcp": Trouble(back=((-510, -503), (-180, -176), (-50, -44)), cause=_QUOTA)},
    missing={
        "web/newrelic": Trouble(
            back=((-310, -300), (-94, -70), (-6, -3)), live=(30, 375), cause=_NOWHERE, by="argocd-controller"
        ),
        "qa/browserstack": Trouble(back=((-5.3, FOREVER),), cause=_NOWHERE, by="argocd-controller"),
    },
    silent={
        "web/preview-auth": Trouble(back=((-36, -30),)),
        # It misses the last rotation of the registry's password, which all others have.
        "checkout/registry-pull": Trouble(back=((-31, FOREVER),)),
    },
    rotated={
        "payments/stripe": Trouble(back=((-588, -587), (-252, -251), (-84, -83))),
        "search/api": Trouble(back=((-360, -359), (-24, -23)), live=(200, 201)),
        "identity/ldap-bind": LDAP,
        "platform/telemetry": TELEMETRY,
        "checkout/registry-pull": REGISTRY,
    },
    sealed={
        "mail/smtp": Trouble(back=((-20, FOREVER),)),
        "qa/report-upload": Trouble(back=((-445, -442), (-63, -62)), live=(270, 360)),
    },
    resealed={
        "qa/device-farm": Trouble(back=(*weekly(-16, range(1, 4)), (-16, -15)), live=(655, 656), every=2),
        "cron/cleanup-token": Trouble(back=((-330, -329),)),
    },
    # A variant of the image is tried, which does not start, and given up.
    operator=Trouble(back=((-130, -124.5),), live=(60, 690), every=5, first=2),
    versions={"v2.9.0-ubi": Trouble(back=((-130.3, -124.6),), live=(45, 680), every=5, first=2)},
    poison=Trouble(back=((-270, -266), (-40.2, -39.1)), live=(150, 1380), every=6),
    edited={"monitoring/grafana-oauth": Trouble(back=((-30, FOREVER),))},
    opened=("secrets", "pods"),
    first_key=9 * MINUTE - 31 * DAY - 12 * HOUR,
    renew_period="120h",
    # One renewal is left out, so that it is late when the fleet is first seen and comes nine minutes later.
    renewals=Trouble(
        back=tuple((9 / 60 - 24 * days, 9 / 60 - 24 * days + 1) for days in (26.5, 21.5, 16.5, 11.5, 6.5)),
        live=(9 * MINUTE, 10 * MINUTE),
        every=600,
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
        self.labels: dict[str, str] = read_estate()[name]["labels"]
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
        """Whether the cluster is away: in turn its API server hangs, or nothing listens.

        In the back story nothing listens: a replay would wait for every answer that does not come.
        """
        window = self.plot.away.at(self.second(at))
        if window is None:
            return None
        return "refuse" if window.number % 2 or window.number < 0 else "hang"

    def certificate(self, at: datetime) -> Certificate | None:
        if self._keys is None:
            return None
        number, created = self._keys.newest(self.second(at))
        return Certificate(SERVICE, f"{self.name}{number:+d}", self.world.time(created))
