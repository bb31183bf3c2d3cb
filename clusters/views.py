"""The form that registers clusters. Reading them is the workers' task; nothing is dialled here."""

from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from clusters import registration
from clusters.credentials import CredentialError
from clusters.entries import InvalidField
from clusters.forms import AddClusterForm


@never_cache
@sensitive_post_parameters("kubeconfig", "token", "ca_pem")
@require_http_methods(["GET", "HEAD", "POST"])
def add_cluster(request: HttpRequest) -> HttpResponse:
    """Registers one cluster by hand or the contexts of a kubeconfig. Only for staff."""
    if not request.user.is_staff:
        raise PermissionDenied("Only administrators register clusters.")
    form = AddClusterForm(request.POST if request.method == "POST" else None)
    now = timezone.now()  # noqa: TID251 - a view is where the clock is read
    if request.method == "POST" and form.is_valid() and _register(form, now):
        names = ", ".join(entry.name for entry in form.entries)
        messages.success(request, f"Registered: {names}. The first collection starts as soon as a worker is free.")
        return redirect("clusters")
    status = 400 if request.method == "POST" else 200
    return render(request, "clusters/add_cluster.html", {"form": form}, status=status)


def _register(form: AddClusterForm, now: datetime) -> bool:
    """All entries or none. What is wrong becomes an error of the form."""
    interval, namespaces = (form.cleaned_data.get(name) for name in ("interval_seconds", "secret_namespaces"))
    try:
        with transaction.atomic():
            for entry in form.entries:
                registration.register(entry, now=now, interval=interval, secret_namespaces=namespaces)
    except InvalidField as error:
        if form.cleaned_data.get("kubeconfig"):
            hint = "Nothing was registered. Paste it again, with the contexts that you want named below."
            form.add_error("kubeconfig", f"{error}. {hint}")
        else:
            form.add_error(error.field if error.field in form.fields else None, str(error))
    except CredentialError as error:
        form.add_error(None, str(error))
    return not form.errors
