"""What a provider said went wrong, as what the caller is told.

A provider's words are untrusted and may hold secrets: they are redacted here, and what concerns the
operator's own account is told in our words.
"""

from __future__ import annotations

import math

from ruapi.canon.events import ErrorCategory, ErrorReport
from ruapi.errors import (
    Problem,
    ProviderBroke,
    ProviderContextExceeded,
    ProviderForbade,
    ProviderFoundTooLarge,
    ProviderLacksModel,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRefusedContent,
    ProviderRefusedRequest,
    ProviderUnsupported,
    UpstreamBroken,
    UpstreamCredentialsRejected,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamTimedOut,
    UpstreamUnpaid,
    UpstreamUnreachable,
)
from ruapi.gateway.problems import redact
from ruapi.upstream import Saturated, TimedOut, UpstreamError

CREDENTIALS_REJECTED = (
    "The provider rejected the credentials of this gateway's channel. Your own key is fine: tell the operator."
)

UNPAID = "The provider does not serve this gateway's account at present. Your own balance is fine: tell the operator."

_BY_CATEGORY: dict[ErrorCategory, type[ProviderRefused]] = {
    "invalid_request": ProviderRefusedRequest,
    "context_length": ProviderContextExceeded,
    "content_policy": ProviderRefusedContent,
    "unsupported": ProviderUnsupported,
    "permission": ProviderForbade,
    "not_found": ProviderLacksModel,
    "too_large": ProviderFoundTooLarge,
    "rate_limit": ProviderRateLimited,
    "quota": ProviderQuotaExceeded,
}


def problem_of_report(report: ErrorReport, secret: str) -> Problem:
    """The problem that a provider's error is for the caller."""
    words = redact(report.message.encode("utf-8", "replace"), secret).decode("utf-8", "replace")
    headers: tuple[tuple[str, str], ...] = ()
    if report.retry_after_s is not None:
        headers = (("retry-after", str(math.ceil(report.retry_after_s))),)
    if report.category == "authentication":
        return UpstreamCredentialsRejected(CREDENTIALS_REJECTED)
    if report.category == "payment":
        return UpstreamUnpaid(UNPAID)
    if report.category == "overloaded":
        return UpstreamOverloaded(words, headers=headers)
    if report.category == "timeout":
        return UpstreamTimedOut(words, headers=headers)
    chosen = _BY_CATEGORY.get(report.category)
    if chosen is not None:
        return chosen(words, headers=headers, figures={"param": report.param} if report.param else {})
    if report.status is not None and report.status != 500:
        return UpstreamBroken(words, headers=headers)
    return ProviderBroke(words, headers=headers)


def problem_of_fault(fault: UpstreamError) -> UpstreamFailed:
    """The problem that a failed connection is for the caller."""
    if isinstance(fault, TimedOut):
        return UpstreamTimedOut(f"The provider did not answer in time ({fault.stage}).")
    if isinstance(fault, Saturated):
        return UpstreamOverloaded("All connections to the provider are busy.")
    if not fault.sent:
        return UpstreamUnreachable("The provider cannot be reached at present.")
    return UpstreamBroken("The provider's answer broke off or was not HTTP.")
