"""Holds: their states, what may be granted, and what a settlement posts. Decisions only; storage obeys.

::

    reserved ──────────────> posted     the answer was charged
        │                      ^
        ├──> dispatched ───────┤        part of the answer was delivered and journalled
        │         │            │
        └─────────┴──────> voided       nothing is owed

A hold is durable as ``reserved`` before any byte goes upstream. It becomes ``dispatched`` with the first
journal entry of what was delivered; without one, recovery has nothing to charge, so writing that state
any earlier would cost a commit and change nothing. ``posted`` and ``voided`` are final: a second
settlement finds a state that is not open and changes nothing.

Why the cap holds: a charge is at most its hold, a hold is granted only out of what is neither spent nor
held, and both facts are written in one transaction. The estimate of a call's cost decides how often a
call is refused too early, never whether the cap is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

OPEN_STATES = ("reserved", "dispatched")
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "reserved": ("dispatched", "posted", "voided"),
    "dispatched": ("dispatched", "posted", "voided"),
    "posted": (),
    "voided": (),
}


@dataclass(frozen=True, slots=True)
class Funds:
    """What a key may still draw: the account's balance and the key's window, all in nano-USD."""

    posted_nano: int
    account_held_nano: int
    limit_nano: int | None
    spent_nano: int
    key_held_nano: int

    def free_of_account(self) -> int:
        """What the balance has beyond its open holds."""
        return max(0, self.posted_nano - self.account_held_nano)

    def free_of_key(self) -> int | None:
        """What the key's limit leaves; None without a limit."""
        if self.limit_nano is None:
            return None
        return max(0, self.limit_nano - self.spent_nano - self.key_held_nano)

    def free(self) -> int:
        """What a hold may take at most."""
        account, key = self.free_of_account(), self.free_of_key()
        return account if key is None else min(account, key)


def grant(funds: Funds, *, amount_nano: int, least_nano: int, share_percent: int = 100) -> int:
    """How much to hold: the amount, or what is free when that is at least ``least_nano``, or 0 (refuse).

    More than ``share_percent`` of what is free is granted only up to ``least_nano``.
    """
    free = funds.free()
    if share_percent < 100:
        amount_nano = min(amount_nano, max(least_nano, free * share_percent // 100))
    granted = min(amount_nano, free)
    return granted if granted >= max(1, least_nano) else 0


@dataclass(frozen=True, slots=True)
class Posting:
    """How a hold ends: raise it by ``raise_nano``, charge ``final_nano``, book ``loss_nano`` on the platform."""

    raise_nano: int
    final_nano: int
    loss_nano: int


def settle(*, held_nano: int, wanted_nano: int, ceiling_nano: int, free_nano: int) -> Posting:
    """Charge what the usage costs, as far as the caller agreed to and the money reaches.

    A cost over the hold first raises the hold out of what is free, but never over ``ceiling_nano``, the
    most that this request could cost by its own limits: an estimate that fell short is ours to mend, a
    provider that reports more than was asked for is not the caller's to pay.
    """
    target = min(wanted_nano, max(held_nano, ceiling_nano))
    raised = min(max(0, target - held_nano), max(0, free_nano))
    final = min(target, held_nano + raised)
    return Posting(raise_nano=raised, final_nano=final, loss_nano=wanted_nano - final)
