"""What every client program is told, and how it tells what came of it.

One JSON argument lists the targets; each way of calling is tried on each of them, and one JSON object on standard
output maps ``"<way> <model>"`` to what came out. A way that fails is a traceback there, so that one failure hides
no other.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

QUESTION = "What is the weather in Oslo for two days, and what time is it?"
SYSTEM = "Be brief."


@dataclass
class Target:
    """A model of the gateway, and what the client's tools were called with so far."""

    base_url: str
    key: str
    model: str
    with_tools: bool
    called: list[Any] = field(default_factory=list)

    @property
    def openai_base_url(self) -> str:
        return f"{self.base_url}/v1"

    @property
    def output_tokens_max(self) -> int:
        """Few for a real model, which is slow and has nothing to think about."""
        return 8_000 if self.with_tools else 24

    def weather(self, city: str, days: int) -> str:
        """Tell the weather of a city."""
        self.called.append(["weather", {"city": city, "days": days}])
        return "Rain — 7 °C."

    def clock(self) -> str:
        """Tell the time of day."""
        self.called.append(["clock", {}])
        return "12:00"

    def run(self, name: str, arguments: dict[str, Any]) -> str:
        """Run a tool by its name."""
        tools: dict[str, Callable[..., str]] = {"weather": self.weather, "clock": self.clock}
        return tools[name](**arguments)


def play(ways: dict[str, Callable[[Target], Any | Awaitable[Any]]]) -> None:
    """Try each way on each target."""
    told: dict[str, Any] = {}
    for given in json.loads(sys.argv[1]):
        for name, way in ways.items():
            target = Target(**given)
            try:
                outcome = way(target)
                if isinstance(outcome, Awaitable):
                    outcome = asyncio.run(_finished(outcome))
                told[f"{name} {target.model}"] = {"answer": outcome, "called": target.called}
            except Exception:  # noqa: BLE001 - whatever it is, the test shows it
                told[f"{name} {target.model}"] = {"failed": traceback.format_exc()}
    print(json.dumps(told, default=str))


async def _finished(outcome: Awaitable[Any]) -> Any:
    return await outcome
