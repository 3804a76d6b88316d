-- Recyclers come on the list and go (有进有出): each step of a firm's listing, its annual reports,
-- withdrawals of many firms at once, and notices before something lapses.

ALTER TABLE qualification
  ADD COLUMN document_sha256 text
    CONSTRAINT qualification_document_sha256 CHECK (document_sha256 ~ '^[0-9a-f]{64}$');

CREATE TABLE listing_step (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT listing_step_recycler_kind CHECK (recycler_kind = 'recycler'),
  sequence integer NOT NULL
    CONSTRAINT listing_step_sequence CHECK (sequence >= 1),
  state text NOT NULL
    CONSTRAINT listing_step_state
      CHECK (state IN ('applied', 'listed', 'rectifying', 'withdrawn', 'eligible')),
  from_on date NOT NULL,
  reason text NOT NULL,
  document text NOT NULL
    CONSTRAINT listing_step_document CHECK (btrim(document) <> ''),
  document_sha256 text
    CONSTRAINT listing_step_document_sha256 CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
  -- Since when the firm has been on the list, rectifying or not.
  listed_on date,
  -- The day on which the state ends by itself: one year of rectifying, two years off the list.
  ends_on date,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT listing_step_in_sequence UNIQUE (recycler_id, sequence),
  CONSTRAINT listing_step_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind),
  CONSTRAINT listing_step_on_the_list
    CHECK ((listed_on IS NOT NULL) = (state IN ('listed', 'rectifying'))),
  CONSTRAINT listing_step_has_its_end
    CHECK ((ends_on IS NOT NULL) = (state IN ('rectifying', 'withdrawn')) AND ends_on > from_on)
);

CREATE TABLE annual_report (
  recycler_id uuid NOT NULL,
  recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT annual_report_recycler_kind CHECK (recycler_kind = 'recycler'),
  year integer NOT NULL
    CONSTRAINT annual_report_year CHECK (year BETWEEN 2019 AND 2200),
  filed_on date NOT NULL,
  document text NOT NULL
    CONSTRAINT annual_report_document CHECK (btrim(document) <> ''),
  document_sha256 text
    CONSTRAINT annual_report_document_sha256 CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT annual_report_once PRIMARY KEY (recycler_id, year),
  CONSTRAINT annual_report_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind),
  CONSTRAINT annual_report_after_its_year CHECK (filed_on >= make_date(year + 1, 1, 1))
);

CREATE TABLE withdrawal (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  announcement_no text NOT NULL
    CONSTRAINT withdrawal_announcement CHECK (btrim(announcement_no) <> ''),
  document text NOT NULL
    CONSTRAINT withdrawal_document CHECK (btrim(document) <> ''),
  document_sha256 text
    CONSTRAINT withdrawal_document_sha256 CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
  withdrawn_on date NOT NULL,
  kinds text[] NOT NULL
    CONSTRAINT withdrawal_kinds
      CHECK (kinds <@ '{filing,eia,discharge_permit,listing}' AND kinds <> '{}'),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL
);

-- Which of the kinds a firm held on that day, and so lost.
CREATE TABLE withdrawn_firm (
  withdrawal_id uuid NOT NULL REFERENCES withdrawal (id),
  recycler_id uuid NOT NULL REFERENCES party (id),
  lost text[] NOT NULL,
  CONSTRAINT withdrawn_firm_once PRIMARY KEY (withdrawal_id, recycler_id)
);

CREATE INDEX withdrawn_firm_by_recycler ON withdrawn_firm (recycler_id);

CREATE TABLE recycler_notice (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  recycler_id uuid NOT NULL REFERENCES party (id),
  subject text NOT NULL
    CONSTRAINT recycler_notice_subject CHECK (subject IN (
      'filing', 'eia', 'discharge_permit', 'listing', 'annual_report', 'rectification')),
  -- First day on which it no longer holds, or is too late.
  lapses_on date NOT NULL,
  days integer NOT NULL
    CONSTRAINT recycler_notice_days CHECK (days IN (90, 30, 7)),
  document text NOT NULL,
  noticed_on date NOT NULL,
  CONSTRAINT recycler_notice_ahead CHECK (lapses_on > noticed_on),
  CONSTRAINT recycler_notice_once UNIQUE (recycler_id, subject, lapses_on, days)
);

CREATE TRIGGER listing_step_append_only BEFORE UPDATE OR DELETE ON listing_step
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER annual_report_append_only BEFORE UPDATE OR DELETE ON annual_report
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER withdrawal_append_only BEFORE UPDATE OR DELETE ON withdrawal
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER withdrawn_firm_append_only BEFORE UPDATE OR DELETE ON withdrawn_firm
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER recycler_notice_append_only BEFORE UPDATE OR DELETE ON recycler_notice
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE listing_step ENABLE ROW LEVEL SECURITY;
CREATE POLICY listing_step_own ON listing_step FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY listing_step_audit ON listing_step FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE annual_report ENABLE ROW LEVEL SECURITY;
CREATE POLICY annual_report_own ON annual_report FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY annual_report_audit ON annual_report FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE withdrawn_firm ENABLE ROW LEVEL SECURITY;
CREATE POLICY withdrawn_firm_own ON withdrawn_firm FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY withdrawn_firm_audit ON withdrawn_firm FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE withdrawal ENABLE ROW LEVEL SECURITY;
CREATE POLICY withdrawal_own ON withdrawal FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM withdrawn_firm WHERE withdrawn_firm.withdrawal_id = withdrawal.id));
CREATE POLICY withdrawal_audit ON withdrawal FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE recycler_notice ENABLE ROW LEVEL SECURITY;
CREATE POLICY recycler_notice_own ON recycler_notice FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY recycler_notice_audit ON recycler_notice FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON listing_step, annual_report, withdrawal, withdrawn_firm, recycler_notice
  TO leasing_recycler, leasing_auditor;
