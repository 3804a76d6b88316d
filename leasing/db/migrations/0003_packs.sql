-- Packs, the codes they carry, and the record of their life (溯源).

CREATE TABLE pack (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  chemistry text NOT NULL
    CONSTRAINT pack_chemistry CHECK (chemistry ~ '^[A-GZ]$'),
  made_on date NOT NULL,
  cells_in_series integer NOT NULL
    CONSTRAINT pack_cells_in_series CHECK (cells_in_series BETWEEN 1 AND 1000),
  rated_voltage_mv integer NOT NULL
    CONSTRAINT pack_rated_voltage CHECK (rated_voltage_mv > 0),
  rated_capacity_mah integer NOT NULL
    CONSTRAINT pack_rated_capacity CHECK (rated_capacity_mah > 0),
  -- Cell voltage that ends a charge, where the maker gives it; LFP does without.
  full_cell_mv integer
    CONSTRAINT pack_full_cell CHECK (full_cell_mv BETWEEN 1000 AND 5000),
  mass_kg integer NOT NULL
    CONSTRAINT pack_mass CHECK (mass_kg > 0),
  state text NOT NULL DEFAULT 'in_stock'
    CONSTRAINT pack_state CHECK (
      state IN ('in_stock', 'leased', 'returned', 'condemned', 'routed', 'handed_over', 'recycled')),
  acquired_on date NOT NULL,
  recycled_on date,
  created_at timestamptz NOT NULL,
  CONSTRAINT pack_recycled CHECK ((recycled_on IS NOT NULL) = (state = 'recycled'))
);

CREATE INDEX pack_by_state ON pack (state, id);

-- A pack has several codes: a repurposed one gets a new code and keeps the old.
CREATE TABLE pack_code (
  pack_id uuid NOT NULL REFERENCES pack (id),
  scheme text NOT NULL
    CONSTRAINT pack_code_scheme CHECK (
      scheme IN ('gbt34014', 'gbt34014_cascade', 'maker_serial', 'unrecognised')),
  code text NOT NULL,
  is_current boolean NOT NULL,
  CONSTRAINT pack_code_once PRIMARY KEY (code, scheme)
);

CREATE UNIQUE INDEX pack_code_one_current ON pack_code (pack_id) WHERE is_current;
CREATE INDEX pack_code_by_pack ON pack_code (pack_id);

CREATE TABLE trace_record (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  sequence integer NOT NULL,
  kind text NOT NULL
    CONSTRAINT trace_record_kind CHECK (kind IN (
      'pack.acquired', 'cascade.coded', 'cascade.shipped', 'pack.commissioned', 'pack.swapped',
      'pack.returned', 'pack.inspected', 'waste.declared', 'pack.reinstated', 'route.chosen',
      'route.released', 'waste.outbound', 'waste.inbound', 'recycle.completed')),
  happened_on date NOT NULL,
  adcode text,
  -- Whom the step concerned beside the lessor; that party may read it.
  party_id uuid REFERENCES party (id),
  data jsonb NOT NULL,
  actor text NOT NULL,
  recorded_at timestamptz NOT NULL,
  CONSTRAINT trace_record_in_sequence UNIQUE (pack_id, sequence)
);

CREATE TRIGGER trace_record_append_only BEFORE UPDATE OR DELETE ON trace_record
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE trace_record ENABLE ROW LEVEL SECURITY;
CREATE POLICY trace_record_own ON trace_record FOR SELECT TO leasing_customer, leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY trace_record_audit ON trace_record FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON trace_record TO leasing_customer, leasing_recycler, leasing_auditor;
