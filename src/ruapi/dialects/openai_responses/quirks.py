"""How the servers that speak Responses differ from the defaults of ``Quirks``, and where they say so.

The table is where the configuration of a channel starts from; what an operator writes there goes before it.
Models of one provider differ too (which efforts, whether they reason at all), and that is for the operator
to say. Facts without a source are not in it.
"""

from __future__ import annotations

from ruapi.dialects.dialect import Quirks

QUIRKS: dict[str, Quirks] = {
    # https://platform.openai.com/docs/api-reference/responses/create and the OpenAPI document behind it:
    # ``call_id`` has at most 64 characters, the name of a function at most 128.
    "openai": Quirks(call_id_length_max=64, tool_name_length_max=128),
    # https://docs.ollama.com/api/openai-compatibility: no web search of its own and no replay of free-text
    # tool calls; nothing is kept between calls.
    "ollama": Quirks(custom_tools=False, web_search=False),
}
"""By issuer, as ``Origin.issuer`` names it."""
