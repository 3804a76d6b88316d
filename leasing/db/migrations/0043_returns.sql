-- Returns (退租): orders, the joint inspection by a form, the transport check, what a pack may become
-- afterwards, and the settlement as one statement. Burnt packs are a state of their own.

-- Fees at the end of a lease.

ALTER TABLE fee
  DROP CONSTRAINT fee_component,
  ADD CONSTRAINT fee_component CHECK (component IN (
    'early_termination', 'buy_out', 'loss', 'damage', 'adjustment', 'missing_parts',
    'capacity_shortfall', 'logistics'));

ALTER TABLE charge
  DROP CONSTRAINT charge_kind,
  DROP CONSTRAINT charge_fee_of_its_kind,
  ADD CONSTRAINT charge_kind CHECK (kind IN (
    'rent', 'service', 'capacity', 'throughput', 'cycles', 'distance', 'minimum', 'maximum',
    'availability', 'sharing', 'region', 'one_off', 'early_termination', 'buy_out', 'loss',
    'damage', 'adjustment', 'missing_parts', 'capacity_shortfall', 'logistics')),
  ADD CONSTRAINT charge_fee_of_its_kind CHECK (
    (fee_id IS NOT NULL) = (kind IN (
      'early_termination', 'buy_out', 'loss', 'damage', 'adjustment', 'missing_parts',
      'capacity_shortfall', 'logistics')));

-- Burnt: like a lost pack it leaves its line empty; its remains are with the lessor.

ALTER TABLE pack
  DROP CONSTRAINT pack_state,
  ADD CONSTRAINT pack_state CHECK (state IN (
    'in_stock', 'leased', 'returned', 'lost', 'burnt', 'sold', 'condemned', 'routed',
    'handed_over', 'recycled'));

ALTER TABLE custody
  DROP CONSTRAINT custody_state,
  ADD CONSTRAINT custody_state CHECK (state IN (
    'in_stock', 'leased', 'returned', 'lost', 'burnt', 'sold', 'condemned', 'routed',
    'handed_over', 'recycled'));

CREATE OR REPLACE FUNCTION custody_after(kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE kind
    WHEN 'pack.acquired' THEN 'in_stock'
    WHEN 'pack.commissioned' THEN 'leased'
    WHEN 'pack.swapped' THEN 'leased'
    WHEN 'pack.relocated' THEN 'leased'
    WHEN 'lease.transferred' THEN 'leased'
    WHEN 'pack.lost' THEN 'lost'
    WHEN 'pack.burnt' THEN 'burnt'
    WHEN 'pack.found' THEN 'returned'
    WHEN 'pack.returned' THEN 'returned'
    WHEN 'pack.sold' THEN 'sold'
    WHEN 'pack.reinstated' THEN 'in_stock'
    WHEN 'pack.repaired' THEN 'in_stock'
    WHEN 'waste.declared' THEN 'condemned'
    WHEN 'route.chosen' THEN 'routed'
    WHEN 'route.released' THEN 'condemned'
    WHEN 'waste.inbound' THEN 'handed_over'
    WHEN 'recycle.completed' THEN 'recycled'
  END;
$$;

ALTER TABLE incident
  DROP CONSTRAINT incident_kind,
  DROP CONSTRAINT incident_only_what_is_lost_is_found,
  ADD CONSTRAINT incident_kind CHECK (kind IN ('missing', 'stolen', 'damaged', 'burnt')),
  ADD CONSTRAINT incident_only_what_is_lost_is_found
    CHECK (found_on IS NULL OR kind IN ('missing', 'stolen')),
  ADD CONSTRAINT incident_identity UNIQUE (id, line_id, pack_id);

ALTER TABLE pack_return
  DROP CONSTRAINT pack_return_reason,
  ADD CONSTRAINT pack_return_reason
    CHECK (reason IN ('end_of_lease', 'swapped_out', 'suspended', 'found', 'burnt')),
  ADD CONSTRAINT pack_return_identity UNIQUE (id, line_id, pack_id);

-- A quarantine keeps nobody from writing down that the pack has burnt.
DROP TRIGGER pack_return_not_of_quarantined ON pack_return;
CREATE TRIGGER pack_return_not_of_quarantined BEFORE INSERT ON pack_return
  FOR EACH ROW WHEN (NEW.reason NOT IN ('found', 'burnt'))
  EXECUTE FUNCTION refuse_quarantined();

-- Forms of the joint inspection. Without one that is valid, the default of the code holds.

CREATE TABLE inspection_form (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  -- Both are those of the printed code; neither means every pack.
  maker text NOT NULL,
  model text NOT NULL,
  version integer NOT NULL
    CONSTRAINT inspection_form_version CHECK (version > 0),
  valid daterange NOT NULL
    CONSTRAINT inspection_form_valid_not_empty CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  name text NOT NULL
    CONSTRAINT inspection_form_name CHECK (btrim(name) <> ''),
  source text NOT NULL
    CONSTRAINT inspection_form_source CHECK (btrim(source) <> ''),
  checks jsonb NOT NULL,
  transport_checks jsonb NOT NULL
    CONSTRAINT inspection_form_transport_checks CHECK (jsonb_array_length(transport_checks) > 0),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT inspection_form_of_all_or_a_model CHECK ((maker = '') = (model = '')),
  CONSTRAINT inspection_form_version_once UNIQUE (maker, model, version),
  CONSTRAINT inspection_form_one_at_a_time UNIQUE (maker, model, valid WITHOUT OVERLAPS)
);

ALTER TABLE inspection
  -- The lease it came back from, and whose it was.
  ADD COLUMN line_id uuid REFERENCES lease_line (id),
  ADD COLUMN lessee_id uuid REFERENCES party (id),
  -- As the two sides found it; `hazard` is what it travels as.
  ADD COLUMN hazard_found text,
  ADD COLUMN form_id uuid REFERENCES inspection_form (id),
  -- Null when the sheet was not filled in by a form.
  ADD COLUMN form_version integer,
  ADD COLUMN answers jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN transport_answers jsonb NOT NULL DEFAULT '[]',
  -- Null when the check was not made.
  ADD COLUMN transport_passed boolean,
  ADD COLUMN photo_sha256 text[] NOT NULL DEFAULT '{}';

UPDATE inspection
   SET hazard_found = inspection.hazard,
       line_id = came.line_id,
       lessee_id = came.lessee_id
  FROM inspection AS sheet
  LEFT JOIN LATERAL (
         SELECT lease_line.id AS line_id, lease_line.lessee_id
           FROM pack_return
           JOIN lease_line ON lease_line.id = pack_return.line_id
          WHERE pack_return.pack_id = sheet.pack_id
            AND returned_on <= sheet.inspected_on
          ORDER BY returned_on DESC, pack_return.id DESC
          LIMIT 1) AS came ON true
 WHERE sheet.id = inspection.id;

ALTER TABLE inspection
  ALTER COLUMN hazard_found SET NOT NULL,
  ADD CONSTRAINT inspection_hazard_found
    CHECK (hazard_found IN ('intact', 'damaged', 'critical', 'unknown')),
  -- What nobody could judge travels as the worst.
  ADD CONSTRAINT inspection_unknown_is_the_worst CHECK (
    hazard = CASE hazard_found WHEN 'unknown' THEN 'critical' ELSE hazard_found END),
  ADD CONSTRAINT inspection_checked_by_a_form CHECK (
    (form_version IS NULL) = (transport_passed IS NULL)
    AND (form_id IS NULL OR form_version IS NOT NULL));

CREATE INDEX inspection_by_pack ON inspection (pack_id, inspected_on);
CREATE INDEX inspection_by_lessee ON inspection (lessee_id, id);

CREATE POLICY inspection_own ON inspection FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
GRANT SELECT ON inspection TO leasing_customer;

-- What was done about a failed check, and that shipper and consignee accept it.
CREATE TABLE transport_treatment (
  inspection_id uuid PRIMARY KEY,
  pack_id uuid NOT NULL,
  treated_on date NOT NULL,
  measures text NOT NULL
    CONSTRAINT transport_treatment_measures CHECK (btrim(measures) <> ''),
  document_sha256 text,
  shipper_signatory text NOT NULL
    CONSTRAINT transport_treatment_shipper_signed CHECK (btrim(shipper_signatory) <> ''),
  consignee_signatory text NOT NULL
    CONSTRAINT transport_treatment_consignee_signed CHECK (btrim(consignee_signatory) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT transport_treatment_of_its_inspection
    FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection (id, pack_id)
);

CREATE TRIGGER transport_treatment_append_only BEFORE UPDATE OR DELETE ON transport_treatment
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The newest sheet of a pack on which the transport check failed, if nothing was done about it.
CREATE FUNCTION failed_transport_check(asked_pack uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT newest.id
    FROM (SELECT id, transport_passed
            FROM inspection
           WHERE pack_id = asked_pack
             AND transport_passed IS NOT NULL
           ORDER BY inspected_on DESC, id DESC
           LIMIT 1) AS newest
   WHERE NOT newest.transport_passed
     AND NOT EXISTS (SELECT FROM transport_treatment WHERE inspection_id = newest.id);
$$;

CREATE FUNCTION refuse_unfit_for_transport() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  failed_id uuid;
BEGIN
  PERFORM FROM pack WHERE id = NEW.pack_id FOR SHARE;
  failed_id := failed_transport_check(NEW.pack_id);
  IF failed_id IS NOT NULL THEN
    RAISE EXCEPTION 'pack % failed its transport check', NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'transport_check_failed',
            TABLE = TG_TABLE_NAME,
            HINT = format('treat pack %s and let both sides accept inspection %s',
                          NEW.pack_id, failed_id);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER routing_only_of_fit BEFORE INSERT ON routing
  FOR EACH ROW EXECUTE FUNCTION refuse_unfit_for_transport();
CREATE TRIGGER routing_stays_of_fit BEFORE UPDATE OF state ON routing
  FOR EACH ROW WHEN (NEW.state = 'handed_over' AND OLD.state <> 'handed_over')
  EXECUTE FUNCTION refuse_unfit_for_transport();

-- Decisions. What was shown when it was taken stays with it.

ALTER TABLE disposition
  DROP CONSTRAINT disposition_decision,
  ADD CONSTRAINT disposition_decision
    CHECK (decision IN ('release', 'repair', 'dismantle', 'recycle')),
  ADD COLUMN proposed text
    CONSTRAINT disposition_proposed
      CHECK (proposed IN ('release', 'repair', 'dismantle', 'recycle')),
  ADD COLUMN options jsonb,
  ADD COLUMN repaired_on date,
  ADD CONSTRAINT disposition_repaired CHECK (repaired_on IS NULL OR decision = 'repair'),
  ADD CONSTRAINT disposition_repaired_afterwards CHECK (repaired_on >= decided_on);

-- From which share of its rated capacity on a pack may be leased again or repaired, by days.
CREATE TABLE disposition_band (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  permitted_use text NOT NULL,
  valid daterange NOT NULL
    CONSTRAINT disposition_band_valid_not_empty
      CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  release_from_percent numeric(5, 2) NOT NULL
    CONSTRAINT disposition_band_release CHECK (release_from_percent BETWEEN 0 AND 100),
  repair_from_percent numeric(5, 2) NOT NULL
    CONSTRAINT disposition_band_repair CHECK (repair_from_percent BETWEEN 0 AND 100),
  source text NOT NULL
    CONSTRAINT disposition_band_source CHECK (btrim(source) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT disposition_band_repair_below_release
    CHECK (repair_from_percent <= release_from_percent),
  CONSTRAINT disposition_band_one_at_a_time UNIQUE (permitted_use, valid WITHOUT OVERLAPS)
);

-- Return orders (退租单).

CREATE TABLE return_order (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  contract_id uuid NOT NULL REFERENCES contract (id),
  lessee_id uuid NOT NULL REFERENCES party (id),
  mode text NOT NULL
    CONSTRAINT return_order_mode CHECK (mode IN ('pick_up', 'drop_off')),
  place text NOT NULL
    CONSTRAINT return_order_place CHECK (btrim(place) <> ''),
  contact_name text NOT NULL,
  contact_phone text NOT NULL,
  reason text NOT NULL,
  state text NOT NULL DEFAULT 'ordered'
    CONSTRAINT return_order_state CHECK (state IN (
      'ordered', 'scheduled', 'collected', 'arrived', 'inspected', 'settled', 'cancelled')),
  planned_on date,
  collected_on date,
  arrived_on date,
  settled_on date,
  cancel_reason text,
  ordered_by text NOT NULL,
  ordered_at timestamptz NOT NULL,
  CONSTRAINT return_order_identity UNIQUE (id, contract_id),
  CONSTRAINT return_order_scheduled CHECK (
    state IN ('ordered', 'cancelled') OR planned_on IS NOT NULL),
  CONSTRAINT return_order_collected CHECK (
    (state NOT IN ('ordered', 'scheduled', 'cancelled') AND mode = 'pick_up')
      = (collected_on IS NOT NULL)),
  CONSTRAINT return_order_arrived CHECK (
    (state IN ('arrived', 'inspected', 'settled')) = (arrived_on IS NOT NULL)),
  CONSTRAINT return_order_arrived_afterwards CHECK (arrived_on >= collected_on),
  CONSTRAINT return_order_settled CHECK ((state = 'settled') = (settled_on IS NOT NULL)),
  CONSTRAINT return_order_cancelled CHECK ((state = 'cancelled') = (cancel_reason IS NOT NULL))
);

CREATE INDEX return_order_by_contract ON return_order (contract_id, id);
CREATE INDEX return_order_by_lessee ON return_order (lessee_id, id);

-- A pack that is to come back, and what became of that: it did, or it was not there any more.
CREATE TABLE return_order_item (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  order_id uuid NOT NULL,
  contract_id uuid NOT NULL,
  line_id uuid NOT NULL REFERENCES lease_line (id),
  lessee_id uuid NOT NULL REFERENCES party (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  is_open boolean NOT NULL DEFAULT true,
  result text
    CONSTRAINT return_order_item_result CHECK (result IN ('returned', 'missing', 'stolen', 'burnt')),
  resulted_on date,
  return_id uuid,
  incident_id uuid,
  inspection_id uuid,
  CONSTRAINT return_order_item_of_its_contract
    FOREIGN KEY (order_id, contract_id) REFERENCES return_order (id, contract_id),
  CONSTRAINT return_order_item_line_of_the_contract
    FOREIGN KEY (line_id, contract_id, lessee_id)
    REFERENCES lease_line (id, contract_id, lessee_id),
  CONSTRAINT return_order_item_returned
    FOREIGN KEY (return_id, line_id, pack_id) REFERENCES pack_return (id, line_id, pack_id),
  CONSTRAINT return_order_item_befell
    FOREIGN KEY (incident_id, line_id, pack_id) REFERENCES incident (id, line_id, pack_id),
  CONSTRAINT return_order_item_inspected
    FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection (id, pack_id),
  CONSTRAINT return_order_item_has_its_evidence CHECK (
    (result IS NULL) = (resulted_on IS NULL)
    AND (result IS NOT DISTINCT FROM 'returned') = (return_id IS NOT NULL)
    AND (result IS NOT NULL AND result <> 'returned') = (incident_id IS NOT NULL)
    AND (result IS NULL OR NOT is_open)),
  CONSTRAINT return_order_item_once UNIQUE (order_id, line_id)
);

-- A line comes back by one order at a time.
CREATE UNIQUE INDEX return_order_item_line_once ON return_order_item (line_id) WHERE is_open;
CREATE INDEX return_order_item_by_line ON return_order_item (line_id);
CREATE INDEX return_order_item_by_pack ON return_order_item (pack_id);

-- The settlement of an order (退租结算单): the statement as it was posted, and where it went.
CREATE TABLE return_settlement (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  order_id uuid NOT NULL
    CONSTRAINT return_settlement_once UNIQUE,
  contract_id uuid NOT NULL,
  lessee_id uuid NOT NULL REFERENCES party (id),
  settled_on date NOT NULL,
  currency text NOT NULL
    CONSTRAINT return_settlement_currency CHECK (currency ~ '^[A-Z]{3}$'),
  owed_amount bigint NOT NULL,
  counter_claim_amount bigint NOT NULL
    CONSTRAINT return_settlement_counter_claim CHECK (counter_claim_amount >= 0),
  deposit_used_amount bigint NOT NULL
    CONSTRAINT return_settlement_deposit_used CHECK (deposit_used_amount >= 0),
  balance_amount bigint NOT NULL,
  statement jsonb NOT NULL,
  -- What is owed, and the payment by which what we owe was set off against it.
  invoice_id uuid REFERENCES invoice (id),
  payment_id uuid REFERENCES payment (id),
  posted_by text NOT NULL,
  posted_at timestamptz NOT NULL,
  CONSTRAINT return_settlement_adds_up CHECK (
    balance_amount = owed_amount - counter_claim_amount - deposit_used_amount),
  CONSTRAINT return_settlement_of_its_order
    FOREIGN KEY (order_id, contract_id) REFERENCES return_order (id, contract_id)
);

CREATE INDEX return_settlement_by_lessee ON return_settlement (lessee_id, id);
CREATE TRIGGER return_settlement_append_only BEFORE UPDATE OR DELETE ON return_settlement
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

INSERT INTO account (code, kind, name, name_en) VALUES
  ('scrap_stock', 'asset', '废旧电池库存', 'Scrap bought'),
  ('vat_input', 'asset', '应交增值税(进项税额)', 'Input VAT'),
  ('payable', 'liability', '应付账款', 'Trade payables');

-- Who reads what: a customer its own; recyclers nothing of this.

ALTER TABLE inspection_form ENABLE ROW LEVEL SECURITY;
-- A customer reads the sheets that its packs were looked at by.
CREATE POLICY inspection_form_used ON inspection_form FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM inspection WHERE inspection.form_id = inspection_form.id));
CREATE POLICY inspection_form_audit ON inspection_form FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON inspection_form TO leasing_customer, leasing_auditor;

ALTER TABLE transport_treatment ENABLE ROW LEVEL SECURITY;
CREATE POLICY transport_treatment_own ON transport_treatment FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM inspection WHERE inspection.id = inspection_id));
CREATE POLICY transport_treatment_audit ON transport_treatment FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON transport_treatment TO leasing_customer, leasing_auditor;

ALTER TABLE disposition_band ENABLE ROW LEVEL SECURITY;
CREATE POLICY disposition_band_audit ON disposition_band FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON disposition_band TO leasing_auditor;

ALTER TABLE return_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY return_order_own ON return_order FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY return_order_audit ON return_order FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON return_order TO leasing_customer, leasing_auditor;

ALTER TABLE return_order_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY return_order_item_own ON return_order_item FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY return_order_item_audit ON return_order_item FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON return_order_item TO leasing_customer, leasing_auditor;

ALTER TABLE return_settlement ENABLE ROW LEVEL SECURITY;
CREATE POLICY return_settlement_own ON return_settlement FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY return_settlement_audit ON return_settlement FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON return_settlement TO leasing_customer, leasing_auditor;
