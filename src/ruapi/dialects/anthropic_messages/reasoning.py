"""How much to think: ``thinking`` and ``output_config.effort``, both ways (3.9, 5.5).

https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking,
https://platform.claude.com/docs/en/build-with-claude/effort and
https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows. With a budget ("manual"
thinking) the vendor is stricter than with ``adaptive``: a budget allows no forced tool, and a tool loop must
have started with thinking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ruapi.canon.request import (
    BUDGET_TOKENS,
    Effort,
    ReasoningRequest,
    Request,
    budget_of,
    effort_of,
    nearest_effort,
)
from ruapi.dialects.anthropic_messages.wire import OWN, Reading, Wire

if TYPE_CHECKING:
    from ruapi.canon.losses import LossRecorder
    from ruapi.dialects.dialect import Quirks

_MODES: dict[str, Literal["on", "off", "adaptive"]] = {
    "enabled": "on",
    "disabled": "off",
    "adaptive": "adaptive",
}
_DISPLAYS: dict[str, Literal["auto", "hidden"]] = {"summarized": "auto", "omitted": "hidden"}
_THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


# --- reading --------------------------------------------------------------------------------------


def read_reasoning(document: Wire, reading: Reading, rest: Wire) -> ReasoningRequest | None:
    """What the request says about thinking. ``rest`` gets, as extensions, what canonical form cannot say."""
    thinking = document.get("thinking")
    config = document.get("output_config")
    effort: Any = None
    if config is not None:
        config = reading.mapping(config, "output_config")
        effort = reading.optional_text(config, "effort", "output_config")
        unread = {name: value for name, value in config.items() if name not in {"effort", "format"}}
        if effort is not None and effort not in BUDGET_TOKENS:
            unread["effort"], effort = effort, None
        _keep(rest, "output_config", unread)
    if thinking is None:
        return None if effort is None else ReasoningRequest(effort=effort)
    thinking = reading.mapping(thinking, "thinking")
    kind = reading.text(thinking, "type", "thinking")
    display = reading.optional_text(thinking, "display", "thinking")
    budget = reading.optional_integer(thinking, "budget_tokens", "thinking")
    unread = {name: value for name, value in thinking.items() if name not in _THINKING_FIELDS}
    if kind not in _MODES:
        unread["type"] = kind
    if display is not None and display not in _DISPLAYS:
        unread["display"] = display
    _keep(rest, "thinking", unread)
    return ReasoningRequest(
        mode=_MODES.get(kind),
        effort=effort,
        budget_tokens=budget,
        visibility=_DISPLAYS.get(display or ""),
    )


_THINKING_FIELDS = frozenset({"type", "display", "budget_tokens"})


def _keep(rest: Wire, name: str, unread: Wire) -> None:
    found = {field: value for field, value in unread.items() if value is not None}
    if found:
        rest[name] = found


# --- writing --------------------------------------------------------------------------------------


class ReasoningWriter:
    """Writes what one request asks of thinking into its body."""

    __slots__ = ("_losses", "_own", "_quirks", "_wanted")

    def __init__(self, request: Request, quirks: Quirks, losses: LossRecorder) -> None:
        self._wanted = request.reasoning or ReasoningRequest()
        self._own = request.dialect == OWN
        self._quirks = quirks
        self._losses = losses

    def write(self, body: Wire) -> Literal["off", "manual", "adaptive"]:
        """Set ``thinking`` and effort in the body, whose messages are there already; how it will think."""
        wanted, control = self._wanted, self._quirks.reasoning_control
        asked = wanted.mode in ("on", "adaptive") or wanted.effort is not None or wanted.budget_tokens is not None
        if not asked and wanted.mode is None:
            return "off"
        if wanted.mode == "off":
            self._write_off(body)
            if self._own and wanted.effort is not None and control == "effort":
                self._write_effort(body, wanted.effort)
            return "off"
        if control == "none":
            self._losses.add("reasoning_control")
            return "off"
        if control == "budget":
            return self._write_budget(body)
        effort = wanted.effort
        if wanted.budget_tokens is not None:
            self._losses.add("reasoning_budget")
            effort = effort or effort_of(wanted.budget_tokens, accepted=self._quirks.efforts)
        if effort is not None:
            self._write_effort(body, effort)
        if wanted.mode is None and self._own and wanted.budget_tokens is None:
            return "off"  # in this dialect an effort alone does not ask for thinking
        body["thinking"] = self._shown({"type": "adaptive"})
        return "adaptive"

    def _write_off(self, body: Wire) -> None:
        if not self._quirks.reasoning_off:
            self._losses.add("reasoning_control")
        elif self._quirks.reasoning_control != "none":
            body["thinking"] = {"type": "disabled"}

    def _write_effort(self, body: Wire, wanted: Effort) -> None:
        effort = nearest_effort(wanted, self._quirks.efforts)
        if effort == "minimal":  # the vendor's scale starts at low
            effort = "low"
        elif wanted not in (effort, "minimal"):
            self._losses.add("reasoning_budget", detail=wanted)
        body.setdefault("output_config", {})["effort"] = effort

    def _write_budget(self, body: Wire) -> Literal["off", "manual"]:
        wanted, quirks = self._wanted, self._quirks
        if wanted.mode is None and wanted.budget_tokens is None and self._own:
            self._losses.add("reasoning_control")
            return "off"
        budget = wanted.budget_tokens
        if budget is None:
            if wanted.effort is not None or wanted.mode == "adaptive":
                self._losses.add("reasoning_budget")
            budget = budget_of(wanted.effort or "medium")
        elif wanted.effort is not None:
            self._losses.add("reasoning_budget")
        budget = max(budget, quirks.reasoning_budget_min_tokens)
        if quirks.reasoning_budget_max_tokens is not None:
            budget = min(budget, quirks.reasoning_budget_max_tokens)
        if not _loop_starts_with_thinking(body["messages"]):
            self._losses.add("reasoning_off_for_history")
            self._write_off(body)
            return "off"
        if not self._fit(body, budget):
            self._losses.add("reasoning_control")
            return "off"
        return "manual"

    def _fit(self, body: Wire, budget: int) -> bool:
        """Write the budget below ``max_tokens``, raising that or lowering the budget; whether it fits."""
        limit: int | None = body.get("max_tokens")  # absent when tokens are only counted
        if limit is not None and budget >= limit:
            raised = min(limit + budget, self._quirks.output_tokens_max or limit + budget)
            limit = max(limit, raised)
            if limit <= self._quirks.reasoning_budget_min_tokens:
                return False
            if budget >= limit:
                self._losses.add("reasoning_budget")
                budget = limit - 1
            body["max_tokens"] = limit
        body["thinking"] = self._shown({"type": "enabled", "budget_tokens": budget})
        return True

    def _shown(self, thinking: Wire) -> Wire:
        visibility = self._wanted.visibility
        if visibility is not None:
            thinking["display"] = "omitted" if visibility == "hidden" else "summarized"
        return thinking


def _loop_starts_with_thinking(messages: list[Wire]) -> bool:
    """Whether the tool loop at the end, if any, started with thinking that is replayed (5.5).

    The whole loop is one turn of the assistant to the vendor, so its first message counts.
    """
    position = len(messages) - 1
    first: Wire | None = None
    while position >= 0:
        message = messages[position]
        if message["role"] == "assistant":
            first = message
        elif message["role"] == "user" and not _answers_tools(message):
            break
        position -= 1
    if first is None or messages[-1]["role"] == "assistant":
        return True
    return not isinstance(first["content"], str) and any(
        block.get("type") in _THINKING_BLOCKS for block in first["content"]
    )


def _answers_tools(message: Wire) -> bool:
    content = message["content"]
    return not isinstance(content, str) and any(block.get("type") == "tool_result" for block in content)
