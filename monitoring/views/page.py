"""What all pages share: the clock, wrong parameters, and the part that htmx asks for again."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.http import require_safe

from monitoring.filters import WrongParameter

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """A page that is read: `view(request, now, ...)`. A wrong parameter becomes a 400 that names it."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, timezone.now(), *args, **kwargs)
        except WrongParameter as error:
            response = render(request, "400.html", {"error": error}, status=400)
        patch_vary_headers(response, ["HX-Request"])
        patch_cache_control(response, private=True, no_cache=True)
        return response

    return answer


def live(request: HttpRequest, template: str, now: datetime, context: Mapping[str, Any]) -> HttpResponse:
    """Renders a page, or for htmx only its live part, the template's name with an underscore before it."""
    folder, _, name = template.rpartition("/")
    chosen = f"{folder}/_{name}" if request.headers.get("HX-Request") == "true" else template
    return render(request, chosen, {"now": now, "live": f"{folder}/_{name}", **context})
