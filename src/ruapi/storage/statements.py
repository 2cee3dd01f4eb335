"""The SQL of money, in one place, to be read by whoever checks it. Plain and portable.

Every one of these runs inside a transaction that holds the database's write lock, so what a SELECT
reads is still true when the UPDATE after it writes; the CHECK constraints of the schema stand behind both.
"""

from __future__ import annotations

from ruapi.storage.records import Hold, LogRow

FUNDS = """
SELECT k.status, u.status, k.limit_nano, k.limit_reset, b.posted_nano, b.held_nano
  FROM api_key k
  JOIN users u ON u.id = k.user_id
  JOIN balance b ON b.account_id = k.account_id
 WHERE k.id = ?
"""

KEY_SPEND = 'SELECT spent_nano, held_nano FROM key_spend WHERE key_id = ? AND "window" = ?'

HOLD_ON_KEY = """
INSERT INTO key_spend (key_id, "window", limit_nano, spent_nano, held_nano) VALUES (?1, ?2, ?3, 0, ?4)
ON CONFLICT (key_id, "window") DO UPDATE SET limit_nano = excluded.limit_nano, held_nano = held_nano + ?4
"""

RAISE_ON_KEY = 'UPDATE key_spend SET held_nano = held_nano + ? WHERE key_id = ? AND "window" = ?'

HOLD_ON_BALANCE = """
UPDATE balance SET held_nano = held_nano + ?1 WHERE account_id = ?2 AND posted_nano - held_nano >= ?1
"""

INSERT_HOLD = """
INSERT INTO hold (id, request_id, account_id, key_id, "window", price_version, amount_nano, state, boot_id,
                  created_at, deadline)
VALUES (?, ?, ?, ?, ?, ?, ?, 'reserved', ?, ?, ?)
"""

HOLD_COLUMNS = ", ".join(f'"{name}"' if name == "window" else name for name in Hold.__struct_fields__)

SELECT_HOLD = f"SELECT {HOLD_COLUMNS} FROM hold WHERE id = ?"

OPEN_HOLDS_OF_BOOT = f"""
SELECT {HOLD_COLUMNS} FROM hold
 WHERE boot_id = ? AND state IN ('reserved', 'dispatched') ORDER BY id LIMIT 1000
"""

OVERDUE_HOLDS = f"""
SELECT {HOLD_COLUMNS} FROM hold
 WHERE state IN ('reserved', 'dispatched') AND deadline < ? ORDER BY deadline LIMIT 1000
"""

RAISE_HOLD = "UPDATE hold SET amount_nano = amount_nano + ?, deadline = ? WHERE id = ?"

JOURNAL_HOLD = """
UPDATE hold SET state = 'dispatched', observed_nano = ?, observed = ?, deadline = ?
 WHERE id = ? AND state IN ('reserved', 'dispatched')
"""

END_HOLD = """
UPDATE hold SET state = ?, final_nano = ?, usage_source = ?
 WHERE id = ? AND state IN ('reserved', 'dispatched')
"""

RELEASE_BALANCE = "UPDATE balance SET posted_nano = posted_nano - ?, held_nano = held_nano - ? WHERE account_id = ?"
RELEASE_KEY = """
UPDATE key_spend SET spent_nano = spent_nano + ?, held_nano = held_nano - ? WHERE key_id = ? AND "window" = ?
"""
MOVE_BALANCE = "UPDATE balance SET posted_nano = posted_nano + ? WHERE account_id = ?"

INSERT_TRANSFER = "INSERT INTO transfer (id, kind, ref, note, created_at) VALUES (?, ?, ?, ?, ?)"
INSERT_POSTINGS = "INSERT INTO posting (transfer_id, account_id, amount_nano) VALUES (?1, ?2, ?3), (?1, ?4, -?3)"

LOG_COLUMNS = ", ".join(f'"{name}"' if name == "usage" else name for name in LogRow.__struct_fields__)
INSERT_LOG = (
    f"INSERT INTO request_log ({LOG_COLUMNS}) VALUES ({', '.join('?' * len(LogRow.__struct_fields__))}) "
    "ON CONFLICT (request_id) DO NOTHING"
)

ADD_TO_DAY = """
INSERT INTO usage_day (day, key_id, model, requests, input_tokens, output_tokens, cost_nano)
VALUES (?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (key_id, day, model) DO UPDATE SET
  requests = requests + 1, input_tokens = input_tokens + excluded.input_tokens,
  output_tokens = output_tokens + excluded.output_tokens, cost_nano = cost_nano + excluded.cost_nano
"""

# Two rows at once: those of the account and those of everybody (''), in that order.
ADD_TO_HOUR = """
INSERT INTO usage_hour (account_id, hour, model, channel, requests, errors, input_tokens, cached_input_tokens,
                        cache_write_tokens, output_tokens, first_tokens, first_token_ms, cost_nano)
VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12), ('', ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (account_id, hour, model, channel) DO UPDATE SET
  requests = requests + 1, errors = errors + ?5, input_tokens = input_tokens + ?6,
  cached_input_tokens = cached_input_tokens + ?7, cache_write_tokens = cache_write_tokens + ?8,
  output_tokens = output_tokens + ?9, first_tokens = first_tokens + ?10, first_token_ms = first_token_ms + ?11,
  cost_nano = cost_nano + ?12
"""

ADD_TO_MONTH = """
INSERT INTO usage_month (account_id, month, key_id, requests, cost_nano) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (account_id, month, key_id) DO UPDATE SET
  requests = requests + 1, cost_nano = cost_nano + excluded.cost_nano
"""

INSERT_CREDIT = "INSERT INTO credit (transfer_id, account_id) VALUES (?, ?)"

NEXT_GENERATION = """
INSERT INTO change (generation, noun, subject_id, created_at)
SELECT COALESCE(MAX(generation), 0) + 1, ?, ?, ? FROM change RETURNING generation
"""
