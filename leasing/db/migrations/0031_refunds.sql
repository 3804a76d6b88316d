-- A party's credit paid back: money that paid nothing, or what is left of a credit note.

CREATE TABLE refund (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  -- What it was paid back of, one of the two.
  payment_id uuid,
  credit_id uuid,
  party_id uuid NOT NULL,
  currency text NOT NULL,
  -- Negative when a transfer came back.
  amount bigint NOT NULL,
  taken_back_amount bigint NOT NULL GENERATED ALWAYS AS (-amount) STORED,
  posted_on date NOT NULL,
  reference text NOT NULL
    CONSTRAINT refund_reference_not_blank CHECK (btrim(reference) <> ''),
  reason text NOT NULL
    CONSTRAINT refund_reason_not_blank CHECK (btrim(reason) <> ''),
  reverses_id uuid
    CONSTRAINT refund_reversed_once UNIQUE,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT refund_sign CHECK (amount <> 0 AND (amount < 0) = (reverses_id IS NOT NULL)),
  CONSTRAINT refund_of_one_thing CHECK (num_nonnulls(payment_id, credit_id) = 1),
  CONSTRAINT refund_from_its_payer
    FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment (id, payer_id, currency),
  CONSTRAINT refund_from_its_credit
    FOREIGN KEY (credit_id, party_id, currency) REFERENCES receivable (id, party_id, currency),
  -- What is taken back is all of one row.
  CONSTRAINT refund_identity UNIQUE (id, party_id, currency, amount),
  CONSTRAINT refund_reversal_mirrors
    FOREIGN KEY (reverses_id, party_id, currency, taken_back_amount)
    REFERENCES refund (id, party_id, currency, amount)
);

CREATE INDEX refund_by_payment ON refund (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX refund_by_credit ON refund (credit_id) WHERE credit_id IS NOT NULL;
CREATE INDEX refund_by_party ON refund (party_id, id);

-- A party's second transfer with one reference is the same transfer.
CREATE UNIQUE INDEX refund_reference_once ON refund (party_id, reference)
  WHERE reverses_id IS NULL;

CREATE TRIGGER refund_append_only BEFORE UPDATE OR DELETE ON refund
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The checks on what is left of a payment and of a credit note refuse more than there is.
CREATE FUNCTION count_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.payment_id IS NOT NULL THEN
    UPDATE payment
       SET unallocated_amount = unallocated_amount - NEW.amount,
           automatic = automatic AND NEW.reverses_id IS NULL,
           changed_on = NEW.posted_on
     WHERE id = NEW.payment_id;
    RETURN NULL;
  END IF;
  UPDATE receivable
     SET open_amount = open_amount + NEW.amount,
         automatic = automatic AND NEW.reverses_id IS NULL,
         changed_on = NEW.posted_on
   WHERE id = NEW.credit_id
     AND amount < 0;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'only credit is paid back'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_of_credit';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER refund_counts AFTER INSERT ON refund
  FOR EACH ROW EXECUTE FUNCTION count_refund();

ALTER TABLE refund ENABLE ROW LEVEL SECURITY;
CREATE POLICY refund_own ON refund FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY refund_audit ON refund FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON refund TO leasing_customer, leasing_auditor;
