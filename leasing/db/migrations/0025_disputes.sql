-- A customer disputes a line, not a bill: the rest stays owed.

CREATE TABLE charge_dispute (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  charge_id uuid NOT NULL REFERENCES charge (id),
  reason text NOT NULL
    CONSTRAINT charge_dispute_reason CHECK (btrim(reason) <> ''),
  state text NOT NULL DEFAULT 'open'
    CONSTRAINT charge_dispute_state CHECK (state IN ('open', 'accepted', 'rejected', 'withdrawn')),
  opened_by text NOT NULL,
  opened_at timestamptz NOT NULL,
  answer text
    CONSTRAINT charge_dispute_answer CHECK (btrim(answer) <> ''),
  -- What is taken off the next bill.
  credited_amount bigint
    CONSTRAINT charge_dispute_credited CHECK (credited_amount > 0),
  fee_id uuid
    CONSTRAINT charge_dispute_fee_once UNIQUE
    REFERENCES fee (id),
  closed_by text,
  closed_at timestamptz,
  CONSTRAINT charge_dispute_closed CHECK (
    (state <> 'open') = (closed_at IS NOT NULL) AND (closed_at IS NULL) = (closed_by IS NULL)),
  CONSTRAINT charge_dispute_accepted CHECK (
    (state = 'accepted') = (credited_amount IS NOT NULL)
    AND (credited_amount IS NULL) = (fee_id IS NULL)),
  CONSTRAINT charge_dispute_answered CHECK ((state IN ('accepted', 'rejected')) = (answer IS NOT NULL))
);

CREATE UNIQUE INDEX charge_dispute_open_once ON charge_dispute (charge_id) WHERE state = 'open';
CREATE INDEX charge_dispute_by_charge ON charge_dispute (charge_id);

ALTER TABLE charge_dispute ENABLE ROW LEVEL SECURITY;
CREATE POLICY charge_dispute_own ON charge_dispute FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM charge WHERE charge.id = charge_id));
CREATE POLICY charge_dispute_audit ON charge_dispute FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON charge_dispute TO leasing_customer, leasing_auditor;

-- Several lines of one day may be put right for one line of the contract.
ALTER TABLE fee DROP CONSTRAINT fee_once;
CREATE UNIQUE INDEX fee_once ON fee (line_id, component, owed_on) WHERE component <> 'adjustment';
CREATE INDEX fee_by_charge ON fee (charge_id) WHERE charge_id IS NOT NULL;
