"""Parts of tools that Google runs: code that was executed, searches and fetched pages.

``executableCode`` and ``codeExecutionResult`` (https://ai.google.dev/gemini-api/docs/code-execution), and
the general ``toolCall`` and ``toolResponse`` (https://ai.google.dev/gemini-api/docs/tool-combination).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruapi.canon.parts import BuiltinCall, BuiltinResult, Origin
from ruapi.dialects.gemini.wire import SERVER_TOOL_NAMES


def builtin_call(native: dict[str, Any], call: dict[str, Any], default_id: str, origin: Origin) -> BuiltinCall:
    """A use of a built-in tool: ``executableCode`` or ``toolCall``."""
    given = call.get("id")
    call_id = given if isinstance(given, str) and given else default_id
    if "executableCode" in native:
        arguments = {name: call[name] for name in ("language", "code") if name in call}
        tool = "code_execution"
    else:
        word = str(call.get("toolType") or "")
        tool = SERVER_TOOL_NAMES.get(word, word.lower())
        arguments = call.get("args") or {}
    encoded = msgspec.json.encode(arguments).decode()
    return BuiltinCall(id=call_id, tool=tool, origin=origin, arguments=encoded, native=native)


def builtin_result(native: dict[str, Any], result: dict[str, Any], default_id: str, origin: Origin) -> BuiltinResult:
    """What a built-in tool gave: ``codeExecutionResult`` or ``toolResponse``."""
    given = result.get("id")
    call_id = given if isinstance(given, str) and given else default_id
    if "codeExecutionResult" not in native:
        word = str(result.get("toolType") or "")
        tool = SERVER_TOOL_NAMES.get(word, word.lower())
        return BuiltinResult(call_id=call_id, tool=tool, origin=origin, native=native)
    outcome, output = result.get("outcome"), result.get("output")
    return BuiltinResult(
        call_id=call_id,
        tool="code_execution",
        origin=origin,
        text=output if isinstance(output, str) else None,
        error=outcome if isinstance(outcome, str) and outcome != "OUTCOME_OK" else None,
        native=native,
    )
