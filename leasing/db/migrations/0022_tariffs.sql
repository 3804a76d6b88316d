-- Price plans, and the facts that their prices rest on.

CREATE TABLE price_plan (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  code text NOT NULL
    CONSTRAINT price_plan_code_once UNIQUE,
  name text NOT NULL,
  name_en text NOT NULL,
  currency text NOT NULL
    CONSTRAINT price_plan_currency CHECK (currency ~ '^[A-Z]{3}$'),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT price_plan_id_currency UNIQUE (id, currency)
);

CREATE TABLE price_plan_version (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  plan_id uuid NOT NULL,
  number integer NOT NULL
    CONSTRAINT price_plan_version_number CHECK (number > 0),
  currency text NOT NULL,
  valid_from date NOT NULL,
  components jsonb NOT NULL
    CONSTRAINT price_plan_version_components CHECK (jsonb_array_length(components) > 0),
  state text NOT NULL DEFAULT 'draft'
    CONSTRAINT price_plan_version_state CHECK (state IN ('draft', 'published')),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  published_by text,
  published_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT price_plan_version_number_once UNIQUE (plan_id, number),
  CONSTRAINT price_plan_version_id_currency UNIQUE (id, currency),
  CONSTRAINT price_plan_version_of_its_plan
    FOREIGN KEY (plan_id, currency) REFERENCES price_plan (id, currency),
  CONSTRAINT price_plan_version_published CHECK (
    (state = 'published') = (published_at IS NOT NULL)
    AND (state = 'published') = (published_by IS NOT NULL))
);

CREATE FUNCTION refuse_change_of_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'published' THEN
    RAISE EXCEPTION 'a published version of a price plan is never changed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'price_plan_version_immutable';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER price_plan_version_immutable BEFORE UPDATE OR DELETE ON price_plan_version
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();

-- Facts. A row is never changed; a later one takes its place, and says so. Of what holds, no two
-- rows speak of the same thing.

CREATE TABLE meter_reading (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL
    CONSTRAINT meter_reading_of_a_pack REFERENCES pack (id),
  measure text NOT NULL
    CONSTRAINT meter_reading_measure CHECK (measure IN ('throughput_wh', 'distance_m')),
  at timestamptz NOT NULL,
  register_value bigint NOT NULL
    CONSTRAINT meter_reading_value CHECK (register_value >= 0),
  restart text NOT NULL
    CONSTRAINT meter_reading_restart CHECK (restart IN ('none', 'reset', 'rollover')),
  register_max bigint
    CONSTRAINT meter_reading_within_register CHECK (register_value <= register_max),
  source text NOT NULL,
  source_reference text,
  supersedes_id uuid REFERENCES meter_reading (id),
  is_void boolean NOT NULL,
  is_current boolean NOT NULL DEFAULT true,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT meter_reading_rollover_knows_its_end
    CHECK ((restart = 'rollover') = (register_max IS NOT NULL)),
  CONSTRAINT meter_reading_void_is_of_another CHECK (NOT is_void OR supersedes_id IS NOT NULL)
);

CREATE UNIQUE INDEX meter_reading_once ON meter_reading (pack_id, measure, at)
  WHERE is_current AND NOT is_void;
CREATE INDEX meter_reading_by_pack ON meter_reading (pack_id, id);

CREATE TABLE outage (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  site_id uuid
    CONSTRAINT outage_of_a_site REFERENCES site (id),
  line_id uuid
    CONSTRAINT outage_of_a_line REFERENCES lease_line (id),
  during tstzrange NOT NULL
    CONSTRAINT outage_bounded CHECK (
      NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
  cause text NOT NULL
    CONSTRAINT outage_cause CHECK (cause IN ('lessor', 'force_majeure', 'customer')),
  evidence text NOT NULL
    CONSTRAINT outage_evidence CHECK (btrim(evidence) <> ''),
  reference text,
  supersedes_id uuid REFERENCES outage (id),
  is_void boolean NOT NULL,
  is_current boolean NOT NULL DEFAULT true,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT outage_of_a_site_or_a_line CHECK ((site_id IS NULL) <> (line_id IS NULL)),
  CONSTRAINT outage_void_is_of_another CHECK (NOT is_void OR supersedes_id IS NOT NULL)
);

CREATE INDEX outage_by_site ON outage USING gist (site_id, during)
  WHERE is_current AND NOT is_void;
CREATE INDEX outage_by_line ON outage USING gist (line_id, during)
  WHERE is_current AND NOT is_void;

CREATE TABLE site_tenancy (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  site_id uuid NOT NULL
    CONSTRAINT site_tenancy_of_a_site REFERENCES site (id),
  during daterange NOT NULL
    CONSTRAINT site_tenancy_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  tenants integer NOT NULL
    CONSTRAINT site_tenancy_tenants CHECK (tenants BETWEEN 1 AND 20),
  is_anchor boolean NOT NULL,
  supersedes_id uuid REFERENCES site_tenancy (id),
  is_void boolean NOT NULL,
  is_current boolean NOT NULL DEFAULT true,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT site_tenancy_void_is_of_another CHECK (NOT is_void OR supersedes_id IS NOT NULL),
  CONSTRAINT site_tenancy_one_a_day EXCLUDE USING gist (site_id WITH =, during WITH &&)
    WHERE (is_current AND NOT is_void)
);

CREATE TABLE price_index (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  series text NOT NULL,
  month date NOT NULL
    CONSTRAINT price_index_first_of_month CHECK (extract(day FROM month) = 1),
  value numeric(15, 6) NOT NULL
    CONSTRAINT price_index_value CHECK (value > 0),
  published_on date NOT NULL
    CONSTRAINT price_index_published_afterwards CHECK (published_on > month),
  source text NOT NULL,
  supersedes_id uuid REFERENCES price_index (id),
  is_void boolean NOT NULL,
  is_current boolean NOT NULL DEFAULT true,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT price_index_void_is_of_another CHECK (NOT is_void OR supersedes_id IS NOT NULL)
);

CREATE UNIQUE INDEX price_index_once ON price_index (series, month)
  WHERE is_current AND NOT is_void;

-- The one thing that may happen to a fact: another takes its place, once.
CREATE FUNCTION refuse_change_of_fact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.is_current AND NOT NEW.is_current
     AND to_jsonb(NEW) - 'is_current' = to_jsonb(OLD) - 'is_current' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE FUNCTION supersede_fact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  taken integer;
BEGIN
  EXECUTE format('UPDATE %I SET is_current = false WHERE id = $1 AND is_current', TG_TABLE_NAME)
    USING NEW.supersedes_id;
  GET DIAGNOSTICS taken = ROW_COUNT;
  IF taken = 0 THEN
    RAISE EXCEPTION 'no present row of % is %', TG_TABLE_NAME, NEW.supersedes_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'fact_superseded_once';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER meter_reading_append_only BEFORE UPDATE OR DELETE ON meter_reading
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();
CREATE TRIGGER outage_append_only BEFORE UPDATE OR DELETE ON outage
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();
CREATE TRIGGER site_tenancy_append_only BEFORE UPDATE OR DELETE ON site_tenancy
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();
CREATE TRIGGER price_index_append_only BEFORE UPDATE OR DELETE ON price_index
  FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();

CREATE TRIGGER meter_reading_supersedes BEFORE INSERT ON meter_reading
  FOR EACH ROW WHEN (NEW.supersedes_id IS NOT NULL) EXECUTE FUNCTION supersede_fact();
CREATE TRIGGER outage_supersedes BEFORE INSERT ON outage
  FOR EACH ROW WHEN (NEW.supersedes_id IS NOT NULL) EXECUTE FUNCTION supersede_fact();
CREATE TRIGGER site_tenancy_supersedes BEFORE INSERT ON site_tenancy
  FOR EACH ROW WHEN (NEW.supersedes_id IS NOT NULL) EXECUTE FUNCTION supersede_fact();
CREATE TRIGGER price_index_supersedes BEFORE INSERT ON price_index
  FOR EACH ROW WHEN (NEW.supersedes_id IS NOT NULL) EXECUTE FUNCTION supersede_fact();

-- What a line is charged by, besides its rent.

ALTER TABLE contract ADD CONSTRAINT contract_id_currency UNIQUE (id, currency);

ALTER TABLE line_revision
  ADD COLUMN price_plan_version_id uuid,
  -- That of the version, if it is published and valid by the first day.
  ADD COLUMN plan_currency text,
  ADD CONSTRAINT line_revision_plan_published
    CHECK ((price_plan_version_id IS NULL) = (plan_currency IS NULL)),
  ADD CONSTRAINT line_revision_plan_version
    FOREIGN KEY (price_plan_version_id, plan_currency) REFERENCES price_plan_version (id, currency),
  ADD CONSTRAINT line_revision_plan_in_the_currency
    FOREIGN KEY (contract_id, plan_currency) REFERENCES contract (id, currency);

CREATE INDEX line_revision_by_plan ON line_revision (price_plan_version_id)
  WHERE price_plan_version_id IS NOT NULL;
CREATE INDEX line_revision_with_plan ON line_revision (contract_id)
  WHERE price_plan_version_id IS NOT NULL;

DROP TRIGGER line_revision_changes ON line_revision;
CREATE TRIGGER line_revision_changes AFTER UPDATE ON line_revision
  FOR EACH ROW WHEN (
    (OLD.rent_amount, OLD.suspended, OLD.site_id, OLD.price_plan_version_id) IS DISTINCT FROM
    (NEW.rent_amount, NEW.suspended, NEW.site_id, NEW.price_plan_version_id))
  EXECUTE FUNCTION note_revision_restated();

-- A fact that comes after a charge that rests on facts of its kind: the days are rated anew. A run
-- that is at the line is waited for, so that either it sees the fact or we see its charges.
CREATE FUNCTION note_plan_restated(stay placement, since date, until date, kinds text[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  days daterange := stay.during * daterange(since, until);
BEGIN
  IF isempty(days) OR NOT EXISTS (
       SELECT FROM line_revision
         JOIN price_plan_version ON price_plan_version.id = price_plan_version_id
        CROSS JOIN jsonb_array_elements(components) AS component
        WHERE line_revision.line_id = stay.line_id
          AND line_revision.during && days
          AND component ->> 'kind' = ANY (kinds)) THEN
    RETURN;
  END IF;
  PERFORM
     FROM contract
    WHERE id = (SELECT contract_id FROM lease_line WHERE id = stay.line_id)
      FOR KEY SHARE;
  INSERT INTO restatement (line_id, from_on)
  SELECT stay.line_id, lower(days)
   WHERE EXISTS (
           SELECT FROM charge
            WHERE charge.line_id = stay.line_id
              AND charge.during && days
              AND fee_id IS NULL
              AND reverses_id IS NULL
              AND NOT is_reversed)
     AND NOT EXISTS (
           SELECT FROM restatement
            WHERE restatement.line_id = stay.line_id
              AND restatement.from_on <= lower(days)
              AND NOT settled);
END $$;

-- Days are those of UTC with one more at both ends, for contracts in any zone.
CREATE FUNCTION days_around(first timestamptz, last timestamptz) RETURNS daterange
LANGUAGE sql IMMUTABLE AS $$
  SELECT daterange((first AT TIME ZONE 'UTC')::date - 1, (last AT TIME ZONE 'UTC')::date + 2);
$$;

-- A register is read between its neighbours, so that a reading speaks of the time from the one
-- before it to the one after it; the last one of all time to come.
CREATE FUNCTION note_reading_restated(reading meter_reading) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz;
  until timestamptz;
  days daterange;
BEGIN
  SELECT max(at) INTO since
    FROM meter_reading
   WHERE pack_id = reading.pack_id AND measure = reading.measure AND at < reading.at
     AND is_current AND NOT is_void;
  SELECT min(at) INTO until
    FROM meter_reading
   WHERE pack_id = reading.pack_id AND measure = reading.measure AND at > reading.at
     AND is_current AND NOT is_void;
  days := days_around(coalesce(since, reading.at), until);
  PERFORM note_plan_restated(
            placement, lower(days), upper(days),
            CASE reading.measure WHEN 'distance_m' THEN ARRAY['distance']
                                 ELSE ARRAY['throughput', 'cycles'] END)
     FROM placement
    WHERE placement.pack_id = reading.pack_id
    ORDER BY placement.line_id;
END $$;

CREATE FUNCTION note_readings_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_reading_restated(NEW);
  PERFORM note_reading_restated(was) FROM meter_reading AS was WHERE was.id = NEW.supersedes_id;
  RETURN NULL;
END $$;
CREATE TRIGGER meter_reading_restates AFTER INSERT ON meter_reading
  FOR EACH ROW EXECUTE FUNCTION note_readings_restated();

CREATE FUNCTION note_outage_restated(was outage) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  days daterange := days_around(lower(was.during), upper(was.during));
BEGIN
  PERFORM note_plan_restated(placement, lower(days), upper(days), ARRAY['availability'])
     FROM placement
    WHERE placement.site_id = was.site_id
    ORDER BY placement.line_id;
  PERFORM note_plan_restated(placement, lower(days), upper(days), ARRAY['availability'])
     FROM placement
    WHERE placement.line_id = was.line_id;
END $$;

CREATE FUNCTION note_outages_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_outage_restated(NEW);
  PERFORM note_outage_restated(was) FROM outage AS was WHERE was.id = NEW.supersedes_id;
  RETURN NULL;
END $$;
CREATE TRIGGER outage_restates AFTER INSERT ON outage
  FOR EACH ROW EXECUTE FUNCTION note_outages_restated();

CREATE FUNCTION note_tenancies_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_plan_restated(placement, lower(said.during), upper(said.during), ARRAY['sharing'])
     FROM site_tenancy AS said
     JOIN placement ON placement.site_id = said.site_id
    WHERE said.id IN (NEW.id, NEW.supersedes_id)
    ORDER BY placement.line_id;
  RETURN NULL;
END $$;
CREATE TRIGGER site_tenancy_restates AFTER INSERT ON site_tenancy
  FOR EACH ROW EXECUTE FUNCTION note_tenancies_restated();

CREATE FUNCTION note_tests_restated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_plan_restated(placement, NEW.tested_on, NULL, ARRAY['capacity'])
     FROM placement
    WHERE placement.pack_id = NEW.pack_id
    ORDER BY placement.line_id;
  RETURN NULL;
END $$;
CREATE TRIGGER capacity_test_restates AFTER INSERT ON capacity_test
  FOR EACH ROW WHEN (NEW.depth_percent = 100)
  EXECUTE FUNCTION note_tests_restated();

-- Who sees what. A customer sees the plans its lines are charged by, and the facts about them.

ALTER TABLE price_plan_version ENABLE ROW LEVEL SECURITY;
CREATE POLICY price_plan_version_own ON price_plan_version FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM line_revision WHERE price_plan_version_id = price_plan_version.id));
CREATE POLICY price_plan_version_audit ON price_plan_version FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON price_plan_version TO leasing_customer, leasing_auditor;

ALTER TABLE price_plan ENABLE ROW LEVEL SECURITY;
CREATE POLICY price_plan_own ON price_plan FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM price_plan_version WHERE plan_id = price_plan.id));
CREATE POLICY price_plan_audit ON price_plan FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON price_plan TO leasing_customer, leasing_auditor;

-- As with what packs report: a reading is seen by who had the pack that day.
ALTER TABLE meter_reading ENABLE ROW LEVEL SECURITY;
CREATE POLICY meter_reading_own ON meter_reading FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = meter_reading.pack_id
       AND (at AT TIME ZONE 'Asia/Shanghai')::date <@ placement.during));
CREATE POLICY meter_reading_audit ON meter_reading FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON meter_reading TO leasing_customer, leasing_auditor;

ALTER TABLE outage ENABLE ROW LEVEL SECURITY;
CREATE POLICY outage_own ON outage FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM site WHERE site.id = site_id)
         OR EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY outage_audit ON outage FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON outage TO leasing_customer, leasing_auditor;

ALTER TABLE site_tenancy ENABLE ROW LEVEL SECURITY;
CREATE POLICY site_tenancy_own ON site_tenancy FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM site WHERE site.id = site_id));
CREATE POLICY site_tenancy_audit ON site_tenancy FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON site_tenancy TO leasing_customer, leasing_auditor;

-- Published by a statistical office; no secret from anybody who leases.
ALTER TABLE price_index ENABLE ROW LEVEL SECURITY;
CREATE POLICY price_index_shown ON price_index FOR SELECT TO leasing_customer, leasing_auditor
  USING (true);
GRANT SELECT ON price_index TO leasing_customer, leasing_auditor;
