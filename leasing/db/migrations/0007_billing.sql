-- Ledger, runs, invoices and charges. Money is in whole minor units of its currency.

CREATE TABLE journal_entry (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  source text NOT NULL,
  source_id uuid NOT NULL,
  event text NOT NULL,
  currency text NOT NULL
    CONSTRAINT journal_entry_currency CHECK (currency ~ '^[A-Z]{3}$'),
  posted_on date NOT NULL,
  CONSTRAINT journal_entry_once UNIQUE (source_id, source, event)
);

CREATE TABLE posting (
  entry_id uuid NOT NULL REFERENCES journal_entry (id),
  account text NOT NULL
    CONSTRAINT posting_account CHECK (account IN ('receivable', 'revenue_rent', 'vat_output')),
  party_id uuid NOT NULL REFERENCES party (id),
  -- Debit is positive, credit negative.
  amount bigint NOT NULL
    CONSTRAINT posting_not_zero CHECK (amount <> 0),
  CONSTRAINT posting_once PRIMARY KEY (entry_id, account, party_id)
);

CREATE FUNCTION refuse_unbalanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  balance numeric;
BEGIN
  SELECT sum(amount) INTO balance FROM posting WHERE entry_id = NEW.entry_id;
  IF balance <> 0 THEN
    RAISE EXCEPTION 'journal entry % is out of balance by %', NEW.entry_id, balance
      USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_entry_balances';
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER posting_entry_balances AFTER INSERT ON posting
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_entry();

CREATE TRIGGER posting_append_only BEFORE UPDATE OR DELETE ON posting
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_entry_append_only BEFORE UPDATE OR DELETE ON journal_entry
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE billing_run (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  period daterange NOT NULL
    CONSTRAINT billing_run_period CHECK (NOT isempty(period)),
  state text NOT NULL DEFAULT 'running'
    CONSTRAINT billing_run_state CHECK (state IN ('running', 'done')),
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  CONSTRAINT billing_run_once UNIQUE (period),
  CONSTRAINT billing_run_finished CHECK ((finished_at IS NOT NULL) = (state = 'done'))
);

-- One invoice per customer, currency and period. It has no number until it is final.
CREATE TABLE invoice (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  run_id uuid NOT NULL REFERENCES billing_run (id),
  lessee_id uuid NOT NULL REFERENCES party (id),
  currency text NOT NULL
    CONSTRAINT invoice_currency CHECK (currency ~ '^[A-Z]{3}$'),
  period daterange NOT NULL,
  state text NOT NULL DEFAULT 'draft'
    CONSTRAINT invoice_state CHECK (state IN ('draft', 'final')),
  number text
    CONSTRAINT invoice_number_once UNIQUE,
  issued_on date,
  due_on date,
  net_amount bigint,
  vat_amount bigint,
  total_amount bigint,
  finalised_at timestamptz,
  CONSTRAINT invoice_once UNIQUE (lessee_id, period, currency),
  CONSTRAINT invoice_final_is_complete CHECK (
    (state = 'final') = (number IS NOT NULL)
    AND (state = 'final') = (issued_on IS NOT NULL)
    AND (state = 'final') = (due_on IS NOT NULL)
    AND (state = 'final') = (net_amount IS NOT NULL)
    AND (state = 'final') = (vat_amount IS NOT NULL)
    AND (state = 'final') = (total_amount IS NOT NULL)
    AND (state = 'final') = (finalised_at IS NOT NULL)),
  CONSTRAINT invoice_adds_up CHECK (total_amount = net_amount + vat_amount)
);

CREATE INDEX invoice_by_run ON invoice (run_id, state);

-- VAT is worked out once per rate, on the sum of the lines at that rate (EN 16931 BR-CO-17).
CREATE TABLE invoice_vat (
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  vat_percent numeric(5, 2) NOT NULL,
  net_amount bigint NOT NULL,
  vat_amount bigint NOT NULL,
  CONSTRAINT invoice_vat_once PRIMARY KEY (invoice_id, vat_percent)
);

-- Counter of a series and year; its row is locked only while an invoice becomes final.
CREATE TABLE invoice_series (
  series text NOT NULL,
  year integer NOT NULL,
  last_number integer NOT NULL
    CONSTRAINT invoice_series_positive CHECK (last_number >= 0),
  PRIMARY KEY (series, year)
);

-- What one line owes for one stretch of days with one pack in it.
CREATE TABLE charge (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  contract_id uuid NOT NULL,
  site_id uuid NOT NULL,
  pack_id uuid NOT NULL,
  component text NOT NULL
    CONSTRAINT charge_component CHECK (component IN ('rent')),
  during daterange NOT NULL
    CONSTRAINT charge_during CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
  month_days integer NOT NULL,
  rent_amount bigint NOT NULL,
  amount bigint NOT NULL,
  vat_percent numeric(5, 2) NOT NULL,
  -- A second bill for the same days is impossible, whoever writes it.
  CONSTRAINT charge_days_once UNIQUE (line_id, component, during WITHOUT OVERLAPS)
);

CREATE INDEX charge_by_invoice ON charge (invoice_id, id);

CREATE FUNCTION refuse_change_of_final_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'final' THEN
    RAISE EXCEPTION 'invoice % is final', OLD.number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN COALESCE(NEW, OLD);
END $$;

CREATE TRIGGER invoice_final_is_immutable BEFORE UPDATE OR DELETE ON invoice
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_final_invoice();

CREATE TRIGGER charge_append_only BEFORE UPDATE OR DELETE ON charge
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER invoice_vat_append_only BEFORE UPDATE OR DELETE ON invoice_vat
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Nor is a charge added to an invoice that is final.
CREATE FUNCTION refuse_charge_on_final_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added JOIN invoice ON invoice.id = added.invoice_id WHERE invoice.state = 'final'
  ) THEN
    RAISE EXCEPTION 'a final invoice takes no further charge'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER charge_on_open_invoice AFTER INSERT ON charge
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_charge_on_final_invoice();

ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;
CREATE POLICY invoice_own ON invoice FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid AND state = 'final');
CREATE POLICY invoice_audit ON invoice FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON invoice TO leasing_customer, leasing_auditor;

ALTER TABLE invoice_vat ENABLE ROW LEVEL SECURITY;
CREATE POLICY invoice_vat_own ON invoice_vat FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id));
CREATE POLICY invoice_vat_audit ON invoice_vat FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON invoice_vat TO leasing_customer, leasing_auditor;

ALTER TABLE charge ENABLE ROW LEVEL SECURITY;
CREATE POLICY charge_own ON charge FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id));
CREATE POLICY charge_audit ON charge FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON charge TO leasing_customer, leasing_auditor;

ALTER TABLE posting ENABLE ROW LEVEL SECURITY;
CREATE POLICY posting_audit ON posting FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE journal_entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY journal_entry_audit ON journal_entry FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON posting, journal_entry, billing_run, invoice_series TO leasing_auditor;

-- A line that was billed to a day on a final invoice cannot have ended before it.
CREATE FUNCTION refuse_end_before_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM charge WHERE line_id = NEW.id AND upper(during) > NEW.ended_on) THEN
    RAISE EXCEPTION 'line % was billed beyond %', NEW.id, NEW.ended_on
      USING ERRCODE = 'check_violation', CONSTRAINT = 'lease_line_ends_after_billing';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER lease_line_ends_after_billing AFTER UPDATE OF ended_on ON lease_line
  FOR EACH ROW WHEN (NEW.ended_on IS NOT NULL)
  EXECUTE FUNCTION refuse_end_before_billing();
