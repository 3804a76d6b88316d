-- State of health: an estimate with its interval, the verdict against the contract, and the
-- duty that follows.

CREATE TABLE health_check (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  line_id uuid REFERENCES lease_line (id),
  as_of date NOT NULL,
  verdict text NOT NULL
    CONSTRAINT health_check_verdict CHECK (verdict IN ('pass', 'breach', 'inconclusive', 'abstained')),
  method text,
  capacity_mah integer,
  lower_mah integer,
  upper_mah integer,
  guarantee_mah integer,
  measured_at timestamptz,
  evidence jsonb NOT NULL,
  CONSTRAINT health_check_once UNIQUE (pack_id, as_of),
  CONSTRAINT health_check_interval CHECK (lower_mah <= capacity_mah AND capacity_mah <= upper_mah),
  CONSTRAINT health_check_estimate_or_abstention
    CHECK ((verdict = 'abstained') = (capacity_mah IS NULL)
       AND (capacity_mah IS NULL) = (lower_mah IS NULL)
       AND (capacity_mah IS NULL) = (upper_mah IS NULL)
       AND (capacity_mah IS NULL) = (method IS NULL)
       AND (capacity_mah IS NULL) = (measured_at IS NULL)),
  -- No money moves on half an interval.
  CONSTRAINT health_check_breach_is_certain CHECK (verdict <> 'breach' OR upper_mah < guarantee_mah)
);

CREATE TABLE duty (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  kind text NOT NULL
    CONSTRAINT duty_kind CHECK (kind IN ('replacement', 'check_discharge')),
  health_check_id uuid NOT NULL REFERENCES health_check (id),
  opened_on date NOT NULL,
  due_on date NOT NULL,
  closed_on date,
  outcome text
    CONSTRAINT duty_outcome CHECK (outcome IN ('done', 'superseded', 'lease_ended')),
  CONSTRAINT duty_due_after_opening CHECK (due_on > opened_on),
  CONSTRAINT duty_closed_with_outcome CHECK ((closed_on IS NULL) = (outcome IS NULL))
);

CREATE UNIQUE INDEX duty_one_open ON duty (pack_id, kind) WHERE closed_on IS NULL;
CREATE INDEX duty_by_due ON duty (due_on, id) WHERE closed_on IS NULL;
CREATE INDEX duty_by_line ON duty (line_id);

ALTER TABLE health_check ENABLE ROW LEVEL SECURITY;
CREATE POLICY health_check_own ON health_check FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY health_check_audit ON health_check FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON health_check TO leasing_customer, leasing_auditor;

ALTER TABLE duty ENABLE ROW LEVEL SECURITY;
CREATE POLICY duty_own ON duty FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY duty_audit ON duty FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON duty TO leasing_customer, leasing_auditor;
