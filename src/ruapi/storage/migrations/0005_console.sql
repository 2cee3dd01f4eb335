-- Who signs in and how, what was done by whom, and sums that pages read instead of scanning the log.
-- Instants: milliseconds since the epoch, UTC. Secrets are kept as HMACs ("digest") or sealed.

ALTER TABLE users ADD COLUMN frozen_by TEXT CHECK (frozen_by IN ('admin', 'owner'));
ALTER TABLE users ADD COLUMN low_balance_nano INTEGER CHECK (low_balance_nano >= 0);
ALTER TABLE users ADD COLUMN last_seen_at INTEGER;
UPDATE users SET frozen_by = 'admin' WHERE status = 'frozen';

CREATE TABLE session (
  id           TEXT NOT NULL PRIMARY KEY,
  digest       BLOB NOT NULL UNIQUE,
  user_id      TEXT NOT NULL REFERENCES users (id),
  method       TEXT NOT NULL,
  address      TEXT NOT NULL,
  user_agent   TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  confirmed_at INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER
) STRICT;
CREATE INDEX session_by_user ON session (user_id, created_at);

CREATE TABLE passkey (
  id            TEXT NOT NULL PRIMARY KEY,
  user_id       TEXT NOT NULL REFERENCES users (id),
  credential_id BLOB NOT NULL UNIQUE,
  public_key    BLOB NOT NULL,
  sign_count    INTEGER NOT NULL,
  name          TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  last_used_at  INTEGER
) STRICT;
CREATE INDEX passkey_by_user ON passkey (user_id);

-- "last_step" is the newest time step whose code was taken: none is taken twice.
CREATE TABLE totp (
  user_id       TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
  secret_sealed BLOB NOT NULL,
  last_step     INTEGER NOT NULL DEFAULT 0,
  created_at    INTEGER NOT NULL,
  confirmed_at  INTEGER
) STRICT;

CREATE TABLE recovery_code (
  digest     BLOB NOT NULL PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id),
  created_at INTEGER NOT NULL,
  used_at    INTEGER
) STRICT;
CREATE INDEX recovery_code_by_user ON recovery_code (user_id);

-- Links that work once: the first run, an invitation, a new password.
CREATE TABLE one_time_link (
  id         TEXT NOT NULL PRIMARY KEY,
  digest     BLOB NOT NULL UNIQUE,
  purpose    TEXT NOT NULL CHECK (purpose IN ('setup', 'invitation', 'password')),
  email      TEXT,
  role       TEXT,
  user_id    TEXT REFERENCES users (id),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER
) STRICT;

-- What a sign-in waits for: a second factor, or an answer of an authenticator.
CREATE TABLE challenge (
  digest     BLOB NOT NULL PRIMARY KEY,
  purpose    TEXT NOT NULL,
  user_id    TEXT REFERENCES users (id),
  data       BLOB NOT NULL,
  attempts   INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX challenge_by_expiry ON challenge (expires_at);

CREATE TABLE management_key (
  id           TEXT NOT NULL PRIMARY KEY,
  user_id      TEXT NOT NULL REFERENCES users (id),
  name         TEXT NOT NULL,
  digest       BLOB NOT NULL UNIQUE,
  last4        TEXT NOT NULL,
  scope        TEXT NOT NULL CHECK (scope IN ('read', 'write')),
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER,
  ended_at     INTEGER
) STRICT;
CREATE INDEX management_key_by_user ON management_key (user_id, created_at);

-- What the operator chose in the console; values are JSON.
CREATE TABLE setting (
  name       TEXT NOT NULL PRIMARY KEY,
  value      TEXT NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

-- Who did what to what. "user_id" is whom it concerns; "changes" is JSON {field: [before, after]}, no secrets.
CREATE TABLE audit_event (
  id          TEXT NOT NULL PRIMARY KEY,
  time        INTEGER NOT NULL,
  actor_kind  TEXT NOT NULL CHECK (actor_kind IN ('user', 'command', 'management_key', 'server', 'stranger')),
  actor_id    TEXT NOT NULL,
  actor_name  TEXT NOT NULL,
  address     TEXT NOT NULL,
  action      TEXT NOT NULL,
  target_kind TEXT NOT NULL,
  target_id   TEXT NOT NULL,
  target_name TEXT NOT NULL,
  user_id     TEXT,
  changes     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_event_by_user ON audit_event (user_id, id, action);
CREATE INDEX audit_event_by_target ON audit_event (target_id, id, action);
CREATE INDEX audit_event_by_action ON audit_event (action, id);
CREATE TRIGGER audit_event_is_final_update BEFORE UPDATE ON audit_event
  BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END;
CREATE TRIGGER audit_event_is_final_delete BEFORE DELETE ON audit_event
  BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END;

-- Sums of an account by hour (its start in ms), kept as log rows are written. "errors" are answers of 400 and up.
-- The account '' is everybody: its rows are the sums of all accounts, so that no page adds up thousands of those.
-- Calls that reached no channel are summed up under the model '', since callers may write anything for one.
CREATE TABLE usage_hour (
  account_id          TEXT NOT NULL,
  hour                INTEGER NOT NULL,
  model               TEXT NOT NULL,
  channel             TEXT NOT NULL,
  requests            INTEGER NOT NULL,
  errors              INTEGER NOT NULL,
  input_tokens        INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens  INTEGER NOT NULL,
  output_tokens       INTEGER NOT NULL,
  first_tokens        INTEGER NOT NULL,
  first_token_ms      INTEGER NOT NULL,
  cost_nano           INTEGER NOT NULL,
  PRIMARY KEY (account_id, hour, model, channel)
) STRICT, WITHOUT ROWID;

-- Sums of an account by UTC month and key, to name the keys that spend most.
CREATE TABLE usage_month (
  account_id TEXT NOT NULL,
  month      TEXT NOT NULL,
  key_id     TEXT NOT NULL,
  requests   INTEGER NOT NULL,
  cost_nano  INTEGER NOT NULL,
  PRIMARY KEY (account_id, month, key_id)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_hour
SELECT account_id, time / 3600000 * 3600000, IIF(channel <> '' OR cost_nano > 0, model, ''), channel, COUNT(*), SUM(status >= 400), SUM(input_tokens),
       SUM(cached_input_tokens), SUM(cache_write_tokens), SUM(output_tokens), COUNT(first_token_ms),
       COALESCE(SUM(first_token_ms), 0), SUM(cost_nano)
  FROM request_log GROUP BY 1, 2, 3, 4;

INSERT INTO usage_hour
SELECT '', hour, model, channel, SUM(requests), SUM(errors), SUM(input_tokens), SUM(cached_input_tokens),
       SUM(cache_write_tokens), SUM(output_tokens), SUM(first_tokens), SUM(first_token_ms), SUM(cost_nano)
  FROM usage_hour GROUP BY 1, 2, 3, 4;

INSERT INTO usage_month
SELECT account_id, strftime('%Y-%m', time / 1000, 'unixepoch'), key_id, COUNT(*), SUM(cost_nano)
  FROM request_log GROUP BY 1, 2, 3;

-- A page of an account's or a key's log is found and filtered within an index; so is where a key was used from.
CREATE INDEX request_log_by_account ON request_log (account_id, request_id, key_id, model, status, cost_nano);
DROP INDEX request_log_by_key;
CREATE INDEX request_log_by_key ON request_log (key_id, request_id, account_id, model, status, cost_nano, client_address);
CREATE INDEX request_log_failures ON request_log (channel, request_id) WHERE status >= 500;

-- Which person's account each top-up, code and adjustment moved: to find these few among a million charges.
CREATE TABLE credit (
  transfer_id TEXT NOT NULL PRIMARY KEY REFERENCES transfer (id),
  account_id  TEXT NOT NULL REFERENCES account (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_by_account ON credit (account_id, transfer_id);

INSERT INTO credit
SELECT t.id, p.account_id
  FROM account a JOIN posting p ON p.account_id = a.id JOIN transfer t ON t.id = p.transfer_id
 WHERE a.kind = 'user' AND t.kind <> 'usage';

-- Pages of everybody's keys, and the few keys whose rotation overlaps.
CREATE INDEX api_key_by_creation ON api_key (created_at, id);
CREATE INDEX key_secret_ending ON key_secret (expires_at, key_id) WHERE expires_at IS NOT NULL;

-- Whether prices changed, asked by every page that shows some.
CREATE INDEX change_by_noun ON change (noun, generation);
