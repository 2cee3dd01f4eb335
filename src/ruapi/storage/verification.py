"""The invariants of the books, each as a query that finds what breaks it.

1. The postings of every transfer sum to 0; an account's balance equals the sum of its postings.
2. An account's held money equals the sum of its open holds; a user's balance covers it and is never negative.
3. A key's spend in a window equals what was carried into it and the finals of its holds there; spend and
   open holds stay within the limit.
4. A hold is charged at most once, within its amount; the log's cost equals the hold's final; every posted
   hold has its transfer and every usage transfer its hold.
5. No hold outlives its deadline by more than 60 s.
6. The sums that pages read and that windows are carried over from say what was charged.
"""

from __future__ import annotations

from typing import Any

from ruapi.money import format_usd
from ruapi.storage.records import Violation

_OVERDUE_GRACE_MS = 60_000
_FINDINGS_MAX = 100

_CHECKS: tuple[tuple[int, str, str], ...] = (
    (
        1,
        "transfer {0} does not sum to zero: {1}",
        "SELECT transfer_id, SUM(amount_nano) FROM posting GROUP BY transfer_id HAVING SUM(amount_nano) <> 0",
    ),
    (
        1,
        "transfer {0} has {1} postings instead of two",
        """SELECT t.id, COUNT(p.account_id) FROM transfer t LEFT JOIN posting p ON p.transfer_id = t.id
            GROUP BY t.id HAVING COUNT(p.account_id) <> 2""",
    ),
    (
        1,
        "account {0} has a balance of {1}, its postings sum to {2}",
        """SELECT b.account_id, b.posted_nano, COALESCE(p.total, 0) FROM balance b
             LEFT JOIN (SELECT account_id, SUM(amount_nano) AS total FROM posting GROUP BY account_id) p
               ON p.account_id = b.account_id
            WHERE b.posted_nano <> COALESCE(p.total, 0)""",
    ),
    (
        2,
        "account {0} holds {1}, its open holds sum to {2}",
        """SELECT b.account_id, b.held_nano, COALESCE(h.total, 0) FROM balance b
             LEFT JOIN (SELECT account_id, SUM(amount_nano) AS total FROM hold
                         WHERE state IN ('reserved', 'dispatched') GROUP BY account_id) h
               ON h.account_id = b.account_id
            WHERE b.held_nano <> COALESCE(h.total, 0)""",
    ),
    (
        2,
        "account {0} has {1} with {2} held",
        """SELECT account_id, posted_nano, held_nano FROM balance
            WHERE held_nano < 0 OR (kind = 'user' AND posted_nano < held_nano)""",
    ),
    (
        3,
        "key {0} has spent {2} in window {1}, its holds say {3}",
        """SELECT s.key_id, s."window", s.spent_nano, s.carried_nano + COALESCE(h.total, 0) FROM key_spend s
             LEFT JOIN (SELECT key_id, "window", SUM(final_nano) AS total FROM hold
                         WHERE state = 'posted' GROUP BY key_id, "window") h
               ON h.key_id = s.key_id AND h."window" = s."window"
            WHERE s.spent_nano <> s.carried_nano + COALESCE(h.total, 0)""",
    ),
    (
        3,
        "key {0} holds {2} in window {1}, its open holds sum to {3}",
        """SELECT s.key_id, s."window", s.held_nano, COALESCE(h.total, 0) FROM key_spend s
             LEFT JOIN (SELECT key_id, "window", SUM(amount_nano) AS total FROM hold
                         WHERE state IN ('reserved', 'dispatched') GROUP BY key_id, "window") h
               ON h.key_id = s.key_id AND h."window" = s."window"
            WHERE s.held_nano <> COALESCE(h.total, 0)""",
    ),
    (
        3,
        "key {0} has passed its limit in window {1}: {2} spent and held of {3}",
        """SELECT key_id, "window", spent_nano + held_nano, limit_nano FROM key_spend
            WHERE limit_nano IS NOT NULL AND spent_nano + held_nano > limit_nano""",
    ),
    (
        3,
        "hold {0} belongs to no spend window of its key",
        """SELECT h.id FROM hold h LEFT JOIN key_spend s ON s.key_id = h.key_id AND s."window" = h."window"
            WHERE s.key_id IS NULL""",
    ),
    (
        4,
        "hold {0} was charged {1} of {2}",
        "SELECT id, final_nano, amount_nano FROM hold WHERE final_nano < 0 OR final_nano > amount_nano",
    ),
    (
        4,
        "hold {0} was charged {1}, its transfer moved {2}",
        """SELECT h.id, h.final_nano, COALESCE(p.amount_nano, 0) FROM hold h
             LEFT JOIN transfer t ON t.ref = h.id AND t.kind = 'usage'
             LEFT JOIN posting p ON p.transfer_id = t.id AND p.account_id = 'acc_revenue'
            WHERE h.state = 'posted' AND h.final_nano <> COALESCE(p.amount_nano, 0)""",
    ),
    (
        4,
        "transfer {0} charges usage without a posted hold",
        """SELECT t.id FROM transfer t LEFT JOIN hold h ON h.id = t.ref AND h.state = 'posted'
            WHERE t.kind = 'usage' AND h.id IS NULL""",
    ),
    (
        4,
        "request {0} is logged at {1}, its hold was charged {2}",
        """SELECT l.request_id, l.cost_nano, COALESCE(h.final_nano, 0) FROM request_log l
             LEFT JOIN hold h ON h.request_id = l.request_id
            WHERE l.cost_nano <> COALESCE(h.final_nano, 0)""",
    ),
    (
        4,
        "hold {0} was charged {1} without a log row",
        """SELECT h.id, h.final_nano FROM hold h LEFT JOIN request_log l ON l.request_id = h.request_id
            WHERE h.state = 'posted' AND l.request_id IS NULL""",
    ),
    (
        6,
        "the hours of account {0} sum to {1}, it was charged {2}",
        """WITH charged AS (SELECT account_id, SUM(final_nano) AS total FROM hold WHERE state = 'posted' GROUP BY 1),
                everybody AS (SELECT * FROM charged UNION ALL SELECT '', SUM(total) FROM charged),
                kept AS (SELECT account_id, SUM(cost_nano) AS total FROM usage_hour GROUP BY 1)
           SELECT COALESCE(k.account_id, c.account_id), COALESCE(k.total, 0), COALESCE(c.total, 0)
             FROM kept k FULL JOIN everybody c ON c.account_id = k.account_id
            WHERE COALESCE(k.total, 0) <> COALESCE(c.total, 0)""",
    ),
    (
        6,
        "the months of account {0} sum to {1}, it was charged {2}",
        """WITH charged AS (SELECT account_id, SUM(final_nano) AS total FROM hold WHERE state = 'posted' GROUP BY 1),
                kept AS (SELECT account_id, SUM(cost_nano) AS total FROM usage_month GROUP BY 1)
           SELECT COALESCE(k.account_id, c.account_id), COALESCE(k.total, 0), COALESCE(c.total, 0)
             FROM kept k FULL JOIN charged c ON c.account_id = k.account_id
            WHERE COALESCE(k.total, 0) <> COALESCE(c.total, 0)""",
    ),
    (
        6,
        "the days of key {0} sum to {1}, it was charged {2}",
        """WITH charged AS (SELECT key_id, SUM(final_nano) AS total FROM hold WHERE state = 'posted' GROUP BY 1),
                kept AS (SELECT key_id, SUM(cost_nano) AS total FROM usage_day GROUP BY 1)
           SELECT COALESCE(k.key_id, c.key_id), COALESCE(k.total, 0), COALESCE(c.total, 0)
             FROM kept k FULL JOIN charged c ON c.key_id = k.key_id
            WHERE COALESCE(k.total, 0) <> COALESCE(c.total, 0)""",
    ),
)

_OVERDUE = "SELECT id, deadline FROM hold WHERE state IN ('reserved', 'dispatched') AND deadline < ?"


def broken_invariants(look: Any, now: int) -> list[Violation]:
    """Run every check; at most a hundred findings of each."""
    found: list[Violation] = []
    for number, sentence, query in _CHECKS:
        rows = look.execute(f"{query} LIMIT {_FINDINGS_MAX}")
        found.extend(Violation(invariant=number, detail=sentence.format(*map(_shown, row))) for row in rows)
    rows = look.execute(f"{_OVERDUE} LIMIT {_FINDINGS_MAX}", (now - _OVERDUE_GRACE_MS,))
    found.extend(
        Violation(invariant=5, detail=f"hold {hold_id} is open {(now - deadline) // 1000} s after its deadline")
        for hold_id, deadline in rows
    )
    return found


def _shown(value: Any) -> str:
    return f"${format_usd(value)}" if isinstance(value, int) and abs(value) > 2 else str(value)
