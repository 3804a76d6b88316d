-- Supply and demand (供需对接): what sites need, what else is on offer, plans with their prices, and
-- proposals. No pack is in two accepted ones.

CREATE TABLE market_need (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  lessee_id uuid NOT NULL,
  site_id uuid NOT NULL,
  first_slot integer NOT NULL,
  slots integer NOT NULL,
  system_voltage_mv integer NOT NULL
    CONSTRAINT market_need_voltage CHECK (system_voltage_mv > 0),
  -- Usable at the end of the term.
  energy_wh integer NOT NULL
    CONSTRAINT market_need_energy CHECK (energy_wh > 0),
  lowest_celsius integer NOT NULL
    CONSTRAINT market_need_lowest CHECK (lowest_celsius BETWEEN -60 AND 60),
  starts_on date NOT NULL,
  months integer NOT NULL
    CONSTRAINT market_need_months CHECK (months BETWEEN 1 AND 240),
  -- A month, for all packs together, CNY.
  rent_amount bigint NOT NULL
    CONSTRAINT market_need_rent CHECK (rent_amount BETWEEN 0 AND 1000000000000),
  -- Retired traction batteries do not go into e-bikes (Order No. 73, Art. 22).
  permitted_use text NOT NULL
    CONSTRAINT market_need_permitted_use CHECK (permitted_use IN (
      'telecom_backup', 'stationary_storage', 'logistics_vehicle', 'forklift', 'bus')),
  weight_percent integer NOT NULL DEFAULT 100
    CONSTRAINT market_need_weight CHECK (weight_percent BETWEEN 0 AND 1000),
  state text NOT NULL DEFAULT 'open'
    CONSTRAINT market_need_state CHECK (state IN ('open', 'matched', 'withdrawn')),
  version integer NOT NULL DEFAULT 1,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT market_need_slots
    CHECK (first_slot >= 1 AND slots >= 1 AND first_slot + slots <= 1001),
  CONSTRAINT market_need_at_own_site
    FOREIGN KEY (site_id, lessee_id) REFERENCES site (id, party_id)
);

CREATE INDEX market_need_by_lessee ON market_need (lessee_id, id);
CREATE INDEX market_need_open ON market_need (id) WHERE state = 'open';

-- Packs that the stock does not tell of rightly: back but not inspected, elsewhere, worth more.
CREATE TABLE market_offer (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  from_on date NOT NULL,
  adcode text NOT NULL
    CONSTRAINT market_offer_prefecture REFERENCES prefecture (adcode),
  residual_amount bigint
    CONSTRAINT market_offer_residual CHECK (residual_amount BETWEEN 0 AND 1000000000),
  reason text NOT NULL
    CONSTRAINT market_offer_reason CHECK (btrim(reason) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  withdrawn_at timestamptz,
  withdrawn_by text,
  CONSTRAINT market_offer_withdrawn CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);

CREATE UNIQUE INDEX market_offer_one_open ON market_offer (pack_id) WHERE withdrawn_at IS NULL;

CREATE TABLE market_run (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  as_of date NOT NULL,
  terms jsonb NOT NULL,
  method text NOT NULL
    CONSTRAINT market_run_method CHECK (method IN ('solved', 'cut_off', 'greedy')),
  plan_id text NOT NULL,
  -- The problem, its prices and the plan as arrays: what a certificate is checked by.
  proof bytea NOT NULL,
  needs integer NOT NULL,
  packs integer NOT NULL,
  served integer NOT NULL,
  packs_taken integer NOT NULL,
  value_amount bigint NOT NULL,
  bound_amount bigint NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT market_run_within_bound CHECK (value_amount <= bound_amount),
  CONSTRAINT market_run_counts
    CHECK (served BETWEEN 0 AND needs AND packs_taken BETWEEN 0 AND packs)
);

CREATE TRIGGER market_run_append_only BEFORE UPDATE OR DELETE ON market_run
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Packs that are alike, and what one more of them would be worth.
CREATE TABLE market_bin (
  run_id uuid NOT NULL REFERENCES market_run (id),
  position integer NOT NULL,
  adcode text NOT NULL,
  maker text NOT NULL,
  specification text NOT NULL,
  chemistry text NOT NULL,
  rated_voltage_mv integer NOT NULL,
  rated_capacity_mah integer NOT NULL,
  made_in integer NOT NULL,
  free_on date NOT NULL,
  soh_permille integer NOT NULL,
  packs integer NOT NULL,
  packs_taken integer NOT NULL,
  price_amount bigint NOT NULL
    CONSTRAINT market_bin_price CHECK (price_amount >= 0),
  CONSTRAINT market_bin_once PRIMARY KEY (run_id, position),
  CONSTRAINT market_bin_taken CHECK (packs_taken BETWEEN 0 AND packs)
);

CREATE TABLE market_unserved (
  run_id uuid NOT NULL REFERENCES market_run (id),
  need_id uuid NOT NULL REFERENCES market_need (id),
  reason text NOT NULL
    CONSTRAINT market_unserved_reason CHECK (reason IN (
      'no_voltage', 'too_cold', 'too_late', 'too_worn', 'too_few', 'not_worth_it', 'outbid')),
  -- By which the rent of a month is too low, where money is the reason.
  short_amount bigint,
  detail text NOT NULL,
  detail_zh text NOT NULL,
  CONSTRAINT market_unserved_once PRIMARY KEY (run_id, need_id),
  CONSTRAINT market_unserved_short
    CHECK ((reason IN ('not_worth_it', 'outbid')) = (short_amount IS NOT NULL))
);

CREATE INDEX market_unserved_by_need ON market_unserved (need_id);

CREATE TABLE market_proposal (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  run_id uuid NOT NULL REFERENCES market_run (id),
  need_id uuid NOT NULL REFERENCES market_need (id),
  state text NOT NULL DEFAULT 'proposed'
    CONSTRAINT market_proposal_state CHECK (state IN (
      'proposed', 'accepted', 'declined', 'expired', 'superseded', 'fallen_through')),
  packs integer NOT NULL
    CONSTRAINT market_proposal_packs CHECK (packs > 0),
  -- Surely usable at the end of the term, all packs together.
  energy_wh integer NOT NULL,
  expires_at timestamptz NOT NULL,
  contract_id uuid REFERENCES contract (id),
  decline_reason text,
  decided_by text,
  decided_at timestamptz,
  created_at timestamptz NOT NULL,
  CONSTRAINT market_proposal_once UNIQUE (run_id, need_id),
  CONSTRAINT market_proposal_decided
    CHECK ((state = 'proposed') = (decided_at IS NULL)
       AND (decided_at IS NULL) = (decided_by IS NULL)),
  CONSTRAINT market_proposal_accepted
    CHECK ((state IN ('accepted', 'fallen_through')) = (contract_id IS NOT NULL)),
  CONSTRAINT market_proposal_declined CHECK ((state = 'declined') = (decline_reason IS NOT NULL))
);

CREATE UNIQUE INDEX market_need_accepted_once ON market_proposal (need_id)
  WHERE state = 'accepted';
CREATE INDEX market_proposal_by_need ON market_proposal (need_id, id);
CREATE INDEX market_proposal_open ON market_proposal (expires_at) WHERE state = 'proposed';

-- Why: parts of the value, alternatives, prices. The lessor's own, so in a table of its own.
CREATE TABLE market_explanation (
  proposal_id uuid PRIMARY KEY REFERENCES market_proposal (id),
  data jsonb NOT NULL
);

CREATE TABLE market_proposal_pack (
  proposal_id uuid NOT NULL REFERENCES market_proposal (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  soh_permille integer NOT NULL,
  energy_wh integer NOT NULL,
  -- From acceptance until the pack stands in the line, or the line is given up.
  reserved boolean NOT NULL DEFAULT false,
  line_id uuid REFERENCES lease_line (id) ON DELETE SET NULL,
  CONSTRAINT market_proposal_pack_once PRIMARY KEY (proposal_id, pack_id)
);

CREATE UNIQUE INDEX market_pack_reserved_once ON market_proposal_pack (pack_id) WHERE reserved;
CREATE INDEX market_proposal_pack_by_line ON market_proposal_pack (line_id)
  WHERE line_id IS NOT NULL;

-- A pack that is reserved goes into the line it is reserved for, and nowhere else. Standing there it
-- is not reserved any more.
CREATE FUNCTION keep_market_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM market_proposal_pack
              WHERE pack_id = NEW.pack_id
                AND reserved
                AND line_id IS DISTINCT FROM NEW.line_id) THEN
    RAISE EXCEPTION 'the pack is reserved for another line'
      USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'market_pack_reserved';
  END IF;
  UPDATE market_proposal_pack
     SET reserved = false
   WHERE pack_id = NEW.pack_id
     AND reserved;
  RETURN NEW;
END $$;
CREATE TRIGGER market_pack_reserved BEFORE INSERT ON placement
  FOR EACH ROW EXECUTE FUNCTION keep_market_reservation();

ALTER TABLE market_need ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_need_own ON market_need FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY market_need_audit ON market_need FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_need TO leasing_customer, leasing_auditor;

ALTER TABLE market_offer ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_offer_audit ON market_offer FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_offer TO leasing_auditor;

ALTER TABLE market_run ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_run_audit ON market_run FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_run TO leasing_auditor;

ALTER TABLE market_bin ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_bin_audit ON market_bin FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_bin TO leasing_auditor;

ALTER TABLE market_unserved ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_unserved_audit ON market_unserved FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_unserved TO leasing_auditor;

ALTER TABLE market_proposal ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_proposal_own ON market_proposal FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM market_need WHERE market_need.id = need_id));
CREATE POLICY market_proposal_audit ON market_proposal FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON market_proposal TO leasing_customer, leasing_auditor;

ALTER TABLE market_explanation ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_explanation_audit ON market_explanation FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON market_explanation TO leasing_auditor;

ALTER TABLE market_proposal_pack ENABLE ROW LEVEL SECURITY;
CREATE POLICY market_proposal_pack_own ON market_proposal_pack FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM market_proposal WHERE market_proposal.id = proposal_id));
CREATE POLICY market_proposal_pack_audit ON market_proposal_pack FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON market_proposal_pack TO leasing_customer, leasing_auditor;
