"""What templates need beyond Django: health with its shape, times with their machine form, names, addresses."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from monitoring import charts, words
from monitoring.families import SHORT_NAMES
from monitoring.health import Health
from monitoring.timelines import Run

register = template.Library()
register.filter("duration", words.duration)
register.filter("number", words.number)


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.simple_tag
def health(value: Health) -> SafeString:
    """Shape and word of a health."""
    return format_html('<span class="health {}">{}{}</span>', value.css, icon(value.css), value.word)


# Height of a slot by health, as parts of 18: worse is taller, so that the strip can be read without its colours.
STRIP_HEIGHTS = {
    Health.HEALTHY: 10,
    Health.UNKNOWN: 5,
    Health.PROGRESSING: 13,
    Health.AT_RISK: 14,
    Health.STALE: 16,
    Health.FAILING: 18,
}


@register.simple_tag
def strip(runs: Sequence[Run]) -> SafeString:
    """Fifty hours of health as bars; runs of equal health are one rectangle with gaps drawn over it."""
    known = [run for run in runs if run.health is not None]
    said = ", ".join(f"{run.length} h {run.health.word.lower()}" for run in known if run.health is not None)
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill="currentColor"/>',
        (
            (run.health.css, 4 * run.first, 18 - STRIP_HEIGHTS[run.health], 4 * run.length, STRIP_HEIGHTS[run.health])
            for run in known
            if run.health is not None
        ),
    )
    gaps = format_html('<use href="{}#strip-gaps"></use>', static("icons.svg"))
    return format_html(
        '<svg class="strip" viewBox="0 0 200 18" role="img" aria-label="{}">{}{}</svg>', said or "not seen", bars, gaps
    )


@register.simple_tag
def chart_guards() -> SafeString:
    """Empty elements that keep Plotly from adding inline style sheets (see charts.inline_style_ids)."""
    return format_html_join(
        "", '<meta name="chart-guard" id="{}">', ((number,) for number in charts.inline_style_ids())
    )


@register.simple_tag(takes_context=True)
def at(context: template.Context, value: datetime | None, otherwise: str = "") -> SafeString | str:
    """An absolute time, short; the full one on hover."""
    return _time(value, words.moment(value, context["now"])) if value else otherwise


@register.simple_tag
def clock(value: datetime | None) -> SafeString | str:
    """A time of today with seconds, the full one on hover."""
    return _time(value, f"{value.astimezone(UTC):%H:%M:%S}") if value else ""


@register.simple_tag(takes_context=True)
def stamp(context: template.Context, value: datetime) -> SafeString | str:
    """With seconds today, otherwise like `at`."""
    today = value.astimezone(UTC).date() == context["now"].astimezone(UTC).date()
    return clock(value) if today else at(context, value)


@register.simple_tag
def full(value: datetime | None, otherwise: str = "") -> SafeString | str:
    """An absolute time with seconds and zone."""
    return _time(value, words.full_moment(value)) if value else otherwise


@register.simple_tag(takes_context=True)
def age(context: template.Context, value: datetime | None, otherwise: str = "") -> SafeString | str:
    """How long ago, without the word: `4 h 57 min`."""
    return _time(value, words.duration(context["now"] - value)) if value else otherwise


@register.simple_tag(takes_context=True)
def due(context: template.Context, value: datetime | None) -> SafeString | str:
    """`in 39 min`, or `12 min late`, which is marked."""
    if value is None:
        return ""
    span = context["now"] - value
    if span <= timedelta(0):
        return format_html('<span class="soft">{}</span>', _time(value, f"in {words.duration(span)}"))
    return format_html('<span class="late">{}</span>', _time(value, f"{words.duration(span)} late"))


# As rules write a moment into a summary (monitoring.rules.durations.moment_words), and a bracket that follows it.
STORED_MOMENT = re.compile(r"\b(\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}) UTC\b( \()?")


@register.simple_tag(takes_context=True)
def told(context: template.Context, text: str, *, ages: bool = True) -> SafeString:
    """A sentence with its moments short and, with `ages`, how long ago: `24 Nov 09:10 (4 h 57 min ago)`."""
    parts, end = [], 0
    for found in STORED_MOMENT.finditer(text):
        if value := _stored_moment(found[1]):
            rest = found[2] or ""
            words_age = _relative(value, context["now"]) if ages else ""
            after = f" ({words_age}{'; ' if rest else ')'}" if words_age else rest
            parts.append((text[end : found.start()], _time(value, _day_and_time(value, context["now"])), after))
            end = found.end()
    return format_html("{}{}", format_html_join("", "{}{}{}", parts), text[end:])


def _stored_moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%d %b %Y %H:%M").replace(tzinfo=UTC)
    except ValueError:  # a controller's own words that only look like it
        return None


def _day_and_time(value: datetime, now: datetime) -> str:
    year = "" if value.year == now.astimezone(UTC).year else f"{value.year} "
    return f"{value.day}{words.NBSP}{value:%b} {year}{value:%H:%M}"


def _relative(value: datetime, now: datetime) -> str:
    span = words.duration(now - value)
    return f"in {span}" if value > now else f"{span} ago"


def _time(value: datetime, text: str) -> SafeString:
    value = value.astimezone(UTC)
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), words.full_moment(value), text)


@register.simple_tag
def name(text: str) -> SafeString:
    """A name from a cluster: monospace, isolated from the direction of the text around it, full on hover."""
    return format_html('<bdi class="name" title="{0}">{0}</bdi>', text)


@register.filter
def short_kind(kind: str) -> str:
    return SHORT_NAMES.get(kind, kind)


@register.filter
def is_due(value: datetime | None, now: datetime) -> bool:
    return value is not None and value <= now


@register.simple_tag(takes_context=True)
def resources_url(context: template.Context, query: Mapping[str, str] | None = None, **filters: object) -> str:
    """The address of the resources that these filters choose, at the moment that the page shows.

    `query` holds filters in their own form; `health` may be a Health, empty values are left out.
    """
    chosen = {key: _value(value) for key, value in filters.items() if value not in (None, "", ())}
    moment = {"at": written(context["past"])} if context.get("past") else {}
    return with_query(reverse("resources"), {**(query or {}), **chosen, **moment})


def written(moment: datetime) -> str:
    """A moment as addresses hold it: UTC, with what it needs of seconds and their parts."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def with_query(path: str, query: Mapping[str, Any]) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def _value(value: object) -> str:
    if isinstance(value, Health):
        return value.code
    return ",".join(value) if isinstance(value, tuple) else str(value)


@register.filter
def milliseconds(value: int) -> str:
    """`340 ms`, from ten seconds on as a duration."""
    return f"{value:,}{words.NBSP}ms" if abs(value) < 10_000 else words.duration(timedelta(milliseconds=value))
