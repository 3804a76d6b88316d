-- Packs go where they bring most: what carrying and waiting cost, plans for many packs at once with
-- what proves them, reservations that expire, and packs that find another outlet together.

-- Assumptions that routing rests on, from a day on. Without a row the defaults of
-- leasing/end_of_life/terms.py hold.
CREATE TABLE routing_terms (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  from_on date NOT NULL
    CONSTRAINT routing_terms_one_a_day UNIQUE,
  circuity_percent integer NOT NULL
    CONSTRAINT routing_terms_circuity CHECK (circuity_percent BETWEEN 100 AND 300),
  -- Of intact, damaged and critical packs, in this order.
  freight_cny_per_kg_km numeric(9, 7)[] NOT NULL,
  packing_cny_per_kg numeric(8, 4)[] NOT NULL,
  hold_cny_per_kg numeric(8, 4) NOT NULL
    CONSTRAINT routing_terms_hold CHECK (hold_cny_per_kg BETWEEN -1000 AND 1000),
  collecting_load_kg integer NOT NULL,
  concentrated_load_kg integer NOT NULL,
  reservation_days integer NOT NULL
    CONSTRAINT routing_terms_reservation CHECK (reservation_days BETWEEN 0 AND 90),
  reason text NOT NULL
    CONSTRAINT routing_terms_reason CHECK (btrim(reason) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT routing_terms_of_three_hazards
    CHECK (cardinality(freight_cny_per_kg_km) = 3 AND cardinality(packing_cny_per_kg) = 3),
  CONSTRAINT routing_terms_cost_nothing_or_more
    CHECK (0 <= ALL (freight_cny_per_kg_km) AND 0 <= ALL (packing_cny_per_kg)),
  CONSTRAINT routing_terms_loads CHECK (collecting_load_kg > 0 AND concentrated_load_kg > 0)
);

-- Waste batteries of a province stay in it while such a rule holds.
CREATE TABLE province_rule (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT province_rule_id UNIQUE,
  province_adcode text NOT NULL
    CONSTRAINT province_rule_province CHECK (province_adcode ~ '^[1-9][0-9]0000$'),
  valid daterange NOT NULL
    CONSTRAINT province_rule_valid_not_empty CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  document text NOT NULL
    CONSTRAINT province_rule_document CHECK (btrim(document) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT province_rule_one_at_a_time PRIMARY KEY (province_adcode, valid WITHOUT OVERLAPS)
);

CREATE TABLE routing_plan (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  -- SHA-256 of the problem and of what goes where.
  digest text NOT NULL
    CONSTRAINT routing_plan_digest CHECK (digest ~ '^[0-9a-f]{64}$'),
  input_sha256 text NOT NULL
    CONSTRAINT routing_plan_once UNIQUE,
  outlets_version text NOT NULL,
  as_of date NOT NULL,
  hand_over_on date NOT NULL,
  state text NOT NULL DEFAULT 'proposed'
    CONSTRAINT routing_plan_state CHECK (state IN ('proposed', 'applied', 'superseded', 'expired')),
  solver text NOT NULL
    CONSTRAINT routing_plan_solver CHECK (solver IN ('flow', 'greedy')),
  solver_seconds numeric(10, 3) NOT NULL,
  packs integer NOT NULL,
  planned integer NOT NULL,
  -- In 0.0001 CNY. What the plan lacks to the bound has two sources.
  value bigint NOT NULL,
  bound bigint NOT NULL,
  outbid bigint NOT NULL,
  unused bigint NOT NULL,
  -- The problem and the plan as arrays (.npz), so that anybody can prove the bound anew.
  instance bytea NOT NULL,
  solution bytea NOT NULL,
  made_at timestamptz NOT NULL,
  closed_at timestamptz,
  CONSTRAINT routing_plan_packs CHECK (planned BETWEEN 0 AND packs),
  CONSTRAINT routing_plan_gap_has_two_sources
    CHECK (outbid >= 0 AND unused >= 0 AND bound - value = outbid + unused),
  CONSTRAINT routing_plan_closed CHECK ((closed_at IS NULL) = (state = 'proposed'))
);

CREATE TABLE routing_plan_item (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT routing_plan_item_id UNIQUE,
  plan_id uuid NOT NULL
    CONSTRAINT routing_plan_item_plan REFERENCES routing_plan (id),
  pack_id uuid NOT NULL
    CONSTRAINT routing_plan_item_pack REFERENCES pack (id),
  state text NOT NULL
    CONSTRAINT routing_plan_item_state CHECK (state IN ('planned', 'held', 'applied', 'refused')),
  adcode text NOT NULL,
  mass_kg integer NOT NULL
    CONSTRAINT routing_plan_item_mass CHECK (mass_kg > 0),
  outlet_id uuid REFERENCES outlet (id),
  -- Where it goes: `offer_amount` and the other parts in fen, which add up to what it brings.
  parts jsonb,
  -- Where it does not: why.
  reason text,
  locked_by text,
  routing_id uuid REFERENCES routing (id),
  CONSTRAINT routing_plan_item_once PRIMARY KEY (plan_id, pack_id),
  CONSTRAINT routing_plan_item_goes_or_is_held CHECK (
    CASE state
      WHEN 'planned' THEN outlet_id IS NOT NULL AND parts IS NOT NULL AND reason IS NULL
      WHEN 'applied' THEN outlet_id IS NOT NULL AND routing_id IS NOT NULL
      ELSE reason IS NOT NULL
    END),
  CONSTRAINT routing_plan_item_locked CHECK (locked_by IS NULL OR outlet_id IS NOT NULL)
);

CREATE INDEX routing_plan_item_by_place ON routing_plan_item (plan_id, state, adcode);

-- Open routings whose recycler may not take them any more, routed anew in one go.
CREATE TABLE rerouting (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  made_at timestamptz NOT NULL,
  made_by text NOT NULL,
  hit integer NOT NULL,
  rerouted integer NOT NULL,
  -- Packs that find no outlet, each with its reasons.
  held jsonb NOT NULL,
  -- In fen, of the packs that found another outlet. Before is null when that was not written down.
  before_amount bigint,
  after_amount bigint NOT NULL,
  reason text NOT NULL
    CONSTRAINT rerouting_reason CHECK (btrim(reason) <> ''),
  CONSTRAINT rerouting_counts CHECK (hit >= 1 AND rerouted BETWEEN 0 AND hit)
);

ALTER TABLE routing
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN rerouting_id uuid CONSTRAINT routing_rerouting REFERENCES rerouting (id);

CREATE INDEX disposition_by_pack ON disposition (pack_id);
CREATE INDEX pack_condemned ON pack (id) WHERE state = 'condemned';
CREATE INDEX routing_expiring ON routing (expires_at) WHERE state = 'reserved';
CREATE INDEX routing_open_by_day ON routing (hand_over_on, recycler_id) WHERE state = 'reserved';

ALTER TABLE routing_terms ENABLE ROW LEVEL SECURITY;
CREATE POLICY routing_terms_audit ON routing_terms FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE province_rule ENABLE ROW LEVEL SECURITY;
CREATE POLICY province_rule_audit ON province_rule FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE routing_plan ENABLE ROW LEVEL SECURITY;
CREATE POLICY routing_plan_audit ON routing_plan FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE routing_plan_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY routing_plan_item_audit ON routing_plan_item FOR SELECT TO leasing_auditor
  USING (true);
ALTER TABLE rerouting ENABLE ROW LEVEL SECURITY;
CREATE POLICY rerouting_audit ON rerouting FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON routing_terms, province_rule, routing_plan, routing_plan_item, rerouting
  TO leasing_auditor;
