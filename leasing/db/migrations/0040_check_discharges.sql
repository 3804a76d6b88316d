-- Check discharges (核对性放电) as work orders (作业工单), by rules per class of site; and which
-- outages were found rather than entered, with what they rest on.

-- What differs from the defaults, from a day on.
CREATE TABLE test_rule (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  site_class text NOT NULL
    CONSTRAINT test_rule_site_class CHECK (site_class IN ('A', 'B', 'C', 'D')),
  valid_from date NOT NULL,
  interval_months integer NOT NULL
    CONSTRAINT test_rule_interval CHECK (interval_months BETWEEN 1 AND 120),
  life_months integer NOT NULL
    CONSTRAINT test_rule_life CHECK (life_months BETWEEN 12 AND 360),
  life_percent integer NOT NULL
    CONSTRAINT test_rule_life_percent CHECK (life_percent BETWEEN 1 AND 100),
  old_percent integer NOT NULL
    CONSTRAINT test_rule_old_percent CHECK (old_percent BETWEEN 1 AND 100),
  old_months integer NOT NULL
    CONSTRAINT test_rule_old_months CHECK (old_months BETWEEN 1 AND 120),
  drop_points integer NOT NULL
    CONSTRAINT test_rule_drop CHECK (drop_points BETWEEN 1 AND 100),
  depth_percent integer NOT NULL
    CONSTRAINT test_rule_depth CHECK (depth_percent BETWEEN 30 AND 80),
  deep_percent integer NOT NULL
    CONSTRAINT test_rule_deep CHECK (deep_percent BETWEEN 80 AND 100),
  deep_every integer NOT NULL
    CONSTRAINT test_rule_deep_every CHECK (deep_every BETWEEN 1 AND 10),
  reason text NOT NULL
    CONSTRAINT test_rule_reason CHECK (btrim(reason) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT test_rule_once UNIQUE (site_class, valid_from)
);

CREATE TRIGGER test_rule_append_only BEFORE UPDATE OR DELETE ON test_rule
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE work_order (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  kind text NOT NULL
    CONSTRAINT work_order_kind CHECK (kind IN ('check_discharge')),
  pack_id uuid NOT NULL REFERENCES pack (id),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  site_id uuid NOT NULL REFERENCES site (id),
  why text NOT NULL
    CONSTRAINT work_order_why CHECK (why IN ('schedule', 'inconclusive', 'resistance')),
  duty_id uuid REFERENCES duty (id),
  alarm_id uuid REFERENCES alarm (id),
  from_on date NOT NULL,
  due_on date NOT NULL,
  depth_percent integer NOT NULL
    CONSTRAINT work_order_depth CHECK (depth_percent BETWEEN 1 AND 100),
  state text NOT NULL
    CONSTRAINT work_order_state CHECK (state IN ('planned', 'assigned', 'done', 'cancelled')),
  planned_at timestamptz NOT NULL,
  assignee text,
  assigned_at timestamptz,
  done_at timestamptz,
  capacity_test_id uuid REFERENCES capacity_test (id),
  result jsonb,
  cancelled_at timestamptz,
  cancel_reason text,
  CONSTRAINT work_order_window CHECK (from_on <= due_on),
  CONSTRAINT work_order_why_inconclusive CHECK ((why = 'inconclusive') = (duty_id IS NOT NULL)),
  CONSTRAINT work_order_why_resistance CHECK ((why = 'resistance') = (alarm_id IS NOT NULL)),
  CONSTRAINT work_order_assigned
    CHECK ((assignee IS NULL) = (assigned_at IS NULL)
       AND (state <> 'planned' OR assigned_at IS NULL)
       AND (state NOT IN ('assigned', 'done') OR assigned_at IS NOT NULL)),
  CONSTRAINT work_order_done
    CHECK ((state = 'done') = (done_at IS NOT NULL)
       AND (state = 'done') = (capacity_test_id IS NOT NULL)
       AND (state = 'done') = (result IS NOT NULL)),
  CONSTRAINT work_order_cancelled
    CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)
       AND (state = 'cancelled') = (cancel_reason IS NOT NULL))
);

CREATE UNIQUE INDEX work_order_one_open ON work_order (pack_id, kind)
  WHERE state IN ('planned', 'assigned');
CREATE INDEX work_order_by_pack ON work_order (pack_id, id);
CREATE INDEX work_order_by_site ON work_order (site_id, id);
CREATE INDEX work_order_by_duty ON work_order (duty_id) WHERE duty_id IS NOT NULL;

-- What a check discharge showed is a check of its own, beside the night's.
ALTER TABLE health_check
  ADD COLUMN work_order_id uuid REFERENCES work_order (id),
  DROP CONSTRAINT health_check_once;
CREATE UNIQUE INDEX health_check_once ON health_check (pack_id, as_of)
  WHERE work_order_id IS NULL;
CREATE UNIQUE INDEX health_check_by_work_order ON health_check (work_order_id)
  WHERE work_order_id IS NOT NULL;
CREATE INDEX health_check_by_pack ON health_check (pack_id, as_of);

-- A day on which a replacement was overdue, or the time a site was dark before its packs had carried
-- it as long as agreed. Each is found once, whatever is made of its outage afterwards.
CREATE TABLE outage_source (
  outage_id uuid PRIMARY KEY REFERENCES outage (id),
  duty_id uuid REFERENCES duty (id),
  overdue_on date,
  site_id uuid REFERENCES site (id),
  discharge_started_at timestamptz,
  pack_ids uuid[] NOT NULL,
  CONSTRAINT outage_source_of_duty_or_site
    CHECK ((duty_id IS NULL) = (overdue_on IS NULL)
       AND (site_id IS NULL) = (discharge_started_at IS NULL)
       AND (duty_id IS NULL) <> (site_id IS NULL)),
  CONSTRAINT outage_source_once_a_day UNIQUE (duty_id, overdue_on),
  CONSTRAINT outage_source_once_a_discharge UNIQUE (site_id, discharge_started_at)
);

ALTER TABLE test_rule ENABLE ROW LEVEL SECURITY;
CREATE POLICY test_rule_audit ON test_rule FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON test_rule TO leasing_auditor;

ALTER TABLE work_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY work_order_own ON work_order FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY work_order_audit ON work_order FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON work_order TO leasing_customer, leasing_auditor;

ALTER TABLE outage_source ENABLE ROW LEVEL SECURITY;
CREATE POLICY outage_source_own ON outage_source FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM outage WHERE outage.id = outage_id));
CREATE POLICY outage_source_audit ON outage_source FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON outage_source TO leasing_customer, leasing_auditor;

-- A test of a pack that went since, as its results were paid for or credited by.
CREATE POLICY capacity_test_of_a_stay ON capacity_test FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = capacity_test.pack_id
       AND tested_on <@ placement.during));
