"""Registers the system checks of the installation."""

from django.apps import AppConfig


class SecretsdashConfig(AppConfig):
    name = "secretsdash"

    def ready(self) -> None:
        from secretsdash import checks  # noqa: F401  importing it registers the checks
