"""Wiring: settings, URLs, Celery, probes, local runner. What the product does lives in `clusters` and `monitoring`."""

__version__ = "0.1.0"
