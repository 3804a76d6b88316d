-- VAT in what is owed beside a price (价外费用): late interest, fees of dunning. It is taxed at the
-- rates of the invoice on whose account it is owed, and the tax is in it, unless something else was
-- said of the day.

CREATE TABLE ancillary_vat (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  -- Of what is charged from this day on.
  from_on date NOT NULL
    CONSTRAINT ancillary_vat_once UNIQUE,
  taxed boolean NOT NULL,
  reason text NOT NULL
    CONSTRAINT ancillary_vat_reason_not_blank CHECK (btrim(reason) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL
);

CREATE TRIGGER ancillary_vat_append_only BEFORE UPDATE OR DELETE ON ancillary_vat
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE ancillary_vat ENABLE ROW LEVEL SECURITY;
CREATE POLICY ancillary_vat_audit ON ancillary_vat FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON ancillary_vat TO leasing_auditor;

-- Of an invoice the invoice says it. What was owed beside one until now was charged without.
ALTER TABLE receivable ADD COLUMN vat_amount bigint;
UPDATE receivable SET vat_amount = 0 WHERE kind <> 'invoice';
ALTER TABLE receivable ADD CONSTRAINT receivable_vat CHECK (
  (kind = 'invoice') = (vat_amount IS NULL)
  AND vat_amount BETWEEN least(amount, 0) AND greatest(amount, 0));

CREATE OR REPLACE FUNCTION refuse_change_of_receivable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE'
     AND (NEW.id, NEW.kind, NEW.invoice_id, NEW.number, NEW.party_id, NEW.currency, NEW.issued_on,
          NEW.due_on, NEW.amount) IS NOT DISTINCT FROM
         (OLD.id, OLD.kind, OLD.invoice_id, OLD.number, OLD.party_id, OLD.currency, OLD.issued_on,
          OLD.due_on, OLD.amount)
     AND NEW.vat_amount IS NOT DISTINCT FROM OLD.vat_amount THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'what is owed is settled, and never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'receivable_fixed';
END $$;
