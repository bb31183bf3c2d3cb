"""Keys that several clusters read, and how a new value arrived at each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from monitoring import charts, commands, queries, words
from monitoring.filters import refuse_unknown
from monitoring.filters.rotations import DIGEST_FORM, SOURCE_FORM, WAVE_PARAMETERS, parse_waves
from monitoring.queries.waves import MOST_READERS, MOST_WAVES, KeyRow, WaveReader, key_row, key_rows
from monitoring.rotation.base import Confidence
from monitoring.rotation.waves import Arrival, How, Standing, Wave
from monitoring.templatetags.pages import with_query
from monitoring.views.page import kept_of, live, page
from monitoring.views.rotations import SIGNS, chips_of

API_PATH = "/api/v1/waves/"
EARLIER = 5
MOST_DOTTED = 20  # clusters of which the chart has a line
HOW_WORDS = {
    How.FIRST: "the first",
    How.VALUE: "the same value as another",
    How.TIME: "by its time alone",
}
# Who has to be looked at comes first.
ORDER = tuple(Standing)
STANDING_WORDS = {
    Standing.LAGS: "lags: still an older value",
    Standing.AWAITED: "not yet",
    Standing.UNKNOWN: "not known",
    Standing.ARRIVED: "arrived",
    Standing.HAS: "has it, arrival not seen",
    Standing.MADE_LATER: "made after the change",
}


@dataclass(frozen=True)
class WaveLine:
    """A reader of a key, and where it stands with the newest wave. `delay` is after the first arrival."""

    reader: WaveReader
    standing: Standing | None
    arrival: Arrival | None = None
    delay: timedelta | None = None
    awaited_until: datetime | None = None
    mounts: str = ""

    @property
    def word(self) -> str:
        return STANDING_WORDS[self.standing] if self.standing else "no rotation seen"

    @property
    def lags(self) -> bool:
        return self.standing is Standing.LAGS

    @property
    def how(self) -> str:
        return HOW_WORDS[self.arrival.how] if self.arrival else ""

    @property
    def sign(self) -> str:
        return SIGNS[Confidence(self.arrival.pickup.confidence)] if self.arrival else ""

    @property
    def confidence(self) -> str:
        return Confidence(self.arrival.pickup.confidence).name.lower() if self.arrival else ""


@page
def waves(request: HttpRequest, now: datetime) -> HttpResponse:
    filters = parse_waves(request.GET)
    rows = key_rows(filters, now)
    kept = kept_of(request.GET, [parameter.name for parameter in WAVE_PARAMETERS])
    context = {
        "coverage": queries.coverage(now),
        "rows": [(row, title(row), link_of(row), said(row)) for row in rows],
        "sentence": _sentence_of_list(rows, chosen=bool(kept)),
        "most": MOST_WAVES,
        "values": {parameter.name: ",".join(kept.get(parameter.name, ())) for parameter in WAVE_PARAMETERS},
        "chips": chips_of(reverse("waves"), kept),
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return live(request, "monitoring/waves.html", now, context)


def _sentence_of_list(rows: tuple[KeyRow, ...], *, chosen: bool) -> str:
    if not rows:
        where = "these filters" if chosen else "the last 30 days"
        return f"No key that several clusters read fits {where}." if chosen else f"No wave was seen in {where}."
    under_way = sum(row.under_way for row in rows)
    if not under_way:
        return f"No wave is under way; {words.counted(len(rows), 'key')} {'was' if len(rows) == 1 else 'were'} changed."
    return f"{words.counted(under_way, 'wave')} {'is' if under_way == 1 else 'are'} under way."


def title(row: KeyRow) -> str:
    """The key by name, with its property: `prod/db · password`."""
    shown = [" · ".join(filter(None, name)) for name in row.names]
    return words.listed(shown, most=2) or f"key {row.key.digest}"


def link_of(row: KeyRow) -> str:
    return reverse("wave", args=row.key[:2])


def said(row: KeyRow) -> str:
    """How far the newest wave got, in one sentence."""
    if not row.waves:
        return "No rotation of this key was seen."
    number = len(row.readers)
    behind, awaited = row.count(Standing.LAGS), row.count(Standing.AWAITED)
    unknown = row.count(Standing.UNKNOWN)
    later = row.count(Standing.MADE_LATER)
    have = number - behind - awaited - unknown - later
    took = words.duration(row.took or timedelta(0))
    if behind:
        late = f"still {'has' if behind == 1 else 'have'} an older value, {took} after the first got the new one"
        return f"{words.number(behind)} of {words.counted(number, 'resource')} {late}."
    whole = have == number < MOST_READERS
    who = f"All {number}" if whole else f"{words.number(have)} of {words.number(number)}"
    tell = _reserve(row.waves[0])
    rest = f"; {words.number(awaited)} may still do" if awaited else ""
    lost = f"; of {words.number(unknown)} it is not known" if unknown else ""
    young = f"; {words.number(later)} {'was' if later == 1 else 'were'} made after it" if later else ""
    return f"{who} picked it up within {took}{tell}{rest}{lost}{young}."


def _reserve(wave: Wave) -> str:
    """What such a sentence rests on, where that is not equal values."""
    if wave.by_value:
        return ""
    by_events = _by_events(wave)
    if by_events == len(wave.arrivals):
        return ", as far as Events tell"
    return f", {words.number(by_events)} of them as far as Events tell" if by_events else ", as far as their times tell"


def tells(wave: Wave) -> str:
    """What tells that the arrivals of a wave are of one change."""
    if wave.by_value:
        return "equal values"
    by_events = _by_events(wave)
    if by_events == len(wave.arrivals):
        return "Events alone"
    return f"Events alone for {words.number(by_events)} of them" if by_events else "their times alone"


def _by_events(wave: Wave) -> int:
    """Of how many arrivals neither a tag nor a version tells."""
    return sum(not arrival.pickup.after for arrival in wave.arrivals)


@page
def wave(request: HttpRequest, now: datetime, source: str, digest: str) -> HttpResponse:
    refuse_unknown(request.GET, ())
    named = SOURCE_FORM.fullmatch(source) and DIGEST_FORM.fullmatch(digest)
    row = key_row(source, digest, now) if named else None
    if row is None:
        raise Http404("Nothing that we can see reads this key now.")
    found = lines_of(row)
    context = {
        "coverage": queries.coverage(now),
        "row": row,
        "title": title(row),
        "sentence": said(row),
        "lines": found,
        "newest": row.waves[0] if row.waves else None,
        "earlier": [
            (other, len(other.arrivals), other.last_at - other.began_at, tells(other))
            for other in row.waves[1 : EARLIER + 1]
        ],
        "figure": _figure(row, found),
        "most_readers": MOST_READERS if len(row.readers) >= MOST_READERS else 0,
        "api_path": f"{API_PATH}{source}/{digest}/",
    }
    return live(request, "monitoring/wave.html", now, context)


def lines_of(row: KeyRow) -> list[WaveLine]:
    """All readers: who lags first, then who is awaited or unknown, then those that have it, in their order."""
    newest = row.waves[0] if row.waves else None
    found = [_line(reader, row, newest) for reader in row.readers]
    late = row.now
    return sorted(
        found,
        key=lambda line: (
            ORDER.index(line.standing) if line.standing else 0,
            line.arrival.pickup.at if line.arrival else late,
            line.reader.cluster,
            line.reader.key,
        ),
    )


def _line(reader: WaveReader, row: KeyRow, newest: Wave | None) -> WaveLine:
    if newest is None:
        return WaveLine(reader, None)
    standing = row.standings[reader.reader.id]
    arrival = row.arrivals.get(reader.reader.id)
    with_it = sum(number for version, number in reader.reader.mounts.items() if version in newest.after)
    return WaveLine(
        reader,
        standing,
        arrival,
        arrival.pickup.at - newest.began_at if arrival else None,
        newest.began_at + reader.reader.window if standing in (Standing.AWAITED, Standing.LAGS) else None,
        f"{with_it} of {words.counted(reader.mounts, 'mount')}" if reader.mounts else "",
    )


def _figure(row: KeyRow, lines: Sequence[WaveLine]) -> charts.Figure | None:
    """Arrivals of the newest wave by cluster, those first of which the table speaks first."""
    if not row.waves:
        return None
    began, newest = row.waves[0].began_at, row.waves[0]
    clusters = list(dict.fromkeys(line.reader.cluster for line in lines))[:MOST_DOTTED]
    waiting = [line.reader.cluster for line in lines if line.standing in (Standing.LAGS, Standing.AWAITED)]
    dots = [
        charts.Dot(line.reader.cluster, line.arrival.pickup.at, _after(line.delay))
        for line in lines
        if line.arrival is not None
    ]
    end = row.now if row.under_way else newest.last_at
    length = max(end - began, timedelta(minutes=1))
    return charts.arrivals(
        clusters, dots, [name for name in clusters if name in waiting], began - length / 20, end + length / 20
    )


def _after(delay: timedelta | None) -> str:
    return f"{words.duration(delay)} after the first" if delay else "the first"
