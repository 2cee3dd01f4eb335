"""What every dialect's codec implements, and the rules that make four codecs fit together.

A codec translates one dialect to and from ``ruapi.canon``, and knows no other. Read the theory in
``ruapi.canon`` and the grammar in ``canon.events`` first. A codec is a package of the modules ``wire``,
``request``, ``response`` (with ``decode_error``), ``stream`` and ``codec``, whose ``CODEC`` satisfies
``Dialect``; ``errors``, ``forward`` and ``passage`` stand beside them for traffic between equal dialects.

The rules are numbered so that tests and reviews can cite them.


1. Hostile input
================

1.1  ``decode_request`` raises ``UntranslatableRequest`` and nothing else. Whatever decodes an upstream
     raises ``MalformedUpstream`` and nothing else, except ``decode_error``, which never raises.
     ``parse_object`` covers broken JSON, wrong top-level types, bad UTF-8 and deep nesting; a wrong type
     further down is a ``UntranslatableRequest`` with its ``param``, as the vendor would answer 400.
1.2  Be as strict as the vendor with what you read, no stricter: unknown fields are kept (3.11), unknown
     enumeration values of answers become ``other`` or ``Unknown``. Null for an optional field is absence.
1.3  Every loop runs over input that is already bounded; every buffer has a limit (``Limits``), and reaching
     it is ``MalformedUpstream``, into which codecs turn ``SSEFrameTooLong`` and ``SequencingOverflow``. Two
     spans of text are joined with a list, never with repeated ``+=``.
1.4  Encoders accept any canonical value that a decoder could make, of any dialect. What they cannot express
     is a loss; ``UntranslatableRequest`` is for requests of which nothing sensible remains.


2. Who does what
================

2.1  The decoder of the request notes what the canonical form cannot hold in ``Request.losses``; the encoder
     of the request starts its losses with these and adds what its dialect or ``Target`` cannot express.
     Top-level fields without canonical meaning are not the decoder's losses but ``extensions`` (3.11); such
     fields inside turns, parts and tools are its losses, through ``unsupported_field``.
2.2  The decoder of the answer notes its losses in ``Response.losses`` or ``LossNoted``; the encoder of the
     answer passes them on and adds its own.
2.3  Names come from ``canon.losses.CATALOGUE``; a field of a vendor goes through ``unsupported_field``. A
     field at its documented default (``n: 1``, ``store: true``, ``tool_choice: auto``) is never a loss. Nor
     is what only observes or repeats: ids and statuses of items in a history, and in answers fingerprints,
     timings, filter results that filtered nothing, a provider's own price.
2.4  Nobody retries, fetches, logs, reads a clock or makes random ids: ids come from the context with a
     counter behind them.


3. Requests
===========

3.1  *Instructions.* Responses ``instructions``, Anthropic ``system`` and Gemini ``systemInstruction`` are a
     leading ``system`` turn. Encoders put ``split_instructions`` there. ``system`` and ``developer`` are one
     thing to dialects that know only one. Later system turns stay where they are if
     ``quirks.system_anywhere``; otherwise they become user turns whose text is wrapped in ``<system>`` and
     ``</system>`` lines, loss ``system_position``. Media in instructions: loss ``system_media``.
3.2  *Turns.* As ``canon.request`` says. Chat splits a user turn into ``tool`` messages for its results, then
     one ``user`` message for the rest; Anthropic and Gemini use ``merge_adjacent`` and put results first.
     Responses items (reasoning, message, calls) in a row make one assistant turn; parts keep their order. An
     empty text part is dropped without a loss. A trailing assistant turn is a prefill: loss
     ``assistant_prefill`` where the target does not continue it. Chat's old ``functions``, ``function_call``
     and ``role: function`` are read as tools (call ids ``call_function_<number>``) and never written.
3.3  *Media.* Data URLs become ``Base64Data`` (and back for the OpenAI dialects). What the target does not
     take becomes ``placeholder(part)`` in its place, with the loss named after the medium, ``remote_url`` or
     ``file_reference``; a file id goes only where ``FileReference.origin`` is accepted.
3.4  *Tools.* Build ``ToolNames(request, length_max=quirks.tool_name_length_max)`` first and put every name
     through it, unless the dialect has namespaces. Hand it out in ``EncodedRequest.tool_names``; note
     ``tool_name`` if it ``renamed``. A schema of None is ``{"type": "object", "properties": {}}`` where one
     is required. Tools that arrive in mid-conversation are declared with the others: loss ``tool_position``
     by the decoder. Free-text tools: ``custom_as_function``, ``custom_as_arguments`` for calls in the
     history, loss ``custom_tool`` (and ``custom_tool_grammar``); the decoder of the answer sees
     ``restore(name).kind == "custom"``, holds the arguments back, and gives ``custom_from_arguments`` of
     them as one ``ArgumentsAdded``.
3.5  *Built-in tools.* ``WebSearchTool`` is encoded natively everywhere that ``quirks.web_search`` allows
     (Responses ``web_search``, Anthropic ``web_search_...``, Gemini ``googleSearch``, Chat
     ``web_search_options``); settings without counterpart: ``builtin_tool_settings``. A ``BuiltinTool`` of
     one's own dialect is sent as ``native``. Of another: ``code_execution`` and ``web_fetch`` are declared
     in their plainest form where the dialect has them (loss ``builtin_tool_settings``); all others are
     ``builtin_tool``. ``BuiltinCall`` and ``BuiltinResult`` in the history go to accepted origins only, from
     ``native``; elsewhere ``builtin_tool_history``.
3.6  *Choice.* One forced tool is ``required`` with one allowed reference. Where only one name can be forced,
     several are ``required`` and loss ``tool_choice``. ``parallel_tool_calls`` False is Anthropic
     ``disable_parallel_tool_use`` inside ``tool_choice`` (which is then sent as ``auto`` if absent).
3.7  *Calls and results.* Ids go through ``portable_call_id(id, length_max=quirks.call_id_length_max)``, in
     calls and results alike. Gemini needs names with results (``calls_by_id``) and may lack ids: its
     decoders make ``call_<position>_<name>`` in requests, counting calls from 0, and match results by order
     and name. Anthropic and Gemini want objects: ``arguments_object``, and ``{"input": <text>}`` with loss
     ``tool_arguments`` if it is none. ``is_error`` is native to Anthropic, and in Gemini the response object
     ``{"error": text}`` instead of ``{"output": text}``; others: text unchanged ("error" if empty), loss
     ``tool_result_error``. Media in results: native in Anthropic and Responses, and Gemini by quirk; else
     they follow in a user message, loss ``tool_result_media_moved``.
3.8  *Reasoning in the history.* See section 5.
3.9  *Reasoning asked for.* Levels and budgets convert with ``budget_of`` and ``effort_of`` (loss
     ``reasoning_budget``), then ``nearest_effort(..., quirks.efforts)``; budgets are clamped to
     ``quirks.reasoning_budget_min_tokens`` and ``..._max_tokens``::

         canonical            Chat, Responses    Anthropic                      Gemini 2.5      Gemini 3
         mode off             effort none        thinking disabled              budget 0        level minimal
         mode adaptive        (omit)             thinking adaptive              budget -1       (omit)
         mode on              (omit)             enabled, budget of medium      budget -1       (omit)
         effort minimal       minimal            effort low / budget  1,024     budget  1,024   level minimal
         effort low           low                effort low / budget  4,096     budget  4,096   level low
         effort medium        medium             effort medium / budget 8,192   budget  8,192   level medium
         effort high          high               effort high / budget 16,384    budget 16,384   level high
         effort xhigh         xhigh              effort xhigh / budget 32,768   budget 32,768   level high
         effort max           max                effort max / budget 65,536     budget 65,536   level high
         visibility hidden    summary omitted    display omitted                includeThoughts false
         other visibility     summary (the word) display summarized             includeThoughts true

     ``quirks.reasoning_control`` says which column of Anthropic or Gemini applies: ``effort`` (Anthropic:
     with ``thinking: adaptive``), ``budget``, or ``none`` (loss ``reasoning_control``). Anthropic's budget
     must stay below ``max_tokens``: raise ``max_tokens`` by the budget up to ``quirks.output_tokens_max``,
     then lower the budget. With thinking on, Anthropic takes no ``temperature`` other than 1, no ``top_k``
     and no forced tool: losses ``sampling``, ``top_k``, ``tool_choice``.
3.10 *Limits and sampling.* Anthropic requires ``max_tokens``: the caller's, else
     ``quirks.output_tokens_max``, else 4,096 (no loss: nothing was asked). Above
     ``quirks.output_tokens_max``: clamp, loss ``max_output_tokens``. Temperature above
     ``quirks.temperature_max``: clamp, loss ``temperature_range``. Models without sampling
     (``quirks.sampling`` false): loss ``sampling``. More stop sequences than ``quirks.stop_sequences_max``:
     send the first, loss ``stop_sequences``. ``choices`` 1 is nothing.
3.11 *The rest.* ``end_user`` is OpenAI ``safety_identifier`` (decoded also from ``user``) and Anthropic
     ``metadata.user_id``, ``shortened`` to the 64 characters that OpenAI takes. Other ``metadata`` is
     OpenAI's. ``store`` and all other fields without canonical meaning stay in ``extensions``, which
     every other dialect names one by one. What leans on a provider's memory is refused by the decoder:
     ``previous_response_id``, ``conversation``, ``prompt``, ``background`` and ``item_reference``.
     Tiers::

         canonical   OpenAI request, answer      Anthropic request, answer   Gemini
         auto        auto                        auto                        (omit)
         standard    default                     standard_only, standard     standard
         flex        flex                        (loss)                      flex
         scale       scale                       (loss)                      (loss)
         priority    priority (also fast)        auto (loss), priority       priority
         batch       (loss)                      batch (answers only)        batch (answers only)

3.12 *Cache marks.* ``quirks.cache_marks`` names the spelling: ``cache_control`` (Anthropic, and OpenRouter's
     Chat), ``prompt_cache_breakpoint`` (OpenAI), ``none`` (loss ``cache_mark``). Lifetimes other than the
     target's (Anthropic 300 and 3600 s, OpenAI 1800 s): the nearest, loss ``cache_ttl``. Anthropic takes
     four marks: the last four, the rest ``cache_mark``. A mark on a part that is not sent moves to the part
     before it. ``prompt_cache_key`` is OpenAI's.
3.13 *Format of the answer.* ``JSONSchemaFormat`` is Chat ``response_format``, Responses ``text.format``,
     Anthropic ``output_config.format`` and Gemini ``responseJsonSchema``; a missing name is ``answer``.
     Without ``quirks.structured_output``: loss ``json_schema``. Anthropic has no plain JSON mode:
     ``json_object``. Streams: Chat encoders always ask for usage if ``quirks.stream_usage``.


4. Answers
==========

4.1  *One model.* ``decode_response`` and the ``StreamDecoder`` of one dialect agree: for the same answer,
     ``fold`` of the events equals the ``Response``. Write one in terms of the other where that is natural.
4.2  *Order.* As ``canon.events`` says; use ``PartSequencer`` per choice. Chat has no explicit stops: the
     decoder stops the open part when another kind of content or another call begins. A new ``id`` begins a
     new call even at a used ``index``, since some servers number every call 0. More arguments for a call
     that has stopped are ``MalformedUpstream``: never guess whose they are.
4.3  *Empty pieces.* An empty delta is no event. A text part starts with its first words, not before, so that
     empty text parts never arise from a null or empty ``content``.
4.4  *The end.* ``StreamDecoder.finish`` is called once, when the connection ended. It stops what is open and
     completes the grammar: ``MessageStopped`` if the wire's terminal event came (Chat: every choice has a
     finish reason, ``[DONE]`` or not), else ``StreamFailed`` with category ``upstream``, retryable. An error
     event on the wire is ``StreamFailed`` at once, and everything after it is ignored. A stream may fail
     before ``MessageStarted``.
4.5  *Reasons to stop.* A bracket is what only the encoder writes::

         canonical            Chat           Responses            Anthropic       Gemini
         end_turn             stop           completed            end_turn        STOP
         max_tokens           length         max_output_tokens    max_tokens      MAX_TOKENS
         context_window       [length]       [max_output_tokens]  (see below)     [MAX_TOKENS]
         stop_sequence        [stop]         [completed]          stop_sequence   [STOP]
         tool_calls           tool_calls     completed, a call    tool_use        STOP, a call
         pause_turn           [stop]         [completed]          pause_turn      [STOP]
         refusal              stop, refusal  completed, refusal   refusal         [SAFETY]
         content_filter       content_filter content_filter       [refusal]       SAFETY and the like
         malformed_tool_call  [stop]         [completed]          [end_turn]      MALFORMED_FUNCTION_CALL
         error                error          failed               [end_turn]      [OTHER]
         other                [stop]         [completed]          [end_turn]      OTHER

     "A call" and "refusal" mean that the answer holds such a part. In Responses ``max_output_tokens`` and
     ``content_filter`` are reasons of status ``incomplete``. ``context_window`` is Anthropic's
     ``model_context_window_exceeded``. Any word that is not here is read as ``other``. Gemini's "and the
     like": RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, MODEL_ARMOR, IMAGE_SAFETY and a
     ``promptFeedback.blockReason`` (then there is one choice without parts). Also read: Chat ``eos`` and
     ``end_turn`` as ``end_turn``, ``function_call`` as ``tool_calls``; Gemini UNEXPECTED_TOOL_CALL and
     TOO_MANY_TOOL_CALLS as ``malformed_tool_call``. Whatever the wire says, an answer that ends normally
     with a ``ToolCall`` (not a built-in one) is ``tool_calls``. A refusal without ``Refusal`` part is Chat
     ``content_filter`` and Responses ``incomplete``. ``Stop.native`` keeps the wire's word. Where the word
     written says less: loss ``stop_details``; category and explanation without a place: ``refusal_details``.
4.6  *Refusals.* A ``Refusal`` part is text in Anthropic and Gemini, with stop reason ``refusal``.
     Anthropic's ``stop_details`` (category, explanation) go to ``Stop``.
4.7  *Usage.* Disjoint classes (``canon.usage``); ``from_inclusive`` for OpenAI and Gemini. Anthropic's
     ``cache_creation`` gives the two lifetimes; what the sum exceeds them by (all of it, if no lifetimes
     were told) is ``cache_write_tokens``. Chat servers spell the cached count also
     ``prompt_cache_hit_tokens``, ``num_cached_tokens`` or ``usage.cached_tokens``, and Groq puts usage into
     ``x_groq``. Gemini's ``thoughtsTokenCount`` is added to ``candidatesTokenCount`` and
     ``toolUsePromptTokenCount`` to the prompt. A decoder reports whenever the wire does. An encoder keeps
     the merged usage and writes it once at the end; where its wire demands a number that is None, it writes
     0. Anthropic demands input counts in ``message_start``, long before others tell them: what is known,
     else 0, and everything again in ``message_delta``. A cost is a decimal string under ``COST_FIELD`` of
     ``passage``, in the usage object that is written last.
4.8  *Citations.* Offsets are code points. Gemini counts UTF-8 bytes; Anthropic attaches citations to whole
     text blocks (no answer offsets), so its encoder splits no block and drops offsets, loss
     ``citation_details``; OpenAI ``url_citation`` without offsets spans the whole part.
4.9  *Log probabilities* belong to ``Text``; those of other parts are lost as ``logprobs``.
4.10 *Built-in tools in answers.* ``BuiltinCall`` and ``BuiltinResult`` with ``web_search`` are Anthropic
     ``server_tool_use`` and ``web_search_tool_result``, Responses ``web_search_call``; in Chat only their
     citations remain (loss ``builtin_tool_history``).
4.11 *Ids.* An answer to a client carries ``ClientContext.response_id``, never the provider's; items inside
     get ``<prefix>_<response id without prefix>_<number>``. Call ids are kept, since the client sends them
     back; a call without one (Gemini, some Chat servers) gets ``call_<response id>_<number>``.
4.12 *Ending early.* The gateway may end a stream at the hold: it encodes a last ``UsageReported`` and calls
     ``finish``. So ``finish`` closes whatever parts and choices are open, the latter as ``max_tokens``.


5. Reasoning that must come back
================================

5.1  The decoder of an answer tags every signature with ``UpstreamContext.origin``::

         wire                                       canonical Reasoning
         Anthropic thinking, signature              text, kind signature
         Anthropic redacted_thinking data           "", kind encrypted
         Responses reasoning item                   text (form summary), kind encrypted, item_id
         Gemini thought part with thoughtSignature  text (form summary), kind encrypted
         Gemini text or call with thoughtSignature  "", kind encrypted, binding next_part, call_id if it is
                                                    a call; directly before that part
         Gemini empty text with thoughtSignature    "", kind encrypted, binding own
         Chat reasoning_details entry               text, kind by its type, value = the entry as JSON text
         Chat reasoning_content or reasoning        text, no signature

     A Gemini stream that signs a text part already begun stops that text, and gives the reasoning with
     binding ``own`` after it.
5.2  The encoder of an answer hands it to the client. A signature made in the client's own dialect is written
     bare, exactly as the vendor would; every other one is ``seal``-ed::

         client       place                                                              include_text
         Anthropic    thinking.signature; redacted_thinking.data if there is no text     False
                      and kind is encrypted
         Responses    reasoning item: text as one summary_text, encrypted_content        True
         Chat         text in reasoning_content; at the part's stop one entry in         True
                      reasoning_details {"type": "reasoning.encrypted", "data": sealed,
                      "id": call_id, "format": "ruapi-v1", "index": n}
         Gemini       thoughtSignature = base64 of the sealed string                     False

     Unsigned reasoning: Anthropic ``thinking`` with signature "", Responses without ``encrypted_content``.
5.3  The decoder of the next request opens what is sealed (``unseal``); a string that ``is_sealed`` but does
     not open is dropped with loss ``reasoning_signature``. A bare string gets ``Origin(own dialect)``
     without an issuer; an empty one is no signature. In Chat, entries that open replace
     ``reasoning_content``; reasoning with a ``call_id`` goes directly before that call, other ``next_part``
     reasoning before the text, all else first.
5.4  The encoder of that request replays a signature if ``target.origin.accepts(signature.origin)``, in the
     wire form of 5.1 and in its original place. All other reasoning is dropped with loss
     ``foreign_reasoning``, except that Chat upstreams with ``quirks.reasoning_field`` get the text there.
     ``binding next_part`` is nothing to dialects other than Gemini: position alone says it.
5.5  Anthropic refuses a history whose current tool loop does not start with thinking while thinking is on.
     If the assistant turn that the last tool results answer has no replayable reasoning, thinking is off for
     this request: loss ``reasoning_off_for_history``. Gemini 3 refuses calls of the current turn without
     signature: send its documented stand-in, ``skip_thought_signature_validator``.
5.6  A request body that contains ``SEAL_PREFIX`` is translated even between equal dialects.


6. Errors
=========

``decode_error`` reads a provider's error into an ``ErrorReport``, by code and type first, by status last. The
gateway decides what its client is told, as a ``Problem`` with the status of this table, and the client's
dialect gives that its shape in ``errors.shape``, the only place where it writes errors::

    category         status  OpenAI code               Anthropic type         Gemini status
    invalid_request  400     (null)                    invalid_request_error  INVALID_ARGUMENT (1)
    context_length   400     context_length_exceeded   invalid_request_error  INVALID_ARGUMENT
    content_policy   400     content_policy_violation  invalid_request_error  INVALID_ARGUMENT
    unsupported      400     unsupported_value         invalid_request_error  UNIMPLEMENTED
    authentication   401     invalid_api_key           authentication_error   UNAUTHENTICATED
    payment          402     insufficient_balance      billing_error          FAILED_PRECONDITION
    permission       403     permission_denied         permission_error       PERMISSION_DENIED
    not_found        404     model_not_found           not_found_error        NOT_FOUND
    too_large        413     request_too_large         request_too_large      INVALID_ARGUMENT
    rate_limit       429     rate_limit_exceeded       rate_limit_error       RESOURCE_EXHAUSTED
    quota            429     insufficient_quota        rate_limit_error       RESOURCE_EXHAUSTED
    upstream         502     server_error              api_error              INTERNAL (2)
    overloaded       529     upstream_overloaded       overloaded_error       UNAVAILABLE (4)
    timeout          504     upstream_timeout          timeout_error          DEADLINE_EXCEEDED (3)

Also read as these: (1) FAILED_PRECONDITION, OUT_OF_RANGE; (2) UNKNOWN, ABORTED, DATA_LOSS; (3) CANCELLED.
(4): OpenAI has no 529 and answers 503; callers of every dialect are told 529 here, which all clients retry.
OpenAI's types, where there is no code: ``invalid_request_error``, ``authentication_error``,
``permission_error``, ``rate_limit_error``, ``insufficient_quota`` (quota), ``server_error`` (upstream).

6.1  Also read: OpenAI codes ``content_filter``, ``invalid_prompt`` (content_policy),
     ``string_above_max_length`` (too_large), ``unsupported_parameter`` (unsupported), type ``tokens`` or
     ``requests`` (rate_limit); Anthropic 400 with "prompt is too long" (context_length) or "credit balance"
     (quota); Gemini 400 with a detail reason ``API_KEY_INVALID`` (authentication) or "exceeds the maximum
     number of tokens" (context_length). A body that is no JSON is ``error_of_status``.
6.2  ``retry_after_s`` comes from the headers ``retry-after-ms`` and ``retry-after`` (in seconds; dates are
     ignored) or Gemini's ``RetryInfo``; never negative, at most ``RETRY_AFTER_S_MAX``.
6.3  A provider's 401, 402 and 403 concern the gateway's own account: no client is told them as they are.
     ``ErrorReport.message`` is untrusted text, which the gateway redacts before a client or a log sees it.
6.4  In a stream: Chat ``data: {"error": {...}}``; Responses ``response.failed``, or ``error`` before
     ``response.created``; Anthropic ``event: error``; Gemini ``data: {"error": {...}}``. Nothing follows it.


7. Not here
===========

Traffic between equal dialects does not pass through a codec: ``forward`` edits the caller's own bytes and
``passage`` reads along. Their one duty towards this page is 5.6.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from ruapi.canon.events import (
    ERROR_MESSAGE_CHARACTERS_MAX,
    AnyEvent,
    ErrorCategory,
    ErrorReport,
    PartSequencer,
    StreamFailed,
)
from ruapi.canon.losses import Loss
from ruapi.canon.parts import (
    Audio,
    Base64Data,
    Canonical,
    DialectName,
    Document,
    FileReference,
    Image,
    Origin,
    RemoteURL,
    Text,
    Video,
)
from ruapi.canon.request import Effort, Request, ToolNames
from ruapi.canon.usage import Usage
from ruapi.dialects.sse import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ruapi.canon.response import Response
    from ruapi.errors import Problem


# --- what goes wrong ------------------------------------------------------------------------------


class UntranslatableRequest(ValueError):
    """The caller's request is malformed, or nothing sensible would remain of it. The message is public."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        """Which field is meant, as a path in the caller's own dialect."""
        self.code = code
        """A stable word for programs, where there is a usual one."""


class MalformedUpstream(ValueError):
    """The provider's answer is not of its dialect, or is larger than allowed."""


def parse_object(body: bytes, error: type[UntranslatableRequest | MalformedUpstream]) -> dict[str, Any]:
    """The JSON object in the body, or ``error`` for anything else, however malicious."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError) as problem:
        raise error(f"The body is not valid JSON: {problem}") from None
    if not isinstance(found, dict):
        raise error("The body must be a JSON object.")
    return found


# --- what a codec is told -------------------------------------------------------------------------


class Limits(Canonical, frozen=True, kw_only=True):
    """How much a decoder of answers may hold at once."""

    frame_bytes_max: int = FRAME_BYTES_MAX
    """One frame of the stream, in bytes."""
    waiting_characters_max: int = 8_388_608
    """What waits to be put in order or unwrapped, in characters."""


class Quirks(Canonical, frozen=True, kw_only=True):
    """How a model or server differs from its dialect. The defaults are the vendor's own API, current models.

    One table in the configuration of channels fills it in; codecs test fields, never model names.
    """

    # Instructions and turns.
    developer_role: bool = False
    """Chat: whether ``developer`` is sent as such; else it is ``system``."""
    system_anywhere: bool = True
    """Whether instructions may stand in mid-conversation. Never so in Gemini; Anthropic: newer models."""
    participant_names: bool = True
    assistant_prefill: bool = False
    """Whether a trailing assistant turn is continued. Anthropic: older models; Gemini: yes."""

    # Media.
    image_input: bool = True
    document_input: bool = True
    audio_input: bool = False
    video_input: bool = False
    remote_urls: bool = True
    """Whether the provider fetches URLs of media."""
    tool_result_media: bool = True
    """Whether results of tools may hold media, in dialects that can express it."""

    # Tools.
    tool_name_length_max: int = 64
    call_id_length_max: int = 40
    custom_tools: bool = True
    """Chat and Responses: whether free-text tools are known."""
    namespaces: bool = True
    """Responses: whether namespaces of tools are known."""
    strict_tools: bool = True
    parallel_tool_calls: bool = True
    """Whether the switch is known, in dialects that have it."""
    tool_choice_required: bool = True
    web_search: bool = True
    web_search_type: str | None = None
    """Which version of the tool to declare (Anthropic ``web_search_20250305``); None is the codec's."""

    # Sampling and format.
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """Chat only."""
    output_tokens_max: int | None = None
    """The most output tokens that the model may be asked for."""
    sampling: bool = True
    """Whether temperature and top_p are taken at all."""
    top_p_with_temperature: bool = True
    top_k: bool = True
    """Chat: whether top_k, min_p and repetition_penalty, which OpenAI lacks, are taken."""
    penalties: bool = True
    seed: bool = True
    temperature_max: float | None = None
    """The upper end of its range; None is the dialect's: 1 in Anthropic, 2 elsewhere."""
    stop_sequences_max: int | None = None
    """How many are taken; None is the dialect's: 4 in Chat, 0 in Responses, 5 in Gemini, any in Anthropic."""
    structured_output: bool = True
    stream_usage: bool = True
    """Chat: whether ``stream_options.include_usage`` is known."""

    # Reasoning and caching.
    reasoning_control: Literal["effort", "budget", "none"] = "effort"
    """What steers reasoning; ``none`` also for models that do not reason."""
    efforts: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
    reasoning_budget_min_tokens: int = 1_024
    reasoning_budget_max_tokens: int | None = None
    reasoning_off: bool = True
    """Whether reasoning can be switched off."""
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = None
    """Chat: where the server wants earlier reasoning text, if anywhere."""
    call_signatures_required: bool = False
    """Gemini 3: whether calls of the current turn must be signed."""
    cache_marks: Literal["cache_control", "prompt_cache_breakpoint", "none"] | None = None
    """How marks are written; None is the dialect's: ``cache_control`` in Anthropic, ``none`` elsewhere."""


class Target(Canonical, frozen=True, kw_only=True):
    """Which upstream a request is written for."""

    model: str
    """The model as this provider names it."""
    origin: Origin
    """Who will read the request; decides which signatures and file ids may be replayed."""
    quirks: Quirks = Quirks()


class Encoded(Canonical, frozen=True, kw_only=True):
    """A body for the wire, and what it could not carry."""

    body: bytes
    losses: tuple[Loss, ...] = ()


class EncodedRequest:
    """A request for the wire: body, headers that it needs, losses, and the key to the answer's tool names."""

    __slots__ = ("body", "headers", "losses", "tool_names")

    def __init__(
        self,
        *,
        body: bytes,
        tool_names: ToolNames,
        losses: tuple[Loss, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.body = body
        self.tool_names = tool_names
        """To be handed to ``UpstreamContext`` for the answer."""
        self.losses = losses
        self.headers = headers
        """Headers beyond authentication and content type, such as ``anthropic-beta``; names in lower case."""


class UpstreamContext:
    """What the decoder of an answer needs to know of the request that it answers."""

    __slots__ = ("limits", "origin", "response_id", "tool_names")

    def __init__(
        self,
        *,
        origin: Origin,
        response_id: str,
        tool_names: ToolNames | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.origin = origin
        """Whom signatures are tagged with."""
        self.response_id = response_id
        """The gateway's unique name for the answer; made ids start from it (Gemini calls without id)."""
        self.tool_names = tool_names or ToolNames()
        self.limits = limits or Limits()

    def sequencer(self, choice: int = 0) -> PartSequencer:
        """A sequencer for one choice, within the limits."""
        return PartSequencer(choice=choice, waiting_characters_max=self.limits.waiting_characters_max)


class ClientContext(Canonical, frozen=True, kw_only=True):
    """What the encoder of an answer needs to know of the client."""

    response_id: str
    """The id of the answer that the client is shown, without the dialect's prefix (``msg_``, ``resp_``,
    ``chatcmpl-``), which the encoder adds."""
    model: str
    """The model name that the client is shown: the one it asked for."""
    created_at_s: int
    """When the answer began, in Unix seconds."""
    request: Request | None = None
    """The request as decoded; Responses repeats much of it in every answer."""
    include_usage: bool = True
    """Chat streams: whether to send the usage chunk. Other dialects always tell usage."""
    input_tokens_estimate: int | None = None
    """What Anthropic's ``message_start`` says when the provider has not told yet."""


# --- what a codec implements ----------------------------------------------------------------------


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed answer into events. One per answer."""

    def feed(self, data: bytes) -> list[AnyEvent]:
        """The events that these bytes complete. ``MalformedUpstream`` ends the decoder's use."""
        ...

    def finish(self) -> list[AnyEvent]:
        """The events that the end of the connection completes; the grammar is complete afterwards (4.4)."""
        ...


class StreamEncoder(Protocol):
    """Turns events into the bytes of one streamed answer. One per answer.

    The end is said by the gateway, not by the events, since the cost is known only after the usage is:
    ``MessageStopped`` writes nothing, and ``StreamFailed`` nothing either, because the gateway decides how
    the client is told. Exactly one of ``finish`` and ``fail`` is called, last.
    """

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What could not be carried so far, the decoder's ``LossNoted`` included."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The merged usage so far, for metering."""
        ...

    def encode(self, events: Iterable[AnyEvent]) -> bytes:
        """The frames that these events make; may be empty."""
        ...

    def finish(self, *, cost_usd: str | None = None) -> bytes:
        """The terminal frames, with the usage and the cost in US dollars; closes what is open (4.12)."""
        ...

    def fail(self, problem: Problem, request_id: str) -> bytes:
        """The frames that end the stream with an error, whatever was sent before, even nothing."""
        ...


class Dialect(Protocol):
    """One wire format, both ways, on both sides of the gateway."""

    @property
    def name(self) -> DialectName:
        """Its name in configuration and origins."""
        ...

    # Requests.

    def decode_request(
        self, body: bytes | dict[str, Any], *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """The request in a body. Gemini has model and stream in the path; elsewhere they stay None."""
        ...

    def encode_request(self, request: Request, target: Target) -> EncodedRequest:
        """The body for this upstream; ``request.stream`` says whether to ask for a stream."""
        ...

    def request_path(self, model: str, *, stream: bool) -> str:
        """Path and query behind the channel's base URL; the model in it goes through ``quoted``.

        ``/chat/completions``, ``/responses``, ``/v1/messages``, ``/v1beta/models/<model>:generateContent`` or
        ``...:streamGenerateContent?alt=sse``.
        """
        ...

    # Answers.

    def decode_response(self, body: bytes, context: UpstreamContext) -> Response:
        """The answer in a body of status 200; ``Response.error`` is set if it reports one all the same."""
        ...

    def encode_response(self, response: Response, context: ClientContext, *, cost_usd: str | None = None) -> Encoded:
        """The body of a whole answer to the client. One with ``error`` is for ``shape_error``."""
        ...

    def stream_decoder(self, context: UpstreamContext) -> StreamDecoder:
        """A decoder for one streamed answer."""
        ...

    def stream_encoder(self, context: ClientContext) -> StreamEncoder:
        """An encoder for one streamed answer."""
        ...

    # Errors.

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorReport:
        """The error in an answer of another status than 200. Header names are in lower case. Never raises."""
        ...

    def shape_error(self, problem: Problem, request_id: str) -> bytes:
        """What a client is told, in this dialect's shape: the body of an error answer (``errors.shape``)."""
        ...

    # Counting tokens beforehand.

    def encode_count_request(self, request: Request, target: Target) -> EncodedRequest | None:
        """The body that asks this upstream to count; None where the dialect cannot."""
        ...

    def count_path(self, model: str) -> str:
        """Path below the channel's base URL for it; empty where the dialect cannot."""
        ...

    def decode_count_response(self, body: bytes) -> int:
        """How many input tokens the upstream counted."""
        ...

    def encode_count_response(self, input_tokens: int) -> bytes:
        """The body that tells a client the count."""
        ...


# --- shared tables and small tools ----------------------------------------------------------------

RETRYABLE: frozenset[ErrorCategory] = frozenset({"rate_limit", "upstream", "overloaded", "timeout"})
"""Categories where the same request may succeed later or at another provider."""

RETRY_AFTER_S_MAX = 86_400.0
"""The longest wait that is passed on, in seconds."""

_CATEGORIES: dict[int, ErrorCategory] = {
    400: "invalid_request",
    401: "authentication",
    402: "payment",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    499: "timeout",
    501: "unsupported",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


def category_of_status(status: int) -> ErrorCategory:
    """What an HTTP status means when nothing else is known."""
    found = _CATEGORIES.get(status)
    if found is not None:
        return found
    return "invalid_request" if 400 <= status < 500 else "upstream"


def error_report(
    category: ErrorCategory,
    message: str,
    *,
    status: int | None = None,
    code: str | None = None,
    type_: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ErrorReport:
    """A report with its message cut, ``retryable`` by category, and the wait out of the headers (6.2)."""
    return ErrorReport(
        category=category,
        message=message[:ERROR_MESSAGE_CHARACTERS_MAX],
        status=status,
        code=code,
        type=type_,
        param=param,
        retry_after_s=retry_after_s(headers or {}),
        retryable=category in RETRYABLE,
    )


def error_of_status(status: int, headers: Mapping[str, str]) -> ErrorReport:
    """The report for an error answer whose body says nothing that can be read."""
    return error_report(category_of_status(status), f"The provider answered {status}.", status=status, headers=headers)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """After how many seconds the provider wants to be asked again, if it says so in numbers."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return min(seconds, RETRY_AFTER_S_MAX)
    return None


def cut_short() -> StreamFailed:
    """The event for a stream that ended without its terminal event (4.4)."""
    return StreamFailed(error=error_report("upstream", "The provider's answer ended before it was complete."))


IDENTIFIER_LENGTH_MAX = 64
"""Characters of OpenAI's ``safety_identifier``, ``user`` and ``prompt_cache_key`` (its OpenAPI document)."""


def shortened(identifier: str, length_max: int) -> str:
    """An identifier as it is, or a stable stand-in where the target takes fewer characters: SHA-256 in hex.

    It only has to tell one caller from another; Claude Code's, for one, is longer than OpenAI takes.
    """
    if len(identifier) <= length_max:
        return identifier
    return hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest()[:length_max]


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quoted(text: str) -> str:
    """The text percent-encoded as one segment of a path."""
    octets = text.encode("utf-8", "replace")
    return "".join(chr(octet) if octet in _UNRESERVED else f"%{octet:02X}" for octet in octets)


def placeholder(part: Image | Document | Audio | Video) -> Text:
    """The words that stand for media that the target cannot be given, so that the model knows of it."""
    match part.source:
        case FileReference(file_id=name) | RemoteURL(url=name):
            pass
        case Base64Data(media_type=name):
            pass
        case _:
            name = "text"
    noun = type(part).__name__.lower()
    return Text(text=f"[{noun} that could not be passed on: {name[:200]}]", cache=part.cache)


def data_url(source: Base64Data) -> str:
    """The bytes as a ``data:`` URL."""
    return f"data:{source.media_type};base64,{source.data}"


def source_of_url(url: str) -> Base64Data | RemoteURL:
    """The source that a URL means: its bytes if it is a base64 ``data:`` URL, else the URL."""
    if not url.startswith("data:"):
        return RemoteURL(url=url)
    head, comma, data = url[5:].partition(",")
    media_type, _, encoding = head.rpartition(";")
    if not comma or encoding != "base64":
        return RemoteURL(url=url)
    return Base64Data(media_type=media_type.partition(";")[0] or "application/octet-stream", data=data)
