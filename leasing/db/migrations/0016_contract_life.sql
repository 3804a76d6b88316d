-- The whole life of a lease: terms by date, positions by date, and every event in between.
--
-- What a contract says on a day is one `contract_revision`, what a position is on a day is one
-- `line_revision`; both are periods without overlap, and a stay of a pack lies within them.


-- A vehicle that goes to another lessee is a site of theirs from then on.
ALTER TABLE site
  ADD COLUMN left_on date,
  DROP CONSTRAINT site_vin_once;
CREATE UNIQUE INDEX site_vin_once ON site (vin) WHERE left_on IS NULL;

-- Contract: who with whom, and in which state. What was agreed is in its revisions.

ALTER TABLE contract
  ADD COLUMN lessor_id uuid,
  ADD COLUMN lessor_kind text NOT NULL DEFAULT 'lessor'
    CONSTRAINT contract_lessor_kind CHECK (lessor_kind = 'lessor'),
  ADD CONSTRAINT contract_of_a_lessor FOREIGN KEY (lessor_id, lessor_kind) REFERENCES party (id, kind),
  ADD COLUMN time_zone text NOT NULL DEFAULT 'Asia/Shanghai',
  ADD COLUMN transferred_from uuid REFERENCES contract (id),
  ADD COLUMN offered_at timestamptz,
  ADD COLUMN signed_at timestamptz,
  ADD COLUMN lessor_signatory text,
  ADD COLUMN lessee_signatory text,
  ADD COLUMN suspended_at timestamptz,
  ADD COLUMN ending_at timestamptz,
  ADD COLUMN ending_on date,
  ADD COLUMN ending_reason text
    CONSTRAINT contract_ending_reason CHECK (
      ending_reason IN ('expiry', 'notice', 'early_termination', 'agreement', 'transfer')),
  ADD COLUMN cancelled_at timestamptz,
  ADD COLUMN ended_on date,
  DROP CONSTRAINT contract_state,
  DROP CONSTRAINT contract_activated,
  DROP CONSTRAINT contract_ended;

UPDATE contract
   SET offered_at = coalesce(activated_at, created_at),
       signed_at = activated_at,
       lessor_signatory = '-',
       lessee_signatory = '-'
 WHERE state <> 'draft';

-- A contract ended when its last pack went back, before its term was over or after.
UPDATE contract
   SET ending_at = ended_at,
       ending_on = last.ended_on,
       ending_reason = CASE WHEN last.ended_on < upper(term) THEN 'agreement' ELSE 'expiry' END,
       ended_on = last.ended_on
  FROM (SELECT contract.id, coalesce(max(lease_line.ended_on), upper(term)) AS ended_on
          FROM contract
          LEFT JOIN lease_line ON lease_line.contract_id = contract.id
         GROUP BY contract.id) AS last
 WHERE last.id = contract.id
   AND state = 'ended';

ALTER TABLE contract
  ADD CONSTRAINT contract_state CHECK (state IN (
    'draft', 'offered', 'signed', 'active', 'suspended', 'ending', 'ended', 'cancelled')),
  -- A state comes with the instant it was reached.
  ADD CONSTRAINT contract_state_has_its_time CHECK (
    (state IN ('draft', 'cancelled') OR offered_at IS NOT NULL)
    AND (state IN ('draft', 'offered', 'cancelled') OR signed_at IS NOT NULL)
    AND (state NOT IN ('active', 'suspended', 'ending', 'ended') OR activated_at IS NOT NULL)
    AND ((state = 'suspended') <= (suspended_at IS NOT NULL))
    AND ((state IN ('ending', 'ended')) = (ending_at IS NOT NULL))
    AND ((state = 'ended') = (ended_at IS NOT NULL))
    AND ((state = 'cancelled') = (cancelled_at IS NOT NULL))),
  ADD CONSTRAINT contract_ending_has_its_day CHECK (
    (ending_at IS NOT NULL) = (ending_on IS NOT NULL)
    AND (ending_at IS NOT NULL) = (ending_reason IS NOT NULL)
    AND (ended_at IS NOT NULL) = (ended_on IS NOT NULL)),
  ADD CONSTRAINT contract_signed_by_both CHECK (
    (signed_at IS NOT NULL) = (lessor_signatory IS NOT NULL)
    AND (signed_at IS NOT NULL) = (lessee_signatory IS NOT NULL));

-- What holds under a contract, day by day. The last revision lasts until the contract has ended.
CREATE TABLE contract_revision (
  contract_id uuid NOT NULL REFERENCES contract (id),
  number integer NOT NULL
    CONSTRAINT contract_revision_number CHECK (number > 0),
  during daterange NOT NULL
    CONSTRAINT contract_revision_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  vat_mode text NOT NULL
    CONSTRAINT contract_revision_vat_mode CHECK (vat_mode IN ('exclusive', 'inclusive')),
  vat_percent numeric(5, 2) NOT NULL
    CONSTRAINT contract_revision_vat CHECK (vat_percent BETWEEN 0 AND 100),
  payment_days integer NOT NULL
    CONSTRAINT contract_revision_payment_days CHECK (payment_days BETWEEN 0 AND 365),
  billing_alignment text NOT NULL
    CONSTRAINT contract_revision_billing_alignment CHECK (billing_alignment IN ('calendar')),
  billing_timing text NOT NULL
    CONSTRAINT contract_revision_billing_timing CHECK (billing_timing IN ('arrears')),
  guarantee_percent numeric(5, 2) NOT NULL
    CONSTRAINT contract_revision_guarantee CHECK (guarantee_percent BETWEEN 0 AND 100),
  replacement_days integer NOT NULL
    CONSTRAINT contract_revision_replacement_days CHECK (replacement_days BETWEEN 1 AND 365),
  autonomy_minutes integer
    CONSTRAINT contract_revision_autonomy CHECK (autonomy_minutes > 0),
  availability_percent numeric(5, 2)
    CONSTRAINT contract_revision_availability CHECK (availability_percent BETWEEN 0 AND 100),
  notice_days integer NOT NULL
    CONSTRAINT contract_revision_notice_days CHECK (notice_days BETWEEN 0 AND 730),
  renewal text NOT NULL
    CONSTRAINT contract_revision_renewal CHECK (renewal IN ('none', 'automatic', 'negotiated')),
  renewal_months integer
    CONSTRAINT contract_revision_renewal_months CHECK (renewal_months BETWEEN 1 AND 120),
  minimum_months integer NOT NULL
    CONSTRAINT contract_revision_minimum_months CHECK (minimum_months BETWEEN 0 AND 240),
  deposit_amount bigint NOT NULL
    CONSTRAINT contract_revision_deposit CHECK (deposit_amount >= 0),
  -- No use that the law forbids: retired traction batteries do not go into e-bikes
  -- (Order No. 73, Art. 22; GB 43854-2024).
  permitted_use text NOT NULL
    CONSTRAINT contract_permitted_use CHECK (permitted_use IN (
      'telecom_backup', 'stationary_storage', 'logistics_vehicle', 'forklift', 'bus')),
  early_termination jsonb NOT NULL,
  buy_out jsonb NOT NULL,
  escalator jsonb NOT NULL,
  cause text NOT NULL
    CONSTRAINT contract_revision_cause CHECK (cause IN ('agreed', 'amended', 'transferred')),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  PRIMARY KEY (contract_id, number),
  CONSTRAINT contract_revision_one_a_day UNIQUE (contract_id, during WITHOUT OVERLAPS),
  CONSTRAINT contract_revision_renews_for_a_time
    CHECK ((renewal = 'automatic') <= (renewal_months IS NOT NULL))
);

INSERT INTO contract_revision (
  contract_id, number, during, vat_mode, vat_percent, payment_days, billing_alignment,
  billing_timing, guarantee_percent, replacement_days, notice_days, renewal, minimum_months,
  deposit_amount, permitted_use, early_termination, buy_out, escalator, cause, entered_by,
  entered_at)
SELECT id, 1, daterange(lower(term), ended_on), 'exclusive',
       vat_percent, payment_days, 'calendar', 'arrears', guarantee_percent, replacement_days, 0,
       'none', 0, 0, 'telecom_backup', '{"kind": "not_allowed"}', '{"kind": "none"}',
       '{"kind": "none"}', 'agreed', '-', created_at
  FROM contract;

-- The terms of time a contract was agreed for: the first, its renewals, and holding over when
-- packs stay beyond them (Civil Code Art. 734: the lease goes on, without a fixed end).
CREATE TABLE contract_term (
  contract_id uuid NOT NULL REFERENCES contract (id),
  during daterange NOT NULL
    CONSTRAINT contract_term_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  kind text NOT NULL
    CONSTRAINT contract_term_kind CHECK (kind IN ('agreed', 'renewal', 'holdover')),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT contract_term_once PRIMARY KEY (contract_id, during WITHOUT OVERLAPS),
  CONSTRAINT contract_term_bounded CHECK (kind = 'holdover' OR NOT upper_inf(during))
);

INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)
SELECT id, term, 'agreed', '-', created_at
  FROM contract;

ALTER TABLE contract
  DROP COLUMN term,
  DROP COLUMN vat_percent,
  DROP COLUMN payment_days,
  DROP COLUMN guarantee_percent,
  DROP COLUMN replacement_days;

-- A line's position, day by day. The line goes on when its pack is swapped, moved or suspended.
CREATE TABLE line_revision (
  line_id uuid NOT NULL,
  number integer NOT NULL
    CONSTRAINT line_revision_number CHECK (number > 0),
  during daterange NOT NULL
    CONSTRAINT line_revision_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  contract_id uuid NOT NULL,
  lessee_id uuid NOT NULL,
  site_id uuid NOT NULL,
  slot integer NOT NULL
    CONSTRAINT line_revision_slot CHECK (slot BETWEEN 1 AND 1000),
  rated_capacity_mah integer NOT NULL
    CONSTRAINT line_revision_rated_capacity CHECK (rated_capacity_mah > 0),
  -- Rent of one whole month: as agreed, and after escalation, which starts from what was agreed
  -- on the day it was agreed for.
  base_rent_amount bigint NOT NULL
    CONSTRAINT line_revision_base_rent CHECK (base_rent_amount >= 0),
  base_from_on date NOT NULL,
  rent_amount bigint NOT NULL
    CONSTRAINT line_revision_rent CHECK (rent_amount >= 0),
  suspended boolean NOT NULL DEFAULT false,
  cause text NOT NULL
    CONSTRAINT line_revision_cause CHECK (cause IN (
      'agreed', 'amended', 'capacity_changed', 'escalated', 'relocated', 'resumed', 'suspended',
      'transferred')),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  PRIMARY KEY (line_id, number)
);

ALTER TABLE lease_line
  ADD COLUMN from_on date,
  -- Agreed by name: this pack and no other is handed over first.
  ADD COLUMN named_pack_id uuid REFERENCES pack (id),
  ADD COLUMN first_acceptance_id uuid,
  ADD COLUMN end_reason text
    CONSTRAINT lease_line_end_reason CHECK (end_reason IN (
      'returned', 'removed', 'lost', 'bought_out', 'transferred')),
  ADD CONSTRAINT lease_line_identity UNIQUE (id, contract_id, lessee_id);

INSERT INTO line_revision (
  line_id, number, during, contract_id, lessee_id, site_id, slot, rated_capacity_mah,
  base_rent_amount, base_from_on, rent_amount, cause, entered_by, entered_at)
SELECT lease_line.id, 1,
       daterange(lower(contract_revision.during),
                 coalesce(lease_line.ended_on, upper(contract_revision.during))),
       lease_line.contract_id, lease_line.lessee_id, site_id, slot, rated_capacity_mah,
       rent_amount, lower(contract_revision.during), rent_amount, 'agreed', '-',
       contract_revision.entered_at
  FROM lease_line
  JOIN contract_revision ON contract_revision.contract_id = lease_line.contract_id;

UPDATE lease_line
   SET from_on = (SELECT lower(during) FROM line_revision WHERE line_id = lease_line.id),
       ended_on = (SELECT upper(during) FROM line_revision WHERE line_id = lease_line.id),
       end_reason = CASE WHEN ended_on IS NOT NULL THEN 'returned'
                         WHEN (SELECT NOT upper_inf(during)
                                 FROM line_revision
                                WHERE line_id = lease_line.id) THEN 'removed' END,
       first_acceptance_id = (
         SELECT acceptance.id
           FROM acceptance
          WHERE acceptance.line_id = lease_line.id
          ORDER BY accepted_on, id
          LIMIT 1);

DROP TRIGGER lease_line_ends_after_billing ON lease_line;
DROP FUNCTION refuse_end_before_billing;

ALTER TABLE lease_line
  ALTER COLUMN from_on SET NOT NULL,
  DROP COLUMN site_id CASCADE,
  DROP COLUMN slot,
  DROP COLUMN rated_capacity_mah,
  DROP COLUMN rent_amount,
  -- No line starts but by a joint test.
  ADD CONSTRAINT lease_line_started_by_acceptance
    CHECK ((started_on IS NOT NULL) = (first_acceptance_id IS NOT NULL)),
  DROP CONSTRAINT lease_line_ends_after_start,
  ADD CONSTRAINT lease_line_ends_after_start CHECK (ended_on > coalesce(started_on, from_on - 1)),
  ADD CONSTRAINT lease_line_end_has_a_reason CHECK ((ended_on IS NOT NULL) = (end_reason IS NOT NULL));

ALTER TABLE line_revision
  ADD CONSTRAINT line_revision_of_the_contract
    FOREIGN KEY (line_id, contract_id, lessee_id) REFERENCES lease_line (id, contract_id, lessee_id),
  -- A lessee's packs stand at the lessee's own sites.
  ADD CONSTRAINT line_revision_site_of_the_lessee
    FOREIGN KEY (site_id, lessee_id) REFERENCES site (id, party_id),
  ADD CONSTRAINT line_revision_one_a_day UNIQUE (line_id, during WITHOUT OVERLAPS),
  ADD CONSTRAINT line_revision_slot_once UNIQUE (contract_id, site_id, slot, during WITHOUT OVERLAPS),
  ADD CONSTRAINT line_revision_within_contract
    FOREIGN KEY (contract_id, PERIOD during) REFERENCES contract_revision (contract_id, PERIOD during)
    -- A revision is cut short before the one that follows it is there.
    DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX line_revision_by_site ON line_revision (site_id, slot);
CREATE INDEX line_revision_by_contract ON line_revision (contract_id, line_id);
CREATE INDEX lease_line_by_contract ON lease_line (contract_id, id);

-- A pack is handed over on a day of a term.
ALTER TABLE acceptance
  ADD COLUMN contract_id uuid,
  ADD COLUMN accepted daterange GENERATED ALWAYS AS (daterange(accepted_on, accepted_on + 1)) STORED,
  ADD COLUMN remarks text NOT NULL DEFAULT '';

UPDATE acceptance
   SET contract_id = (SELECT contract_id FROM lease_line WHERE lease_line.id = line_id);

ALTER TABLE lease_line ADD CONSTRAINT lease_line_id_contract UNIQUE (id, contract_id);

ALTER TABLE acceptance
  ALTER COLUMN contract_id SET NOT NULL,
  ADD CONSTRAINT acceptance_of_the_contract
    FOREIGN KEY (line_id, contract_id) REFERENCES lease_line (id, contract_id),
  ADD CONSTRAINT acceptance_within_term
    FOREIGN KEY (contract_id, PERIOD accepted) REFERENCES contract_term (contract_id, PERIOD during),
  ADD CONSTRAINT acceptance_id_line UNIQUE (id, line_id),
  ADD CONSTRAINT acceptance_id_pack UNIQUE (id, pack_id);

ALTER TABLE lease_line
  ADD CONSTRAINT lease_line_first_acceptance
    FOREIGN KEY (first_acceptance_id, id) REFERENCES acceptance (id, line_id),
  ADD CONSTRAINT lease_line_named_pack_first
    FOREIGN KEY (first_acceptance_id, named_pack_id) REFERENCES acceptance (id, pack_id);

-- A stay lies within the days of its line, and a slot of a site holds one pack at a time.
ALTER TABLE placement
  ADD COLUMN site_id uuid,
  ADD COLUMN slot integer;

UPDATE placement
   SET (site_id, slot) = (
         SELECT site_id, slot FROM line_revision WHERE line_revision.line_id = placement.line_id);

ALTER TABLE placement
  ALTER COLUMN site_id SET NOT NULL,
  ALTER COLUMN slot SET NOT NULL,
  ADD CONSTRAINT placement_slot_once UNIQUE (site_id, slot, during WITHOUT OVERLAPS),
  ADD CONSTRAINT placement_within_line
    FOREIGN KEY (line_id, PERIOD during) REFERENCES line_revision (line_id, PERIOD during);

CREATE INDEX placement_by_line ON placement (line_id);
CREATE INDEX placement_by_pack ON placement (pack_id);

-- The joint test on return. Lines ended before it was recorded are left as they are.
ALTER TABLE pack_return
  ADD COLUMN tested_capacity_mah integer
    CONSTRAINT pack_return_tested_capacity CHECK (tested_capacity_mah > 0),
  ADD COLUMN lessor_signatory text
    CONSTRAINT pack_return_lessor_signed CHECK (btrim(lessor_signatory) <> ''),
  ADD COLUMN lessee_signatory text
    CONSTRAINT pack_return_lessee_signed CHECK (btrim(lessee_signatory) <> ''),
  ADD COLUMN photo_sha256 text[] NOT NULL DEFAULT '{}',
  ADD COLUMN remarks text NOT NULL DEFAULT '',
  DROP CONSTRAINT pack_return_reason,
  ADD CONSTRAINT pack_return_reason
    CHECK (reason IN ('end_of_lease', 'swapped_out', 'suspended', 'found')),
  ADD CONSTRAINT pack_return_jointly_tested CHECK (
    reason <> 'end_of_lease'
    OR (tested_capacity_mah, lessor_signatory, lessee_signatory) IS NOT NULL) NOT VALID;

-- What befell a pack on lease. A missing or stolen one leaves its line empty.
CREATE TABLE incident (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  kind text NOT NULL
    CONSTRAINT incident_kind CHECK (kind IN ('missing', 'stolen', 'damaged')),
  happened_on date NOT NULL,
  description text NOT NULL
    CONSTRAINT incident_description_not_blank CHECK (btrim(description) <> ''),
  police_report text,
  liable text NOT NULL
    CONSTRAINT incident_liable CHECK (liable IN ('lessee', 'lessor', 'third_party', 'open')),
  photo_sha256 text[] NOT NULL DEFAULT '{}',
  found_on date,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT incident_found_afterwards CHECK (found_on >= happened_on),
  CONSTRAINT incident_only_what_is_lost_is_found CHECK (found_on IS NULL OR kind <> 'damaged')
);

CREATE INDEX incident_by_line ON incident (line_id, id);
CREATE UNIQUE INDEX incident_pack_lost_once ON incident (pack_id)
 WHERE kind IN ('missing', 'stolen') AND found_on IS NULL;

-- What is owed once: ending early, buying a pack, losing or damaging one.
CREATE TABLE fee (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL,
  contract_id uuid NOT NULL,
  lessee_id uuid NOT NULL,
  pack_id uuid REFERENCES pack (id),
  component text NOT NULL
    CONSTRAINT fee_component CHECK (component IN (
      'early_termination', 'buy_out', 'loss', 'damage')),
  owed_on date NOT NULL,
  amount bigint NOT NULL
    CONSTRAINT fee_positive CHECK (amount > 0),
  reason text NOT NULL,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT fee_of_the_line
    FOREIGN KEY (line_id, contract_id, lessee_id) REFERENCES lease_line (id, contract_id, lessee_id),
  CONSTRAINT fee_once UNIQUE (line_id, component, owed_on)
);

CREATE TRIGGER fee_append_only BEFORE UPDATE OR DELETE ON fee
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE pack
  DROP CONSTRAINT pack_state,
  ADD CONSTRAINT pack_state CHECK (state IN (
    'in_stock', 'leased', 'returned', 'lost', 'sold', 'condemned', 'routed', 'handed_over',
    'recycled'));

ALTER TABLE trace_record
  DROP CONSTRAINT trace_record_kind,
  ADD CONSTRAINT trace_record_kind CHECK (kind IN (
    'pack.acquired', 'cascade.coded', 'cascade.shipped', 'pack.commissioned', 'pack.swapped',
    'pack.relocated', 'pack.damaged', 'pack.lost', 'pack.found', 'pack.sold', 'lease.transferred',
    'pack.returned', 'pack.inspected', 'waste.declared', 'pack.reinstated', 'route.chosen',
    'route.released', 'waste.outbound', 'waste.inbound', 'recycle.completed'));

-- Charges: rent and fees; a mistaken charge stays, marked, beside the one that takes it back.

ALTER TABLE charge
  DROP CONSTRAINT charge_days_once,
  DROP CONSTRAINT charge_component,
  ADD CONSTRAINT charge_component CHECK (component IN (
    'rent', 'early_termination', 'buy_out', 'loss', 'damage')),
  ALTER COLUMN pack_id DROP NOT NULL,
  ALTER COLUMN month_days DROP NOT NULL,
  ALTER COLUMN rent_amount DROP NOT NULL,
  ADD CONSTRAINT charge_rent_has_a_pack CHECK (component <> 'rent' OR pack_id IS NOT NULL),
  -- Rent is a part of a month's; a fee is owed as it is.
  ADD CONSTRAINT charge_rent_of_a_month CHECK (
    (component = 'rent') = (month_days IS NOT NULL)
    AND (component = 'rent') = (rent_amount IS NOT NULL)),
  ADD COLUMN vat_mode text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT charge_vat_mode CHECK (vat_mode IN ('exclusive', 'inclusive')),
  ADD COLUMN fee_id uuid REFERENCES fee (id),
  ADD COLUMN reverses_id uuid
    CONSTRAINT charge_reversed_once UNIQUE
    REFERENCES charge (id),
  ADD COLUMN is_reversed boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT charge_fee_of_its_component CHECK ((fee_id IS NOT NULL) = (component <> 'rent')),
  -- A second bill for the same days is impossible, whoever writes it.
  ADD CONSTRAINT charge_days_once EXCLUDE USING gist (
    line_id WITH =, component WITH =, during WITH &&)
    WHERE (reverses_id IS NULL AND NOT is_reversed);

CREATE UNIQUE INDEX charge_fee_once ON charge (fee_id)
 WHERE reverses_id IS NULL AND NOT is_reversed;
CREATE INDEX charge_by_line ON charge (line_id, upper(during))
 WHERE component = 'rent' AND reverses_id IS NULL AND NOT is_reversed;

-- The one thing that may happen to a charge: it is reversed, once.
DROP TRIGGER charge_append_only ON charge;
CREATE FUNCTION refuse_change_of_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NOT OLD.is_reversed AND NEW.is_reversed AND OLD.reverses_id IS NULL
     AND to_jsonb(NEW) - 'is_reversed' = to_jsonb(OLD) - 'is_reversed' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'rows of charge are never changed or deleted'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_append_only';
END $$;
CREATE TRIGGER charge_append_only BEFORE UPDATE OR DELETE ON charge
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_charge();

ALTER TABLE posting
  DROP CONSTRAINT posting_account,
  ADD CONSTRAINT posting_account CHECK (account IN (
    'receivable', 'revenue_rent', 'revenue_fees', 'revenue_sales', 'vat_output'));

-- Days that were charged and are not any more as they were. The next run puts them right.
CREATE TABLE restatement (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  from_on date NOT NULL,
  -- The invoice that put it right; none when nothing was to be put right.
  settled_by uuid REFERENCES invoice (id),
  settled boolean NOT NULL DEFAULT false,
  CONSTRAINT restatement_settled CHECK (settled_by IS NULL OR settled)
);

CREATE INDEX restatement_open ON restatement (line_id) WHERE NOT settled;

CREATE FUNCTION note_restated(changed_line uuid, changed_on date) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO restatement (line_id, from_on)
  SELECT changed_line, changed_on
   WHERE EXISTS (
     SELECT FROM charge
      WHERE line_id = changed_line
        AND component = 'rent'
        AND upper(during) > changed_on
        AND reverses_id IS NULL
        AND NOT is_reversed);
$$;

CREATE FUNCTION note_stay_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM note_restated(NEW.line_id, lower(NEW.during));
  ELSE
    PERFORM note_restated(NEW.line_id, least(upper(OLD.during), upper(NEW.during)));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER placement_restates AFTER INSERT OR UPDATE ON placement
  FOR EACH ROW EXECUTE FUNCTION note_stay_restated();

-- A revision that takes the place of another restates its days; the first one of a line does not.
CREATE TRIGGER line_revision_restates AFTER INSERT ON line_revision
  FOR EACH ROW WHEN (NEW.number > 1)
  EXECUTE FUNCTION note_stay_restated();

CREATE FUNCTION note_revision_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_restated(NEW.line_id, lower(NEW.during));
  RETURN NULL;
END $$;

CREATE TRIGGER line_revision_changes AFTER UPDATE ON line_revision
  FOR EACH ROW WHEN (
    (OLD.rent_amount, OLD.suspended, OLD.site_id) IS DISTINCT FROM
    (NEW.rent_amount, NEW.suspended, NEW.site_id))
  EXECUTE FUNCTION note_revision_restated();

-- Of the terms only the tax is part of a charge.
CREATE FUNCTION note_terms_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_restated(lease_line.id, lower(NEW.during))
     FROM lease_line
    WHERE contract_id = NEW.contract_id
      AND started_on IS NOT NULL;
  RETURN NULL;
END $$;

CREATE TRIGGER contract_revision_restates AFTER INSERT ON contract_revision
  FOR EACH ROW WHEN (NEW.number > 1)
  EXECUTE FUNCTION note_terms_restated();
CREATE TRIGGER contract_revision_changes AFTER UPDATE ON contract_revision
  FOR EACH ROW WHEN (
    (OLD.vat_mode, OLD.vat_percent) IS DISTINCT FROM (NEW.vat_mode, NEW.vat_percent))
  EXECUTE FUNCTION note_terms_restated();

-- Who sees what.

ALTER TABLE contract_revision ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_revision_own ON contract_revision FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM contract WHERE contract.id = contract_id));
CREATE POLICY contract_revision_audit ON contract_revision FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON contract_revision TO leasing_customer, leasing_auditor;

ALTER TABLE contract_term ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_term_own ON contract_term FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM contract WHERE contract.id = contract_id));
CREATE POLICY contract_term_audit ON contract_term FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON contract_term TO leasing_customer, leasing_auditor;

ALTER TABLE line_revision ENABLE ROW LEVEL SECURITY;
CREATE POLICY line_revision_own ON line_revision FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY line_revision_audit ON line_revision FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON line_revision TO leasing_customer, leasing_auditor;

ALTER TABLE incident ENABLE ROW LEVEL SECURITY;
CREATE POLICY incident_own ON incident FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY incident_audit ON incident FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON incident TO leasing_customer, leasing_auditor;

ALTER TABLE fee ENABLE ROW LEVEL SECURITY;
CREATE POLICY fee_own ON fee FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY fee_audit ON fee FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON fee TO leasing_customer, leasing_auditor;

ALTER TABLE restatement ENABLE ROW LEVEL SECURITY;
CREATE POLICY restatement_audit ON restatement FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON restatement TO leasing_auditor;


-- What is shown as of today needs to know the day; the clock tells nothing else.
ALTER TABLE clock ENABLE ROW LEVEL SECURITY;
CREATE POLICY clock_shown ON clock FOR SELECT
  TO leasing_customer, leasing_recycler, leasing_auditor USING (true);
GRANT SELECT ON clock TO leasing_customer, leasing_recycler;
