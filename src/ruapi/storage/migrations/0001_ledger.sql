-- Money. Amounts are nano-USD (10^-9) in 64-bit integers; instants are milliseconds since the epoch, UTC.

CREATE TABLE account (
  id         TEXT NOT NULL PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('user', 'revenue', 'promo', 'platform_loss', 'external')),
  created_at INTEGER NOT NULL
) STRICT;

-- The books: a transfer moves money between accounts, its postings sum to zero, and neither ever changes.
CREATE TABLE transfer (
  id         TEXT NOT NULL PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('usage', 'topup', 'code', 'adjustment', 'platform_loss')),
  ref        TEXT NOT NULL UNIQUE,
  note       TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE posting (
  transfer_id TEXT NOT NULL REFERENCES transfer (id),
  account_id  TEXT NOT NULL REFERENCES account (id),
  amount_nano INTEGER NOT NULL,
  PRIMARY KEY (account_id, transfer_id)
) STRICT, WITHOUT ROWID;

-- What an account has, and what open holds have reserved of it. Only users' balances must stay at or
-- above what is held; the other side of the books (external) is negative by nature.
CREATE TABLE balance (
  account_id  TEXT NOT NULL PRIMARY KEY REFERENCES account (id),
  kind        TEXT NOT NULL,
  posted_nano INTEGER NOT NULL DEFAULT 0,
  held_nano   INTEGER NOT NULL DEFAULT 0,
  CHECK (held_nano >= 0),
  CHECK (kind <> 'user' OR posted_nano >= held_nano)
) STRICT;

-- What a key has drawn in a window of its limit. The cap itself: no statement can pass it.
-- "limit_nano" is the limit that the last hold was placed under; one that was lowered under what is spent
-- stands here as what is spent and held, which refuses new holds all the same. "carried_nano" is the part
-- of "spent_nano" that was drawn under another kind of window, before the key's reset was changed.
CREATE TABLE key_spend (
  key_id       TEXT NOT NULL,
  "window"     TEXT NOT NULL,
  limit_nano   INTEGER,
  spent_nano   INTEGER NOT NULL DEFAULT 0 CHECK (spent_nano >= 0),
  held_nano    INTEGER NOT NULL DEFAULT 0 CHECK (held_nano >= 0),
  carried_nano INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (key_id, "window"),
  CHECK (limit_nano IS NULL OR spent_nano + held_nano <= limit_nano)
) STRICT;

CREATE TABLE hold (
  id            TEXT NOT NULL PRIMARY KEY,
  request_id    TEXT NOT NULL UNIQUE,
  account_id    TEXT NOT NULL REFERENCES account (id),
  key_id        TEXT NOT NULL,
  "window"      TEXT NOT NULL,
  price_version TEXT NOT NULL,
  amount_nano   INTEGER NOT NULL CHECK (amount_nano > 0),
  state         TEXT NOT NULL CHECK (state IN ('reserved', 'dispatched', 'posted', 'voided')),
  boot_id       TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  deadline      INTEGER NOT NULL,
  observed_nano INTEGER CHECK (observed_nano >= 0),
  observed      BLOB,
  final_nano    INTEGER CHECK (final_nano BETWEEN 0 AND amount_nano),
  usage_source  TEXT,
  CHECK ((state IN ('posted', 'voided')) = (final_nano IS NOT NULL))
) STRICT;
CREATE INDEX hold_open ON hold (deadline) WHERE state IN ('reserved', 'dispatched');
