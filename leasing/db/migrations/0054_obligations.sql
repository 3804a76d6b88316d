-- What must be reported of the steps of a pack's life, to whom and by when (报送义务); by which rules,
-- and by which calendar.

ALTER TABLE party_role
  DROP CONSTRAINT party_role_role,
  ADD CONSTRAINT party_role_role CHECK (role IN (
    'lessee', 'payer', 'maintainer', 'carrier', 'dismantler', 'repurposer', 'battery_maker',
    'carmaker', 'outlet', 'cooperating_lessor', 'independent_lessor')),
  DROP CONSTRAINT party_role_of_its_kind,
  ADD CONSTRAINT party_role_of_its_kind CHECK (
    CASE role
      WHEN 'lessee' THEN party_kind = 'customer'
      WHEN 'payer' THEN party_kind <> 'lessor'
      WHEN 'cooperating_lessor' THEN party_kind = 'lessor'
      WHEN 'independent_lessor' THEN party_kind = 'lessor'
      ELSE true
    END);

-- --- The calendar -------------------------------------------------------------------------------

-- What each source says of a year. A year is published when its make-up days are known.
CREATE TABLE calendar_year (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT calendar_year_id UNIQUE,
  calendar text NOT NULL
    CONSTRAINT calendar_year_calendar CHECK (calendar IN ('chinesecalendar', 'holidays', 'notice')),
  year integer NOT NULL
    CONSTRAINT calendar_year_year CHECK (year BETWEEN 2000 AND 2100),
  is_published boolean NOT NULL,
  source text NOT NULL
    CONSTRAINT calendar_year_source CHECK (btrim(source) <> ''),
  imported_by text NOT NULL,
  imported_at timestamptz NOT NULL,
  CONSTRAINT calendar_year_once PRIMARY KEY (calendar, year)
);

CREATE TABLE calendar_day (
  calendar text NOT NULL,
  year integer NOT NULL,
  day date NOT NULL
    CONSTRAINT calendar_day_of_its_year CHECK (extract(year FROM day) = year),
  is_working boolean NOT NULL,
  CONSTRAINT calendar_day_once PRIMARY KEY (calendar, day),
  CONSTRAINT calendar_day_year
    FOREIGN KEY (calendar, year) REFERENCES calendar_year (calendar, year) ON DELETE CASCADE
);

-- The days that deadlines are counted by: of each year those of the best source. `ordinal` is how
-- many working days there were up to the day, so that the n-th working day after a day is looked up.
CREATE TABLE working_day (
  day date PRIMARY KEY,
  is_working boolean NOT NULL,
  ordinal integer NOT NULL,
  calendar text NOT NULL,
  is_published boolean NOT NULL
);

CREATE UNIQUE INDEX working_day_ordinal ON working_day (ordinal) WHERE is_working;

-- The last day of a deadline. The day of the event itself does not count. Where no calendar reaches,
-- Monday to Friday are working days; such a day is provisional.
CREATE FUNCTION deadline(event_on date, number integer, unit text) RETURNS date
LANGUAGE sql STABLE AS $$
  SELECT CASE unit
    WHEN 'calendar_days' THEN event_on + number
    ELSE coalesce(
      (SELECT later.day
         FROM working_day AS began
         JOIN working_day AS later
           ON later.is_working
          AND later.ordinal = began.ordinal + number
        WHERE began.day = event_on),
      (SELECT event_on + ahead
         FROM generate_series(1, 7 * (number / 5 + 1)) AS ahead
        WHERE extract(isodow FROM event_on + ahead) < 6
        ORDER BY ahead
       OFFSET greatest(number - 1, 0)
        LIMIT 1))
    END
$$;

-- Whether a deadline may yet move, because the days of its year are not published.
CREATE FUNCTION deadline_is_provisional(due_on date, unit text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT unit = 'working_days'
     AND NOT coalesce((SELECT is_published FROM working_day WHERE day = due_on), false)
$$;

-- --- Rules --------------------------------------------------------------------------------------

CREATE TABLE obligation_rule (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  code text NOT NULL
    CONSTRAINT obligation_rule_code CHECK (code ~ '^[a-z0-9_.-]{3,64}$'),
  regime text NOT NULL
    CONSTRAINT obligation_rule_regime CHECK (regime IN (
      'miit_2018_35', 'order_73', 'miit_2026_20', 'own')),
  event_kind text NOT NULL,
  -- The lessor, the party that the record names, or whoever receives: that party, or the lessor when
  -- none is named.
  reporter text NOT NULL
    CONSTRAINT obligation_rule_reporter CHECK (reporter IN ('lessor', 'party', 'receiver')),
  role text NOT NULL
    CONSTRAINT obligation_rule_role CHECK (role IN (
      'carmaker', 'cooperating_lessor', 'independent_lessor', 'repurposer', 'outlet', 'recycler',
      'dismantler')),
  reports text NOT NULL
    CONSTRAINT obligation_rule_reports CHECK (btrim(reports) <> ''),
  recipient text NOT NULL
    CONSTRAINT obligation_rule_recipient CHECK (recipient IN ('platform', 'carmaker')),
  deadline_number integer NOT NULL
    CONSTRAINT obligation_rule_deadline CHECK (deadline_number BETWEEN 1 AND 365),
  deadline_unit text NOT NULL
    CONSTRAINT obligation_rule_unit CHECK (deadline_unit IN ('working_days', 'calendar_days')),
  valid daterange NOT NULL
    CONSTRAINT obligation_rule_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  article text NOT NULL,
  source text NOT NULL,
  -- Confirmed: read in a source. Assumed: the text is not known, and what stands here is a guess that
  -- may be changed.
  basis text NOT NULL
    CONSTRAINT obligation_rule_basis CHECK (basis IN ('confirmed', 'assumed')),
  is_enabled boolean NOT NULL,
  version integer NOT NULL DEFAULT 1,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT obligation_rule_one_at_a_time UNIQUE (code, valid WITHOUT OVERLAPS)
);

CREATE INDEX obligation_rule_by_event ON obligation_rule (event_kind) WHERE is_enabled;

-- Whether a party, or the lessor (null), is something on a day. As long as nobody says otherwise the
-- lessor reports by itself, and is a cascade enterprise.
CREATE FUNCTION plays_role(of_party uuid, as_role text, on_day date) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN of_party IS NOT NULL AND as_role = 'recycler' THEN EXISTS (
      SELECT FROM party WHERE id = of_party AND kind = 'recycler')
    WHEN of_party IS NOT NULL THEN EXISTS (
      SELECT FROM party_role WHERE party_id = of_party AND role = as_role AND valid @> on_day)
    WHEN EXISTS (
      SELECT FROM party_role
       WHERE party_kind = 'lessor' AND role = as_role AND valid @> on_day) THEN true
    WHEN as_role = 'independent_lessor' THEN NOT EXISTS (
      SELECT FROM party_role
       WHERE party_kind = 'lessor' AND role = 'cooperating_lessor' AND valid @> on_day)
    WHEN as_role = 'repurposer' THEN NOT EXISTS (
      SELECT FROM party_role WHERE party_kind = 'lessor' AND role = 'repurposer')
    ELSE false
    END
$$;

-- --- Obligations --------------------------------------------------------------------------------

CREATE TABLE obligation (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  record_id uuid NOT NULL
    CONSTRAINT obligation_of_a_record REFERENCES trace_record (id),
  rule_id uuid NOT NULL
    CONSTRAINT obligation_by_a_rule REFERENCES obligation_rule (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  -- Whose it is; null: the lessor's own.
  party_id uuid REFERENCES party (id),
  role text NOT NULL,
  event_kind text NOT NULL,
  event_on date NOT NULL,
  recipient text NOT NULL,
  deadline_number integer NOT NULL,
  deadline_unit text NOT NULL,
  due_on date NOT NULL,
  is_provisional boolean NOT NULL,
  state text NOT NULL DEFAULT 'due'
    CONSTRAINT obligation_state CHECK (state IN (
      'due', 'prepared', 'submitted', 'accepted', 'rejected', 'corrected', 'void')),
  -- How far its being overdue was escalated.
  level smallint NOT NULL DEFAULT 0
    CONSTRAINT obligation_level CHECK (level BETWEEN 0 AND 3),
  payload jsonb,
  submission_id uuid,
  -- When it was first sent; what comes of it is measured by that day.
  submitted_on date,
  receipt text,
  void_reason text,
  version integer NOT NULL DEFAULT 1,
  opened_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CONSTRAINT obligation_once UNIQUE (record_id, rule_id),
  CONSTRAINT obligation_void CHECK ((state = 'void') = (void_reason IS NOT NULL)),
  CONSTRAINT obligation_was_submitted CHECK (
    state NOT IN ('submitted', 'accepted', 'rejected', 'corrected') OR submitted_on IS NOT NULL),
  CONSTRAINT obligation_has_payload CHECK (
    state IN ('due', 'void') OR payload IS NOT NULL)
);

-- What is still to be done, by its last day: of all, of one party, of one role.
CREATE INDEX obligation_open ON obligation (due_on, id)
 WHERE state IN ('due', 'prepared', 'rejected', 'corrected');
CREATE INDEX obligation_open_by_party ON obligation (party_id, due_on, id)
 WHERE state IN ('due', 'prepared', 'rejected', 'corrected');
CREATE INDEX obligation_open_by_role ON obligation (role, due_on, id)
 WHERE state IN ('due', 'prepared', 'rejected', 'corrected');
CREATE INDEX obligation_open_own_by_role ON obligation (role, due_on, id)
 WHERE state IN ('due', 'prepared', 'rejected', 'corrected') AND party_id IS NULL;
-- All of a month, for counts and percentages, from the index alone.
CREATE INDEX obligation_by_due ON obligation (due_on, party_id)
INCLUDE (state, submitted_on, is_provisional);
CREATE INDEX obligation_by_pack ON obligation (pack_id, id);
CREATE INDEX obligation_provisional ON obligation (id) WHERE is_provisional;
CREATE INDEX obligation_to_escalate ON obligation (level, due_on)
 WHERE state IN ('due', 'prepared', 'rejected', 'corrected');
CREATE INDEX obligation_to_prepare ON obligation (due_on, id)
 WHERE state = 'due' AND party_id IS NULL;
CREATE INDEX obligation_to_submit ON obligation (recipient, due_on, id)
 WHERE state IN ('prepared', 'corrected') AND submission_id IS NULL AND party_id IS NULL;
CREATE INDEX obligation_by_submission ON obligation (submission_id);

-- A deadline that moved, because its year was published.
CREATE TABLE obligation_due_change (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  obligation_id uuid NOT NULL REFERENCES obligation (id),
  was_due_on date NOT NULL,
  due_on date NOT NULL,
  is_provisional boolean NOT NULL,
  reason text NOT NULL,
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE INDEX obligation_due_change_by_obligation ON obligation_due_change (obligation_id, id);
CREATE TRIGGER obligation_due_change_append_only
  BEFORE UPDATE OR DELETE ON obligation_due_change
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- --- Submissions --------------------------------------------------------------------------------

-- Reports that are sent together, under an id by which the other side knows them when they come
-- again. Made before it is sent, so that it can be sent again as it was.
CREATE TABLE submission (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  recipient text NOT NULL,
  state text NOT NULL DEFAULT 'made'
    CONSTRAINT submission_state CHECK (state IN ('made', 'sent', 'answered', 'parked')),
  attempts integer NOT NULL DEFAULT 0,
  failure text,
  made_at timestamptz NOT NULL,
  sent_at timestamptz,
  answered_at timestamptz,
  CONSTRAINT submission_sent CHECK (state <> 'sent' OR sent_at IS NOT NULL),
  CONSTRAINT submission_answered CHECK ((state = 'answered') = (answered_at IS NOT NULL)),
  CONSTRAINT submission_parked CHECK (state <> 'parked' OR failure IS NOT NULL)
);

CREATE INDEX submission_under_way ON submission (state, recipient, id)
 WHERE state IN ('made', 'sent');

ALTER TABLE obligation ADD CONSTRAINT obligation_in_a_submission
  FOREIGN KEY (submission_id) REFERENCES submission (id);

-- What was sent for an obligation in a submission, and what was answered.
CREATE TABLE submission_item (
  submission_id uuid NOT NULL REFERENCES submission (id),
  obligation_id uuid NOT NULL REFERENCES obligation (id),
  payload jsonb NOT NULL,
  result text
    CONSTRAINT submission_item_result CHECK (result IN ('accepted', 'rejected')),
  receipt text,
  CONSTRAINT submission_item_once PRIMARY KEY (submission_id, obligation_id)
);

CREATE INDEX submission_item_by_obligation ON submission_item (obligation_id);

-- Why a report was rejected, field by field, and who put it right, how.
CREATE TABLE obligation_fault (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  obligation_id uuid NOT NULL REFERENCES obligation (id),
  submission_id uuid NOT NULL REFERENCES submission (id),
  field text NOT NULL,
  code text NOT NULL,
  message text NOT NULL,
  found_at timestamptz NOT NULL,
  fixed_at timestamptz,
  fixed_by text,
  was_value jsonb,
  fixed_value jsonb,
  CONSTRAINT obligation_fault_fixed CHECK ((fixed_at IS NULL) = (fixed_by IS NULL))
);

CREATE INDEX obligation_fault_by_obligation ON obligation_fault (obligation_id, id);

-- --- Who sees what ------------------------------------------------------------------------------

ALTER TABLE obligation ENABLE ROW LEVEL SECURITY;
CREATE POLICY obligation_own ON obligation FOR SELECT TO leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY obligation_audit ON obligation FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON obligation TO leasing_recycler, leasing_auditor;

-- What hangs on an obligation is seen by whoever sees the obligation.
ALTER TABLE obligation_due_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY obligation_due_change_own ON obligation_due_change FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM obligation WHERE obligation.id = obligation_id));
CREATE POLICY obligation_due_change_audit ON obligation_due_change FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON obligation_due_change TO leasing_recycler, leasing_auditor;

ALTER TABLE obligation_fault ENABLE ROW LEVEL SECURITY;
CREATE POLICY obligation_fault_own ON obligation_fault FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM obligation WHERE obligation.id = obligation_id));
CREATE POLICY obligation_fault_audit ON obligation_fault FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON obligation_fault TO leasing_recycler, leasing_auditor;

ALTER TABLE submission ENABLE ROW LEVEL SECURITY;
CREATE POLICY submission_audit ON submission FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE submission_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY submission_item_audit ON submission_item FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON submission, submission_item, calendar_year, calendar_day TO leasing_auditor;
-- Rules and days are no secret to whom they bind.
ALTER TABLE obligation_rule ENABLE ROW LEVEL SECURITY;
CREATE POLICY obligation_rule_public ON obligation_rule FOR SELECT
  TO leasing_recycler, leasing_auditor USING (true);
ALTER TABLE working_day ENABLE ROW LEVEL SECURITY;
CREATE POLICY working_day_public ON working_day FOR SELECT
  TO leasing_recycler, leasing_auditor USING (true);
GRANT SELECT ON obligation_rule, working_day TO leasing_recycler, leasing_auditor;

-- --- The rules as they are known ----------------------------------------------------------------

CREATE FUNCTION enter_rule(
  code text, regime text, event_kind text, reporter text, role text, reports text, recipient text,
  deadline_number integer, deadline_unit text, valid daterange, article text, basis text,
  is_enabled boolean, source text
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO obligation_rule (code, regime, event_kind, reporter, role, reports, recipient,
                               deadline_number, deadline_unit, valid, article, basis, is_enabled,
                               source, entered_by, entered_at)
  VALUES (code, regime, event_kind, reporter, role, reports, recipient, deadline_number,
          deadline_unit, valid, article, basis, is_enabled, source, 'migration', now())
$$;

DO $$
DECLARE
  regime_2018 constant daterange := daterange('2018-08-01', '2026-04-01');
  since_order_73 constant daterange := daterange('2026-04-01', NULL);
  listed constant daterange := daterange('2026-04-01', '2026-07-30');
  unlisted constant daterange := daterange('2026-07-30', NULL);
  said_2018 constant text := 'MIIT 2018 No. 35 溯源管理暂行规定';
  said_73 constant text := 'Order No. 73 of 2025, Article 24(7)';
  said_20 constant text := 'Order No. 73, Article 24(7), by the activity; MIIT 2026 No. 20 ended the '
    'listing of cascade enterprises, its text is not known';
  not_known constant text := 'Order No. 73, Article 24(1) to (6): the text is not known';
  kind text;
BEGIN
  PERFORM enter_rule('carmaker.assembled', 'miit_2018_35', 'pack.assembled', 'party', 'carmaker',
    'vehicle and pack codes', 'platform', 15, 'working_days', regime_2018, '9', 'confirmed', true,
    said_2018 || '; 15 working days by a summary, the draft said 7');
  -- A lessor's work on packs in the field is repair and replacement.
  FOREACH kind IN ARRAY ARRAY['pack.commissioned', 'pack.swapped', 'pack.relocated', 'pack.repaired']
  LOOP
    PERFORM enter_rule('cooperating_lessor.' || kind, 'miit_2018_35', kind, 'lessor',
      'cooperating_lessor', 'replacement', 'carmaker', 30, 'working_days', regime_2018, '10',
      'confirmed', true, said_2018 || '; promptly to the carmaker, who uploads within 30');
    PERFORM enter_rule('independent_lessor.' || kind, 'miit_2018_35', kind, 'lessor',
      'independent_lessor', 'replacement', 'platform', 30, 'working_days', regime_2018, '12',
      'confirmed', true, said_2018 || '; within the limits of Articles 9 and 10');
    PERFORM enter_rule('cooperating_lessor.' || kind, 'order_73', kind, 'lessor',
      'cooperating_lessor', 'replacement', 'carmaker', 30, 'calendar_days', since_order_73,
      '24(1)-(6)', 'assumed', false, not_known);
    PERFORM enter_rule('independent_lessor.' || kind, 'order_73', kind, 'lessor',
      'independent_lessor', 'replacement', 'platform', 30, 'calendar_days', since_order_73,
      '24(1)-(6)', 'assumed', false, not_known);
  END LOOP;
  FOREACH kind IN ARRAY ARRAY['waste.inbound', 'waste.outbound'] LOOP
    PERFORM enter_rule('outlet.' || kind, 'miit_2018_35', kind,
      CASE kind WHEN 'waste.inbound' THEN 'receiver' ELSE 'party' END, 'outlet', kind, 'carmaker',
      30, 'working_days', regime_2018, '11', 'confirmed', true,
      said_2018 || '; the carmaker uploads within 30');
    PERFORM enter_rule('outlet.' || kind, 'order_73', kind,
      CASE kind WHEN 'waste.inbound' THEN 'receiver' ELSE 'party' END, 'outlet', kind, 'carmaker',
      30, 'calendar_days', since_order_73, '24(1)-(6)', 'assumed', false, not_known);
  END LOOP;
  PERFORM enter_rule('dismantler.handed_over', 'miit_2018_35', 'pack.acquired', 'party',
    'dismantler', 'removed battery handed over', 'platform', 15, 'working_days', regime_2018, '13',
    'confirmed', true, said_2018);
  PERFORM enter_rule('dismantler.handed_over', 'order_73', 'pack.acquired', 'party', 'dismantler',
    'removed battery handed over', 'platform', 30, 'calendar_days', since_order_73, '24(1)-(6)',
    'assumed', false, not_known);
  PERFORM enter_rule('carmaker.assembled', 'order_73', 'pack.assembled', 'party', 'carmaker',
    'vehicle and pack codes', 'platform', 30, 'calendar_days', since_order_73, '24(1)-(6)',
    'assumed', false, not_known);
  -- The cascade enterprise: what it takes in, what leaves its warehouse, the waste that arises.
  FOREACH kind IN ARRAY ARRAY[
    'pack.acquired', 'cascade.shipped', 'waste.declared', 'waste.inbound', 'waste.outbound']
  LOOP
    PERFORM enter_rule('repurposer.' || kind, 'miit_2018_35', kind,
      CASE kind WHEN 'waste.inbound' THEN 'receiver' ELSE 'lessor' END, 'repurposer', kind,
      'platform', 15, 'working_days', regime_2018, '14',
      CASE kind WHEN 'pack.acquired' THEN 'assumed' ELSE 'confirmed' END, true,
      said_2018 || CASE kind
        WHEN 'pack.acquired' THEN '; retired packs taken in, derived from the article' ELSE '' END);
    PERFORM enter_rule('repurposer.' || kind, 'order_73', kind,
      CASE kind WHEN 'waste.inbound' THEN 'receiver' ELSE 'lessor' END, 'repurposer', kind,
      'platform', 30, 'calendar_days', listed, '24(7)', 'confirmed', true, said_73);
    PERFORM enter_rule('repurposer.' || kind, 'miit_2026_20', kind,
      CASE kind WHEN 'waste.inbound' THEN 'receiver' ELSE 'lessor' END, 'repurposer', kind,
      'platform', 30, 'calendar_days', unlisted, '24(7)', 'assumed', true, said_20);
  END LOOP;
  FOREACH kind IN ARRAY ARRAY['waste.inbound', 'recycle.received', 'recycle.completed'] LOOP
    PERFORM enter_rule('recycler.' || kind, 'miit_2018_35', kind, 'receiver', 'recycler', kind,
      'platform', 30, 'working_days', regime_2018, '15', 'confirmed', true, said_2018);
    PERFORM enter_rule('recycler.' || kind, 'order_73', kind, 'receiver', 'recycler', kind,
      'platform', 30, 'calendar_days', since_order_73, '24(7)', 'confirmed', true, said_73);
  END LOOP;
END $$;

DROP FUNCTION enter_rule;
