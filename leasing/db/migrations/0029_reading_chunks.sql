-- Readings as chunks: a row is a stretch of one pack's readings, column after column
-- (leasing/telemetry/chunks.py says how). A chunk lies within one day of the lessor's, so that whoever
-- had the pack that day may read it, and so does a partition begin and end.

CREATE TABLE reading_chunk (
  pack_id uuid NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  readings integer NOT NULL,
  body bytea STORAGE EXTERNAL NOT NULL,
  CONSTRAINT reading_chunk_once PRIMARY KEY (pack_id, first_at),
  CONSTRAINT reading_chunk_readings CHECK (readings > 0),
  CONSTRAINT reading_chunk_within_a_day CHECK (
    first_at <= last_at
    AND (first_at AT TIME ZONE 'Asia/Shanghai')::date = (last_at AT TIME ZONE 'Asia/Shanghai')::date)
) PARTITION BY RANGE (first_at);

ALTER TABLE reading_chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY reading_chunk_own ON reading_chunk FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = reading_chunk.pack_id
       AND (first_at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY reading_chunk_audit ON reading_chunk FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON reading_chunk TO leasing_customer, leasing_auditor;

-- What is stored as rows becomes plain chunks: one for each pack and day.
DO $$
DECLARE
  month record;
BEGIN
  FOR month IN
    SELECT DISTINCT date_trunc('month', day) AS first
      FROM (SELECT DISTINCT (at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM reading) AS days
  LOOP
    EXECUTE format(
      'CREATE TABLE %I PARTITION OF reading_chunk FOR VALUES FROM (%L) TO (%L)',
      to_char(month.first, '"reading_chunk_"YYYY_MM'),
      to_char(month.first, 'YYYY-MM-DD" 00:00+08"'),
      to_char(month.first + interval '1 month', 'YYYY-MM-DD" 00:00+08"'));
  END LOOP;
END $$;

INSERT INTO reading_chunk (pack_id, first_at, last_at, readings, body)
SELECT pack_id,
       min(at),
       max(at),
       count(*),
       -- Form 0; voltage, current, state of charge, temperature; no cells, no probes.
       '\x00000f00000000'::bytea
         || int4send(count(*)::integer)
         || string_agg(int8send(step), ''::bytea ORDER BY at)
         || string_agg(float4send(voltage_v), ''::bytea ORDER BY at)
         || string_agg(float4send(current_a), ''::bytea ORDER BY at)
         || string_agg(float4send(coalesce(soc_percent, 'NaN')), ''::bytea ORDER BY at)
         || string_agg(float4send(coalesce(temperature_c, 'NaN')), ''::bytea ORDER BY at)
  FROM (SELECT *,
               (at AT TIME ZONE 'Asia/Shanghai')::date AS day,
               coalesce(extract(epoch FROM at - lag(at) OVER (
                 PARTITION BY pack_id, (at AT TIME ZONE 'Asia/Shanghai')::date
                     ORDER BY at)) * 1000000, 0)::bigint AS step
          FROM reading) AS given
 GROUP BY pack_id, day;

DROP TABLE reading;

-- The newest value of each quantity with the instant it is from: a frame may leave some out.
ALTER TABLE pack_telemetry
  ALTER COLUMN voltage_v DROP NOT NULL,
  ALTER COLUMN current_a DROP NOT NULL,
  ADD COLUMN temperature_min_c real,
  ADD COLUMN insulation_kohm real,
  ADD COLUMN soh_percent real,
  ADD COLUMN odometer_km real,
  ADD COLUMN cells_mv smallint[],
  ADD COLUMN temperatures_c real[],
  ADD COLUMN voltage_v_at timestamptz,
  ADD COLUMN current_a_at timestamptz,
  ADD COLUMN soc_percent_at timestamptz,
  ADD COLUMN temperature_c_at timestamptz,
  ADD COLUMN temperature_min_c_at timestamptz,
  ADD COLUMN insulation_kohm_at timestamptz,
  ADD COLUMN soh_percent_at timestamptz,
  ADD COLUMN odometer_km_at timestamptz,
  ADD COLUMN cells_mv_at timestamptz,
  ADD COLUMN temperatures_c_at timestamptz,
  -- When the newest reading came in, by our clock, and since when the pack reports without a silence.
  ADD COLUMN received_at timestamptz,
  ADD COLUMN online_since timestamptz,
  -- From when on readings have not been put together and summed up.
  ADD COLUMN unsealed_from timestamptz;

UPDATE pack_telemetry
   SET voltage_v_at = latest_at,
       current_a_at = latest_at,
       soc_percent_at = CASE WHEN soc_percent IS NOT NULL THEN latest_at END,
       temperature_c_at = CASE WHEN temperature_c IS NOT NULL THEN latest_at END,
       received_at = latest_at,
       online_since = latest_at,
       unsealed_from = (SELECT min(first_at) FROM reading_chunk
                         WHERE reading_chunk.pack_id = pack_telemetry.pack_id);

ALTER TABLE pack_telemetry
  ALTER COLUMN received_at SET NOT NULL,
  ALTER COLUMN online_since SET NOT NULL;

CREATE INDEX pack_telemetry_to_seal ON pack_telemetry (pack_id)
  WHERE unsealed_from IS NOT NULL;

-- Who spoke and is not known here: its readings are counted and not kept.
CREATE TABLE unmatched_source (
  kind text NOT NULL,
  value text NOT NULL,
  part integer NOT NULL,
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  readings bigint NOT NULL,
  reason text NOT NULL,
  CONSTRAINT unmatched_source_once PRIMARY KEY (kind, value, part),
  CONSTRAINT unmatched_source_readings CHECK (readings > 0)
);

CREATE INDEX unmatched_source_by_last_seen ON unmatched_source (last_seen_at DESC, kind, value, part);

ALTER TABLE unmatched_source ENABLE ROW LEVEL SECURITY;
CREATE POLICY unmatched_source_audit ON unmatched_source FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON unmatched_source TO leasing_auditor;

-- Charges and discharges, summed up: what a capacity is estimated from, long after the readings
-- are gone.
CREATE TABLE pack_session (
  pack_id uuid NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  direction smallint NOT NULL,
  samples integer NOT NULL,
  charge_ah double precision NOT NULL,
  opening_ah double precision NOT NULL,
  sampling_ah double precision NOT NULL,
  missing_share double precision NOT NULL,
  before_v double precision,
  start_v double precision NOT NULL,
  end_v double precision NOT NULL,
  start_a double precision NOT NULL,
  end_a double precision NOT NULL,
  start_soc_percent real,
  end_soc_percent real,
  median_a double precision NOT NULL,
  median_temperature_c real,
  rest_before_s double precision NOT NULL,
  temperature_min_c real,
  temperature_max_c real,
  spread_median_mv real,
  spread_max_mv real,
  rest_after_s double precision,
  CONSTRAINT pack_session_once PRIMARY KEY (pack_id, started_at),
  CONSTRAINT pack_session_direction CHECK (direction IN (-1, 1)),
  CONSTRAINT pack_session_ends CHECK (ended_at > started_at)
) PARTITION BY RANGE (started_at);

ALTER TABLE pack_session ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_session_own ON pack_session FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = pack_session.pack_id
       AND (started_at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during
       AND (ended_at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY pack_session_audit ON pack_session FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack_session TO leasing_customer, leasing_auditor;

-- An hour of a pack in a row, kept after its readings are gone.
CREATE TABLE reading_hour (
  pack_id uuid NOT NULL,
  hour_at timestamptz NOT NULL,
  readings integer NOT NULL,
  voltage_v_min real, voltage_v_mean real, voltage_v_max real,
  current_a_min real, current_a_mean real, current_a_max real,
  soc_percent_min real, soc_percent_mean real, soc_percent_max real,
  temperature_c_min real, temperature_c_mean real, temperature_c_max real,
  insulation_kohm_min real, insulation_kohm_mean real, insulation_kohm_max real,
  cell_mv_min real, cell_mv_mean real, cell_mv_max real,
  CONSTRAINT reading_hour_once PRIMARY KEY (pack_id, hour_at),
  CONSTRAINT reading_hour_readings CHECK (readings > 0)
) PARTITION BY RANGE (hour_at);

ALTER TABLE reading_hour ENABLE ROW LEVEL SECURITY;
CREATE POLICY reading_hour_own ON reading_hour FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = reading_hour.pack_id
       AND (hour_at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY reading_hour_audit ON reading_hour FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON reading_hour TO leasing_customer, leasing_auditor;

-- Stretches in which what a pack reports is not to be believed.
CREATE TABLE reading_flag (
  pack_id uuid NOT NULL,
  kind text NOT NULL
    CONSTRAINT reading_flag_kind
    CHECK (kind IN ('clock_ahead', 'unit_jump', 'stuck', 'soc_contradicts_current')),
  quantity text NOT NULL,
  from_at timestamptz NOT NULL,
  to_at timestamptz NOT NULL,
  readings integer NOT NULL,
  CONSTRAINT reading_flag_once PRIMARY KEY (pack_id, kind, quantity, from_at),
  CONSTRAINT reading_flag_readings CHECK (readings > 0),
  CONSTRAINT reading_flag_ends CHECK (to_at >= from_at)
);

ALTER TABLE reading_flag ENABLE ROW LEVEL SECURITY;
CREATE POLICY reading_flag_audit ON reading_flag FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON reading_flag TO leasing_auditor;
