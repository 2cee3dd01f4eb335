"""Stage: one attempt after the other until a provider answers, then its bytes to the caller.

The pump belongs to the call and not to the caller's connection: when the caller leaves, the upstream call
is aborted and what was delivered is settled. Retries happen only before the first byte to the caller.

Order at the end of an answer, whole or streamed: read the usage, make the charge durable, and only then
let the last bytes go. An answered request is a charged request.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Literal, TypeVar

import msgspec
import structlog

from ruapi.canon.events import ErrorReport
from ruapi.canon.losses import Loss
from ruapi.canon.usage import Usage
from ruapi.clock import Clock
from ruapi.dialects.passage import FrameSplitter, FrameTooLarge, StreamPassage, payload_of
from ruapi.dialects.registry import CODECS
from ruapi.errors import (
    BadKey,
    Overloaded,
    Problem,
    UpstreamBroken,
    UpstreamCredentialsRejected,
    UpstreamOverloaded,
    UpstreamUnpaid,
    UpstreamUnreachable,
)
from ruapi.gateway.admit import HOLD_LIFE_MS, Admitted
from ruapi.gateway.call_exchange import CallExchange
from ruapi.gateway.directory import Directory
from ruapi.gateway.problems import JSON_TYPE, identity_headers, redact, refuse
from ruapi.gateway.provider_problems import CREDENTIALS_REJECTED, UNPAID, problem_of_fault, problem_of_report
from ruapi.gateway.settle import Outcome, Settlements, count_texts, counted_usage
from ruapi.gateway.translate import Outbound, outbound
from ruapi.money import format_usd
from ruapi.pricing.cost import cost_of
from ruapi.pricing.estimate import count_output_bytes
from ruapi.pricing.quote import quote
from ruapi.routing.candidates import Candidate, in_order
from ruapi.routing.retry import RETRYABLE_STATUSES, may_retry
from ruapi.storage.interface.money import MoneyStore
from ruapi.upstream import Answer, Timeouts, Upstream, UpstreamError

log = structlog.get_logger("ruapi.relay")

_SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_ERROR_BYTES_MAX = 256 * 1024
_JOURNAL_EVERY_S = 1.0
_BACKOFF_S = 0.25
_PIECE_BYTES = 4_096
_AFTER_THE_END_S = 0.1

Result = TypeVar("Result")

# What a caller is told whose call was ended from our side; one who left is told nothing.
_STOPPED: dict[str, Problem] = {
    "key_revoked": BadKey("This key was disabled or deleted while the answer was on its way."),
    "stopping": Overloaded("The gateway is stopping. Try again.", headers=(("retry-after", "2"),)),
}


class Stopped(Exception):
    """The call was ended from outside: its caller left, or its key was revoked."""


class LiveCall:
    """A call that waits for a provider, so that it can be stopped: by its caller's leaving or by a revocation."""

    __slots__ = ("_task", "reason")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self.reason: str | None = None

    def stop(self, reason: str) -> None:
        """End the wait for the provider now; the call settles what was delivered."""
        if self.reason is None:
            self.reason = reason
            if self._task is not None:
                self._task.cancel()

    def _was_stopped(self) -> bool:
        return self.reason is not None

    async def wait_for(self, awaitable: Awaitable[Result]) -> Result:
        """Await something of the provider's. Raises ``Stopped`` when the call is stopped meanwhile."""
        if self.reason is not None:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise Stopped
        task = self._task = asyncio.current_task()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if not self._was_stopped() or task is None:
                raise
            task.uncancel()
            raise Stopped from None
        finally:
            self._task = None


class Relay:
    """The stage, with what it leans on."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        directory: Directory,
        store: MoneyStore,
        settlements: Settlements,
        clock: Clock,
        timeouts: Timeouts,
        retries: int,
        answer_bytes_max: int,
        stream_slice_tokens: int,
        stream_ping_ms: int,
    ) -> None:
        self.upstream = upstream
        self.directory = directory
        self.store = store
        self.settlements = settlements
        self.clock = clock
        self.timeouts = timeouts
        self._retries = retries
        self._answer_bytes_max = answer_bytes_max
        self.slice = stream_slice_tokens
        self.ping_s = stream_ping_ms / 1000
        self.live: dict[str, set[LiveCall]] = {}

    def stop_all(self) -> None:
        """End every open call, because the server is stopping."""
        for calls in list(self.live.values()):
            for call in tuple(calls):
                call.stop("stopping")

    def stop_key(self, key_id: str) -> None:
        """Cut the open calls of a key that was revoked."""
        for call in tuple(self.live.get(key_id, ())):
            call.stop("key_revoked")

    async def run(self, exchange: CallExchange, admitted: Admitted) -> Outcome:
        """Carry the call out and settle it; the answer, good or bad, has been given on return."""
        call, key_id = LiveCall(), admitted.caller.key.id
        calls = self.live.setdefault(key_id, set())
        calls.add(call)
        exchange.on_gone(lambda: call.stop("client_gone"))
        try:
            return await self._run(exchange, admitted, call)
        finally:
            calls.discard(call)
            if not calls:
                self.live.pop(key_id, None)

    async def _run(self, exchange: CallExchange, admitted: Admitted, call: LiveCall) -> Outcome:
        outcome = Outcome(status=502)
        try:
            reached = await self._attempts(exchange, admitted, call, outcome)
        except Stopped:
            return await self.stopped(exchange, admitted, call, outcome, usage=None)
        if isinstance(reached, Problem):
            return await self.failed(exchange, admitted, outcome, reached)
        answer, sent = reached
        outcome.losses, outcome.upstream_dialect = named(sent.losses), sent.dialect
        identifier = answer.header(b"x-request-id") or answer.header(b"request-id")
        outcome.upstream_request_id = identifier.decode("latin-1")[:200] if identifier else None
        try:
            if answer.status != 200:
                return await self._provider_error(exchange, admitted, call, outcome, answer, sent)
            if admitted.facts.stream and _is_event_stream(answer):
                return await StreamRelay(self, exchange, admitted, call, outcome, answer, sent).run()
            return await self._whole(exchange, admitted, call, outcome, answer, sent)
        finally:
            answer.abort()

    # --- attempts ------------------------------------------------------------------------------------

    async def _attempts(
        self, exchange: CallExchange, admitted: Admitted, call: LiveCall, outcome: Outcome
    ) -> tuple[Answer, Outbound] | Problem:
        """Try the candidates in order, and again while retries are left; the first answer wins."""
        order = in_order(admitted.candidates, random.random(), client=admitted.dialect.name)  # noqa: S311 - a spread of load, no secret
        problem: Problem = UpstreamUnreachable("No channel could be reached.")
        for attempt in range(self._retries + 1):
            candidate = order[attempt % len(order)]
            last = attempt == self._retries
            outcome.attempts = attempt + 1
            outcome.channel = candidate.channel_name
            reached = await self._attempt(exchange, admitted, call, candidate)
            if isinstance(reached, UpstreamError):
                problem = problem_of_fault(reached)
                if last or not may_retry(status=None, sent=reached.sent):
                    return problem
            elif isinstance(reached, Problem):
                return reached
            elif reached is None:
                problem = UpstreamUnreachable(f"The channel for '{admitted.facts.model}' was just removed.")
            else:
                answer, sent = reached
                if last or not may_retry(status=answer.status, sent=True):
                    return answer, sent
                answer.abort()
                problem = UpstreamBroken(f"The provider answered with status {answer.status}.")
            if (attempt + 1) % len(order) == 0:
                await call.wait_for(asyncio.sleep(_BACKOFF_S * 2 ** min(attempt, 4)))
        return problem

    async def _attempt(
        self, exchange: CallExchange, admitted: Admitted, call: LiveCall, candidate: Candidate
    ) -> tuple[Answer, Outbound] | UpstreamError | Problem | None:
        line = self.directory.line(candidate.channel_id)
        if line is None:
            return None
        sent = outbound(exchange, admitted, candidate, line)
        if isinstance(sent, Problem):
            return sent
        try:
            answer = await call.wait_for(
                self.upstream.send(
                    sent.target,
                    method="POST",
                    path=sent.path,
                    headers=sent.headers,
                    body=sent.body,
                    timeouts=self.timeouts,
                )
            )
        except UpstreamError as fault:
            log.warning(
                "attempt failed",
                request_id=admitted.request_id,
                channel=candidate.channel_name,
                fault=str(fault),
            )
            return fault
        return answer, sent

    # --- answers -------------------------------------------------------------------------------------

    async def _whole(
        self,
        exchange: CallExchange,
        admitted: Admitted,
        call: LiveCall,
        outcome: Outcome,
        answer: Answer,
        sent: Outbound,
    ) -> Outcome:
        try:
            body = await call.wait_for(answer.read(self._answer_bytes_max))
        except UpstreamError as fault:
            return await self.failed(exchange, admitted, outcome, problem_of_fault(fault))
        except Stopped:
            return await self.stopped(exchange, admitted, call, outcome, usage=None)
        reading = sent.carriage.read_answer(body)
        if isinstance(reading, ErrorReport):
            return await self.failed(exchange, admitted, outcome, problem_of_report(reading, sent.secret))
        if reading is None:
            problem = UpstreamBroken("The provider's answer is not of its own protocol.")
            return await self.failed(exchange, admitted, outcome, problem)
        outcome.status, outcome.finish_reason = 200, reading.finish_reason
        usage = reading.usage
        if usage is None or not usage.is_billable:
            usage = counted_usage(admitted, usage, count_texts(reading.output_texts))
            outcome.usage_source = "counted"
        outcome.usage = usage
        # Written before the charge, so that the log names every loss; only a charge that the money cut short
        # makes it be written again.
        expected = format_usd(cost_of(usage, admitted.rates))
        answer_body = sent.carriage.answer_body(usage=usage, cost_usd=expected)
        outcome.losses = named(sent.losses, sent.carriage.answer_losses)
        settled = await self.settlements.settle(admitted, outcome)
        cost = format_usd(settled.final_nano)
        if cost != expected:
            answer_body = sent.carriage.answer_body(usage=usage, cost_usd=cost)
        headers = [JSON_TYPE, *_answer_headers(admitted, outcome.losses), (b"x-ruapi-cost-usd", cost.encode())]
        exchange.respond(200, headers, answer_body)
        return outcome

    async def _provider_error(
        self,
        exchange: CallExchange,
        admitted: Admitted,
        call: LiveCall,
        outcome: Outcome,
        answer: Answer,
        sent: Outbound,
    ) -> Outcome:
        """The provider refused: its own words go on, without secrets; what is no JSON becomes a clean 502."""
        try:
            body = await call.wait_for(answer.read(_ERROR_BYTES_MAX))
        except (UpstreamError, Stopped):
            body = b""
        status = answer.status
        problem: Problem
        outcome.status, outcome.error_code = status, f"upstream_{status}"
        if status in (401, 403):
            log.error("the provider rejected a channel's credentials", channel=outcome.channel, status=status)
        if status == 401:
            problem = UpstreamCredentialsRejected(CREDENTIALS_REJECTED)
            return await self.failed(exchange, admitted, outcome, problem)
        if status in (402, 407):
            return await self.failed(exchange, admitted, outcome, UpstreamUnpaid(UNPAID))
        said = _error_form(body) if 400 <= status < 600 else None
        if said is None:
            if status in (529, 503):
                problem = UpstreamOverloaded(f"The provider has no capacity at present (status {status}).")
            else:
                problem = UpstreamBroken(f"The provider answered with status {status} and no readable error.")
            return await self.failed(exchange, admitted, outcome, problem)
        if sent.dialect != admitted.dialect.name or said == "other":
            report = CODECS[_codec_name(sent.dialect)].decode_error(status, _as_mapping(answer), body)
            return await self.failed(exchange, admitted, outcome, problem_of_report(report, sent.secret))
        await self.settlements.settle(admitted, outcome)
        headers = [JSON_TYPE, *identity_headers(admitted.request_id)]
        for name in (b"retry-after", b"retry-after-ms"):
            value = answer.header(name)
            if value is not None:
                headers.append((name, value))
        headers.append((b"x-should-retry", b"true" if status in RETRYABLE_STATUSES else b"false"))
        exchange.respond(status, headers, redact(body, sent.secret))
        return outcome

    # --- endings -------------------------------------------------------------------------------------

    async def failed(self, exchange: CallExchange, admitted: Admitted, outcome: Outcome, problem: Problem) -> Outcome:
        """Nothing was delivered: nothing is charged."""
        outcome.status, outcome.error_code, outcome.usage = problem.status, problem.code, None
        await self.settlements.settle(admitted, outcome)
        refuse(exchange, admitted.dialect, problem, admitted.request_id)
        return outcome

    async def stopped(
        self,
        exchange: CallExchange,
        admitted: Admitted,
        call: LiveCall,
        outcome: Outcome,
        *,
        usage: Usage | None,
        passage: StreamPassage | None = None,
    ) -> Outcome:
        """The caller left or the key was revoked: what was delivered is charged; of a whole answer that is nothing."""
        problem = _STOPPED.get(call.reason or "")
        outcome.status = 499 if problem is None else problem.status
        outcome.error_code, outcome.usage = call.reason, usage
        await self.settlements.settle(admitted, outcome)
        if problem is None or exchange.gone:
            exchange.abort()
        elif exchange.started and passage is not None:
            exchange.write(passage.fail(problem, admitted.request_id))
            exchange.finish()
        else:
            refuse(exchange, admitted.dialect, problem, admitted.request_id)
        return outcome


class StreamRelay:
    """One streamed answer on its way to the caller."""

    def __init__(
        self,
        relay: Relay,
        exchange: CallExchange,
        admitted: Admitted,
        call: LiveCall,
        outcome: Outcome,
        answer: Answer,
        sent: Outbound,
    ) -> None:
        self._relay = relay
        self._exchange = exchange
        self._admitted = admitted
        self._call = call
        self._outcome = outcome
        self._answer = answer
        self._sent = sent
        self._passage: StreamPassage = sent.carriage.open_passage()
        self._held_nano = admitted.hold.amount_nano
        self._check_at = 0
        self._journal_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._journals: set[asyncio.Task[None]] = set()
        self._wrote_at = 0.0
        self._ping_timer = self._loop.call_later(relay.ping_s, self._ping)

    async def run(self) -> Outcome:
        """Pump until the provider's end, then settle and let the ending go."""
        try:
            return await self._run()
        finally:
            self._ping_timer.cancel()

    async def _run(self) -> Outcome:
        outcome, exchange, passage, admitted = self._outcome, self._exchange, self._passage, self._admitted
        outcome.status = 200
        headers = _SSE_HEADERS + _answer_headers(admitted, named(self._sent.losses, ()))
        problem: Problem | None = None
        try:
            full = await self._pump(headers)
        except Stopped:
            return await self._stopped()
        except FrameTooLarge as fault:
            problem = UpstreamBroken(f"The provider broke its own protocol: {fault}.")
        except UpstreamError as fault:
            problem = problem_of_fault(fault)
        else:
            if full:
                return await self._cut(headers)
        if problem is None and passage.error is not None:
            problem = problem_of_report(passage.error, self._sent.secret)
        if problem is not None and not exchange.started:
            return await self._relay.failed(exchange, admitted, outcome, problem)
        self._conclude()
        if problem is not None:
            outcome.error_code = problem.code
        settled = await self._settle()
        cost = format_usd(settled)
        if not exchange.started:
            exchange.start_stream(200, headers)
        if problem is not None:
            exchange.write(passage.fail(problem, admitted.request_id))
        else:
            ending = passage.close(cost_usd=cost, usage=outcome.usage)
            exchange.write(redact(ending, self._sent.secret) if passage.failed else ending)
        exchange.finish()
        return outcome

    async def _pump(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Pass bytes on until the provider has finished; True when the hold is used up before that.

        A fast provider sends much in one piece; where the hold grows with the output it is passed on in
        small ones, so that no more leaves than is paid for.
        """
        passage, grows = self._passage, self._admitted.grows
        while True:
            data = await self._next_chunk()
            if not data:
                self._write(passage.end_of_input(), headers)
                return False
            if not grows or len(data) <= _PIECE_BYTES:
                if await self._pass_on(data, headers):
                    return True
            else:
                for start in range(0, len(data), _PIECE_BYTES):
                    if await self._pass_on(data[start : start + _PIECE_BYTES], headers):
                        return True

    def _write(self, data: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        if not data:
            return
        if not self._exchange.started:
            self._exchange.start_stream(200, headers)
            self._outcome.first_token_ms = self._relay.clock() - self._admitted.started_at
        self._exchange.write(data)
        self._wrote_at = self._loop.time()

    def _ping(self) -> None:
        """Say that the stream is alive when nothing was said for a while. Only whole frames are ever written."""
        now, wait_s = self._loop.time(), self._relay.ping_s
        if self._exchange.started and now - self._wrote_at >= wait_s and not self._passage.ending:
            self._exchange.write(self._admitted.dialect.ping)
            self._wrote_at = now
        self._ping_timer = self._loop.call_later(max(0.01, self._wrote_at + wait_s - now, wait_s / 2), self._ping)

    async def _next_chunk(self) -> bytes:
        """More of the answer; empty at its end.

        After its own last frame the end follows at once, or never: a provider that keeps the connection open
        does not keep the caller waiting.
        """
        if not self._passage.complete:
            return await self._call.wait_for(self._answer.next_chunk())
        try:
            async with asyncio.timeout(_AFTER_THE_END_S):
                return await self._call.wait_for(self._answer.next_chunk())
        except (TimeoutError, UpstreamError):
            return b""

    async def _pass_on(self, data: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        """Read a piece, let go of what may leave, and see to the hold; True when that is used up."""
        exchange, passage = self._exchange, self._passage
        forward = passage.feed(data)
        if passage.failed and not exchange.started and not passage.output_events:
            self._note_early_failure(forward)
        elif forward:
            self._write(redact(forward, self._sent.secret) if passage.failed else forward, headers)
            await exchange.drain()
            if exchange.gone:
                raise Stopped
        if passage.ending:
            return False
        if passage.output_bytes >= self._check_at and await self._hold_is_used_up():
            return True
        now = self._loop.time()
        if now >= self._journal_at and passage.output_events:
            self._journal_at = now + _JOURNAL_EVERY_S
            self._journal()
        return False

    def _note_early_failure(self, forward: bytes) -> None:
        """An error before any output: the caller gets it as an error answer instead of a stream."""
        codec = CODECS[_codec_name(self._sent.dialect)]
        if self._passage.error is not None:
            return
        said = [payload for frame in FrameSplitter().feed(forward) if (payload := payload_of(frame))]
        told = [payload for payload in said if b'"error"' in payload] or said
        if told:
            self._passage.error = codec.decode_error(502, {}, told[-1])

    # --- the hold grows with the output ------------------------------------------------------------------

    def _output_tokens(self) -> int:
        """Tokens delivered so far: as text is counted, and at least one an event."""
        return max(count_output_bytes(self._passage.output_bytes), self._passage.output_events)

    async def _hold_is_used_up(self) -> bool:
        """Extend the hold before the output outgrows it; True when nothing more can be had.

        A capped answer is held in full from the start. A provider that ignores the cap is cut off once the
        excess is beyond what our count could be wrong by.
        """
        admitted, facts = self._admitted, self._admitted.facts
        tokens = self._output_tokens()
        if not admitted.grows:
            self._check_at = self._passage.output_bytes + 4_096
            return tokens > 4 * admitted.output_tokens_max + 1_024

        def needed(output_tokens: int) -> int:
            return quote(
                admitted.rates,
                input_tokens_max=admitted.input_tokens_estimated,
                output_tokens_max=output_tokens,
                cache_writes=facts.cache_writes,
            )

        ahead = max(tokens * 2, self._relay.slice)
        margin = max(32, self._relay.slice // 2)
        if needed(tokens + margin) > self._held_nano:
            wanted = min(needed(ahead + margin), admitted.ceiling_nano) - self._held_nano
            if wanted > 0:
                self._held_nano += await self._relay.store.extend_hold(
                    admitted.hold.id, more_nano=wanted, deadline=self._relay.clock() + HOLD_LIFE_MS
                )
            if needed(tokens) >= self._held_nano:
                return True
        # Look again after a sixteenth of a slice: cheap, and never later than the margin allows.
        self._check_at = self._passage.output_bytes + max(64, self._relay.slice // 16)
        return False

    # --- endings -----------------------------------------------------------------------------------------

    def _usage_so_far(self) -> tuple[Usage, str]:
        passage, usage = self._passage, self._passage.usage
        complete = usage is not None and usage.is_billable and (passage.ending or passage.finish_reason is not None)
        if usage is not None and complete:
            return usage, "provider"
        return counted_usage(self._admitted, usage, self._output_tokens()), "counted"

    def _conclude(self) -> None:
        outcome = self._outcome
        outcome.finish_reason = self._passage.finish_reason
        outcome.usage, outcome.usage_source = self._usage_so_far()
        outcome.losses = named(self._sent.losses, self._passage.losses)
        nothing_came = not self._passage.output_events and self._passage.usage is None
        if self._passage.failed:
            outcome.error_code = "upstream_error"
        if nothing_came and (self._passage.failed or not self._passage.ending):
            outcome.usage = None

    async def _settle(self) -> int:
        await self._finish_journals()
        settled = await self._relay.settlements.settle(self._admitted, self._outcome)
        return settled.final_nano

    async def _stopped(self) -> Outcome:
        await self._finish_journals()
        usage = None
        if self._passage.output_events or self._passage.usage is not None:
            usage, self._outcome.usage_source = self._usage_so_far()
        return await self._relay.stopped(
            self._exchange, self._admitted, self._call, self._outcome, usage=usage, passage=self._passage
        )

    async def _cut(self, headers: list[tuple[bytes, bytes]]) -> Outcome:
        """Money ran out in mid-answer: a clean ending in the dialect's own words, and the provider is let go."""
        self._answer.abort()
        usage, self._outcome.usage_source = self._usage_so_far()
        self._outcome.usage, self._outcome.finish_reason = usage, "length"
        self._outcome.error_code = "stopped_at_limit"
        # What was delivered never costs more than what was held for it: the rest was not delivered.
        if cost_of(usage, self._admitted.rates) > self._held_nano:
            self._admitted.ceiling_nano = self._held_nano
        cost = await self._settle()
        if not self._exchange.started:
            self._exchange.start_stream(200, headers)
        self._exchange.write(self._passage.cut(cost_usd=format_usd(cost), usage=usage))
        self._exchange.finish()
        return self._outcome

    # --- the journal ---------------------------------------------------------------------------------------

    def _journal(self) -> None:
        usage, source = self._usage_so_far()
        snapshot = msgspec.structs.replace(self._outcome, usage=usage, usage_source=source)
        deadline = self._relay.clock() + HOLD_LIFE_MS
        task = self._loop.create_task(self._relay.settlements.journal(self._admitted, snapshot, deadline))
        self._journals.add(task)
        task.add_done_callback(self._journals.discard)

    async def _finish_journals(self) -> None:
        if self._journals:
            await asyncio.gather(*self._journals, return_exceptions=True)


def named(*groups: tuple[Loss, ...]) -> str:
    """The names of losses, each once, as the header and the log have them."""
    return ",".join(dict.fromkeys(loss.name for group in groups for loss in group))


def _answer_headers(admitted: Admitted, losses: str) -> list[tuple[bytes, bytes]]:
    headers = identity_headers(admitted.request_id)
    if admitted.output_tokens_cap is not None:
        headers.append((b"x-ruapi-output-tokens-max", b"%d" % admitted.output_tokens_cap))
    if losses:
        headers.append((b"x-ruapi-losses", losses.encode()))
    return headers


def _as_mapping(answer: Answer) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}


def _is_event_stream(answer: Answer) -> bool:
    content_type = answer.header(b"content-type")
    return content_type is None or content_type.lower().startswith(b"text/event-stream")


def _error_form(body: bytes) -> Literal["own", "other"] | None:
    """Whether an error has its dialect's form, another JSON form (some servers answer flat objects), or neither."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if type(document) is list and document:  # Gemini's streams
        document = document[0]
    if type(document) is not dict:
        return None
    return "own" if type(document.get("error")) is dict else "other"


def _codec_name(dialect: str) -> str:
    """The codec that reads a dialect's errors: embeddings share those of Chat."""
    return dialect if dialect in CODECS else "openai_chat"
