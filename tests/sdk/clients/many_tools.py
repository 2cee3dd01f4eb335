"""An MCP server on standard input and output with as many tools as its argument says. The last one answers."""

from __future__ import annotations

import json
import sys
from typing import Any

COUNT = int(sys.argv[1])
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


def answer(method: str, params: dict[str, Any]) -> Any:
    """The result of a request."""
    if method == "initialize":
        server = {"name": "many", "version": "1.0"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        names = [f"tool_{number}" for number in range(COUNT)]
        return {"tools": [{"name": name, "description": "Repeat a word.", "inputSchema": SCHEMA} for name in names]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"said {params['arguments']['word']}"}]}
    return {}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        result = answer(request["method"], request.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
