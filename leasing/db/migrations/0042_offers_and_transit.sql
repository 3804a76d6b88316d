-- What recyclers give for a kilogram, by days; and packs on the road take room at their outlet, too.

CREATE TABLE scrap_offer (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT scrap_offer_id UNIQUE,
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT scrap_offer_recycler_kind CHECK (recycler_kind = 'recycler'),
  chemistry text NOT NULL,
  disposition text NOT NULL
    CONSTRAINT scrap_offer_disposition CHECK (disposition IN ('repair', 'dismantle', 'recycle')),
  valid daterange NOT NULL
    CONSTRAINT scrap_offer_valid_not_empty CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  -- Below nothing where the lessor pays. Material given instead of money is counted in.
  cny_per_kg numeric(12, 4) NOT NULL
    CONSTRAINT scrap_offer_within_reason CHECK (cny_per_kg BETWEEN -1000 AND 1000),
  material_cny_per_kg numeric(12, 4) NOT NULL DEFAULT 0
    CONSTRAINT scrap_offer_material_is_part CHECK (material_cny_per_kg >= 0),
  source text NOT NULL
    CONSTRAINT scrap_offer_source CHECK (btrim(source) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT scrap_offer_one_at_a_time
    PRIMARY KEY (recycler_id, chemistry, disposition, valid WITHOUT OVERLAPS),
  CONSTRAINT scrap_offer_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind)
);

ALTER TABLE scrap_offer ENABLE ROW LEVEL SECURITY;
CREATE POLICY scrap_offer_own ON scrap_offer FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY scrap_offer_audit ON scrap_offer FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON scrap_offer TO leasing_recycler, leasing_auditor;

ALTER TABLE outlet
  ADD COLUMN in_transit_kg integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT outlet_store_limit,
  ADD CONSTRAINT outlet_store_limit
    CHECK (stock_kg + reserved_kg + in_transit_kg <= store_limit_kg),
  DROP CONSTRAINT outlet_stock_not_negative,
  ADD CONSTRAINT outlet_stock_not_negative
    CHECK (stock_kg >= 0 AND reserved_kg >= 0 AND in_transit_kg >= 0);
