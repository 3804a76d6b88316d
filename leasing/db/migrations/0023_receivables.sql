-- What is owed and what settled it: open items, payments, allocations, deposits, dunning, interest.

-- Something owed, from the day it was issued. An invoice becomes one when it is final; negative ones
-- (credit notes, interest given back) are credit. What is open of it is kept by what is allocated.
CREATE TABLE receivable (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  kind text NOT NULL
    CONSTRAINT receivable_kind CHECK (kind IN ('invoice', 'interest', 'dunning_fee')),
  -- The invoice itself, or the one on whose account it is owed.
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  number text NOT NULL,
  party_id uuid NOT NULL REFERENCES party (id),
  currency text NOT NULL
    CONSTRAINT receivable_currency CHECK (currency ~ '^[A-Z]{3}$'),
  issued_on date NOT NULL,
  due_on date NOT NULL,
  amount bigint NOT NULL
    CONSTRAINT receivable_not_zero CHECK (amount <> 0),
  open_amount bigint NOT NULL,
  -- Whether what is left of a credit goes to what is open by itself.
  automatic boolean NOT NULL DEFAULT true,
  -- The day of the last posting; none comes before another that was made before it.
  changed_on date NOT NULL,
  -- Whether late interest was worked out and cannot grow.
  interest_settled boolean NOT NULL DEFAULT false,
  CONSTRAINT receivable_open CHECK (open_amount BETWEEN least(amount, 0) AND greatest(amount, 0)),
  CONSTRAINT receivable_of_an_invoice CHECK ((kind = 'invoice') = (id = invoice_id)),
  CONSTRAINT receivable_identity UNIQUE (id, party_id, currency)
);

CREATE INDEX receivable_open_by_party ON receivable (party_id, currency, due_on)
  WHERE open_amount <> 0;
CREATE INDEX receivable_by_party ON receivable (party_id, id);
CREATE INDEX receivable_by_invoice ON receivable (invoice_id);
CREATE INDEX receivable_by_change ON receivable (changed_on);
CREATE INDEX receivable_overdue ON receivable (id) WHERE kind = 'invoice' AND open_amount > 0;
CREATE INDEX receivable_interest ON receivable (id)
  WHERE kind = 'invoice' AND amount > 0 AND NOT interest_settled;

-- The only place that knows how an invoice looks.
CREATE FUNCTION note_receivables() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO receivable (id, kind, invoice_id, number, party_id, currency, issued_on, due_on,
                          amount, open_amount, changed_on)
  SELECT id, 'invoice', id, number, buyer_id, currency, issued_on, due_on,
         total_amount, total_amount, issued_on
    FROM changed
   WHERE state = 'final'
     AND total_amount <> 0;
  RETURN NULL;
END $$;

CREATE TRIGGER invoice_drafted_is_owed AFTER INSERT ON invoice
  REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION note_receivables();
-- A final invoice never changes, so one that is final after an update became so by it.
CREATE TRIGGER invoice_final_is_owed AFTER UPDATE ON invoice
  REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION note_receivables();

INSERT INTO receivable (id, kind, invoice_id, number, party_id, currency, issued_on, due_on,
                        amount, open_amount, changed_on)
SELECT id, 'invoice', id, number, buyer_id, currency, issued_on, due_on,
       total_amount, total_amount, issued_on
  FROM invoice
 WHERE state = 'final'
   AND total_amount <> 0;

CREATE TABLE payment (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  payer_id uuid NOT NULL
    CONSTRAINT payment_payer REFERENCES party (id),
  currency text NOT NULL
    CONSTRAINT payment_currency CHECK (currency ~ '^[A-Z]{3}$'),
  amount bigint NOT NULL
    CONSTRAINT payment_positive CHECK (amount > 0),
  -- The payer's credit: what was allocated to nothing yet.
  unallocated_amount bigint NOT NULL
    CONSTRAINT payment_unallocated CHECK (unallocated_amount BETWEEN 0 AND amount),
  received_on date NOT NULL,
  method text NOT NULL
    CONSTRAINT payment_method CHECK (method IN ('bank_transfer', 'card', 'cash', 'offset')),
  reference text NOT NULL
    CONSTRAINT payment_reference_not_blank CHECK (btrim(reference) <> ''),
  note text,
  automatic boolean NOT NULL,
  changed_on date NOT NULL,
  bounced_on date,
  bounce_reason text,
  entered_by text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT payment_reference_once UNIQUE (payer_id, reference),
  CONSTRAINT payment_identity UNIQUE (id, payer_id, currency),
  CONSTRAINT payment_bounced CHECK (
    (bounced_on IS NULL) = (bounce_reason IS NULL)
    AND (bounced_on IS NULL OR unallocated_amount = 0))
);

CREATE INDEX payment_by_payer ON payment (payer_id, id);
CREATE INDEX payment_with_credit ON payment (payer_id, currency, received_on)
  WHERE unallocated_amount > 0;

-- What a contract holds of its lessee's money.
CREATE TABLE deposit (
  contract_id uuid PRIMARY KEY REFERENCES contract (id),
  party_id uuid NOT NULL REFERENCES party (id),
  currency text NOT NULL
    CONSTRAINT deposit_currency CHECK (currency ~ '^[A-Z]{3}$'),
  held_amount bigint NOT NULL DEFAULT 0
    CONSTRAINT deposit_held CHECK (held_amount >= 0),
  changed_on date NOT NULL,
  CONSTRAINT deposit_identity UNIQUE (contract_id, party_id, currency)
);

CREATE INDEX deposit_by_party ON deposit (party_id);

-- What settles a part of a receivable: a payment, a credit note, a deposit, or nobody (write-off).
-- A row is never changed; another takes it back.
CREATE TABLE allocation (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  source text NOT NULL
    CONSTRAINT allocation_source CHECK (source IN ('payment', 'credit', 'deposit', 'write_off')),
  payment_id uuid,
  credit_id uuid,
  contract_id uuid,
  receivable_id uuid NOT NULL,
  party_id uuid NOT NULL,
  currency text NOT NULL,
  amount bigint NOT NULL,
  taken_back_amount bigint NOT NULL GENERATED ALWAYS AS (-amount) STORED,
  -- From when it counts against late interest: when the money came.
  value_on date NOT NULL,
  posted_on date NOT NULL,
  reason text,
  reverses_id uuid
    CONSTRAINT allocation_reversed_once UNIQUE,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT allocation_sign CHECK (amount <> 0 AND (amount < 0) = (reverses_id IS NOT NULL)),
  CONSTRAINT allocation_names_its_source CHECK (
    (source = 'payment') = (payment_id IS NOT NULL)
    AND (source = 'credit') = (credit_id IS NOT NULL)
    AND (source = 'deposit') = (contract_id IS NOT NULL)),
  CONSTRAINT allocation_write_off_has_a_reason CHECK (source <> 'write_off' OR reason IS NOT NULL),
  -- A party's money pays that party's debts, in one currency.
  CONSTRAINT allocation_of_the_party
    FOREIGN KEY (receivable_id, party_id, currency) REFERENCES receivable (id, party_id, currency),
  CONSTRAINT allocation_from_its_payer
    FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment (id, payer_id, currency),
  CONSTRAINT allocation_from_its_credit
    FOREIGN KEY (credit_id, party_id, currency) REFERENCES receivable (id, party_id, currency),
  CONSTRAINT allocation_from_its_deposit
    FOREIGN KEY (contract_id, party_id, currency)
    REFERENCES deposit (contract_id, party_id, currency),
  -- What is taken back is all of one row.
  CONSTRAINT allocation_identity UNIQUE (id, receivable_id, source, amount),
  CONSTRAINT allocation_reversal_mirrors
    FOREIGN KEY (reverses_id, receivable_id, source, taken_back_amount)
    REFERENCES allocation (id, receivable_id, source, amount)
);

CREATE INDEX allocation_by_receivable ON allocation (receivable_id);
CREATE INDEX allocation_by_payment ON allocation (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX allocation_by_credit ON allocation (credit_id) WHERE credit_id IS NOT NULL;
CREATE INDEX allocation_by_contract ON allocation (contract_id) WHERE contract_id IS NOT NULL;
CREATE INDEX allocation_by_party ON allocation (party_id, id);

CREATE TRIGGER allocation_append_only BEFORE UPDATE OR DELETE ON allocation
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A deposit is received out of a payment, paid back, or kept. What is used of it is an allocation.
CREATE TABLE deposit_movement (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  contract_id uuid NOT NULL,
  party_id uuid NOT NULL,
  currency text NOT NULL,
  kind text NOT NULL
    CONSTRAINT deposit_movement_kind CHECK (kind IN ('received', 'returned', 'forfeited')),
  amount bigint NOT NULL,
  taken_back_amount bigint NOT NULL GENERATED ALWAYS AS (-amount) STORED,
  payment_id uuid,
  posted_on date NOT NULL,
  reason text,
  reverses_id uuid
    CONSTRAINT deposit_movement_reversed_once UNIQUE,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT deposit_movement_sign CHECK (
    amount <> 0 AND (amount > 0) = ((kind = 'received') = (reverses_id IS NULL))),
  CONSTRAINT deposit_movement_names_its_payment CHECK (
    (kind = 'received') = (payment_id IS NOT NULL)),
  CONSTRAINT deposit_movement_of_the_party
    FOREIGN KEY (contract_id, party_id, currency)
    REFERENCES deposit (contract_id, party_id, currency),
  CONSTRAINT deposit_movement_from_its_payer
    FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment (id, payer_id, currency),
  CONSTRAINT deposit_movement_identity UNIQUE (id, contract_id, kind, amount),
  CONSTRAINT deposit_movement_reversal_mirrors
    FOREIGN KEY (reverses_id, contract_id, kind, taken_back_amount)
    REFERENCES deposit_movement (id, contract_id, kind, amount)
);

CREATE INDEX deposit_movement_by_contract ON deposit_movement (contract_id, id);
CREATE INDEX deposit_movement_by_payment ON deposit_movement (payment_id)
  WHERE payment_id IS NOT NULL;
CREATE INDEX deposit_movement_by_party ON deposit_movement (party_id);

CREATE TRIGGER deposit_movement_append_only BEFORE UPDATE OR DELETE ON deposit_movement
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What is open, left and held follows from what was allocated and moved, whoever writes it. The
-- checks on these sums are what refuses to settle more than is open, at whatever time.
CREATE FUNCTION count_allocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE payment
     SET unallocated_amount = unallocated_amount - NEW.amount,
         automatic = automatic AND NEW.reverses_id IS NULL,
         changed_on = NEW.posted_on
   WHERE id = NEW.payment_id;
  UPDATE deposit
     SET held_amount = held_amount - NEW.amount,
         changed_on = NEW.posted_on
   WHERE contract_id = NEW.contract_id;
  UPDATE receivable
     SET open_amount = open_amount + NEW.amount,
         automatic = automatic AND NEW.reverses_id IS NULL,
         changed_on = NEW.posted_on
   WHERE id = NEW.credit_id;
  UPDATE receivable
     SET open_amount = open_amount - NEW.amount,
         interest_settled = false,
         changed_on = NEW.posted_on
   WHERE id = NEW.receivable_id;
  RETURN NULL;
END $$;
CREATE TRIGGER allocation_counts AFTER INSERT ON allocation
  FOR EACH ROW EXECUTE FUNCTION count_allocation();

CREATE FUNCTION count_deposit_movement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE payment
     SET unallocated_amount = unallocated_amount - NEW.amount,
         automatic = automatic AND NEW.reverses_id IS NULL,
         changed_on = NEW.posted_on
   WHERE id = NEW.payment_id;
  UPDATE deposit
     SET held_amount = held_amount + NEW.amount,
         changed_on = NEW.posted_on
   WHERE contract_id = NEW.contract_id;
  RETURN NULL;
END $$;
CREATE TRIGGER deposit_movement_counts AFTER INSERT ON deposit_movement
  FOR EACH ROW EXECUTE FUNCTION count_deposit_movement();

-- Days of postings never go back, so that what was open at the end of any past day was open.
CREATE FUNCTION refuse_earlier_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.changed_on < OLD.changed_on THEN
    RAISE EXCEPTION 'something was posted on % already', OLD.changed_on
      USING ERRCODE = 'check_violation', CONSTRAINT = 'posted_in_order';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER receivable_posted_in_order BEFORE UPDATE OF changed_on ON receivable
  FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();
CREATE TRIGGER payment_posted_in_order BEFORE UPDATE OF changed_on ON payment
  FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();
CREATE TRIGGER deposit_posted_in_order BEFORE UPDATE OF changed_on ON deposit
  FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();

CREATE FUNCTION refuse_change_of_receivable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE'
     AND (NEW.id, NEW.kind, NEW.invoice_id, NEW.number, NEW.party_id, NEW.currency, NEW.issued_on,
          NEW.due_on, NEW.amount)
         = (OLD.id, OLD.kind, OLD.invoice_id, OLD.number, OLD.party_id, OLD.currency, OLD.issued_on,
            OLD.due_on, OLD.amount) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'what is owed is settled, and never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'receivable_fixed';
END $$;
CREATE TRIGGER receivable_fixed BEFORE UPDATE OR DELETE ON receivable
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_receivable();

CREATE FUNCTION refuse_change_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE'
     AND (NEW.id, NEW.payer_id, NEW.currency, NEW.amount, NEW.received_on, NEW.method,
          NEW.reference, NEW.created_at)
         = (OLD.id, OLD.payer_id, OLD.currency, OLD.amount, OLD.received_on, OLD.method,
            OLD.reference, OLD.created_at)
     AND OLD.bounced_on IS NULL THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a payment is allocated or bounces, and is never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_fixed';
END $$;
CREATE TRIGGER payment_fixed BEFORE UPDATE OR DELETE ON payment
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_payment();

-- In which order a payer's money pays what it owes; by due day unless it says otherwise.
CREATE TABLE allocation_order (
  party_id uuid PRIMARY KEY REFERENCES party (id),
  first text NOT NULL
    CONSTRAINT allocation_order_first CHECK (first IN ('due', 'kind')),
  kinds text[] NOT NULL
    CONSTRAINT allocation_order_kinds CHECK (kinds <@ ARRAY['invoice', 'interest', 'dunning_fee'])
);

-- Dunning: which steps there are, which invoice has reached which, and where it is held back.
CREATE TABLE dunning_step (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  number integer NOT NULL
    CONSTRAINT dunning_step_number_once UNIQUE
    CONSTRAINT dunning_step_number CHECK (number BETWEEN 1 AND 20),
  name text NOT NULL
    CONSTRAINT dunning_step_name_not_blank CHECK (btrim(name) <> ''),
  days integer NOT NULL
    CONSTRAINT dunning_step_days CHECK (days BETWEEN 1 AND 365),
  day_kind text NOT NULL
    CONSTRAINT dunning_step_day_kind CHECK (day_kind IN ('business', 'calendar')),
  fee_amount bigint
    CONSTRAINT dunning_step_fee_positive CHECK (fee_amount > 0),
  fee_currency text
    CONSTRAINT dunning_step_fee_currency CHECK (fee_currency ~ '^[A-Z]{3}$'),
  active boolean NOT NULL DEFAULT true,
  CONSTRAINT dunning_step_fee_has_a_currency CHECK ((fee_amount IS NULL) = (fee_currency IS NULL))
);

INSERT INTO dunning_step (number, name, days, day_kind)
VALUES (1, '付款提醒 Friendly reminder', 3, 'business'),
       (2, '第一次催款 First notice', 15, 'calendar'),
       (3, '第二次催款 Second notice', 30, 'calendar'),
       (4, '最后催告 Final notice', 60, 'calendar');

CREATE TABLE dunning_notice (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  receivable_id uuid NOT NULL REFERENCES receivable (id),
  step_id uuid NOT NULL REFERENCES dunning_step (id),
  reached_on date NOT NULL,
  open_amount bigint NOT NULL
    CONSTRAINT dunning_notice_of_something_open CHECK (open_amount > 0),
  noted_at timestamptz NOT NULL,
  CONSTRAINT dunning_notice_once UNIQUE (receivable_id, step_id)
);

CREATE INDEX dunning_notice_by_step ON dunning_notice (step_id);
CREATE TRIGGER dunning_notice_append_only BEFORE UPDATE OR DELETE ON dunning_notice
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE dunning_pause (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  party_id uuid
    CONSTRAINT dunning_pause_party REFERENCES party (id),
  invoice_id uuid
    CONSTRAINT dunning_pause_invoice REFERENCES receivable (id),
  reason text NOT NULL
    CONSTRAINT dunning_pause_reason_not_blank CHECK (btrim(reason) <> ''),
  from_on date NOT NULL,
  -- The last day.
  until_on date,
  ended_on date,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT dunning_pause_of_one_thing CHECK (num_nonnulls(party_id, invoice_id) = 1),
  CONSTRAINT dunning_pause_days CHECK (until_on >= from_on)
);

CREATE INDEX dunning_pause_by_party ON dunning_pause (party_id);
CREATE INDEX dunning_pause_by_invoice ON dunning_pause (invoice_id);

-- Late interest: what was agreed, for invoices due from a day on, and what accrued month by month.
CREATE TABLE interest_terms (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  -- Those of everybody who has no own.
  party_id uuid
    CONSTRAINT interest_terms_party REFERENCES party (id),
  from_on date NOT NULL,
  annual_percent numeric(5, 2) NOT NULL
    CONSTRAINT interest_terms_percent CHECK (annual_percent BETWEEN 0 AND 100),
  year_days integer NOT NULL
    CONSTRAINT interest_terms_year CHECK (year_days IN (360, 365)),
  grace_days integer NOT NULL
    CONSTRAINT interest_terms_grace CHECK (grace_days BETWEEN 0 AND 365),
  grace_is_free boolean NOT NULL,
  cap_percent numeric(5, 2)
    CONSTRAINT interest_terms_cap CHECK (cap_percent BETWEEN 0 AND 100),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT interest_terms_once UNIQUE NULLS NOT DISTINCT (party_id, from_on)
);

CREATE TRIGGER interest_terms_append_only BEFORE UPDATE OR DELETE ON interest_terms
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE interest_accrual (
  -- That of the receivable it makes, unless it is nothing.
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  invoice_id uuid NOT NULL,
  party_id uuid NOT NULL,
  currency text NOT NULL,
  terms_id uuid NOT NULL REFERENCES interest_terms (id),
  month date NOT NULL
    CONSTRAINT interest_accrual_month CHECK (extract(day FROM month) = 1),
  -- 0 is the month's own interest; others put right what months before it were charged.
  correction integer NOT NULL
    CONSTRAINT interest_accrual_correction CHECK (correction >= 0),
  days daterange NOT NULL
    CONSTRAINT interest_accrual_days CHECK (NOT isempty(days)),
  amount bigint NOT NULL,
  posted_on date NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT interest_accrual_once UNIQUE (invoice_id, month, correction),
  CONSTRAINT interest_accrual_of_the_party
    FOREIGN KEY (invoice_id, party_id, currency) REFERENCES receivable (id, party_id, currency),
  CONSTRAINT interest_accrual_positive CHECK (amount >= 0 OR correction > 0)
);

CREATE INDEX interest_accrual_by_party ON interest_accrual (party_id, id);
CREATE TRIGGER interest_accrual_append_only BEFORE UPDATE OR DELETE ON interest_accrual
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Who is billed sees what it owes and what it paid; a lessee also what its contract holds.
ALTER TABLE receivable ENABLE ROW LEVEL SECURITY;
CREATE POLICY receivable_own ON receivable FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY receivable_audit ON receivable FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE payment ENABLE ROW LEVEL SECURITY;
CREATE POLICY payment_own ON payment FOR SELECT TO leasing_customer
  USING (payer_id = current_setting('leasing.party')::uuid);
CREATE POLICY payment_audit ON payment FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE allocation ENABLE ROW LEVEL SECURITY;
CREATE POLICY allocation_own ON allocation FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY allocation_audit ON allocation FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE deposit ENABLE ROW LEVEL SECURITY;
CREATE POLICY deposit_own ON deposit FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid
    OR EXISTS (SELECT FROM contract WHERE contract.id = contract_id));
CREATE POLICY deposit_audit ON deposit FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE deposit_movement ENABLE ROW LEVEL SECURITY;
CREATE POLICY deposit_movement_own ON deposit_movement FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM deposit WHERE deposit.contract_id = deposit_movement.contract_id));
CREATE POLICY deposit_movement_audit ON deposit_movement FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE interest_accrual ENABLE ROW LEVEL SECURITY;
CREATE POLICY interest_accrual_own ON interest_accrual FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY interest_accrual_audit ON interest_accrual FOR SELECT TO leasing_auditor USING (true);

GRANT SELECT ON receivable, payment, allocation, deposit, deposit_movement, interest_accrual
  TO leasing_customer, leasing_auditor;
GRANT SELECT ON allocation_order, dunning_step, dunning_notice, dunning_pause, interest_terms
  TO leasing_auditor;
