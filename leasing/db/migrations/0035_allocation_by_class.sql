-- Money may also pay lines of invoices by what they are for.

ALTER TABLE allocation_order
  DROP CONSTRAINT allocation_order_kinds,
  ADD CONSTRAINT allocation_order_kinds CHECK (
    kinds <@ ARRAY['dunning_fee', 'interest', 'invoice', 'fees', 'usage', 'rent', 'sales']);
