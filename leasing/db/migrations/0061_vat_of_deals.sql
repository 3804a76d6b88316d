-- The sale of scrap and the purchase of material are two taxable supplies (增值税): each movement of a
-- deal may say at what rate it was invoiced, and what is open of both taxes is paid in money.

ALTER TABLE deal_movement
  ADD COLUMN vat_percent numeric(5, 2)
    CONSTRAINT deal_movement_vat_rate CHECK (vat_percent BETWEEN 0 AND 100),
  -- Positive: owed by the recycler, for scrap. Negative: owed to it, for material.
  ADD COLUMN vat_amount bigint NOT NULL DEFAULT 0,
  DROP CONSTRAINT deal_movement_kind,
  ADD CONSTRAINT deal_movement_kind
    CHECK (kind IN ('scrap', 'material', 'money', 'vat', 'reversal')),
  ADD CONSTRAINT deal_movement_vat_of_a_supply CHECK (
    CASE kind
      WHEN 'scrap' THEN vat_amount >= 0 AND (vat_percent IS NOT NULL OR vat_amount = 0)
      WHEN 'material' THEN vat_amount <= 0 AND (vat_percent IS NOT NULL OR vat_amount = 0)
      WHEN 'money' THEN vat_amount = 0 AND vat_percent IS NULL
      WHEN 'vat' THEN vat_amount <> 0 AND vat_percent IS NULL
      ELSE vat_percent IS NULL
    END);

-- A reversal takes the tax back, too.
CREATE FUNCTION mirror_vat() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.vat_amount IS DISTINCT FROM
     (SELECT -vat_amount FROM deal_movement WHERE id = NEW.reverses_id) THEN
    RAISE EXCEPTION 'a reversal mirrors what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_reversal_mirrors';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER deal_reversal_mirrors_vat BEFORE INSERT ON deal_movement
  FOR EACH ROW WHEN (NEW.kind = 'reversal')
  EXECUTE FUNCTION mirror_vat();

CREATE OR REPLACE FUNCTION refuse_closing_what_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM deal_entry
     WHERE deal_id = NEW.id
     GROUP BY material
    HAVING sum(grams) <> 0 OR sum(amount) <> 0
  ) OR EXISTS (
    SELECT FROM deal_movement
     WHERE deal_id = NEW.id
    HAVING sum(vat_amount) <> 0
  ) THEN
    RAISE EXCEPTION 'something is open in deal %', NEW.number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_closed_when_settled';
  END IF;
  RETURN NEW;
END $$;
