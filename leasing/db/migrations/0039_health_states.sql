-- A pack's capacity followed from measurement to measurement: what was measured, and what was known
-- after it. The state before a late measurement is where to go on from. Keyed by pack first and
-- without foreign keys, as sessions are; only the nightly check reads it, and a check says in its
-- evidence what others may know.

CREATE TABLE health_state (
  pack_id uuid NOT NULL,
  at timestamptz NOT NULL,
  -- Of measurements of one instant, the order in which they are taken.
  rank smallint NOT NULL,
  source text NOT NULL
    CONSTRAINT health_state_source CHECK (source IN (
      'joint_test', 'other_test', 'standard_test', 'count', 'window', 'whole')),
  -- The id of a test, or when a session began.
  ref text NOT NULL,
  capacity_mah double precision NOT NULL
    CONSTRAINT health_state_capacity CHECK (capacity_mah > 0),
  own_percent double precision NOT NULL,
  sensor_percent double precision NOT NULL,
  count_percent double precision NOT NULL,
  mean double precision[] NOT NULL
    CONSTRAINT health_state_mean CHECK (cardinality(mean) = 4),
  covariance double precision[] NOT NULL
    CONSTRAINT health_state_covariance CHECK (cardinality(covariance) = 16),
  CONSTRAINT health_state_once PRIMARY KEY (pack_id, at, rank, ref)
);

CREATE INDEX health_state_tests ON health_state (pack_id, ref)
  WHERE source IN ('joint_test', 'other_test', 'standard_test');

ALTER TABLE health_state ENABLE ROW LEVEL SECURITY;

-- Silence is an alarm.
ALTER TABLE alarm
  DROP CONSTRAINT alarm_kind,
  ADD CONSTRAINT alarm_kind CHECK (kind IN (
      'cell_over_voltage', 'cell_under_voltage', 'static_imbalance', 'drift', 'cell_spread',
      'charge_temperature', 'over_temperature', 'temperature_spread', 'thermal_runaway',
      'insulation', 'insulation_trend', 'capacity', 'resistance', 'standby_self_discharge',
      'silence', 'data_stuck', 'data_unit_jump', 'data_clock', 'data_contradiction', 'data_soc',
      'device'));

-- How fast the voltage of a pack at rest sinks, as last found: what the packs of its chemistry are
-- compared with.
CREATE TABLE standby_slope (
  pack_id uuid NOT NULL,
  chemistry text NOT NULL,
  found_on date NOT NULL,
  mv_per_day double precision NOT NULL,
  lower_mv double precision NOT NULL,
  upper_mv double precision NOT NULL,
  days integer NOT NULL,
  CONSTRAINT standby_slope_once PRIMARY KEY (pack_id),
  CONSTRAINT standby_slope_interval CHECK (lower_mv <= upper_mv)
);

CREATE INDEX standby_slope_by_chemistry ON standby_slope (chemistry, mv_per_day);

ALTER TABLE standby_slope ENABLE ROW LEVEL SECURITY;
