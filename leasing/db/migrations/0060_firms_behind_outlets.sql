-- Outlets receive, check, sort, store and pack; a utilisation firm (再生利用企业) ends the chain. Which
-- firms stand behind an outlet, where their plants are, and how much they treat in some days.

-- Beside the outlet's own recycler, which always stands behind it.
CREATE TABLE outlet_firm (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT outlet_firm_id UNIQUE,
  outlet_id uuid NOT NULL
    CONSTRAINT outlet_firm_outlet REFERENCES outlet (id),
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT outlet_firm_recycler_kind CHECK (recycler_kind = 'recycler'),
  valid daterange NOT NULL
    CONSTRAINT outlet_firm_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  document text NOT NULL
    CONSTRAINT outlet_firm_document CHECK (btrim(document) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT outlet_firm_one_at_a_time
    PRIMARY KEY (outlet_id, recycler_id, valid WITHOUT OVERLAPS),
  CONSTRAINT outlet_firm_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind)
);

-- What a plant treats in some days, say a month or a year: so many kilograms of some chemistries
-- together, or any amount. A firm without a row on a day pays its price at the outlet.
CREATE TABLE treatment_capacity (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT treatment_capacity_recycler_kind CHECK (recycler_kind = 'recycler'),
  chemistries text[] NOT NULL
    CONSTRAINT treatment_capacity_of_something CHECK (cardinality(chemistries) >= 1),
  valid daterange NOT NULL
    CONSTRAINT treatment_capacity_days
      CHECK (NOT isempty(valid) AND NOT lower_inf(valid) AND NOT upper_inf(valid)),
  longitude double precision NOT NULL
    CONSTRAINT treatment_capacity_longitude CHECK (longitude BETWEEN 73 AND 136),
  latitude double precision NOT NULL
    CONSTRAINT treatment_capacity_latitude CHECK (latitude BETWEEN 3 AND 54),
  capacity_kg bigint,
  -- Of packs that are reserved, or were handed over, for these days.
  reserved_kg bigint NOT NULL DEFAULT 0,
  document text NOT NULL
    CONSTRAINT treatment_capacity_document CHECK (btrim(document) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT treatment_capacity_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind),
  CONSTRAINT treatment_capacity_not_exceeded CHECK (reserved_kg BETWEEN 0 AND capacity_kg)
);

CREATE INDEX treatment_capacity_by_recycler ON treatment_capacity (recycler_id);

ALTER TABLE routing
  ADD COLUMN capacity_ids uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN routing.capacity_ids IS
  'What its mass is reserved of (treatment_capacity), to be given back when it is given up.';

ALTER TABLE routing_plan_item
  ADD COLUMN recycler_id uuid
    CONSTRAINT routing_plan_item_recycler REFERENCES party (id);

CREATE TRIGGER outlet_firm_changed AFTER INSERT OR UPDATE OR DELETE ON outlet_firm
  FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER treatment_capacity_changed AFTER INSERT OR DELETE OR UPDATE OF
    chemistries, valid, longitude, latitude, capacity_kg
  ON treatment_capacity
  FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

ALTER TABLE outlet_firm ENABLE ROW LEVEL SECURITY;
CREATE POLICY outlet_firm_own ON outlet_firm FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY outlet_firm_audit ON outlet_firm FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE treatment_capacity ENABLE ROW LEVEL SECURITY;
CREATE POLICY treatment_capacity_own ON treatment_capacity FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY treatment_capacity_audit ON treatment_capacity FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON outlet_firm, treatment_capacity TO leasing_recycler, leasing_auditor;

-- A firm sees the outlets that it stands behind; whoever runs an outlet sees what goes there.
CREATE POLICY outlet_of_its_firms ON outlet FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM outlet_firm WHERE outlet_firm.outlet_id = outlet.id));
CREATE POLICY routing_to_own_outlet ON routing FOR SELECT TO leasing_recycler
  USING (EXISTS (
    SELECT FROM outlet
     WHERE outlet.id = outlet_id
       AND outlet.recycler_id = current_setting('leasing.party')::uuid));
