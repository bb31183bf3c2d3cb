"""Tokens for scripts and pipelines. Only a hash is stored (see knox); a token is shown once, when it is made."""

from django.db import models
from knox.models import AbstractAuthToken


class ApiToken(AbstractAuthToken):
    """A token with a name, so that people can tell what will stop working when it ends."""

    name = models.CharField(max_length=60, unique=True)

    def __str__(self) -> str:
        return self.name
