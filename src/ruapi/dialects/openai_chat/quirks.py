"""Where servers of Chat Completions differ from OpenAI: the one table, each line with its source.

The first half is read by the decoders of answers: other names for the same thing, which never collide, so
that every answer is read by all of them and no model name is looked at. The second half says how requests
must be written for a server; the configuration of channels takes its defaults from ``quirks_of``, and the
codec itself tests fields, never names.

Beyond names, these manners are known and handled where answers are read:

* Every call numbered 0, or not at all, whole calls per delta, ids repeated in each delta (Ollama, Mistral,
  Gemini's and vLLM's servers); a first call numbered 1 (Claude behind a Chat endpoint).
* The first chunk without id and model, with filter results of the prompt only (Azure OpenAI:
  https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming).
* Usage beside the last choice (DeepSeek, Mistral, Z.ai), in a choice (Moonshot:
  https://platform.moonshot.ai/docs/api/chat), in ``x_groq`` (Groq: https://console.groq.com/docs/api-reference),
  in every chunk as a running total (xAI, Perplexity), or after the last choice (OpenAI).
* Reasoning left out of ``completion_tokens`` (xAI: https://docs.x.ai/docs/guides/reasoning).
* Content as a list with ``thinking`` parts (Mistral: https://docs.mistral.ai/capabilities/reasoning).
* An error inside an answer of status 200, on top or in a choice
  (OpenRouter: https://openrouter.ai/docs/api-reference/errors).
* Arguments as an object instead of JSON text (Ollama's own form, some small servers).
* The stop string that was met in ``stop_reason`` (vLLM:
  https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html) or ``matched_stop`` (SGLang).
"""

from __future__ import annotations

import msgspec

from ruapi.dialects.dialect import Quirks

# --- how answers are read -------------------------------------------------------------------------

REASONING_FIELDS = (
    "reasoning_content",  # DeepSeek: https://api-docs.deepseek.com/guides/thinking_mode; Z.ai, Moonshot, xAI
    "reasoning",  # OpenRouter: https://openrouter.ai/docs/use-cases/reasoning-tokens; Groq, Ollama, Cerebras
)
"""Where reasoning text stands in a message or delta; the first that says something counts."""

CACHED_FIELDS = (
    "cached_tokens",  # OpenAI; on top of usage: Moonshot, Together, https://docs.together.ai
    "prompt_cache_hit_tokens",  # DeepSeek: https://api-docs.deepseek.com/guides/kv_cache
    "num_cached_tokens",  # Mistral, vLLM: https://docs.mistral.ai/api
)
"""Names of the count of cached input, in ``prompt_tokens_details`` or in ``usage`` itself."""

CACHE_WRITE_FIELDS = (
    "cache_write_tokens",  # OpenAI; OpenRouter: https://openrouter.ai/docs/features/prompt-caching
    "cache_creation_input_tokens",  # Alibaba: https://www.alibabacloud.com/help/en/model-studio/context-cache
    "cache_creation_tokens",
)
"""Names of the count of input that was written to a cache."""

OBSERVED_FIELDS = frozenset(
    {
        # OpenAI
        "id", "object", "created", "model", "system_fingerprint", "obfuscation", "metadata",
        # Azure OpenAI: what was judged, besides finish_reason content_filter
        "prompt_filter_results", "prompt_annotations", "content_filter_results", "content_filter_offsets",
        # Groq: https://console.groq.com/docs/api-reference
        "x_groq", "usage_breakdown", "time_info",
        # OpenRouter: https://openrouter.ai/docs/api-reference/overview
        "provider", "native_finish_reason", "user_id", "openrouter_metadata",
        # Together, Hugging Face, vLLM, llama.cpp: timings and echoes
        "prompt", "seed", "timings", "request_id", "prompt_logprobs", "prompt_token_ids", "token_ids",
        "kv_transfer_params", "nvext", "warnings",
        # Z.ai, Moonshot, Alibaba
        "code", "status", "trace_id", "base_resp",
    }
)  # fmt: skip
"""Members of answers, chunks and choices that only observe or repeat (rule 2.3)."""

# --- how requests are written ---------------------------------------------------------------------


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the models of one provider whose names start with one of the stems."""

    provider: str
    stems: tuple[str, ...] = ()
    """Beginnings of model names; empty for all models of the provider."""
    quirks: Quirks
    source: str


COMPATIBLE = Quirks(max_tokens_field="max_tokens", custom_tools=False, web_search=False, document_input=False)
"""What most servers other than OpenAI have in common: the older field, functions only, no files."""

_replace = msgspec.structs.replace
_OPENAI = Quirks(
    developer_role=True,
    top_k=False,
    cache_marks="prompt_cache_breakpoint",
    efforts=("low", "medium", "high", "xhigh", "max"),
)
_OPENAI_DOCUMENTATION = "https://platform.openai.com/docs/"

ROWS: tuple[Row, ...] = (
    # First match wins: special models before the general row of their provider.
    Row(
        provider="openai",
        stems=("gpt-3.5", "gpt-4", "chatgpt-4o"),
        quirks=_replace(_OPENAI, reasoning_control="none", cache_marks="none"),
        source=_OPENAI_DOCUMENTATION + "models",
    ),
    Row(
        provider="openai",
        stems=("o1", "o3", "o4-mini"),
        quirks=_replace(
            _OPENAI,
            sampling=False,
            penalties=False,
            stop_sequences_max=0,
            reasoning_off=False,
            cache_marks="none",
            efforts=("low", "medium", "high"),
        ),
        source=_OPENAI_DOCUMENTATION + "guides/reasoning",
    ),
    Row(
        provider="openai",
        stems=("gpt-5.1", "gpt-5.2", "gpt-5.3", "gpt-5.4", "gpt-5.5"),
        quirks=_replace(_OPENAI, cache_marks="none", efforts=("low", "medium", "high", "xhigh")),
        source=_OPENAI_DOCUMENTATION + "guides/latest-model",
    ),
    Row(
        provider="openai",
        stems=("gpt-5.",),
        quirks=_OPENAI,
        source=_OPENAI_DOCUMENTATION + "guides/prompt-caching",
    ),
    Row(
        provider="openai",
        stems=("gpt-5",),
        quirks=_replace(
            _OPENAI,
            sampling=False,
            penalties=False,
            reasoning_off=False,
            cache_marks="none",
            efforts=("minimal", "low", "medium", "high"),
        ),
        source=_OPENAI_DOCUMENTATION + "guides/reasoning",
    ),
    Row(provider="openai", quirks=_OPENAI, source=_OPENAI_DOCUMENTATION + "api-reference/chat/create"),
    Row(
        provider="azure",
        quirks=_replace(_OPENAI, web_search=False, cache_marks="none"),
        source="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    ),
    Row(
        provider="deepseek",
        quirks=_replace(
            COMPATIBLE,
            image_input=False,
            parallel_tool_calls=False,
            strict_tools=False,
            structured_output=False,
            top_k=False,
            seed=False,
            efforts=("low", "high", "max"),
            stop_sequences_max=16,
            reasoning_field="reasoning_content",
        ),
        source="https://api-docs.deepseek.com/guides/thinking_mode",
    ),
    Row(
        provider="mistral",
        quirks=_replace(
            COMPATIBLE,
            participant_names=False,
            top_k=False,
            seed=False,  # it is called random_seed
            stream_usage=False,  # it always tells
            reasoning_control="none",
            temperature_max=1.5,
        ),
        source="https://docs.mistral.ai/api",
    ),
    Row(
        provider="groq",
        quirks=_replace(
            COMPATIBLE,
            max_tokens_field="max_completion_tokens",
            top_k=False,
            penalties=False,
            efforts=("low", "medium", "high"),
            reasoning_field="reasoning",
        ),
        source="https://console.groq.com/docs/reasoning",
    ),
    Row(
        provider="openrouter",
        quirks=Quirks(
            max_tokens_field="max_tokens",
            custom_tools=False,
            audio_input=True,
            video_input=True,
            cache_marks="cache_control",
            reasoning_control="budget",
            efforts=("minimal", "low", "medium", "high", "xhigh"),
            reasoning_field="reasoning",
        ),
        source="https://openrouter.ai/docs/use-cases/reasoning-tokens",
    ),
    Row(provider="together", quirks=COMPATIBLE, source="https://docs.together.ai/reference/chat-completions-1"),
    Row(
        provider="xai",
        quirks=_replace(COMPATIBLE, max_tokens_field="max_completion_tokens", top_k=False, efforts=("low", "high")),
        source="https://docs.x.ai/docs/api-reference#chat-completions",
    ),
    Row(
        provider="cerebras",
        quirks=_replace(
            COMPATIBLE,
            max_tokens_field="max_completion_tokens",
            image_input=False,
            penalties=False,
            top_k=False,
            efforts=("low", "medium", "high"),
            reasoning_field="reasoning",
        ),
        source="https://inference-docs.cerebras.ai/api-reference/chat-completions",
    ),
    Row(
        provider="ollama",
        quirks=_replace(
            COMPATIBLE,
            remote_urls=False,
            strict_tools=False,
            parallel_tool_calls=False,
            tool_choice_required=False,
            top_k=False,
            efforts=("low", "medium", "high"),
            reasoning_field="reasoning",
        ),
        source="https://docs.ollama.com/api/openai-compatibility",
    ),
    Row(
        provider="moonshot",
        quirks=_replace(
            COMPATIBLE,
            temperature_max=1.0,
            tool_choice_required=False,
            top_k=False,
            video_input=True,
            reasoning_control="none",
            reasoning_field="reasoning_content",
        ),
        source="https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model",
    ),
    Row(
        provider="zai",
        quirks=_replace(
            COMPATIBLE,
            temperature_max=1.0,
            stop_sequences_max=1,
            tool_choice_required=False,
            top_k=False,
            penalties=False,
            video_input=True,
            efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
            reasoning_field="reasoning_content",
        ),
        source="https://docs.z.ai/guides/capabilities/thinking-mode",
    ),
    Row(
        provider="huggingface",
        quirks=_replace(COMPATIBLE, top_k=False),
        source="https://huggingface.co/docs/inference-providers/tasks/chat-completion",
    ),
    Row(
        provider="alibaba",
        quirks=_replace(
            COMPATIBLE,
            reasoning_control="none",
            cache_marks="cache_control",
            reasoning_field="reasoning_content",
        ),
        source="https://www.alibabacloud.com/help/en/model-studio/qwen-api-reference",
    ),
    Row(
        provider="llama.cpp",
        quirks=_replace(COMPATIBLE, audio_input=True, reasoning_field="reasoning_content"),
        source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
)


def quirks_of(provider: str, model: str) -> Quirks:
    """What is known of a model at a provider; what most servers have in common where nothing is."""
    name = model.rpartition("/")[2]
    for row in ROWS:
        if row.provider == provider and (not row.stems or any(name.startswith(stem) for stem in row.stems)):
            return row.quirks
    return COMPATIBLE
