-- One statement settles many orders of a lease. `return_settlement.order_id` is the order that was
-- asked for; here are all of them, that one included.

ALTER TABLE return_settlement
  ADD CONSTRAINT return_settlement_identity UNIQUE (id, contract_id);

CREATE TABLE return_settlement_order (
  order_id uuid
    CONSTRAINT return_settlement_order_once PRIMARY KEY,
  settlement_id uuid NOT NULL,
  contract_id uuid NOT NULL,
  lessee_id uuid NOT NULL REFERENCES party (id),
  CONSTRAINT return_settlement_order_of_the_contract
    FOREIGN KEY (order_id, contract_id) REFERENCES return_order (id, contract_id),
  CONSTRAINT return_settlement_order_settled
    FOREIGN KEY (settlement_id, contract_id) REFERENCES return_settlement (id, contract_id)
);

INSERT INTO return_settlement_order (order_id, settlement_id, contract_id, lessee_id)
SELECT order_id, id, contract_id, lessee_id
  FROM return_settlement;

CREATE INDEX return_settlement_order_by_settlement ON return_settlement_order (settlement_id);
CREATE TRIGGER return_settlement_order_append_only
  BEFORE UPDATE OR DELETE ON return_settlement_order
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE return_settlement_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY return_settlement_order_own ON return_settlement_order FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY return_settlement_order_audit ON return_settlement_order FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON return_settlement_order TO leasing_customer, leasing_auditor;
