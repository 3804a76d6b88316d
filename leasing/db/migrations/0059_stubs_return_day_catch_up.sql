-- What a contract says of broken ends of its term, of the day on which packs go back, and of periods
-- that were not billed in time. What was the rule of the house becomes what is agreed; all contracts
-- there are go on as before.

ALTER TABLE contract_revision
  ADD COLUMN first_stub text NOT NULL DEFAULT 'short'
    CONSTRAINT contract_revision_first_stub CHECK (first_stub IN ('short', 'long')),
  ADD COLUMN last_stub text NOT NULL DEFAULT 'short'
    CONSTRAINT contract_revision_last_stub CHECK (last_stub IN ('short', 'long')),
  ADD COLUMN return_day text NOT NULL DEFAULT 'free'
    CONSTRAINT contract_revision_return_day CHECK (return_day IN ('free', 'billed')),
  ADD COLUMN catch_up text NOT NULL DEFAULT 'one_invoice'
    CONSTRAINT contract_revision_catch_up CHECK (catch_up IN ('one_invoice', 'invoice_each'));

-- Of these only the day of return changes what days cost.
DROP TRIGGER contract_revision_changes ON contract_revision;
CREATE TRIGGER contract_revision_changes AFTER UPDATE ON contract_revision
  FOR EACH ROW WHEN (
    (OLD.vat_mode, OLD.vat_percent, OLD.billing_alignment, OLD.billing_timing,
     OLD.billing_frequency, OLD.billing_day, OLD.billing_anchor_on, OLD.billing_end_of_month,
     OLD.proration, OLD.return_day) IS DISTINCT FROM
    (NEW.vat_mode, NEW.vat_percent, NEW.billing_alignment, NEW.billing_timing,
     NEW.billing_frequency, NEW.billing_day, NEW.billing_anchor_on, NEW.billing_end_of_month,
     NEW.proration, NEW.return_day))
  EXECUTE FUNCTION note_terms_restated();

-- Billing reads it of every contract of a run.
DROP INDEX contract_revision_of_contract;
CREATE INDEX contract_revision_of_contract ON contract_revision (contract_id, lower(during))
  INCLUDE (during, vat_mode, vat_percent, proration, last_stub, payment_days);

-- The first day after a contract's term, or none while it holds over.
CREATE FUNCTION contract_ends_on(of_contract uuid) RETURNS date
LANGUAGE sql STABLE
RETURN (
  SELECT nullif(max(coalesce(upper(during), 'infinity')), 'infinity')
    FROM contract_term
   WHERE contract_id = of_contract);

-- A period that was missed has a draft of its own beside that of the period that is due.
ALTER TABLE invoice ADD COLUMN missed_from date;

DROP INDEX invoice_draft_once;
CREATE UNIQUE INDEX invoice_draft_once
  ON invoice (run_id, seller_id, buyer_id, currency, missed_from) NULLS NOT DISTINCT
  WHERE state = 'draft' AND held_because IS NULL AND run_id IS NOT NULL;
