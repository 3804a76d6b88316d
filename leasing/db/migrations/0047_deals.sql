-- Scrap for raw material (废料换原材料): what a recycler owes for scrap, in grams of material and in fen.

INSERT INTO account (code, kind, name, name_en) VALUES
  ('scrap_receivable', 'asset', '应收废料款', 'Owed for scrap, in material or money'),
  ('raw_material', 'asset', '原材料', 'Raw material'),
  ('revenue_scrap', 'revenue', '废料处置收入', 'Scrap');

CREATE TABLE deal (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  number text NOT NULL
    CONSTRAINT deal_number_once UNIQUE,
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT deal_recycler_kind CHECK (recycler_kind = 'recycler'),
  chemistry text NOT NULL
    CONSTRAINT deal_chemistry CHECK (chemistry ~ '^[A-GZ]$'),
  -- The most that may be open, either way: of all materials together, and in money.
  limit_g bigint NOT NULL
    CONSTRAINT deal_limit_of_material CHECK (limit_g > 0),
  limit_amount bigint NOT NULL
    CONSTRAINT deal_limit_of_money CHECK (limit_amount > 0),
  state text NOT NULL DEFAULT 'offered'
    CONSTRAINT deal_state CHECK (state IN ('offered', 'accepted', 'declined', 'closed')),
  snapshot_id uuid,
  created_at timestamptz NOT NULL,
  accepted_at timestamptz,
  accepted_by text,
  declined_at timestamptz,
  decline_reason text,
  closed_at timestamptz,
  CONSTRAINT deal_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind),
  CONSTRAINT deal_accepted CHECK (
    (state IN ('accepted', 'closed')) = (accepted_at IS NOT NULL)
    AND (accepted_at IS NULL) = (snapshot_id IS NULL)
    AND (accepted_at IS NULL) = (accepted_by IS NULL)),
  CONSTRAINT deal_declined CHECK (
    (state = 'declined') = (declined_at IS NOT NULL)
    AND (state = 'declined') = (decline_reason IS NOT NULL)),
  CONSTRAINT deal_closed CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);

CREATE INDEX deal_by_recycler ON deal (recycler_id, id);

-- What is counted, and into what it is turned.
CREATE TABLE deal_term (
  deal_id uuid NOT NULL REFERENCES deal (id),
  metal text NOT NULL
    CONSTRAINT deal_term_metal CHECK (metal IN ('Li', 'Ni', 'Co')),
  material text NOT NULL,
  content_percent numeric(7, 4) NOT NULL
    CONSTRAINT deal_term_content CHECK (content_percent > 0 AND content_percent <= 100),
  recovery_percent numeric(5, 2) NOT NULL
    CONSTRAINT deal_term_recovery CHECK (recovery_percent > 0 AND recovery_percent <= 100),
  -- 折价系数; above 100 % since 2022-08.
  coefficient_percent numeric(7, 2) NOT NULL
    CONSTRAINT deal_term_coefficient
      CHECK (coefficient_percent > 0 AND coefficient_percent <= 1000),
  CONSTRAINT deal_term_once PRIMARY KEY (deal_id, metal),
  CONSTRAINT deal_term_material_once UNIQUE (deal_id, material)
);

-- Prices with their source and their end. The newest holds, until the deal is accepted: then it stays.
CREATE TABLE deal_snapshot (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  deal_id uuid NOT NULL REFERENCES deal (id),
  number integer NOT NULL,
  source text NOT NULL
    CONSTRAINT deal_snapshot_source CHECK (btrim(source) <> ''),
  quoted_on date NOT NULL,
  expires_at timestamptz NOT NULL,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT deal_snapshot_once UNIQUE (deal_id, number),
  CONSTRAINT deal_snapshot_of_its_deal UNIQUE (id, deal_id),
  CONSTRAINT deal_snapshot_expires_later CHECK (expires_at > entered_at)
);

ALTER TABLE deal
  ADD CONSTRAINT deal_priced
    FOREIGN KEY (snapshot_id, id) REFERENCES deal_snapshot (id, deal_id);

-- Fen a tonne of material, without VAT.
CREATE TABLE deal_price (
  snapshot_id uuid NOT NULL REFERENCES deal_snapshot (id),
  material text NOT NULL,
  amount_per_tonne bigint NOT NULL
    CONSTRAINT deal_price_positive CHECK (amount_per_tonne > 0),
  CONSTRAINT deal_price_once PRIMARY KEY (snapshot_id, material)
);

CREATE TRIGGER deal_term_append_only BEFORE UPDATE OR DELETE ON deal_term
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deal_snapshot_append_only BEFORE UPDATE OR DELETE ON deal_snapshot
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deal_price_append_only BEFORE UPDATE OR DELETE ON deal_price
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A deal that was accepted is priced for good. The lock makes whoever accepts at this moment wait.
CREATE FUNCTION refuse_revaluation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  found_state text;
BEGIN
  SELECT state INTO found_state FROM deal WHERE id = NEW.deal_id FOR NO KEY UPDATE;
  IF found_state <> 'offered' THEN
    RAISE EXCEPTION 'deal % is %', NEW.deal_id, found_state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER deal_snapshot_while_offered BEFORE INSERT ON deal_snapshot
  FOR EACH ROW EXECUTE FUNCTION refuse_revaluation();

CREATE FUNCTION refuse_price_of_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  found_state text;
BEGIN
  SELECT state INTO found_state
    FROM deal_snapshot
    JOIN deal ON deal.id = deal_id
   WHERE deal_snapshot.id = NEW.snapshot_id
     FOR NO KEY UPDATE OF deal;
  IF found_state <> 'offered' THEN
    RAISE EXCEPTION 'snapshot % is of a deal that is %', NEW.snapshot_id, found_state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER deal_price_while_offered BEFORE INSERT ON deal_price
  FOR EACH ROW EXECUTE FUNCTION refuse_price_of_accepted();

-- It is accepted at its newest prices, before they end; afterwards neither they nor the limits change.
CREATE FUNCTION refuse_bad_acceptance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest deal_snapshot;
BEGIN
  IF OLD.state <> 'offered' THEN
    IF (NEW.snapshot_id, NEW.limit_g, NEW.limit_amount, NEW.accepted_at, NEW.chemistry)
       IS DISTINCT FROM
       (OLD.snapshot_id, OLD.limit_g, OLD.limit_amount, OLD.accepted_at, OLD.chemistry) THEN
      RAISE EXCEPTION 'deal % was %', OLD.number, OLD.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
    END IF;
  ELSIF NEW.state = 'accepted' THEN
    SELECT * INTO newest
      FROM deal_snapshot
     WHERE deal_id = NEW.id
     ORDER BY number DESC
     LIMIT 1;
    IF NEW.snapshot_id IS DISTINCT FROM newest.id OR NEW.accepted_at >= newest.expires_at THEN
      RAISE EXCEPTION 'the prices of deal % ended at %', NEW.number, newest.expires_at
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_accepted_before_expiry';
    END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER deal_accepted_before_expiry BEFORE UPDATE ON deal
  FOR EACH ROW EXECUTE FUNCTION refuse_bad_acceptance();

-- The ledger of a deal. What is open is the sum of its entries, and stands nowhere else.
CREATE TABLE deal_movement (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  deal_id uuid NOT NULL REFERENCES deal (id),
  kind text NOT NULL
    CONSTRAINT deal_movement_kind CHECK (kind IN ('scrap', 'material', 'money', 'reversal')),
  happened_on date NOT NULL,
  scrap_g bigint
    CONSTRAINT deal_movement_scrap_mass CHECK (scrap_g > 0),
  assay jsonb,
  consignment_id uuid REFERENCES consignment (id),
  document text NOT NULL
    CONSTRAINT deal_movement_document CHECK (btrim(document) <> ''),
  reverses_id uuid
    CONSTRAINT deal_movement_reversed_once UNIQUE,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT deal_movement_identity UNIQUE (id, deal_id),
  CONSTRAINT deal_movement_scrap CHECK (
    (kind = 'scrap') = (scrap_g IS NOT NULL)
    AND (kind = 'scrap') = (assay IS NOT NULL)
    AND (kind = 'scrap' OR consignment_id IS NULL)),
  CONSTRAINT deal_movement_reversal CHECK ((kind = 'reversal') = (reverses_id IS NOT NULL)),
  CONSTRAINT deal_movement_reverses_its_own
    FOREIGN KEY (reverses_id, deal_id) REFERENCES deal_movement (id, deal_id)
);

CREATE INDEX deal_movement_by_deal ON deal_movement (deal_id, id);

-- Positive: the recycler owes the lessor. Negative: the lessor has had it already.
CREATE TABLE deal_entry (
  movement_id uuid NOT NULL,
  deal_id uuid NOT NULL,
  material text NOT NULL,
  grams bigint NOT NULL,
  amount bigint NOT NULL,
  CONSTRAINT deal_entry_once PRIMARY KEY (movement_id, material),
  CONSTRAINT deal_entry_of_its_deal
    FOREIGN KEY (movement_id, deal_id) REFERENCES deal_movement (id, deal_id),
  CONSTRAINT deal_entry_of_its_terms
    FOREIGN KEY (deal_id, material) REFERENCES deal_term (deal_id, material),
  CONSTRAINT deal_entry_not_nothing CHECK (grams <> 0 OR amount <> 0)
);

CREATE INDEX deal_entry_by_deal ON deal_entry (deal_id, material);

CREATE TRIGGER deal_movement_append_only BEFORE UPDATE OR DELETE ON deal_movement
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deal_entry_append_only BEFORE UPDATE OR DELETE ON deal_entry
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Whoever adds entries waits for the deal first: what is summed up then is all that was committed.
-- (Two who refer to one deal hold a share of its key; an update of the key would make them wait for
-- each other for good.)
CREATE FUNCTION judge_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  agreed deal;
  open_g numeric;
  open_amount numeric;
BEGIN
  FOR agreed IN
    SELECT *
      FROM deal
     WHERE id IN (SELECT deal_id FROM added)
     ORDER BY id
       FOR NO KEY UPDATE
  LOOP
    IF agreed.state <> 'accepted' THEN
      RAISE EXCEPTION 'deal % is %', agreed.number, agreed.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_entry_of_accepted';
    END IF;
    SELECT coalesce(sum(abs(of_material.grams)), 0), abs(coalesce(sum(of_material.amount), 0))
      INTO open_g, open_amount
      FROM (SELECT sum(grams) AS grams, sum(amount) AS amount
              FROM deal_entry
             WHERE deal_id = agreed.id
             GROUP BY material) AS of_material;
    IF open_g > agreed.limit_g THEN
      RAISE EXCEPTION 'deal % would have % g open', agreed.number, open_g
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_limit_kg',
              HINT = format('%s kg would be open, the limit is %s kg',
                            round(open_g / 1000, 3), round(agreed.limit_g / 1000.0, 3));
    END IF;
    IF open_amount > agreed.limit_amount THEN
      RAISE EXCEPTION 'deal % would have % fen open', agreed.number, open_amount
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_limit_amount',
              HINT = format('%s fen would be open, the limit is %s fen',
                            open_amount, agreed.limit_amount);
    END IF;
  END LOOP;
  IF EXISTS (
    SELECT FROM added
      JOIN deal_movement AS reversal ON reversal.id = added.movement_id
      LEFT JOIN deal_entry AS original
        ON original.movement_id = reversal.reverses_id
       AND original.material = added.material
     WHERE reversal.kind = 'reversal'
       AND (original.grams IS DISTINCT FROM -added.grams
            OR original.amount IS DISTINCT FROM -added.amount)
  ) THEN
    RAISE EXCEPTION 'a reversal mirrors what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_reversal_mirrors';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER deal_entry_judged AFTER INSERT ON deal_entry
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION judge_entries();

-- Nothing is left open in a deal that is closed.
CREATE FUNCTION refuse_closing_what_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM deal_entry
     WHERE deal_id = NEW.id
     GROUP BY material
    HAVING sum(grams) <> 0 OR sum(amount) <> 0
  ) THEN
    RAISE EXCEPTION 'something is open in deal %', NEW.number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_closed_when_settled';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER deal_closed_when_settled BEFORE UPDATE OF state ON deal
  FOR EACH ROW WHEN (NEW.state = 'closed')
  EXECUTE FUNCTION refuse_closing_what_is_open();

-- A recycler sees its own deals; a customer none.
ALTER TABLE deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_own ON deal FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY deal_audit ON deal FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal TO leasing_recycler, leasing_auditor;

ALTER TABLE deal_term ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_term_own ON deal_term FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM deal WHERE deal.id = deal_id));
CREATE POLICY deal_term_audit ON deal_term FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal_term TO leasing_recycler, leasing_auditor;

ALTER TABLE deal_snapshot ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_snapshot_own ON deal_snapshot FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM deal WHERE deal.id = deal_id));
CREATE POLICY deal_snapshot_audit ON deal_snapshot FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal_snapshot TO leasing_recycler, leasing_auditor;

ALTER TABLE deal_price ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_price_own ON deal_price FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM deal_snapshot WHERE deal_snapshot.id = snapshot_id));
CREATE POLICY deal_price_audit ON deal_price FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal_price TO leasing_recycler, leasing_auditor;

ALTER TABLE deal_movement ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_movement_own ON deal_movement FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM deal WHERE deal.id = deal_id));
CREATE POLICY deal_movement_audit ON deal_movement FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal_movement TO leasing_recycler, leasing_auditor;

ALTER TABLE deal_entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY deal_entry_own ON deal_entry FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM deal WHERE deal.id = deal_id));
CREATE POLICY deal_entry_audit ON deal_entry FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON deal_entry TO leasing_recycler, leasing_auditor;
