-- What a lease would cost, in one or two ways. Accepted, a quote becomes a contract, once.

CREATE TABLE quote (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  lessee_id uuid REFERENCES party (id),
  valid_to date NOT NULL,
  alternatives jsonb NOT NULL
    CONSTRAINT quote_alternatives CHECK (jsonb_array_length(alternatives) BETWEEN 1 AND 2),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  accepted_alternative integer
    CONSTRAINT quote_accepted_alternative CHECK (
      accepted_alternative BETWEEN 1 AND jsonb_array_length(alternatives)),
  contract_id uuid
    CONSTRAINT quote_contract_once UNIQUE
    REFERENCES contract (id),
  accepted_at timestamptz,
  CONSTRAINT quote_accepted CHECK (
    (accepted_at IS NULL) = (contract_id IS NULL)
    AND (accepted_at IS NULL) = (accepted_alternative IS NULL))
);

CREATE INDEX quote_by_lessee ON quote (lessee_id, id);

-- What was quoted stays as it was quoted; it is accepted once.
CREATE FUNCTION refuse_change_of_quote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.accepted_at IS NULL
     AND (NEW.id, NEW.valid_to, NEW.alternatives, NEW.created_by, NEW.created_at)
         = (OLD.id, OLD.valid_to, OLD.alternatives, OLD.created_by, OLD.created_at) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a quote is accepted, and never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'quote_fixed';
END $$;
CREATE TRIGGER quote_fixed BEFORE UPDATE OR DELETE ON quote
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_quote();

ALTER TABLE quote ENABLE ROW LEVEL SECURITY;
CREATE POLICY quote_own ON quote FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY quote_audit ON quote FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON quote TO leasing_customer, leasing_auditor;
