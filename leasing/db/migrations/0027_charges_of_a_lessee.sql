-- A lessee whose bills another party pays sees what was charged for its own lines, and on which
-- document; of that document neither totals nor the lines of others.

-- What a lessee may know of a final invoice that another party gets. A final invoice never changes,
-- so that this cannot become untrue.
CREATE TABLE invoice_lessee (
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  lessee_id uuid NOT NULL REFERENCES party (id),
  number text NOT NULL,
  kind text NOT NULL,
  currency text NOT NULL,
  issued_on date NOT NULL,
  CONSTRAINT invoice_lessee_once PRIMARY KEY (lessee_id, invoice_id)
);

CREATE INDEX invoice_lessee_by_invoice ON invoice_lessee (invoice_id);

CREATE TRIGGER invoice_lessee_append_only BEFORE UPDATE OR DELETE ON invoice_lessee
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION note_lessees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO invoice_lessee (invoice_id, lessee_id, number, kind, currency, issued_on)
  SELECT DISTINCT changed.id, lessee_id, changed.number, changed.kind, changed.currency, issued_on
    FROM changed
    JOIN charge ON charge.invoice_id = changed.id
    JOIN contract ON contract.id = contract_id
   WHERE changed.state = 'final'
     AND lessee_id <> buyer_id;
  RETURN NULL;
END $$;

CREATE TRIGGER invoice_final_names_lessees AFTER UPDATE ON invoice
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_lessees();

INSERT INTO invoice_lessee (invoice_id, lessee_id, number, kind, currency, issued_on)
SELECT DISTINCT invoice.id, lessee_id, invoice.number, invoice.kind, invoice.currency, issued_on
  FROM invoice
  JOIN charge ON charge.invoice_id = invoice.id
  JOIN contract ON contract.id = contract_id
 WHERE invoice.state = 'final'
   AND lessee_id <> buyer_id;

ALTER TABLE invoice_lessee ENABLE ROW LEVEL SECURITY;
CREATE POLICY invoice_lessee_own ON invoice_lessee FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY invoice_lessee_audit ON invoice_lessee FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON invoice_lessee TO leasing_customer, leasing_auditor;

-- Who gets the invoice sees all its lines, who has the line what was charged for it.
ALTER POLICY charge_own ON charge
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id)
         OR (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id)
             AND EXISTS (SELECT FROM invoice_lessee
                          WHERE invoice_lessee.invoice_id = charge.invoice_id)));

-- Disputed is an invoice, by who gets it.
ALTER POLICY charge_dispute_own ON charge_dispute
  USING (EXISTS (SELECT FROM charge JOIN invoice ON invoice.id = invoice_id
                  WHERE charge.id = charge_id));
