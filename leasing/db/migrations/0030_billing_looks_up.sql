-- What holds of a line or contract on a day is the last row that began by then: one step down a
-- B-tree that is in order of days. The indexes behind the constraints that keep such rows apart
-- (GiST) know it too, take ten times as long to ask, and PostgreSQL takes them for the cheaper ones
-- wherever the question does not need an order.

DROP INDEX placement_of_line;
CREATE INDEX placement_of_line ON placement (line_id, lower(during)) INCLUDE (pack_id, during);

DROP INDEX line_revision_of_line;
CREATE INDEX line_revision_of_line ON line_revision (line_id, lower(during))
  INCLUDE (during, site_id, rent_amount, suspended, price_plan_version_id);

DROP INDEX contract_revision_of_contract;
CREATE INDEX contract_revision_of_contract ON contract_revision (contract_id, lower(during))
  INCLUDE (during, vat_mode, vat_percent, proration, payment_days);

CREATE INDEX contract_term_of_contract ON contract_term (contract_id, lower(during)) INCLUDE (during);

DROP INDEX custody_by_line;
CREATE INDEX custody_by_line ON custody (line_id, lower(during)) INCLUDE (pack_id, during)
 WHERE state = 'leased';

-- An item becomes done by an update, and its state stood in an index, so that the row got new entries
-- in every index it has. The code says the same and stays empty where all goes well: such updates
-- now leave the indexes alone.
DROP INDEX billing_item_trouble;
CREATE INDEX billing_item_trouble ON billing_item (run_id) WHERE code IS NOT NULL;

-- Hardly a charge takes another back.
ALTER TABLE charge DROP CONSTRAINT charge_reversed_once;
CREATE UNIQUE INDEX charge_reversed_once ON charge (reverses_id) WHERE reverses_id IS NOT NULL;
