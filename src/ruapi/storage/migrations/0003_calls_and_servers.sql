-- One row a call, kept with the settlement of its hold in one transaction. A request id begins with the
-- instant of the request, so its order is the order of time and no index by time is needed.
CREATE TABLE request_log (
  request_id          TEXT NOT NULL PRIMARY KEY,
  time                INTEGER NOT NULL,
  account_id          TEXT NOT NULL,
  key_id              TEXT NOT NULL,
  model               TEXT NOT NULL,
  channel             TEXT NOT NULL,
  client_dialect      TEXT NOT NULL,
  upstream_dialect    TEXT NOT NULL,
  stream              INTEGER NOT NULL,
  status              INTEGER NOT NULL,
  error_code          TEXT,
  finish_reason       TEXT,
  input_tokens        INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens  INTEGER NOT NULL,
  output_tokens       INTEGER NOT NULL,
  reasoning_tokens    INTEGER NOT NULL,
  "usage"             BLOB,
  cost_nano           INTEGER NOT NULL,
  held_nano           INTEGER NOT NULL,
  price_version       TEXT,
  usage_source        TEXT,
  attempts            INTEGER NOT NULL,
  first_token_ms      INTEGER,
  total_ms            INTEGER NOT NULL,
  losses              TEXT NOT NULL,
  upstream_request_id TEXT,
  client_address      TEXT NOT NULL
) STRICT;
CREATE INDEX request_log_by_key ON request_log (key_id, request_id);

-- Sums by UTC day, kept as the rows above are written.
CREATE TABLE usage_day (
  day           TEXT NOT NULL,
  key_id        TEXT NOT NULL,
  model         TEXT NOT NULL,
  requests      INTEGER NOT NULL,
  input_tokens  INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_nano     INTEGER NOT NULL,
  PRIMARY KEY (key_id, day, model)
) STRICT;

-- What administration changed, in order; a running server drops what it has cached of each subject.
CREATE TABLE change (
  generation INTEGER NOT NULL PRIMARY KEY,
  noun       TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- One row a running server process; it notes the generation that it has obeyed, so that a command can
-- return only when every server has.
CREATE TABLE boot (
  id              TEXT NOT NULL PRIMARY KEY,
  started_at      INTEGER NOT NULL,
  ended_at        INTEGER,
  generation_seen INTEGER NOT NULL
) STRICT;
