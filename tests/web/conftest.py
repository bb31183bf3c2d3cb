"""What page tests share: a moment to count back from, and people who are signed in."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def now() -> datetime:
    """The clock, because pages read it."""
    return datetime.now(UTC)


@pytest.fixture
def viewer(db: None) -> Client:
    """A signed-in person without rights to change anything."""
    client = Client()
    client.force_login(User.objects.create_user("ana"))
    return client


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("root", is_staff=True))
    return client
