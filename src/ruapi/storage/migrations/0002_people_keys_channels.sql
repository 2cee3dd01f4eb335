-- Who may spend, with what, and through which provider. Instants: milliseconds since the epoch, UTC.

CREATE TABLE users (
  id            TEXT NOT NULL PRIMARY KEY,
  email         TEXT NOT NULL UNIQUE,
  role          TEXT NOT NULL CHECK (role IN ('admin', 'member')),
  status        TEXT NOT NULL CHECK (status IN ('active', 'frozen')),
  account_id    TEXT NOT NULL UNIQUE REFERENCES account (id),
  password_hash TEXT,
  created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
  id                   TEXT NOT NULL PRIMARY KEY,
  user_id              TEXT NOT NULL REFERENCES users (id),
  account_id           TEXT NOT NULL REFERENCES account (id),
  name                 TEXT NOT NULL,
  status               TEXT NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
  last4                TEXT NOT NULL,
  expires_at           INTEGER,
  limit_nano           INTEGER CHECK (limit_nano >= 0),
  limit_reset          TEXT NOT NULL DEFAULT 'never' CHECK (limit_reset IN ('never', 'daily', 'weekly', 'monthly')),
  models               TEXT NOT NULL DEFAULT '[]',
  max_per_request_nano INTEGER CHECK (max_per_request_nano >= 0),
  requests_per_minute  INTEGER,
  tokens_per_minute    INTEGER,
  concurrency          INTEGER,
  allowed_ips          TEXT NOT NULL DEFAULT '[]',
  browser_use          INTEGER NOT NULL DEFAULT 0,
  strict_losses        INTEGER NOT NULL DEFAULT 0,
  note                 TEXT NOT NULL DEFAULT '',
  created_at           INTEGER NOT NULL,
  last_used_at         INTEGER,
  deleted_at           INTEGER
) STRICT;
CREATE INDEX api_key_by_user ON api_key (user_id, created_at);

-- A rotated key has two working secrets until the grace of the older one ends.
CREATE TABLE key_secret (
  digest         BLOB NOT NULL PRIMARY KEY,
  key_id         TEXT NOT NULL REFERENCES api_key (id),
  last4          TEXT NOT NULL,
  pepper_version INTEGER NOT NULL,
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER,
  last_used_at   INTEGER
) STRICT;
CREATE INDEX key_secret_by_key ON key_secret (key_id);

CREATE TABLE channel (
  id                    TEXT NOT NULL PRIMARY KEY,
  name                  TEXT NOT NULL UNIQUE,
  kind                  TEXT NOT NULL,
  base_url              TEXT NOT NULL,
  secret_sealed         BLOB NOT NULL,
  status                TEXT NOT NULL CHECK (status IN ('active', 'paused')),
  priority              INTEGER NOT NULL DEFAULT 0,
  weight                INTEGER NOT NULL DEFAULT 1 CHECK (weight > 0),
  allow_private_address INTEGER NOT NULL DEFAULT 0,
  models                TEXT NOT NULL DEFAULT '[]',
  created_at            INTEGER NOT NULL
) STRICT;

CREATE TABLE model (
  id                TEXT NOT NULL PRIMARY KEY,
  provider          TEXT NOT NULL,
  display_name      TEXT NOT NULL,
  context_tokens    INTEGER,
  output_tokens_max INTEGER,
  input_modalities  TEXT NOT NULL DEFAULT '["text"]',
  output_modalities TEXT NOT NULL DEFAULT '["text"]',
  source            TEXT NOT NULL,
  source_date       TEXT NOT NULL,
  created_at        INTEGER NOT NULL
) STRICT;

-- Immutable; the newest one of an operator that is effective wins over the newest of a catalogue.
CREATE TABLE price_version (
  id             TEXT NOT NULL PRIMARY KEY,
  model          TEXT NOT NULL REFERENCES model (id),
  rates          BLOB NOT NULL,
  source         TEXT NOT NULL,
  source_date    TEXT NOT NULL,
  effective_from INTEGER NOT NULL,
  created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX price_version_by_model ON price_version (model, effective_from);

CREATE TABLE code (
  id          TEXT NOT NULL PRIMARY KEY,
  digest      BLOB NOT NULL UNIQUE,
  last4       TEXT NOT NULL,
  value_nano  INTEGER NOT NULL CHECK (value_nano > 0),
  status      TEXT NOT NULL CHECK (status IN ('active', 'redeemed', 'disabled')),
  batch       TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER,
  redeemed_at INTEGER,
  redeemed_by TEXT REFERENCES users (id)
) STRICT;
