-- Reports of capacity tests (GB/T 34015). A discharge that stops half-way says what was drawn,
-- and no capacity: only a test to the end has one.

CREATE TABLE capacity_test (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  tested_on date NOT NULL,
  method text NOT NULL
    CONSTRAINT capacity_test_method
      CHECK (method IN ('gbt34015', 'site_check_discharge', 'maker', 'other')),
  temperature_c double precision NOT NULL
    CONSTRAINT capacity_test_temperature CHECK (temperature_c BETWEEN -40 AND 85),
  c_rate double precision NOT NULL
    CONSTRAINT capacity_test_c_rate CHECK (c_rate > 0 AND c_rate <= 20),
  depth_percent integer NOT NULL
    CONSTRAINT capacity_test_depth CHECK (depth_percent BETWEEN 1 AND 100),
  discharged_mah integer NOT NULL
    CONSTRAINT capacity_test_discharged CHECK (discharged_mah > 0),
  capacity_mah integer
    GENERATED ALWAYS AS (CASE WHEN depth_percent = 100 THEN discharged_mah END) STORED,
  energy_wh bigint
    CONSTRAINT capacity_test_energy CHECK (energy_wh > 0),
  internal_resistance_uohm integer
    CONSTRAINT capacity_test_resistance CHECK (internal_resistance_uohm > 0),
  laboratory text NOT NULL,
  report_number text NOT NULL,
  document_sha256 text
    CONSTRAINT capacity_test_document CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
  signatory text NOT NULL
    CONSTRAINT capacity_test_signed CHECK (btrim(signatory) <> ''),
  created_at timestamptz NOT NULL,
  CONSTRAINT capacity_test_standard_goes_to_the_end
    CHECK (method <> 'gbt34015' OR depth_percent = 100),
  CONSTRAINT capacity_test_report_once UNIQUE (pack_id, laboratory, report_number)
);

CREATE INDEX capacity_test_by_pack ON capacity_test (pack_id, id);
CREATE INDEX capacity_test_full ON capacity_test (pack_id, tested_on, id)
  WHERE capacity_mah IS NOT NULL;

CREATE TRIGGER capacity_test_append_only BEFORE UPDATE OR DELETE ON capacity_test
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE capacity_test ENABLE ROW LEVEL SECURITY;
CREATE POLICY capacity_test_own ON capacity_test FOR SELECT TO leasing_customer, leasing_recycler
  USING (EXISTS (SELECT FROM pack WHERE pack.id = pack_id));
CREATE POLICY capacity_test_audit ON capacity_test FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON capacity_test TO leasing_customer, leasing_recycler, leasing_auditor;
