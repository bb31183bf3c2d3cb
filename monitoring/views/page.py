"""What all pages share: the clock, wrong parameters, and the part that htmx asks for again."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.http import require_safe

from monitoring.filters import WrongParameter, parse_at
from monitoring.queries import past
from monitoring.templatetags.pages import with_query, written

View = Callable[..., HttpResponseBase]


def page(view: View) -> View:
    """A page that is read: `view(request, now, ...)`. A wrong parameter becomes a 400 that names it."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, timezone.now(), *args, **kwargs)
        except WrongParameter as error:
            response = render(request, "400.html", {"error": error}, status=400)
        patch_vary_headers(response, ["HX-Request"])
        patch_cache_control(response, private=True, no_cache=True)
        return response

    return answer


def kept_of(query: QueryDict, names: Iterable[str]) -> dict[str, list[str]]:
    """The parameters of these names that are given, for links that keep them."""
    return {name: values for name in names if (values := [value for value in query.getlist(name) if value])}


def past_moment(query: QueryDict, now: datetime) -> datetime | None:
    """The parameter `at`, or None for the present. Raises WrongParameter for a moment of which nothing is known."""
    at = parse_at(query, now)
    if at:
        past.check(at)
    return at


def live(request: HttpRequest, template: str, now: datetime, context: Mapping[str, Any]) -> HttpResponse:
    """Renders a page, or for htmx only its live part, the template's name with an underscore before it."""
    folder, _, name = template.rpartition("/")
    chosen = f"{folder}/_{name}" if request.headers.get("HX-Request") == "true" else template
    return render(request, chosen, {"now": now, "live": f"{folder}/_{name}", **context})


def of_moment(
    request: HttpRequest, template: str, now: datetime, context: Mapping[str, Any], at: datetime | None
) -> HttpResponse:
    """`live` for a page that can also show a past moment.

    With `at` its clock stands at that moment, it says so and offers the way back, and its links stay there.
    """
    kept = [
        (name, value) for name in request.GET if name not in ("at", "cursor") for value in request.GET.getlist(name)
    ]
    back = with_query(request.path, {name: request.GET.getlist(name) for name, _ in kept})
    moment = {
        "takes_moment": True,
        "past": at,
        "at_query": f"?{urlencode({'at': written(at)})}" if at else "",
        "kept": kept,
        "back": back,
    }
    return live(request, template, at or now, {**moment, **context})
