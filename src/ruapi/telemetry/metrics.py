"""Metrics in Prometheus' text format.

Gauges are read when they are asked for, so the hot path counts nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_HELP = {
    "calls_in_flight": "Calls that hold money or wait for a provider.",
    "connections": "Open connections of callers.",
    "platform_loss_nano_usd": "What providers charged beyond holds since this process began, in nano-dollars.",
    "broken_invariants": "Findings of the last proof of the books; anything but 0 is an alarm.",
    "writes_waiting": "Writes of calls that wait for the thread that commits them.",
    "database_bytes": "What the database takes on the disk.",
    "disk_free_bytes": "What is left on the disk that the database lies on.",
}


class _Figures(Collector):
    def __init__(self, read: Callable[[], dict[str, int]]) -> None:
        self._read = read

    def collect(self) -> list[GaugeMetricFamily]:
        """Read every figure now."""
        return [
            GaugeMetricFamily(f"ruapi_{name}", _HELP.get(name, name), value=value)
            for name, value in self._read().items()
        ]


class Metrics:
    """The metrics of one server process."""

    def __init__(self, read: Callable[[], dict[str, int]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(read))

    def render(self) -> bytes:
        """The text that a scraper reads."""
        return generate_latest(self._registry)
