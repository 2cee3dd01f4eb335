"""Every way a call or a command can go wrong, and whose fault it is.

::

    Problem                      a value: what a caller of the data plane is told
    ├── Refused                  the caller's fault; nothing was sent upstream
    ├── UpstreamFailed           the provider's fault
    └── GatewayFault             ours
    RuapiError                   an exception: what an administrator is told
    ├── InvalidInput             the words of a command or a field are off
    ├── NotFound                 no such user, key, channel, model, code, request
    ├── Conflict                 it exists already, or its state forbids the act
    ├── AuthenticationFailed     wrong administrator's credentials
    ├── CheckFailed              a check (ledger verify, sync --check) found something
    ├── LimitReached             money or a limit does not allow it
    ├── TooManyAttempts          too many guesses; waiting helps
    └── Unavailable              the database, the server or a file cannot be used now

Refusals on the data plane are expected, so they are values and travel by return. The management
side is interactive and deep, so it raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """What a caller of the data plane is told, before a dialect gives it its shape.

    ``message`` is public: it says what to do and never holds a secret. ``headers`` are extra answer
    headers (``retry-after``); ``figures`` are machine-readable facts such as a limit and what was spent.
    """

    message: str
    headers: tuple[tuple[str, str], ...] = ()
    figures: dict[str, str] = field(default_factory=dict)

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


# --- the caller's fault ---------------------------------------------------------------------------


class Refused(Problem):
    """The caller's fault. Nothing was sent upstream and nothing was charged."""

    __slots__ = ()
    code = "invalid_request"
    status = 400


class InvalidRequest(Refused):
    """The body, a field or a header cannot be used."""

    __slots__ = ()


class BadKey(Refused):
    """No key, an unknown one, or one that was disabled or deleted."""

    __slots__ = ()
    code = "invalid_api_key"
    status = 401


class KeyExpired(Refused):
    """The key's own expiry has passed."""

    __slots__ = ()
    code = "api_key_expired"
    status = 401


class KeyLimitReached(Refused):
    """The key's spend limit leaves too little for this call."""

    __slots__ = ()
    code = "key_limit_reached"
    status = 402


class RequestLimitReached(Refused):
    """The call would cost more than the key allows for a single request."""

    __slots__ = ()
    code = "request_limit_reached"
    status = 402


class OutOfFunds(Refused):
    """The prepaid balance leaves too little for this call."""

    __slots__ = ()
    code = "insufficient_balance"
    status = 402


class ModelNotAllowed(Refused):
    """The key's model list does not hold this model."""

    __slots__ = ()
    code = "model_not_allowed"
    status = 403


class AddressNotAllowed(Refused):
    """The key's address list does not hold the caller's address."""

    __slots__ = ()
    code = "address_not_allowed"
    status = 403


class BrowserNotAllowed(Refused):
    """A secret key arrived from a web page."""

    __slots__ = ()
    code = "browser_not_allowed"
    status = 403


class AccountFrozen(Refused):
    """The owner of the key may not spend at present."""

    __slots__ = ()
    code = "account_frozen"
    status = 403


class ModelNotFound(Refused):
    """No such model, or one that is not for sale because it has no price."""

    __slots__ = ()
    code = "model_not_found"
    status = 404


class GenerationNotFound(Refused):
    """No such call of this account."""

    __slots__ = ()
    code = "not_found"
    status = 404


class PathNotFound(Refused):
    """No such path."""

    __slots__ = ()
    code = "not_found"
    status = 404


class MethodNotAllowed(Refused):
    """The path exists, the method does not."""

    __slots__ = ()
    code = "method_not_allowed"
    status = 405


class BodyTooLarge(Refused):
    """The body is over the configured limit."""

    __slots__ = ()
    code = "request_too_large"
    status = 413


class UnsupportedMediaType(Refused):
    """The body is declared to be something else than JSON."""

    __slots__ = ()
    code = "unsupported_media_type"
    status = 415


class BodyTooSlow(Refused):
    """The body stopped coming."""

    __slots__ = ()
    code = "request_timeout"
    status = 408
    retryable = True


class RateLimited(Refused):
    """Too many requests, tokens or parallel calls on this key, or too many bad keys from an address."""

    __slots__ = ()
    code = "rate_limit_exceeded"
    status = 429
    retryable = True


class UntranslatableRequest(Refused):
    """The request cannot be said in the dialect of any channel that serves the model."""

    __slots__ = ()
    code = "untranslatable_request"
    status = 400


# --- the provider's fault -------------------------------------------------------------------------


class UpstreamFailed(Problem):
    """The provider's fault. Nothing was charged unless output had been delivered."""

    __slots__ = ()
    code = "upstream_error"
    status = 502
    retryable = True


class UpstreamUnreachable(UpstreamFailed):
    """No connection could be made."""

    __slots__ = ()
    code = "upstream_unreachable"


class UpstreamTimedOut(UpstreamFailed):
    """The provider did not answer, or stopped in mid-answer, for too long."""

    __slots__ = ()
    code = "upstream_timeout"
    status = 504


class UpstreamOverloaded(UpstreamFailed):
    """The provider says that it has no capacity."""

    __slots__ = ()
    code = "upstream_overloaded"
    status = 529


class UpstreamBroken(UpstreamFailed):
    """The provider's answer does not follow its own protocol."""

    __slots__ = ()
    code = "upstream_protocol_error"


class ProviderRefused(UpstreamFailed):
    """Base of what a provider itself answered, by what it means. Its words are public only after redaction."""

    __slots__ = ()
    code = "upstream_error"


class ProviderRefusedRequest(ProviderRefused):
    """The provider finds the request invalid."""

    __slots__ = ()
    code = "invalid_request"
    status = 400
    retryable = False


class ProviderContextExceeded(ProviderRefusedRequest):
    """The prompt is longer than the model's context."""

    __slots__ = ()
    code = "context_length_exceeded"


class ProviderRefusedContent(ProviderRefusedRequest):
    """The provider's rules forbid the content."""

    __slots__ = ()
    code = "content_policy_violation"


class ProviderUnsupported(ProviderRefusedRequest):
    """The model does not know something that the request asks for."""

    __slots__ = ()
    code = "unsupported_value"


class UpstreamCredentialsRejected(ProviderRefused):
    """The provider refused the operator's credential. The status is the provider's; the words say whose fault."""

    __slots__ = ()
    code = "upstream_authentication_error"
    status = 401
    retryable = False


class UpstreamUnpaid(ProviderRefused):
    """The provider wants money of the operator before it serves again."""

    __slots__ = ()
    code = "upstream_unpaid"
    retryable = False


class ProviderForbade(ProviderRefused):
    """The provider does not let the operator's account do this."""

    __slots__ = ()
    code = "permission_denied"
    status = 403
    retryable = False


class ProviderLacksModel(ProviderRefused):
    """The provider does not know the model or the path."""

    __slots__ = ()
    code = "model_not_found"
    status = 404
    retryable = False


class ProviderFoundTooLarge(ProviderRefused):
    """The body is larger than the provider takes."""

    __slots__ = ()
    code = "request_too_large"
    status = 413
    retryable = False


class ProviderRateLimited(ProviderRefused):
    """The operator's account is over a rate or a quota of the provider."""

    __slots__ = ()
    code = "rate_limit_exceeded"
    status = 429


class ProviderQuotaExceeded(ProviderRateLimited):
    """The operator's account has used up what the provider allows it; waiting does not help."""

    __slots__ = ()
    code = "insufficient_quota"
    retryable = False


class ProviderBroke(ProviderRefused):
    """The provider failed by its own account."""

    __slots__ = ()
    code = "server_error"
    status = 500


# --- ours -----------------------------------------------------------------------------------------


class GatewayFault(Problem):
    """Our fault. Nothing was charged."""

    __slots__ = ()
    code = "internal_error"
    status = 500
    retryable = True


class Overloaded(GatewayFault):
    """We shed load rather than queue without bound, or the database cannot be written."""

    __slots__ = ()
    code = "service_unavailable"
    status = 503


# --- administration -------------------------------------------------------------------------------


class RuapiError(Exception):
    """Base of what administration and the command line report; its text is for people, without secrets."""


class InvalidInput(RuapiError):
    """The words of a command or the value of a field are off."""


class NotFound(RuapiError):
    """The named thing does not exist."""


class Conflict(RuapiError):
    """It exists already, or its state forbids what was asked."""


class AuthenticationFailed(RuapiError):
    """An administrator's credentials were refused."""


class CheckFailed(RuapiError):
    """A check was carried out and found something."""


class LimitReached(RuapiError):
    """Money or a limit does not allow what was asked."""


class TooManyAttempts(RuapiError):
    """Too many guesses, or too many at a time. Waiting ``retry_after_s`` seconds helps."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(RuapiError):
    """The database, the running server or a file cannot be used now."""
