-- Billing in stages that many workers share; periods of any length; invoices to whoever pays.

-- How often is billed, and how a part of a period is counted.

ALTER TABLE contract_revision
  DROP CONSTRAINT contract_revision_billing_alignment,
  DROP CONSTRAINT contract_revision_billing_timing,
  ADD CONSTRAINT contract_revision_billing_alignment
    CHECK (billing_alignment IN ('calendar', 'anniversary')),
  ADD CONSTRAINT contract_revision_billing_timing CHECK (billing_timing IN ('advance', 'arrears')),
  ADD COLUMN billing_frequency text NOT NULL DEFAULT 'monthly'
    CONSTRAINT contract_revision_billing_frequency CHECK (billing_frequency IN (
      'weekly', 'fortnightly', 'monthly', 'quarterly', 'half_yearly', 'yearly')),
  -- Calendar: the day of the month on which periods begin.
  ADD COLUMN billing_day integer NOT NULL DEFAULT 1
    CONSTRAINT contract_revision_billing_day CHECK (billing_day BETWEEN 1 AND 31),
  -- Anniversary: the day from which periods are counted; the contract's first when none is said.
  ADD COLUMN billing_anchor_on date,
  ADD COLUMN billing_end_of_month boolean NOT NULL DEFAULT false,
  ADD COLUMN proration text NOT NULL DEFAULT 'actual'
    CONSTRAINT contract_revision_proration CHECK (proration IN (
      'actual', 'fixed_30', 'monthfixed_30', '30/360'));

-- A change of it is a change of what was charged.
DROP TRIGGER contract_revision_changes ON contract_revision;
CREATE TRIGGER contract_revision_changes AFTER UPDATE ON contract_revision
  FOR EACH ROW WHEN (
    (OLD.vat_mode, OLD.vat_percent, OLD.billing_alignment, OLD.billing_timing,
     OLD.billing_frequency, OLD.billing_day, OLD.billing_anchor_on, OLD.billing_end_of_month,
     OLD.proration) IS DISTINCT FROM
    (NEW.vat_mode, NEW.vat_percent, NEW.billing_alignment, NEW.billing_timing,
     NEW.billing_frequency, NEW.billing_day, NEW.billing_anchor_on, NEW.billing_end_of_month,
     NEW.proration))
  EXECUTE FUNCTION note_terms_restated();

-- Whoever bills a contract holds its row for update. Whoever changes what is owed comes by here:
-- it waits for the bill and sees what was charged, or the bill waits and sees what was changed.
CREATE OR REPLACE FUNCTION note_restated(changed_line uuid, changed_on date) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM
     FROM contract
    WHERE id = (SELECT contract_id FROM lease_line WHERE id = changed_line)
      FOR KEY SHARE;
  INSERT INTO restatement (line_id, from_on)
  SELECT changed_line, changed_on
   WHERE EXISTS (
     SELECT FROM charge
      WHERE line_id = changed_line
        AND upper(during) > changed_on
        AND fee_id IS NULL
        AND reverses_id IS NULL
        AND NOT is_reversed);
END $$;

-- Runs.

ALTER TABLE billing_run
  DROP CONSTRAINT billing_run_once,
  DROP CONSTRAINT billing_run_finished,
  DROP CONSTRAINT billing_run_state,
  ADD COLUMN as_of date,
  -- A run by hand may be for one who pays; for all, when none is named.
  ADD COLUMN buyer_id uuid REFERENCES party (id),
  ADD COLUMN stopped_because text,
  ADD COLUMN approved_by text,
  ADD COLUMN max_invoices integer NOT NULL DEFAULT 100000
    CONSTRAINT billing_run_max_invoices CHECK (max_invoices > 0);

UPDATE billing_run
   SET as_of = upper(period);

ALTER TABLE billing_run
  ALTER COLUMN as_of SET NOT NULL,
  DROP COLUMN period,
  ADD CONSTRAINT billing_run_once UNIQUE NULLS NOT DISTINCT (as_of, buyer_id),
  ADD CONSTRAINT billing_run_state CHECK (state IN ('running', 'stopped', 'done')),
  ADD CONSTRAINT billing_run_finished CHECK ((finished_at IS NOT NULL) = (state = 'done')),
  ADD CONSTRAINT billing_run_stopped CHECK ((stopped_because IS NOT NULL) = (state = 'stopped'));

-- The stages of a run, in order, with what was counted.
CREATE TABLE billing_stage (
  run_id uuid NOT NULL REFERENCES billing_run (id),
  stage text NOT NULL
    CONSTRAINT billing_stage_stage CHECK (stage IN (
      'plan', 'rate', 'draft', 'review', 'finalise', 'deliver')),
  state text NOT NULL DEFAULT 'running'
    CONSTRAINT billing_stage_state CHECK (state IN ('running', 'done')),
  -- Contracts in the first two stages, invoices in the others.
  total integer NOT NULL DEFAULT 0,
  done integer NOT NULL DEFAULT 0,
  charges bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  CONSTRAINT billing_stage_once PRIMARY KEY (run_id, stage),
  CONSTRAINT billing_stage_finished CHECK ((finished_at IS NOT NULL) = (state = 'done'))
);

-- Work of a stage that one worker does in one transaction. A claim that was not kept until its
-- time is anybody's.
CREATE TABLE billing_chunk (
  run_id uuid NOT NULL REFERENCES billing_run (id),
  stage text NOT NULL,
  number integer NOT NULL,
  -- Contracts to rate, or invoices, in order.
  ids uuid[] NOT NULL
    CONSTRAINT billing_chunk_not_empty CHECK (cardinality(ids) > 0),
  state text NOT NULL DEFAULT 'pending'
    CONSTRAINT billing_chunk_state CHECK (state IN ('pending', 'done')),
  attempts integer NOT NULL DEFAULT 0,
  claimed_by text,
  claimed_until timestamptz,
  CONSTRAINT billing_chunk_once PRIMARY KEY (run_id, stage, number),
  CONSTRAINT billing_chunk_claimed CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);

CREATE INDEX billing_chunk_pending ON billing_chunk (run_id, stage, number) WHERE state = 'pending';

-- Invoices: to the party that pays, of the party that leases, numbered for each seller.

DROP POLICY invoice_own ON invoice;

ALTER TABLE invoice RENAME COLUMN lessee_id TO buyer_id;
ALTER TABLE invoice RENAME CONSTRAINT invoice_lessee_id_fkey TO invoice_buyer_id_fkey;
ALTER TABLE invoice
  DROP CONSTRAINT invoice_once,
  DROP CONSTRAINT invoice_number_once,
  DROP CONSTRAINT invoice_final_is_complete,
  ALTER COLUMN run_id DROP NOT NULL,
  ADD COLUMN seller_id uuid REFERENCES party (id),
  ADD COLUMN kind text NOT NULL DEFAULT 'invoice'
    CONSTRAINT invoice_kind CHECK (kind IN ('invoice', 'credit_note')),
  -- The invoice that a credit note takes back whole.
  ADD COLUMN credits_id uuid
    CONSTRAINT invoice_credited_once UNIQUE
    REFERENCES invoice (id),
  ADD COLUMN reason text,
  -- Why a draft waits for a person.
  ADD COLUMN held_because text,
  ADD COLUMN approved_by text,
  ADD CONSTRAINT invoice_credits_what_it_names CHECK (
    (credits_id IS NULL OR kind = 'credit_note') AND (credits_id IS NULL OR reason IS NOT NULL)),
  ADD CONSTRAINT invoice_credit_note_credits CHECK (kind = 'invoice' OR total_amount <= 0),
  ADD CONSTRAINT invoice_held_is_a_draft CHECK (held_because IS NULL OR state = 'draft'),
  ADD CONSTRAINT invoice_amounts_together CHECK (
    (net_amount IS NULL) = (total_amount IS NULL) AND (vat_amount IS NULL) = (total_amount IS NULL)),
  ADD CONSTRAINT invoice_final_is_complete CHECK (
    (state = 'final') = (number IS NOT NULL)
    AND (state = 'final') = (issued_on IS NOT NULL)
    AND (state = 'final') = (due_on IS NOT NULL)
    AND (state = 'final') <= (total_amount IS NOT NULL)
    AND (state = 'final') = (finalised_at IS NOT NULL));

CREATE UNIQUE INDEX invoice_number_once ON invoice (seller_id, number) NULLS NOT DISTINCT
 WHERE number IS NOT NULL;
-- One draft of a run for each who pays; what is retried after it was final is on another.
CREATE UNIQUE INDEX invoice_draft_once ON invoice (run_id, seller_id, buyer_id, currency)
  NULLS NOT DISTINCT
 WHERE state = 'draft' AND held_because IS NULL AND run_id IS NOT NULL;
CREATE INDEX invoice_by_buyer ON invoice (buyer_id, id);

CREATE POLICY invoice_own ON invoice FOR SELECT TO leasing_customer
  USING (buyer_id = current_setting('leasing.party')::uuid AND state = 'final');

ALTER TABLE invoice_series
  DROP CONSTRAINT invoice_series_pkey,
  ADD COLUMN seller_id uuid REFERENCES party (id),
  ADD CONSTRAINT invoice_series_once UNIQUE NULLS NOT DISTINCT (seller_id, series, year);

-- What the charges of a draft come to, by what account and tax depend on.
CREATE TABLE invoice_sum (
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  kind text NOT NULL,
  vat_mode text NOT NULL,
  vat_percent numeric(5, 2) NOT NULL,
  charges integer NOT NULL,
  amount bigint NOT NULL,
  CONSTRAINT invoice_sum_once PRIMARY KEY (invoice_id, kind, vat_mode, vat_percent)
);

-- What became of each contract in a run.
CREATE TABLE billing_item (
  run_id uuid NOT NULL REFERENCES billing_run (id),
  contract_id uuid NOT NULL REFERENCES contract (id),
  invoice_id uuid REFERENCES invoice (id) ON DELETE SET NULL,
  -- The whole period that is due; the day on which it is, is the run's or before it.
  from_on date NOT NULL,
  to_on date NOT NULL,
  billing_on date NOT NULL,
  state text NOT NULL DEFAULT 'pending'
    CONSTRAINT billing_item_state CHECK (state IN (
      'pending', 'done', 'skipped', 'failed', 'parked')),
  attempts integer NOT NULL DEFAULT 0,
  charges integer NOT NULL DEFAULT 0,
  code text,
  reason text,
  CONSTRAINT billing_item_once PRIMARY KEY (run_id, contract_id),
  CONSTRAINT billing_item_period CHECK (from_on < to_on),
  CONSTRAINT billing_item_says_why CHECK (
    (state IN ('failed', 'parked')) = (code IS NOT NULL) AND (code IS NULL) = (reason IS NULL))
) WITH (fillfactor = 70);

CREATE INDEX billing_item_by_contract ON billing_item (contract_id, billing_on);
CREATE INDEX billing_item_by_invoice ON billing_item (invoice_id);
CREATE INDEX billing_item_trouble ON billing_item (run_id, state)
 WHERE state IN ('failed', 'parked');

-- Lines that are not billed while their pack's records contradict each other.
CREATE TABLE billing_hold (
  run_id uuid NOT NULL REFERENCES billing_run (id),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  code text NOT NULL
    CONSTRAINT billing_hold_code CHECK (code IN (
      'custody_elsewhere', 'custody_missing', 'missing_fact')),
  reason text NOT NULL,
  CONSTRAINT billing_hold_once PRIMARY KEY (run_id, line_id, code)
);

CREATE INDEX custody_by_line ON custody (line_id) WHERE state = 'leased';

CREATE TABLE invoice_delivery (
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  channel text NOT NULL
    CONSTRAINT invoice_delivery_channel CHECK (channel IN ('portal')),
  delivered_at timestamptz NOT NULL,
  CONSTRAINT invoice_delivery_once PRIMARY KEY (invoice_id, channel)
);

-- Charges of any component and period.

ALTER TABLE charge RENAME COLUMN month_days TO period_days;
ALTER TABLE charge RENAME COLUMN rent_amount TO price_amount;
ALTER TABLE charge
  DROP CONSTRAINT charge_component,
  DROP CONSTRAINT charge_fee_of_its_component,
  DROP CONSTRAINT charge_rent_of_a_month,
  ADD COLUMN quantity numeric,
  ADD COLUMN unit_price numeric,
  -- How it was worked out and what it rests on, for what is more than days of a price.
  ADD COLUMN detail jsonb,
  -- What sort of charge the component is; a price plan may have several of one.
  ADD COLUMN kind text NOT NULL DEFAULT 'rent'
    CONSTRAINT charge_kind CHECK (kind IN (
      'rent', 'service', 'capacity', 'throughput', 'cycles', 'distance', 'minimum', 'maximum',
      'availability', 'sharing', 'region', 'one_off', 'early_termination', 'buy_out', 'loss',
      'damage', 'adjustment')),
  -- How many times these days were charged: a correction is the next.
  ADD COLUMN revision smallint NOT NULL DEFAULT 1
    CONSTRAINT charge_revision CHECK (revision > 0),
  ADD CONSTRAINT charge_component CHECK (component ~ '^[a-z][a-z0-9_]{0,39}$'),
  ADD CONSTRAINT charge_rent_has_its_price CHECK (
    kind <> 'rent' OR (period_days IS NOT NULL AND price_amount IS NOT NULL));

-- Rows from before count as they were charged.
ALTER TABLE charge DISABLE TRIGGER charge_append_only;
UPDATE charge
   SET kind = component
 WHERE component <> 'rent';
UPDATE charge
   SET revision = counted.revision
  FROM (SELECT id, row_number() OVER (
                 PARTITION BY line_id, component, lower(during) ORDER BY id) AS revision
          FROM charge
         WHERE reverses_id IS NULL) AS counted
 WHERE counted.id = charge.id
   AND counted.revision > 1;
ALTER TABLE charge ENABLE TRIGGER charge_append_only;

ALTER TABLE charge
  ADD CONSTRAINT charge_fee_of_its_kind CHECK (
    (fee_id IS NOT NULL)
      = (kind IN ('early_termination', 'buy_out', 'loss', 'damage', 'adjustment')));

DROP INDEX charge_by_line;
-- Also finds to which day a line was billed.
CREATE UNIQUE INDEX charge_once ON charge (line_id, component, lower(during), revision)
 WHERE reverses_id IS NULL AND fee_id IS NULL;

-- The one thing that may happen to a charge: it is reversed, once. Whoever reverses it writes
-- nothing else.
CREATE OR REPLACE FUNCTION refuse_change_of_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NOT OLD.is_reversed AND NEW.is_reversed AND OLD.reverses_id IS NULL THEN
    OLD.is_reversed := true;
    IF NEW IS NOT DISTINCT FROM OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'rows of charge are never changed or deleted'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_append_only';
END $$;

-- A fee may be below nothing when it puts something right.
ALTER TABLE fee
  DROP CONSTRAINT fee_component,
  DROP CONSTRAINT fee_positive,
  ADD COLUMN charge_id uuid REFERENCES charge (id),
  ADD CONSTRAINT fee_component CHECK (component IN (
    'early_termination', 'buy_out', 'loss', 'damage', 'adjustment')),
  ADD CONSTRAINT fee_positive CHECK (amount > 0 OR (component = 'adjustment' AND amount <> 0)),
  ADD CONSTRAINT fee_adjusts_a_charge CHECK ((component = 'adjustment') = (charge_id IS NOT NULL));

CREATE INDEX fee_by_contract ON fee (contract_id);

-- A finished stage of a final invoice is not worked on.
CREATE FUNCTION refuse_sum_of_final_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM invoice
              WHERE id = coalesce(NEW.invoice_id, OLD.invoice_id) AND state = 'final') THEN
    RAISE EXCEPTION 'the sums of a final invoice are not changed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN COALESCE(NEW, OLD);
END $$;

CREATE TRIGGER invoice_sum_of_a_draft BEFORE UPDATE OR DELETE ON invoice_sum
  FOR EACH ROW EXECUTE FUNCTION refuse_sum_of_final_invoice();

-- Timelines name who an invoice is for.

CREATE OR REPLACE FUNCTION subjects_of(aggregate text, aggregate_id uuid, facts jsonb, on_day date)
RETURNS TABLE (kind text, subject_id uuid, party_id uuid)
LANGUAGE sql STABLE AS $$
  SELECT 'contract', contract.id, contract.lessee_id
    FROM contract
   WHERE aggregate = 'contract'
     AND contract.id = aggregate_id
   UNION ALL
  SELECT 'site', site.id, site.party_id
    FROM site
   WHERE aggregate = 'site'
     AND site.id = aggregate_id
   UNION ALL
  SELECT 'pack', aggregate_id, NULL
   WHERE aggregate = 'pack'
   UNION ALL
  SELECT 'contract', lease_line.contract_id, lease_line.lessee_id
    FROM lease_line
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
   UNION ALL
  SELECT 'site', place.site_id, lease_line.lessee_id
    FROM lease_line
    JOIN LATERAL (
           SELECT line_revision.site_id
             FROM line_revision
            WHERE line_revision.line_id = lease_line.id
              AND lower(line_revision.during) <= greatest(on_day, lease_line.from_on)
            ORDER BY lower(line_revision.during) DESC
            LIMIT 1) AS place ON true
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
   UNION ALL
  SELECT 'site', (facts ->> 'from_site_id')::uuid, lease_line.lessee_id
    FROM lease_line
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND facts ? 'from_site_id'
   UNION ALL
  SELECT 'pack', placement.pack_id, lease_line.lessee_id
    FROM lease_line
    JOIN placement ON placement.line_id = lease_line.id
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND placement.during @> on_day
   UNION ALL
  SELECT 'pack', (facts ->> named.key)::uuid, lease_line.lessee_id
    FROM lease_line
    CROSS JOIN unnest(ARRAY['pack_id', 'pack_out']) AS named (key)
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND facts ->> named.key IS NOT NULL
   UNION ALL
  SELECT 'contract', charge.contract_id, invoice.buyer_id
    FROM invoice
    JOIN charge ON charge.invoice_id = invoice.id
   WHERE aggregate = 'invoice'
     AND invoice.id = aggregate_id
   UNION ALL
  SELECT 'pack', routing.pack_id, routing.recycler_id
    FROM routing
   WHERE aggregate = 'routing'
     AND routing.id = aggregate_id;
$$;

GRANT SELECT ON billing_stage, billing_item, billing_hold TO leasing_auditor;
ALTER TABLE billing_stage ENABLE ROW LEVEL SECURITY;
CREATE POLICY billing_stage_audit ON billing_stage FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE billing_chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY billing_item_audit ON billing_item FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE billing_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY billing_hold_audit ON billing_hold FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE invoice_sum ENABLE ROW LEVEL SECURITY;
CREATE POLICY invoice_sum_own ON invoice_sum FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id));
CREATE POLICY invoice_sum_audit ON invoice_sum FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON invoice_sum TO leasing_customer, leasing_auditor;

ALTER TABLE invoice_delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY invoice_delivery_own ON invoice_delivery FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id));
CREATE POLICY invoice_delivery_audit ON invoice_delivery FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON invoice_delivery TO leasing_customer, leasing_auditor;
