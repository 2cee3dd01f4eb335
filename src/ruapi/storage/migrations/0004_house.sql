-- The house's side of the books. Their balances may be negative: what users hold came from outside.
INSERT INTO account (id, kind, created_at) VALUES
  ('acc_revenue', 'revenue', 0), ('acc_platform_loss', 'platform_loss', 0),
  ('acc_external', 'external', 0), ('acc_promo', 'promo', 0);
INSERT INTO balance (account_id, kind) VALUES
  ('acc_revenue', 'revenue'), ('acc_platform_loss', 'platform_loss'),
  ('acc_external', 'external'), ('acc_promo', 'promo');

-- The books are append-only; a mistake is mended by another transfer.
CREATE TRIGGER transfer_is_final_update BEFORE UPDATE ON transfer
  BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
CREATE TRIGGER transfer_is_final_delete BEFORE DELETE ON transfer
  BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;
CREATE TRIGGER posting_is_final_update BEFORE UPDATE ON posting
  BEGIN SELECT RAISE(ABORT, 'postings are never changed'); END;
CREATE TRIGGER posting_is_final_delete BEFORE DELETE ON posting
  BEGIN SELECT RAISE(ABORT, 'postings are never deleted'); END;
CREATE TRIGGER price_version_is_final_update BEFORE UPDATE ON price_version
  BEGIN SELECT RAISE(ABORT, 'price versions are never changed'); END;
CREATE TRIGGER price_version_is_final_delete BEFORE DELETE ON price_version
  BEGIN SELECT RAISE(ABORT, 'price versions are never deleted'); END;
