-- Drafts that a person gives up, with what was charged on them. Nothing that is final is touched.

ALTER TABLE billing_run
  DROP CONSTRAINT billing_run_state,
  ADD CONSTRAINT billing_run_state CHECK (
    state IN ('running', 'stopped', 'done', 'discarded'));

-- The one thing that may happen to a charge: it is reversed, once. Whoever reverses it writes
-- nothing else. A charge goes with the draft that it is on; what it had taken back stands again,
-- once nothing takes it back any more.
CREATE OR REPLACE FUNCTION refuse_change_of_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM invoice WHERE id = OLD.invoice_id AND state = 'draft') THEN
      RETURN OLD;
    END IF;
  ELSIF OLD.reverses_id IS NULL AND OLD.is_reversed <> NEW.is_reversed
    AND (NEW.is_reversed OR NOT EXISTS (SELECT FROM charge WHERE reverses_id = OLD.id)) THEN
    OLD.is_reversed := NEW.is_reversed;
    IF NEW IS NOT DISTINCT FROM OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'rows of charge are never changed or deleted'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_append_only';
END $$;
