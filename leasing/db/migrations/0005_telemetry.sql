-- What packs report. Keyed by pack first and without foreign keys, so that these tables can be
-- distributed by pack.

CREATE TABLE reading (
  pack_id uuid NOT NULL,
  at timestamptz NOT NULL,
  voltage_v real NOT NULL,
  current_a real NOT NULL,
  soc_percent real,
  temperature_c real,
  CONSTRAINT reading_once PRIMARY KEY (pack_id, at),
  CONSTRAINT reading_voltage CHECK (voltage_v BETWEEN 0 AND 2000),
  CONSTRAINT reading_current CHECK (current_a BETWEEN -5000 AND 5000),
  CONSTRAINT reading_soc CHECK (soc_percent BETWEEN 0 AND 100),
  CONSTRAINT reading_temperature CHECK (temperature_c BETWEEN -60 AND 200)
) PARTITION BY RANGE (at);

-- The newest values of a pack, and from when on its readings have not been evaluated. Every
-- batch updates these rows: with room left in each page the new version of a row stays beside the
-- old one, no index is touched, and the table does not grow.
CREATE TABLE pack_telemetry (
  pack_id uuid PRIMARY KEY,
  latest_at timestamptz NOT NULL,
  voltage_v real NOT NULL,
  current_a real NOT NULL,
  soc_percent real,
  temperature_c real,
  unevaluated_from timestamptz
) WITH (fillfactor = 50);

CREATE INDEX pack_telemetry_to_evaluate ON pack_telemetry (pack_id)
  WHERE unevaluated_from IS NOT NULL;

-- A lessee reads what a pack reported while it stood in one of its lines. Midnight is the
-- lessor's civil midnight.
ALTER TABLE reading ENABLE ROW LEVEL SECURITY;
CREATE POLICY reading_own ON reading FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = reading.pack_id
       AND (at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY reading_audit ON reading FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON reading TO leasing_customer, leasing_auditor;

ALTER TABLE pack_telemetry ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_telemetry_own ON pack_telemetry FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = pack_telemetry.pack_id
       AND upper_inf(placement.during)
       AND (latest_at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY pack_telemetry_audit ON pack_telemetry FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack_telemetry TO leasing_customer, leasing_auditor;
