-- The ledger as a book of its own: a chart of accounts, and a cheaper watch over its balance.

CREATE TABLE account (
  code text PRIMARY KEY,
  kind text NOT NULL
    CONSTRAINT account_kind CHECK (kind IN ('asset', 'liability', 'revenue', 'expense')),
  -- Its name in the lessor's books, and in English.
  name text NOT NULL
    CONSTRAINT account_name_once UNIQUE,
  name_en text NOT NULL
    CONSTRAINT account_name_en_once UNIQUE
);

INSERT INTO account (code, kind, name, name_en) VALUES
  ('cash', 'asset', '银行存款', 'Cash at bank'),
  ('receivable', 'asset', '应收账款', 'Trade receivables'),
  ('deposit_receivable', 'asset', '应收押金', 'Deposits receivable'),
  ('accrued_rent', 'asset', '应计租金', 'Accrued rent: earned, not billed'),
  ('net_investment', 'asset', '租赁投资净额', 'Net investment in finance leases'),
  ('lease_asset', 'asset', '租赁资产', 'Packs for lease'),
  ('customer_credit', 'liability', '预收账款', 'Customer credit: paid too much'),
  ('deposit_held', 'liability', '存入保证金', 'Deposits held'),
  ('vat_output', 'liability', '应交增值税(销项税额)', 'Output VAT'),
  ('deferred_rent', 'liability', '递延租金', 'Deferred rent: billed, not earned'),
  ('revenue_rent', 'revenue', '租金收入', 'Rent'),
  ('revenue_usage', 'revenue', '用量收入', 'Usage'),
  ('revenue_fees', 'revenue', '违约金及赔偿收入', 'Fees'),
  ('revenue_sales', 'revenue', '销售收入', 'Sale of packs'),
  ('revenue_interest', 'revenue', '逾期利息收入', 'Late interest'),
  ('finance_income', 'revenue', '融资租赁利息收入', 'Finance income'),
  ('gain_on_lease', 'revenue', '融资租赁处置损益', 'Gain or loss on finance leases'),
  ('bad_debt', 'expense', '坏账损失', 'Bad debt');

ALTER TABLE posting
  DROP CONSTRAINT posting_account,
  ADD CONSTRAINT posting_account FOREIGN KEY (account) REFERENCES account (code);

-- An entry is summed once, by the statement that posts it, which therefore posts all of it. (Once
-- a posting, at commit, cost half as much again as the posting itself.)
DROP TRIGGER posting_entry_balances ON posting;
DROP FUNCTION refuse_unbalanced_entry();

CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  unbalanced_id uuid;
  balance numeric;
BEGIN
  SELECT entry_id, sum(amount)
    INTO unbalanced_id, balance
    FROM added
   GROUP BY entry_id
  HAVING sum(amount) <> 0
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'journal entry % is out of balance by %', unbalanced_id, balance
      USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_entry_balances';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER posting_entry_balances AFTER INSERT ON posting
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries();

CREATE INDEX posting_by_party ON posting (party_id, entry_id);

ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY account_audit ON account FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON account TO leasing_auditor;

-- Months that were closed, one after the other: nothing is posted in them any more.
CREATE TABLE accounting_period (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  month date NOT NULL
    CONSTRAINT accounting_period_once UNIQUE
    CONSTRAINT accounting_period_month CHECK (extract(day FROM month) = 1),
  state text NOT NULL
    CONSTRAINT accounting_period_state CHECK (state IN ('open', 'closed')),
  closed_by text NOT NULL,
  closed_at timestamptz NOT NULL,
  reopened_by text,
  reopened_at timestamptz,
  reopen_reason text
    CONSTRAINT accounting_period_reopen_reason CHECK (btrim(reopen_reason) <> ''),
  CONSTRAINT accounting_period_reopened CHECK (
    num_nonnulls(reopened_by, reopened_at, reopen_reason)
      = CASE state WHEN 'open' THEN 3 ELSE 0 END)
);

-- The day it is about, where that lies in a month that was closed when it was posted.
ALTER TABLE journal_entry
  ADD COLUMN concerns_on date,
  ADD CONSTRAINT journal_entry_concerns_earlier CHECK (concerns_on < posted_on);

CREATE INDEX journal_entry_by_day ON journal_entry (posted_on);

-- Whoever closes a month locks the table of entries: what is being posted comes before, and what
-- waited is refused here, where the closing is seen. A session keeps the plan of this query,
-- perhaps from when the table was so small that going through all of it looked cheap.
CREATE FUNCTION refuse_posting_in_closed_month() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
  first_open_on date;
BEGIN
  SELECT max(month) + interval '1 month'
    INTO first_open_on
    FROM accounting_period
   WHERE state = 'closed';
  IF first_open_on IS NOT NULL AND EXISTS (
    SELECT
      FROM added
      JOIN journal_entry ON journal_entry.id = added.entry_id
     WHERE journal_entry.posted_on < first_open_on
  ) THEN
    RAISE EXCEPTION 'the books are closed to %', first_open_on
      USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_month_open';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER posting_month_open AFTER INSERT ON posting
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_posting_in_closed_month();

ALTER TABLE accounting_period ENABLE ROW LEVEL SECURITY;
CREATE POLICY accounting_period_audit ON accounting_period FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON accounting_period TO leasing_auditor;

-- Leases in the lessor's books. What a lease was classified as, with the values at its inception.
CREATE TABLE lease_classification (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  contract_id uuid NOT NULL REFERENCES contract (id),
  number integer NOT NULL
    CONSTRAINT lease_classification_number CHECK (number > 0),
  inputs jsonb NOT NULL,
  tests jsonb NOT NULL,
  monthly_rate numeric(20, 12) NOT NULL,
  payments_value_amount bigint NOT NULL,
  proposed_class text NOT NULL
    CONSTRAINT lease_classification_proposed CHECK (proposed_class IN ('operating', 'finance')),
  decided_class text NOT NULL
    CONSTRAINT lease_classification_decided CHECK (decided_class IN ('operating', 'finance')),
  decided_by text NOT NULL,
  decided_at timestamptz NOT NULL,
  CONSTRAINT lease_classification_once UNIQUE (contract_id, number),
  -- Whoever decides against the tests says why.
  CONSTRAINT lease_classification_override CHECK (
    decided_class = proposed_class OR inputs #>> '{override,reason}' IS NOT NULL)
);

CREATE TABLE lease_component (
  classification_id uuid NOT NULL REFERENCES lease_classification (id),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  PRIMARY KEY (line_id, classification_id)
);

CREATE INDEX lease_component_by_classification ON lease_component (classification_id);

CREATE TRIGGER lease_classification_append_only BEFORE UPDATE OR DELETE ON lease_classification
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lease_component_append_only BEFORE UPDATE OR DELETE ON lease_component
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- How the income of a line is spread from a day on. A change of its contract makes a further plan.
CREATE TABLE lease_plan (
  line_id uuid NOT NULL REFERENCES lease_line (id),
  number integer NOT NULL
    CONSTRAINT lease_plan_number CHECK (number > 0),
  contract_id uuid NOT NULL REFERENCES contract (id),
  from_on date NOT NULL,
  made_on date NOT NULL,
  -- What was owed when it was made: days, rent of a month, VAT in it.
  basis jsonb NOT NULL,
  recognised_amount bigint NOT NULL,
  -- Of a finance lease: the net investment, and what it was at commencement.
  principal_amount bigint,
  rate numeric(20, 12),
  residual_amount bigint,
  timing text
    CONSTRAINT lease_plan_timing CHECK (timing IN ('arrears', 'advance')),
  commenced_amount bigint,
  asset_amount bigint,
  remeasured_amount bigint,
  PRIMARY KEY (line_id, number),
  CONSTRAINT lease_plan_of_a_finance_lease CHECK (
    num_nonnulls(principal_amount, rate, residual_amount, timing, commenced_amount, asset_amount,
                 remeasured_amount) IN (0, 7))
);

CREATE INDEX lease_plan_by_contract ON lease_plan (contract_id, line_id, number);

CREATE TRIGGER lease_plan_append_only BEFORE UPDATE OR DELETE ON lease_plan
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What the leases of a contract should have posted by the end of a month, by account. The entry of
-- the month is the difference from the month before.
CREATE TABLE lease_month (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  contract_id uuid NOT NULL REFERENCES contract (id),
  month date NOT NULL
    CONSTRAINT lease_month_month CHECK (extract(day FROM month) = 1),
  balances jsonb NOT NULL,
  -- Nothing will change any more, unless a further invoice is issued.
  settled boolean NOT NULL,
  CONSTRAINT lease_month_once UNIQUE (contract_id, month)
);

CREATE TRIGGER lease_month_append_only BEFORE UPDATE OR DELETE ON lease_month
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE INDEX charge_by_contract ON charge (contract_id);

ALTER TABLE lease_classification ENABLE ROW LEVEL SECURITY;
CREATE POLICY lease_classification_audit ON lease_classification
  FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE lease_component ENABLE ROW LEVEL SECURITY;
CREATE POLICY lease_component_audit ON lease_component FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE lease_plan ENABLE ROW LEVEL SECURITY;
CREATE POLICY lease_plan_audit ON lease_plan FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE lease_month ENABLE ROW LEVEL SECURITY;
CREATE POLICY lease_month_audit ON lease_month FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON lease_classification, lease_component, lease_plan, lease_month TO leasing_auditor;

-- Income is spread over calendar months, whatever the period that a rent is agreed for.
CREATE FUNCTION monthly_rent(rent_amount bigint, billing_frequency text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT round(rent_amount * CASE billing_frequency
    WHEN 'weekly' THEN 52 / 12.0
    WHEN 'fortnightly' THEN 26 / 12.0
    WHEN 'monthly' THEN 1
    WHEN 'quarterly' THEN 1 / 3.0
    WHEN 'half_yearly' THEN 1 / 6.0
    WHEN 'yearly' THEN 1 / 12.0
  END)::bigint;
$$;
