"""Registering a cluster in the browser: a kubeconfig, or its address, certificates and a token by hand."""

import re
from typing import Any

from django import forms

from clusters.entries import ClusterEntry, InvalidField, check_namespaces, entry_from_fields
from clusters.kubeconfig import MAX_BYTES, ParseError, parse
from clusters.models import DEFAULT_INTERVAL, MAX_INTERVAL, MIN_INTERVAL

BY_HAND = ("name", "api_url", "ca_pem", "token")
SHOWN_REASONS = 10


class AddClusterForm(forms.Form):
    """Either `kubeconfig`, or name, address and token. After validation `entries` holds what may be registered.

    A kubeconfig is taken as a whole: if one of its chosen contexts is refused, nothing is registered. Credentials are
    never sent back to the browser: the fields that can hold one come back empty.
    """

    kubeconfig = forms.CharField(required=False, max_length=MAX_BYTES, strip=False)
    contexts = forms.CharField(required=False, max_length=2000)
    name = forms.CharField(required=False, max_length=63)
    api_url = forms.CharField(required=False, max_length=500)
    ca_pem = forms.CharField(required=False, max_length=256 * 1024, strip=False)
    token = forms.CharField(required=False, max_length=16 * 1024)
    interval_seconds = forms.IntegerField(
        required=False, min_value=MIN_INTERVAL, max_value=MAX_INTERVAL, initial=DEFAULT_INTERVAL
    )
    secret_namespaces = forms.CharField(required=False, max_length=10_000)

    entries: tuple[ClusterEntry, ...] = ()

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        by_hand = [name for name in BY_HAND if data.get(name)]
        if not self.errors:
            if data.get("kubeconfig") and by_hand:
                self.add_error(None, "Fill in the kubeconfig or the fields below it, not both.")
            elif data.get("kubeconfig"):
                self._read_kubeconfig(data)
            else:
                self._read_fields(data)
        return data

    def clean_secret_namespaces(self) -> list[str]:
        """Names between commas or blanks."""
        try:
            return check_namespaces(re.findall(r"[^\s,]+", self.cleaned_data["secret_namespaces"]))
        except InvalidField as error:
            raise forms.ValidationError(str(error)) from None

    def _read_kubeconfig(self, data: dict[str, Any]) -> None:
        contexts = [name.strip() for name in data.get("contexts", "").split(",") if name.strip()]
        try:
            parsed = parse(data["kubeconfig"], contexts or None)
        except ParseError as error:
            self.add_error("kubeconfig", str(error))
            return
        for refused in parsed.refusals[:SHOWN_REASONS]:
            self.add_error("kubeconfig", f"Context {refused.context}: {refused.reason}")
        if not parsed.refusals:
            self.entries = parsed.entries

    def _read_fields(self, data: dict[str, Any]) -> None:
        try:
            entry = entry_from_fields(**{name: data.get(name, "") for name in BY_HAND})
        except InvalidField as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))
        else:
            self.entries = (entry,)
