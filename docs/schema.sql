-- Every table, as the migrations leave it. Written by `make schema`; a test compares.

CREATE TABLE party (
    id uuid DEFAULT uuidv7() NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    credit_code text,
    home_adcode text,
    generated boolean DEFAULT false NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name_en text,
    short_name text,
    registered_address text,
    parent_id uuid,
    parent_level integer,
    level integer GENERATED ALWAYS AS (COALESCE((parent_level + 1), 0)) STORED NOT NULL,
    billing_party_id uuid,
    names text GENERATED ALWAYS AS (lower((((((name || '
'::text) || COALESCE(short_name, ''::text)) || '
'::text) || COALESCE(name_en, ''::text)) COLLATE pg_c_utf8))) STORED NOT NULL COLLATE pg_catalog.pg_c_utf8,
    CONSTRAINT party_group_of_customers CHECK (((kind = 'customer'::text) OR ((parent_id IS NULL) AND (billing_party_id IS NULL)))),
    CONSTRAINT party_kind CHECK ((kind = ANY (ARRAY['lessor'::text, 'customer'::text, 'recycler'::text, 'partner'::text]))),
    CONSTRAINT party_level CHECK (((level >= 0) AND (level <= 7))),
    CONSTRAINT party_name_en_not_blank CHECK ((btrim(name_en) <> ''::text)),
    CONSTRAINT party_name_not_blank CHECK ((btrim(name) <> ''::text)),
    CONSTRAINT party_parent_has_a_level CHECK (((parent_id IS NULL) = (parent_level IS NULL))),
    CONSTRAINT party_registered_address_not_blank CHECK ((btrim(registered_address) <> ''::text)),
    CONSTRAINT party_short_name_not_blank CHECK ((btrim(short_name) <> ''::text))
);

CREATE FUNCTION billing_party_of(party_id uuid) RETURNS uuid
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 WITH RECURSIVE way(member, above, chosen, distance) AS (
          SELECT party.id,
             party.parent_id,
             party.billing_party_id,
             0 AS "?column?"
            FROM party
           WHERE (party.id = billing_party_of.party_id)
         UNION ALL
          SELECT party.id,
             party.parent_id,
             party.billing_party_id,
             (way_1.distance + 1)
            FROM (way way_1
              JOIN party ON ((party.id = way_1.above)))
           WHERE (way_1.chosen IS NULL)
         )
  SELECT
         CASE
             WHEN (way.above IS NULL) THEN COALESCE(way.chosen, billing_party_of.party_id)
             ELSE way.chosen
         END AS chosen
    FROM way
   ORDER BY way.distance DESC
  LIMIT 1;
END;

CREATE TABLE contract_term (
    contract_id uuid NOT NULL,
    during daterange NOT NULL,
    kind text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT contract_term_bounded CHECK (((kind = 'holdover'::text) OR (NOT upper_inf(during)))),
    CONSTRAINT contract_term_kind CHECK ((kind = ANY (ARRAY['agreed'::text, 'renewal'::text, 'holdover'::text]))),
    CONSTRAINT contract_term_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during))))
);

CREATE FUNCTION contract_ends_on(of_contract uuid) RETURNS date
    LANGUAGE sql STABLE
    RETURN (SELECT NULLIF(max(COALESCE(upper(contract_term.during), 'infinity'::date)), 'infinity'::date) AS "nullif" FROM contract_term WHERE (contract_term.contract_id = contract_ends_on.of_contract));

CREATE FUNCTION count_allocation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION count_deposit_movement() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION count_refund() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.payment_id IS NOT NULL THEN
    UPDATE payment
       SET unallocated_amount = unallocated_amount - NEW.amount,
           automatic = automatic AND NEW.reverses_id IS NULL,
           changed_on = NEW.posted_on
     WHERE id = NEW.payment_id;
    RETURN NULL;
  END IF;
  UPDATE receivable
     SET open_amount = open_amount + NEW.amount,
         automatic = automatic AND NEW.reverses_id IS NULL,
         changed_on = NEW.posted_on
   WHERE id = NEW.credit_id
     AND amount < 0;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'only credit is paid back'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_of_credit';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION custody_after(kind text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT CASE kind
    WHEN 'pack.acquired' THEN 'in_stock'
    WHEN 'pack.commissioned' THEN 'leased'
    WHEN 'pack.swapped' THEN 'leased'
    WHEN 'pack.relocated' THEN 'leased'
    WHEN 'lease.transferred' THEN 'leased'
    WHEN 'pack.lost' THEN 'lost'
    WHEN 'pack.burnt' THEN 'burnt'
    WHEN 'pack.found' THEN 'returned'
    WHEN 'pack.returned' THEN 'returned'
    WHEN 'pack.sold' THEN 'sold'
    WHEN 'pack.reinstated' THEN 'in_stock'
    WHEN 'pack.repaired' THEN 'in_stock'
    WHEN 'waste.declared' THEN 'condemned'
    WHEN 'route.chosen' THEN 'routed'
    WHEN 'route.released' THEN 'condemned'
    WHEN 'waste.inbound' THEN 'handed_over'
    WHEN 'recycle.completed' THEN 'recycled'
  END;
$$;

CREATE FUNCTION days_around(first timestamp with time zone, last timestamp with time zone) RETURNS daterange
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT daterange((first AT TIME ZONE 'UTC')::date - 1, (last AT TIME ZONE 'UTC')::date + 2);
$$;

CREATE FUNCTION deadline(event_on date, number integer, unit text) RETURNS date
    LANGUAGE sql STABLE
    AS $$
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

CREATE FUNCTION deadline_is_provisional(due_on date, unit text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT unit = 'working_days'
     AND NOT coalesce((SELECT is_published FROM working_day WHERE day = due_on), false)
$$;

CREATE FUNCTION effective_day(kind text, facts jsonb, recorded_at timestamp with time zone) RETURNS date
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce(
    CASE
      WHEN kind NOT LIKE '%.changed'
      THEN coalesce(facts ->> 'on', facts ->> 'from_on', facts ->> 'given_on')::date
    END,
    (recorded_at AT TIME ZONE 'Asia/Shanghai')::date);
$$;

CREATE FUNCTION failed_transport_check(asked_pack uuid) RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
  SELECT newest.id
    FROM (SELECT id, transport_passed
            FROM inspection
           WHERE pack_id = asked_pack
             AND transport_passed IS NOT NULL
           ORDER BY inspected_on DESC, id DESC
           LIMIT 1) AS newest
   WHERE NOT newest.transport_passed
     AND NOT EXISTS (SELECT FROM transport_treatment WHERE inspection_id = newest.id);
$$;

CREATE FUNCTION is_internal(kind text, facts jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT CASE
    WHEN kind IN ('note.added', 'attachment.added')
    THEN NOT coalesce((facts ->> 'visible_to_customer')::boolean, false)
    ELSE kind IN (
      'note.struck', 'attachment.removed', 'tags.changed', 'custom_fields.changed',
      'pack.acquired', 'pack.inspected', 'pack.reinstated', 'waste.declared')
  END;
$$;

CREATE FUNCTION judge_entries() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  agreed deal;
  open_g numeric;
  open_amount numeric;
BEGIN
  FOR agreed IN
    SELECT *
      FROM deal
     WHERE id IN (SELECT deal_id FROM added)
     ORDER BY id
       FOR NO KEY UPDATE
  LOOP
    IF agreed.state <> 'accepted' THEN
      RAISE EXCEPTION 'deal % is %', agreed.number, agreed.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_entry_of_accepted';
    END IF;
    SELECT coalesce(sum(abs(of_material.grams)), 0), abs(coalesce(sum(of_material.amount), 0))
      INTO open_g, open_amount
      FROM (SELECT sum(grams) AS grams, sum(amount) AS amount
              FROM deal_entry
             WHERE deal_id = agreed.id
             GROUP BY material) AS of_material;
    IF open_g > agreed.limit_g THEN
      RAISE EXCEPTION 'deal % would have % g open', agreed.number, open_g
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_limit_kg',
              HINT = format('%s kg would be open, the limit is %s kg',
                            round(open_g / 1000, 3), round(agreed.limit_g / 1000.0, 3));
    END IF;
    IF open_amount > agreed.limit_amount THEN
      RAISE EXCEPTION 'deal % would have % fen open', agreed.number, open_amount
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_limit_amount',
              HINT = format('%s fen would be open, the limit is %s fen',
                            open_amount, agreed.limit_amount);
    END IF;
  END LOOP;
  IF EXISTS (
    SELECT FROM added
      JOIN deal_movement AS reversal ON reversal.id = added.movement_id
      LEFT JOIN deal_entry AS original
        ON original.movement_id = reversal.reverses_id
       AND original.material = added.material
     WHERE reversal.kind = 'reversal'
       AND (original.grams IS DISTINCT FROM -added.grams
            OR original.amount IS DISTINCT FROM -added.amount)
  ) THEN
    RAISE EXCEPTION 'a reversal mirrors what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_reversal_mirrors';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION keep_market_reservation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF EXISTS (SELECT FROM market_proposal_pack
              WHERE pack_id = NEW.pack_id
                AND reserved
                AND line_id IS DISTINCT FROM NEW.line_id) THEN
    RAISE EXCEPTION 'the pack is reserved for another line'
      USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'market_pack_reserved';
  END IF;
  UPDATE market_proposal_pack
     SET reserved = false
   WHERE pack_id = NEW.pack_id
     AND reserved;
  RETURN NEW;
END $$;

CREATE FUNCTION link_record() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
  SELECT sequence + 1, hash
    INTO NEW.sequence, NEW.previous_hash
    FROM trace_record
   WHERE pack_id = NEW.pack_id
   ORDER BY sequence DESC
   LIMIT 1;
  NEW.sequence := coalesce(NEW.sequence, 1);
  NEW.hash := trace_hash(NEW.previous_hash, NEW.id, NEW.pack_id, NEW.sequence, NEW.kind,
    NEW.happened_on, NEW.adcode, NEW.party_id, NEW.corrects_id, NEW.actor, NEW.recorded_at,
    NEW.data);
  RETURN NEW;
END $$;

CREATE FUNCTION mirror_vat() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.vat_amount IS DISTINCT FROM
     (SELECT -vat_amount FROM deal_movement WHERE id = NEW.reverses_id) THEN
    RAISE EXCEPTION 'a reversal mirrors what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_reversal_mirrors';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION name_holder(changed_id uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
  holder uuid;
BEGIN
  -- Changes of one pack take turns: each reads what the one before it left.
  PERFORM FROM pack WHERE id = changed_id FOR NO KEY UPDATE;
  SELECT lessee_id INTO holder
    FROM placement
    JOIN lease_line ON lease_line.id = line_id
   WHERE pack_id = changed_id
     AND upper_inf(during);
  UPDATE pack
     SET holder_id = holder
   WHERE id = changed_id
     AND holder_id IS DISTINCT FROM holder;
  IF FOUND THEN
    UPDATE pack_code SET holder_id = holder WHERE pack_id = changed_id;
    UPDATE pack_origin SET holder_id = holder WHERE pack_id = changed_id;
    UPDATE part_stay SET holder_id = holder WHERE pack_id = changed_id;
  END IF;
END $$;

CREATE FUNCTION note_custody() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.kind = 'waste.inbound' AND NEW.party_id IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM take_custody(NEW);
  RETURN NULL;
END $$;

CREATE FUNCTION note_holder() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM name_holder(OLD.pack_id);
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.pack_id <> OLD.pack_id) THEN
    PERFORM name_holder(NEW.pack_id);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION note_lessees() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE outage (
    id uuid DEFAULT uuidv7() NOT NULL,
    site_id uuid,
    line_id uuid,
    during tstzrange NOT NULL,
    cause text NOT NULL,
    evidence text NOT NULL,
    reference text,
    supersedes_id uuid,
    is_void boolean NOT NULL,
    is_current boolean DEFAULT true NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT outage_bounded CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)) AND (NOT upper_inf(during)))),
    CONSTRAINT outage_cause CHECK ((cause = ANY (ARRAY['lessor'::text, 'force_majeure'::text, 'customer'::text]))),
    CONSTRAINT outage_evidence CHECK ((btrim(evidence) <> ''::text)),
    CONSTRAINT outage_of_a_site_or_a_line CHECK (((site_id IS NULL) <> (line_id IS NULL))),
    CONSTRAINT outage_void_is_of_another CHECK (((NOT is_void) OR (supersedes_id IS NOT NULL)))
);

CREATE FUNCTION note_outage_restated(was outage) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION note_outages_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_outage_restated(NEW);
  PERFORM note_outage_restated(was) FROM outage AS was WHERE was.id = NEW.supersedes_id;
  RETURN NULL;
END $$;

CREATE TABLE placement (
    id uuid DEFAULT uuidv7() NOT NULL,
    acceptance_id uuid NOT NULL,
    line_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    during daterange NOT NULL,
    site_id uuid NOT NULL,
    slot integer NOT NULL,
    CONSTRAINT placement_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during))))
);

CREATE FUNCTION note_plan_restated(stay placement, since date, until date, kinds text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE meter_reading (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    measure text NOT NULL,
    at timestamp with time zone NOT NULL,
    register_value bigint NOT NULL,
    restart text NOT NULL,
    register_max bigint,
    source text NOT NULL,
    source_reference text,
    supersedes_id uuid,
    is_void boolean NOT NULL,
    is_current boolean DEFAULT true NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT meter_reading_measure CHECK ((measure = ANY (ARRAY['throughput_wh'::text, 'distance_m'::text]))),
    CONSTRAINT meter_reading_restart CHECK ((restart = ANY (ARRAY['none'::text, 'reset'::text, 'rollover'::text]))),
    CONSTRAINT meter_reading_rollover_knows_its_end CHECK (((restart = 'rollover'::text) = (register_max IS NOT NULL))),
    CONSTRAINT meter_reading_value CHECK ((register_value >= 0)),
    CONSTRAINT meter_reading_void_is_of_another CHECK (((NOT is_void) OR (supersedes_id IS NOT NULL))),
    CONSTRAINT meter_reading_within_register CHECK ((register_value <= register_max))
);

CREATE FUNCTION note_reading_restated(reading meter_reading) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION note_readings_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_reading_restated(NEW);
  PERFORM note_reading_restated(was) FROM meter_reading AS was WHERE was.id = NEW.supersedes_id;
  RETURN NULL;
END $$;

CREATE FUNCTION note_receivables() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION note_restated(changed_line uuid, changed_on date) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM
     FROM contract
    WHERE id = (SELECT contract_id FROM lease_line WHERE id = changed_line)
      FOR KEY SHARE;
  INSERT INTO restatement (line_id, from_on)
  SELECT changed_line, changed_on
   WHERE EXISTS (
     SELECT FROM charge
      WHERE line_id = changed_line
        AND upper(during) > changed_on
        AND fee_id IS NULL
        AND reverses_id IS NULL
        AND NOT is_reversed);
END $$;

CREATE FUNCTION note_revision_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_restated(NEW.line_id, lower(NEW.during));
  RETURN NULL;
END $$;

CREATE FUNCTION note_stay_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM note_restated(NEW.line_id, lower(NEW.during));
  ELSE
    PERFORM note_restated(NEW.line_id, least(upper(OLD.during), upper(NEW.during)));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION note_subjects() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  INSERT INTO event_subject
         (event_id, kind, subject_id, happened_on, recorded_at, party_id, of_holder)
  SELECT event_id, subject.kind, subject_id, happened_on, recorded_at, party_id, of_holder
    FROM added
   CROSS JOIN LATERAL subject_rows(added) AS subject;
  RETURN NULL;
END $$;

CREATE FUNCTION note_tenancies_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_plan_restated(placement, lower(said.during), upper(said.during), ARRAY['sharing'])
     FROM site_tenancy AS said
     JOIN placement ON placement.site_id = said.site_id
    WHERE said.id IN (NEW.id, NEW.supersedes_id)
    ORDER BY placement.line_id;
  RETURN NULL;
END $$;

CREATE FUNCTION note_terms_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_restated(lease_line.id, lower(NEW.during))
     FROM lease_line
    WHERE contract_id = NEW.contract_id
      AND started_on IS NOT NULL;
  RETURN NULL;
END $$;

CREATE FUNCTION note_tests_restated() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM note_plan_restated(placement, NEW.tested_on, NULL, ARRAY['capacity'])
     FROM placement
    WHERE placement.pack_id = NEW.pack_id
    ORDER BY placement.line_id;
  RETURN NULL;
END $$;

CREATE FUNCTION pieces(given text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(SELECT DISTINCT substr(pieces.given, start.start, size.size) AS substr FROM generate_series(1, length(pieces.given)) start(start), generate_series(1, 2) size(size));

CREATE FUNCTION plays_role(of_party uuid, as_role text, on_day date) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
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

CREATE FUNCTION refuse_bad_acceptance() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  newest deal_snapshot;
BEGIN
  IF OLD.state <> 'offered' THEN
    IF (NEW.snapshot_id, NEW.limit_g, NEW.limit_amount, NEW.accepted_at, NEW.chemistry)
       IS DISTINCT FROM
       (OLD.snapshot_id, OLD.limit_g, OLD.limit_amount, OLD.accepted_at, OLD.chemistry) THEN
      RAISE EXCEPTION 'deal % was %', OLD.number, OLD.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
    END IF;
  ELSIF NEW.state = 'accepted' THEN
    SELECT * INTO newest
      FROM deal_snapshot
     WHERE deal_id = NEW.id
     ORDER BY number DESC
     LIMIT 1;
    IF NEW.snapshot_id IS DISTINCT FROM newest.id OR NEW.accepted_at >= newest.expires_at THEN
      RAISE EXCEPTION 'the prices of deal % ended at %', NEW.number, newest.expires_at
        USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_accepted_before_expiry';
    END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE FUNCTION refuse_change_except() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'DELETE'
     OR to_jsonb(NEW) - TG_ARGV <> to_jsonb(OLD) - TG_ARGV
     OR to_jsonb(OLD) ->> TG_ARGV[0] IS NOT NULL THEN
    RAISE EXCEPTION 'rows of % are never deleted, and change once only', TG_TABLE_NAME
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_change_of_certificate() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'certificate % is final', OLD.certificate_number
    USING ERRCODE = 'check_violation', CONSTRAINT = 'recovery_certificate_is_final';
END $$;

CREATE FUNCTION refuse_change_of_charge() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM invoice WHERE id = OLD.invoice_id AND state = 'draft') THEN
      RETURN OLD;
    END IF;
  ELSIF OLD.reverses_id IS NULL AND OLD.is_reversed <> NEW.is_reversed
    AND (NEW.is_reversed OR NOT EXISTS (SELECT FROM charge WHERE reverses_id = OLD.id)) THEN
    OLD.is_reversed := NEW.is_reversed;
    IF NEW IS NOT DISTINCT FROM OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'rows of charge are never changed or deleted'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_append_only';
END $$;

CREATE FUNCTION refuse_change_of_fact() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.is_current AND NOT NEW.is_current
     AND to_jsonb(NEW) - 'is_current' = to_jsonb(OLD) - 'is_current' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

CREATE FUNCTION refuse_change_of_final_invoice() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF OLD.state = 'final' THEN
    RAISE EXCEPTION 'invoice % is final', OLD.number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN COALESCE(NEW, OLD);
END $$;

CREATE FUNCTION refuse_change_of_payment() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION refuse_change_of_published() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF OLD.state = 'published' THEN
    RAISE EXCEPTION 'a published version of a price plan is never changed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'price_plan_version_immutable';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE FUNCTION refuse_change_of_quote() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.accepted_at IS NULL
     AND (NEW.id, NEW.valid_to, NEW.alternatives, NEW.created_by, NEW.created_at)
         = (OLD.id, OLD.valid_to, OLD.alternatives, OLD.created_by, OLD.created_at) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a quote is accepted, and never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'quote_fixed';
END $$;

CREATE FUNCTION refuse_change_of_receivable() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'UPDATE'
     AND (NEW.id, NEW.kind, NEW.invoice_id, NEW.number, NEW.party_id, NEW.currency, NEW.issued_on,
          NEW.due_on, NEW.amount) IS NOT DISTINCT FROM
         (OLD.id, OLD.kind, OLD.invoice_id, OLD.number, OLD.party_id, OLD.currency, OLD.issued_on,
          OLD.due_on, OLD.amount)
     AND NEW.vat_amount IS NOT DISTINCT FROM OLD.vat_amount THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'what is owed is settled, and never changed otherwise'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'receivable_fixed';
END $$;

CREATE FUNCTION refuse_charge_on_final_invoice() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added JOIN invoice ON invoice.id = added.invoice_id WHERE invoice.state = 'final'
  ) THEN
    RAISE EXCEPTION 'a final invoice takes no further charge'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION refuse_clock_going_back() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.now_at < OLD.now_at OR (OLD.sandbox AND NOT NEW.sandbox) THEN
    RAISE EXCEPTION 'the clock does not go back'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'clock_never_goes_back';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_closing_what_is_open() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION refuse_consigned() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_number text;
BEGIN
  SELECT number INTO found_number
    FROM consignment_pack
    JOIN consignment ON consignment.id = consignment_id
   WHERE routing_id = NEW.id
     AND NOT is_let_go
     AND state IN ('packed', 'dispatched', 'weighed_in');
  IF FOUND THEN
    RAISE EXCEPTION 'routing % is in consignment %', NEW.id, found_number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'routing_consigned';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_earlier_posting() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.changed_on < OLD.changed_on THEN
    RAISE EXCEPTION 'something was posted on % already', OLD.changed_on
      USING ERRCODE = 'check_violation', CONSTRAINT = 'posted_in_order';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_held() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_id uuid;
BEGIN
  SELECT id INTO found_id
    FROM safety_hold
   WHERE pack_id = NEW.pack_id
     AND released_at IS NULL
   LIMIT 1;
  IF found_id IS NOT NULL THEN
    RAISE EXCEPTION 'pack % is held', NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'pack_held', TABLE = TG_TABLE_NAME,
            HINT = format('pack %s is held by safety hold %s', NEW.pack_id, found_id);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_more_than_stored() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'outlet % stores % kg at most', NEW.code, NEW.store_limit_kg
    USING ERRCODE = 'check_violation', CONSTRAINT = 'outlet_store_limit';
END $$;

CREATE FUNCTION refuse_origin_circle() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('leasing.pack_origin', 0));
  IF EXISTS (
    WITH RECURSIVE ancestor AS (
      SELECT NEW.origin_id AS ancestor_id
       UNION
      SELECT pack_origin.origin_id
        FROM ancestor
        JOIN pack_origin ON pack_origin.pack_id = ancestor_id
       WHERE pack_origin.origin_id IS NOT NULL
    )
    SELECT FROM ancestor WHERE ancestor_id = NEW.pack_id
  ) THEN
    RAISE EXCEPTION 'pack % would be made from itself', NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'pack_origin_never_circular';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION refuse_posting_in_closed_month() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION refuse_price_of_accepted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_state text;
BEGIN
  SELECT state INTO found_state
    FROM deal_snapshot
    JOIN deal ON deal.id = deal_id
   WHERE deal_snapshot.id = NEW.snapshot_id
     FOR NO KEY UPDATE OF deal;
  IF found_state <> 'offered' THEN
    RAISE EXCEPTION 'snapshot % is of a deal that is %', NEW.snapshot_id, found_state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_quarantined() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_id uuid;
BEGIN
  PERFORM FROM pack WHERE id = NEW.pack_id FOR SHARE;
  SELECT id INTO found_id
    FROM quarantine
   WHERE pack_id = NEW.pack_id
     AND released_at IS NULL;
  IF found_id IS NOT NULL THEN
    RAISE EXCEPTION 'pack % is in quarantine', NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'pack_quarantined', TABLE = TG_TABLE_NAME,
            HINT = format('pack %s is in quarantine %s', NEW.pack_id, found_id);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_quarantined_sale() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_id uuid;
BEGIN
  SELECT id INTO found_id
    FROM quarantine
   WHERE pack_id = NEW.id
     AND released_at IS NULL;
  IF found_id IS NOT NULL THEN
    RAISE EXCEPTION 'pack % is in quarantine', NEW.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'pack_quarantined', TABLE = TG_TABLE_NAME,
            HINT = format('pack %s is in quarantine %s', NEW.id, found_id);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_revaluation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  found_state text;
BEGIN
  SELECT state INTO found_state FROM deal WHERE id = NEW.deal_id FOR NO KEY UPDATE;
  IF found_state <> 'offered' THEN
    RAISE EXCEPTION 'deal % is %', NEW.deal_id, found_state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'deal_priced_for_good';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_routing_to_closed_outlet() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  closed record;
BEGIN
  SELECT outlet.code, outlet.closed_from INTO closed
    FROM added
    JOIN outlet ON outlet.id = added.outlet_id
   WHERE added.hand_over_on >= outlet.closed_from
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'outlet % is closed from % on', closed.code, closed.closed_from
      USING ERRCODE = 'check_violation', CONSTRAINT = 'routing_to_an_open_outlet',
            HINT = format('outlet %s is closed from %s on', closed.code, closed.closed_from);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION refuse_sum_of_final_invoice() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF EXISTS (SELECT FROM invoice
              WHERE id = coalesce(NEW.invoice_id, OLD.invoice_id) AND state = 'final') THEN
    RAISE EXCEPTION 'the sums of a final invoice are not changed'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_final_is_immutable';
  END IF;
  RETURN COALESCE(NEW, OLD);
END $$;

CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION refuse_unfit_for_transport() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  failed_id uuid;
BEGIN
  PERFORM FROM pack WHERE id = NEW.pack_id FOR SHARE;
  failed_id := failed_transport_check(NEW.pack_id);
  IF failed_id IS NOT NULL THEN
    RAISE EXCEPTION 'pack % failed its transport check', NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'transport_check_failed',
            TABLE = TG_TABLE_NAME,
            HINT = format('treat pack %s and let both sides accept inspection %s',
                          NEW.pack_id, failed_id);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_unfit_lot() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  failed record;
BEGIN
  -- Whoever enters an inspection holds the pack.
  PERFORM
     FROM pack
    WHERE id IN (SELECT pack_id FROM consignment_pack WHERE consignment_id = NEW.id)
    ORDER BY id
      FOR SHARE;
  SELECT pack_id, failed_transport_check(pack_id) AS inspection_id
    INTO failed
    FROM consignment_pack
   WHERE consignment_id = NEW.id
     AND failed_transport_check(pack_id) IS NOT NULL
   ORDER BY pack_id
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'pack % failed its transport check', failed.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'transport_check_failed',
            TABLE = TG_TABLE_NAME,
            HINT = format('treat pack %s and let both sides accept inspection %s',
                          failed.pack_id, failed.inspection_id);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION refuse_unlinked() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
  stray uuid;
BEGIN
  SELECT id
    INTO stray
    FROM added
   WHERE sequence > 1
     AND previous_hash IS DISTINCT FROM (
           SELECT before.hash
             FROM trace_record AS before
            WHERE before.pack_id = added.pack_id
              AND before.sequence = added.sequence - 1)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'record % does not follow the one before it', stray
      USING ERRCODE = 'check_violation', CONSTRAINT = 'trace_record_linked';
  END IF;
  SELECT id
    INTO stray
    FROM added
   WHERE corrects_id IS NOT NULL
     AND pack_id IS DISTINCT FROM (
           SELECT wrong.pack_id
             FROM trace_record AS wrong
            WHERE wrong.id = added.corrects_id)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'record % corrects none of its pack', stray
      USING ERRCODE = 'check_violation', CONSTRAINT = 'trace_record_corrects_own';
  END IF;
  RETURN NULL;
END $$;

CREATE TABLE domain_event (
    id uuid DEFAULT uuidv7() NOT NULL,
    xact xid8 DEFAULT pg_current_xact_id() NOT NULL,
    aggregate text NOT NULL,
    aggregate_id uuid NOT NULL,
    sequence integer NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    actor text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    actor_role text GENERATED ALWAYS AS (split_part(actor, ':'::text, 1))
);

CREATE TABLE event_subject (
    event_id uuid NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    happened_on date NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    party_id uuid,
    of_holder boolean NOT NULL,
    CONSTRAINT event_subject_kind CHECK ((kind = ANY (ARRAY['contract'::text, 'site'::text, 'pack'::text])))
);

CREATE FUNCTION subject_rows(event domain_event) RETURNS SETOF event_subject
    LANGUAGE sql STABLE
    AS $$
  SELECT DISTINCT ON (subject.subject_id)
         event.id,
         subject.kind,
         subject.subject_id,
         day.happened_on,
         event.occurred_at,
         CASE WHEN NOT is_internal(event.kind, event.data) THEN subject.party_id END,
         event.aggregate = 'pack' AND NOT is_internal(event.kind, event.data)
    FROM effective_day(event.kind, event.data, event.occurred_at) AS day (happened_on)
   CROSS JOIN LATERAL subjects_of(event.aggregate, event.aggregate_id, event.data, day.happened_on)
           AS subject
   WHERE event.aggregate IN ('contract', 'line', 'site', 'pack', 'invoice', 'routing')
   ORDER BY subject.subject_id, subject.party_id
$$;

CREATE FUNCTION subjects_of(aggregate text, aggregate_id uuid, facts jsonb, on_day date) RETURNS TABLE(kind text, subject_id uuid, party_id uuid)
    LANGUAGE sql STABLE
    AS $$
  SELECT 'contract', contract.id, contract.lessee_id
    FROM contract
   WHERE aggregate = 'contract'
     AND contract.id = aggregate_id
   UNION ALL
  SELECT 'site', site.id, site.party_id
    FROM site
   WHERE aggregate = 'site'
     AND site.id = aggregate_id
   UNION ALL
  SELECT 'pack', aggregate_id, NULL
   WHERE aggregate = 'pack'
   UNION ALL
  SELECT 'contract', lease_line.contract_id, lease_line.lessee_id
    FROM lease_line
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
   UNION ALL
  SELECT 'site', place.site_id, lease_line.lessee_id
    FROM lease_line
    JOIN LATERAL (
           SELECT line_revision.site_id
             FROM line_revision
            WHERE line_revision.line_id = lease_line.id
              AND lower(line_revision.during) <= greatest(on_day, lease_line.from_on)
            ORDER BY lower(line_revision.during) DESC
            LIMIT 1) AS place ON true
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
   UNION ALL
  SELECT 'site', (facts ->> 'from_site_id')::uuid, lease_line.lessee_id
    FROM lease_line
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND facts ? 'from_site_id'
   UNION ALL
  SELECT 'pack', placement.pack_id, lease_line.lessee_id
    FROM lease_line
    JOIN placement ON placement.line_id = lease_line.id
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND placement.during @> on_day
   UNION ALL
  SELECT 'pack', (facts ->> named.key)::uuid, lease_line.lessee_id
    FROM lease_line
    CROSS JOIN unnest(ARRAY['pack_id', 'pack_out']) AS named (key)
   WHERE aggregate = 'line'
     AND lease_line.id = aggregate_id
     AND facts ->> named.key IS NOT NULL
   UNION ALL
  SELECT 'contract', charge.contract_id, invoice.buyer_id
    FROM invoice
    JOIN charge ON charge.invoice_id = invoice.id
   WHERE aggregate = 'invoice'
     AND invoice.id = aggregate_id
   UNION ALL
  SELECT 'pack', routing.pack_id, routing.recycler_id
    FROM routing
   WHERE aggregate = 'routing'
     AND routing.id = aggregate_id;
$$;

CREATE FUNCTION supersede_fact() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
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
END $_$;

CREATE FUNCTION take_code_of_part() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  SELECT code INTO NEW.code FROM part WHERE id = NEW.part_id;
  RETURN NEW;
END $$;

CREATE TABLE trace_record (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    sequence integer NOT NULL,
    kind text NOT NULL,
    happened_on date NOT NULL,
    adcode text,
    party_id uuid,
    data json NOT NULL,
    actor text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    corrects_id uuid,
    CONSTRAINT trace_record_correction CHECK (((kind = 'record.corrected'::text) = (corrects_id IS NOT NULL))),
    CONSTRAINT trace_record_first CHECK (((sequence >= 1) AND ((sequence = 1) = (previous_hash IS NULL)))),
    CONSTRAINT trace_record_hash CHECK (((octet_length(hash) = 32) AND (octet_length(previous_hash) = 32))),
    CONSTRAINT trace_record_kind CHECK ((kind = ANY (ARRAY['pack.acquired'::text, 'pack.assembled'::text, 'pack.decomposed'::text, 'cascade.coded'::text, 'cascade.shipped'::text, 'pack.commissioned'::text, 'pack.swapped'::text, 'pack.relocated'::text, 'lease.transferred'::text, 'pack.damaged'::text, 'pack.burnt'::text, 'pack.lost'::text, 'pack.found'::text, 'pack.sold'::text, 'pack.returned'::text, 'pack.inspected'::text, 'pack.failed'::text, 'pack.repaired'::text, 'pack.reinstated'::text, 'waste.declared'::text, 'route.chosen'::text, 'route.released'::text, 'waste.outbound'::text, 'waste.inbound'::text, 'recycle.received'::text, 'recycle.completed'::text, 'qualification.changed'::text, 'record.corrected'::text]))),
    CONSTRAINT trace_record_one_line CHECK ((strpos(concat(actor, adcode), '
'::text) = 0))
);

CREATE FUNCTION take_custody(step trace_record) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
  now_is text := custody_after(step.kind);
  stay placement;
  way routing;
BEGIN
  IF now_is IS NULL THEN
    RETURN;
  END IF;
  IF now_is = 'leased' THEN
    SELECT * INTO STRICT stay
      FROM placement
     WHERE pack_id = step.pack_id
       AND during @> step.happened_on;
  ELSIF now_is IN ('lost', 'sold') THEN
    stay.line_id := step.data ->> 'line_id';
  ELSIF now_is IN ('routed', 'handed_over', 'recycled') THEN
    SELECT * INTO STRICT way FROM routing WHERE id = (step.data ->> 'routing_id')::uuid;
  END IF;
  DELETE FROM custody
   WHERE pack_id = step.pack_id
     AND lower(during) >= step.happened_on;
  UPDATE custody
     SET during = daterange(lower(during), step.happened_on)
   WHERE pack_id = step.pack_id
     AND during @> step.happened_on;
  INSERT INTO custody (pack_id, during, state, party_id, line_id, site_id, slot, routing_id,
                       outlet_id, trace_id, recorded_at)
  VALUES (step.pack_id, daterange(step.happened_on, NULL), now_is,
          CASE WHEN stay.line_id IS NOT NULL OR way.id IS NOT NULL THEN step.party_id END,
          stay.line_id, stay.site_id, stay.slot, way.id, way.outlet_id, step.id,
          step.recorded_at);
END $$;

CREATE FUNCTION take_holder_of_pack() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  SELECT holder_id INTO NEW.holder_id
    FROM pack
   WHERE id = NEW.pack_id
     FOR SHARE;
  RETURN NEW;
END $$;

CREATE FUNCTION tell_outlets_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_notify('outlets_' || current_schema(), TG_TABLE_NAME);
  RETURN NULL;
END $$;

CREATE FUNCTION trace_hash(previous_hash bytea, id uuid, pack_id uuid, sequence integer, kind text, happened_on date, adcode text, party_id uuid, corrects_id uuid, actor text, recorded_at timestamp with time zone, data json) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
  SELECT sha256(convert_to(concat_ws(E'\n',
    'previous ' || encode(previous_hash, 'hex'),
    'id ' || id,
    'pack ' || pack_id,
    'sequence ' || sequence,
    'kind ' || kind,
    'happened_on ' || to_char(happened_on, 'YYYY-MM-DD'),
    'adcode ' || adcode,
    'party ' || party_id,
    'corrects ' || corrects_id,
    'actor ' || actor,
    'recorded_at ' || to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'data ' || data) || E'\n', 'UTF8'))
$$;

CREATE TABLE acceptance (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    accepted_on date NOT NULL,
    tested_capacity_mah integer NOT NULL,
    lessor_signatory text NOT NULL,
    lessee_signatory text NOT NULL,
    photo_sha256 text[] DEFAULT '{}'::text[] NOT NULL,
    contract_id uuid NOT NULL,
    accepted daterange GENERATED ALWAYS AS (daterange(accepted_on, (accepted_on + 1))) STORED,
    remarks text DEFAULT ''::text NOT NULL,
    CONSTRAINT acceptance_lessee_signed CHECK ((btrim(lessee_signatory) <> ''::text)),
    CONSTRAINT acceptance_lessor_signed CHECK ((btrim(lessor_signatory) <> ''::text)),
    CONSTRAINT acceptance_tested_capacity CHECK ((tested_capacity_mah > 0))
);

CREATE TABLE account (
    code text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    name_en text NOT NULL,
    CONSTRAINT account_kind CHECK ((kind = ANY (ARRAY['asset'::text, 'liability'::text, 'revenue'::text, 'expense'::text])))
);

CREATE TABLE accounting_period (
    id uuid DEFAULT uuidv7() NOT NULL,
    month date NOT NULL,
    state text NOT NULL,
    closed_by text NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    reopened_by text,
    reopened_at timestamp with time zone,
    reopen_reason text,
    CONSTRAINT accounting_period_month CHECK ((EXTRACT(day FROM month) = (1)::numeric)),
    CONSTRAINT accounting_period_reopen_reason CHECK ((btrim(reopen_reason) <> ''::text)),
    CONSTRAINT accounting_period_reopened CHECK ((num_nonnulls(reopened_by, reopened_at, reopen_reason) =
CASE state
    WHEN 'open'::text THEN 3
    ELSE 0
END)),
    CONSTRAINT accounting_period_state CHECK ((state = ANY (ARRAY['open'::text, 'closed'::text])))
);

CREATE TABLE alarm (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    holder_id uuid,
    kind text NOT NULL,
    severity text NOT NULL,
    cell integer,
    code text,
    serial text,
    since timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    limits jsonb NOT NULL,
    evidence jsonb NOT NULL,
    state text DEFAULT 'raised'::text NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    next_repeat_at timestamp with time zone,
    repeats integer DEFAULT 0 NOT NULL,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    closed_at timestamp with time zone,
    closed_by text,
    close_reason text,
    CONSTRAINT alarm_acknowledged CHECK ((((acknowledged_at IS NULL) = (acknowledged_by IS NULL)) AND ((state <> 'raised'::text) OR (acknowledged_at IS NULL)) AND ((state <> 'acknowledged'::text) OR (acknowledged_at IS NOT NULL)))),
    CONSTRAINT alarm_cell CHECK ((cell > 0)),
    CONSTRAINT alarm_close_reason CHECK ((btrim(close_reason) <> ''::text)),
    CONSTRAINT alarm_closed CHECK ((((state = 'closed'::text) = (closed_at IS NOT NULL)) AND ((closed_at IS NULL) = (closed_by IS NULL)) AND ((closed_at IS NULL) = (close_reason IS NULL)))),
    CONSTRAINT alarm_code CHECK ((btrim(code) <> ''::text)),
    CONSTRAINT alarm_kind CHECK ((kind = ANY (ARRAY['cell_over_voltage'::text, 'cell_under_voltage'::text, 'static_imbalance'::text, 'drift'::text, 'cell_spread'::text, 'charge_temperature'::text, 'over_temperature'::text, 'temperature_spread'::text, 'thermal_runaway'::text, 'insulation'::text, 'insulation_trend'::text, 'capacity'::text, 'resistance'::text, 'standby_self_discharge'::text, 'silence'::text, 'data_stuck'::text, 'data_unit_jump'::text, 'data_clock'::text, 'data_contradiction'::text, 'data_soc'::text, 'device'::text]))),
    CONSTRAINT alarm_of_a_device CHECK ((((kind = 'device'::text) = (code IS NOT NULL)) AND ((serial IS NULL) OR (kind = 'device'::text)))),
    CONSTRAINT alarm_repeated_until_acknowledged CHECK (((state = 'raised'::text) = (next_repeat_at IS NOT NULL))),
    CONSTRAINT alarm_repeats CHECK ((repeats >= 0)),
    CONSTRAINT alarm_seen_since CHECK ((last_seen_at >= since)),
    CONSTRAINT alarm_serial CHECK ((btrim(serial) <> ''::text)),
    CONSTRAINT alarm_severity CHECK ((severity = ANY (ARRAY['info'::text, 'warn'::text, 'critical'::text]))),
    CONSTRAINT alarm_state CHECK ((state = ANY (ARRAY['raised'::text, 'acknowledged'::text, 'closed'::text])))
);

CREATE TABLE alarm_limits (
    id uuid DEFAULT uuidv7() NOT NULL,
    model text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    valid_from date NOT NULL,
    limits jsonb NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT alarm_limits_model CHECK ((model ~ '^[0-9A-Z]{3}[PMC][A-GZ][0-9A-Z]{2}$'::text)),
    CONSTRAINT alarm_limits_object CHECK ((jsonb_typeof(limits) = 'object'::text)),
    CONSTRAINT alarm_limits_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT alarm_limits_version CHECK ((version > 0))
);

CREATE TABLE allocation (
    id uuid DEFAULT uuidv7() NOT NULL,
    source text NOT NULL,
    payment_id uuid,
    credit_id uuid,
    contract_id uuid,
    receivable_id uuid NOT NULL,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    taken_back_amount bigint GENERATED ALWAYS AS ((- amount)) STORED NOT NULL,
    value_on date NOT NULL,
    posted_on date NOT NULL,
    reason text,
    reverses_id uuid,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT allocation_names_its_source CHECK ((((source = 'payment'::text) = (payment_id IS NOT NULL)) AND ((source = 'credit'::text) = (credit_id IS NOT NULL)) AND ((source = 'deposit'::text) = (contract_id IS NOT NULL)))),
    CONSTRAINT allocation_sign CHECK (((amount <> 0) AND ((amount < 0) = (reverses_id IS NOT NULL)))),
    CONSTRAINT allocation_source CHECK ((source = ANY (ARRAY['payment'::text, 'credit'::text, 'deposit'::text, 'write_off'::text]))),
    CONSTRAINT allocation_write_off_has_a_reason CHECK (((source <> 'write_off'::text) OR (reason IS NOT NULL)))
);

CREATE TABLE allocation_order (
    party_id uuid NOT NULL,
    first text NOT NULL,
    kinds text[] NOT NULL,
    CONSTRAINT allocation_order_first CHECK ((first = ANY (ARRAY['due'::text, 'kind'::text]))),
    CONSTRAINT allocation_order_kinds CHECK ((kinds <@ ARRAY['dunning_fee'::text, 'interest'::text, 'invoice'::text, 'fees'::text, 'usage'::text, 'rent'::text, 'sales'::text]))
);

CREATE TABLE ancillary_vat (
    id uuid DEFAULT uuidv7() NOT NULL,
    from_on date NOT NULL,
    taxed boolean NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT ancillary_vat_reason_not_blank CHECK ((btrim(reason) <> ''::text))
);

CREATE TABLE annual_report (
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    year integer NOT NULL,
    filed_on date NOT NULL,
    document text NOT NULL,
    document_sha256 text,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT annual_report_after_its_year CHECK ((filed_on >= make_date((year + 1), 1, 1))),
    CONSTRAINT annual_report_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT annual_report_document_sha256 CHECK ((document_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT annual_report_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT annual_report_year CHECK (((year >= 2019) AND (year <= 2200)))
);

CREATE TABLE api_key (
    id uuid DEFAULT uuidv7() NOT NULL,
    prefix text NOT NULL,
    digest bytea NOT NULL,
    role text NOT NULL,
    party_id uuid,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_key_digest_is_sha256 CHECK ((length(digest) = 32)),
    CONSTRAINT api_key_outsiders_have_a_party CHECK (((party_id IS NOT NULL) = (role = ANY (ARRAY['customer'::text, 'recycler'::text])))),
    CONSTRAINT api_key_role CHECK ((role = ANY (ARRAY['staff'::text, 'customer'::text, 'recycler'::text, 'auditor'::text, 'regulator'::text])))
);

CREATE TABLE attachment (
    id uuid DEFAULT uuidv7() NOT NULL,
    subject_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    media_type text NOT NULL,
    size_bytes integer NOT NULL,
    filename text NOT NULL,
    visible_to_customer boolean NOT NULL,
    added_by text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    removed_by text,
    removal_reason text,
    held_sha256 bytea GENERATED ALWAYS AS (
CASE
    WHEN (removed_at IS NULL) THEN sha256
    ELSE NULL::bytea
END) STORED,
    CONSTRAINT attachment_filename CHECK (((btrim(filename) <> ''::text) AND (char_length(filename) <= 200))),
    CONSTRAINT attachment_media_type CHECK ((media_type = ANY (ARRAY['application/pdf'::text, 'image/png'::text, 'image/jpeg'::text, 'image/webp'::text, 'image/heic'::text, 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'::text, 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'::text, 'text/csv'::text, 'text/plain'::text]))),
    CONSTRAINT attachment_removal_reason CHECK ((btrim(removal_reason) <> ''::text)),
    CONSTRAINT attachment_removed CHECK ((num_nonnulls(removed_at, removed_by, removal_reason) = ANY (ARRAY[0, 3]))),
    CONSTRAINT attachment_sha256 CHECK ((length(sha256) = 32)),
    CONSTRAINT attachment_size CHECK ((size_bytes > 0))
);

CREATE TABLE attachment_content (
    sha256 bytea NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT attachment_content_is_what_was_hashed CHECK ((sha256 = sha256(bytes))),
    CONSTRAINT attachment_content_not_empty CHECK ((length(bytes) > 0))
);
ALTER TABLE ONLY attachment_content ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE billing_chunk (
    run_id uuid NOT NULL,
    stage text NOT NULL,
    number integer NOT NULL,
    ids uuid[] NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    claimed_by text,
    claimed_until timestamp with time zone,
    CONSTRAINT billing_chunk_claimed CHECK (((claimed_by IS NULL) = (claimed_until IS NULL))),
    CONSTRAINT billing_chunk_not_empty CHECK ((cardinality(ids) > 0)),
    CONSTRAINT billing_chunk_state CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text])))
);

CREATE TABLE billing_hold (
    run_id uuid NOT NULL,
    line_id uuid NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT billing_hold_code CHECK ((code = ANY (ARRAY['custody_elsewhere'::text, 'custody_missing'::text, 'missing_fact'::text])))
);

CREATE TABLE billing_item (
    run_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    invoice_id uuid,
    from_on date NOT NULL,
    to_on date NOT NULL,
    billing_on date NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    charges integer DEFAULT 0 NOT NULL,
    code text,
    reason text,
    CONSTRAINT billing_item_period CHECK ((from_on < to_on)),
    CONSTRAINT billing_item_says_why CHECK ((((state = ANY (ARRAY['failed'::text, 'parked'::text])) = (code IS NOT NULL)) AND ((code IS NULL) = (reason IS NULL)))),
    CONSTRAINT billing_item_state CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text, 'skipped'::text, 'failed'::text, 'parked'::text])))
)
WITH (fillfactor='70');

CREATE TABLE billing_run (
    id uuid DEFAULT uuidv7() NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    as_of date NOT NULL,
    buyer_id uuid,
    stopped_because text,
    approved_by text,
    max_invoices integer DEFAULT 100000 NOT NULL,
    CONSTRAINT billing_run_finished CHECK (((finished_at IS NOT NULL) = (state = 'done'::text))),
    CONSTRAINT billing_run_max_invoices CHECK ((max_invoices > 0)),
    CONSTRAINT billing_run_state CHECK ((state = ANY (ARRAY['running'::text, 'stopped'::text, 'done'::text, 'discarded'::text]))),
    CONSTRAINT billing_run_stopped CHECK (((stopped_because IS NOT NULL) = (state = 'stopped'::text)))
);

CREATE TABLE billing_stage (
    run_id uuid NOT NULL,
    stage text NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    total integer DEFAULT 0 NOT NULL,
    done integer DEFAULT 0 NOT NULL,
    charges bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT billing_stage_finished CHECK (((finished_at IS NOT NULL) = (state = 'done'::text))),
    CONSTRAINT billing_stage_stage CHECK ((stage = ANY (ARRAY['plan'::text, 'rate'::text, 'draft'::text, 'review'::text, 'finalise'::text, 'deliver'::text]))),
    CONSTRAINT billing_stage_state CHECK ((state = ANY (ARRAY['running'::text, 'done'::text])))
);

CREATE TABLE calendar_day (
    calendar text NOT NULL,
    year integer NOT NULL,
    day date NOT NULL,
    is_working boolean NOT NULL,
    CONSTRAINT calendar_day_of_its_year CHECK ((EXTRACT(year FROM day) = (year)::numeric))
);

CREATE TABLE calendar_year (
    id uuid DEFAULT uuidv7() NOT NULL,
    calendar text NOT NULL,
    year integer NOT NULL,
    is_published boolean NOT NULL,
    source text NOT NULL,
    imported_by text NOT NULL,
    imported_at timestamp with time zone NOT NULL,
    CONSTRAINT calendar_year_calendar CHECK ((calendar = ANY (ARRAY['chinesecalendar'::text, 'holidays'::text, 'notice'::text]))),
    CONSTRAINT calendar_year_source CHECK ((btrim(source) <> ''::text)),
    CONSTRAINT calendar_year_year CHECK (((year >= 2000) AND (year <= 2100)))
);

CREATE TABLE capacity_test (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    tested_on date NOT NULL,
    method text NOT NULL,
    temperature_c double precision NOT NULL,
    c_rate double precision NOT NULL,
    depth_percent integer NOT NULL,
    discharged_mah integer NOT NULL,
    capacity_mah integer GENERATED ALWAYS AS (
CASE
    WHEN (depth_percent = 100) THEN discharged_mah
    ELSE NULL::integer
END) STORED,
    energy_wh bigint,
    internal_resistance_uohm integer,
    laboratory text NOT NULL,
    report_number text NOT NULL,
    document_sha256 text,
    signatory text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT capacity_test_c_rate CHECK (((c_rate > (0)::double precision) AND (c_rate <= (20)::double precision))),
    CONSTRAINT capacity_test_depth CHECK (((depth_percent >= 1) AND (depth_percent <= 100))),
    CONSTRAINT capacity_test_discharged CHECK ((discharged_mah > 0)),
    CONSTRAINT capacity_test_document CHECK ((document_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT capacity_test_energy CHECK ((energy_wh > 0)),
    CONSTRAINT capacity_test_method CHECK ((method = ANY (ARRAY['gbt34015'::text, 'site_check_discharge'::text, 'maker'::text, 'other'::text]))),
    CONSTRAINT capacity_test_resistance CHECK ((internal_resistance_uohm > 0)),
    CONSTRAINT capacity_test_signed CHECK ((btrim(signatory) <> ''::text)),
    CONSTRAINT capacity_test_standard_goes_to_the_end CHECK (((method <> 'gbt34015'::text) OR (depth_percent = 100))),
    CONSTRAINT capacity_test_temperature CHECK (((temperature_c >= ('-40'::integer)::double precision) AND (temperature_c <= (85)::double precision)))
);

CREATE TABLE carrier_permit (
    id uuid DEFAULT uuidv7() NOT NULL,
    carrier_id uuid NOT NULL,
    mode text NOT NULL,
    goods_class text DEFAULT '9'::text NOT NULL,
    valid daterange NOT NULL,
    document text NOT NULL,
    withdrawn_on date,
    withdrawal_document text,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT carrier_permit_class CHECK ((goods_class = '9'::text)),
    CONSTRAINT carrier_permit_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT carrier_permit_mode CHECK ((mode = ANY (ARRAY['road'::text, 'rail'::text, 'sea'::text, 'air'::text]))),
    CONSTRAINT carrier_permit_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid)))),
    CONSTRAINT carrier_permit_withdrawal CHECK (((withdrawn_on IS NULL) = (withdrawal_document IS NULL)))
);

CREATE TABLE charge (
    id uuid DEFAULT uuidv7() NOT NULL,
    invoice_id uuid NOT NULL,
    line_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    site_id uuid NOT NULL,
    pack_id uuid,
    component text NOT NULL,
    during daterange NOT NULL,
    period_days integer,
    price_amount bigint,
    amount bigint NOT NULL,
    vat_percent numeric(5,2) NOT NULL,
    vat_mode text DEFAULT 'exclusive'::text NOT NULL,
    fee_id uuid,
    reverses_id uuid,
    is_reversed boolean DEFAULT false NOT NULL,
    quantity numeric,
    unit_price numeric,
    detail jsonb,
    kind text DEFAULT 'rent'::text NOT NULL,
    revision smallint DEFAULT 1 NOT NULL,
    CONSTRAINT charge_component CHECK ((component ~ '^[a-z][a-z0-9_]{0,39}$'::text)),
    CONSTRAINT charge_during CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)) AND (NOT upper_inf(during)))),
    CONSTRAINT charge_fee_of_its_kind CHECK (((fee_id IS NOT NULL) = (kind = ANY (ARRAY['early_termination'::text, 'buy_out'::text, 'loss'::text, 'damage'::text, 'adjustment'::text, 'missing_parts'::text, 'capacity_shortfall'::text, 'logistics'::text])))),
    CONSTRAINT charge_kind CHECK ((kind = ANY (ARRAY['rent'::text, 'service'::text, 'capacity'::text, 'throughput'::text, 'cycles'::text, 'distance'::text, 'minimum'::text, 'maximum'::text, 'availability'::text, 'sharing'::text, 'region'::text, 'one_off'::text, 'early_termination'::text, 'buy_out'::text, 'loss'::text, 'damage'::text, 'adjustment'::text, 'missing_parts'::text, 'capacity_shortfall'::text, 'logistics'::text]))),
    CONSTRAINT charge_rent_has_a_pack CHECK (((component <> 'rent'::text) OR (pack_id IS NOT NULL))),
    CONSTRAINT charge_rent_has_its_price CHECK (((kind <> 'rent'::text) OR ((period_days IS NOT NULL) AND (price_amount IS NOT NULL)))),
    CONSTRAINT charge_revision CHECK ((revision > 0)),
    CONSTRAINT charge_vat_mode CHECK ((vat_mode = ANY (ARRAY['exclusive'::text, 'inclusive'::text])))
);

CREATE TABLE charge_dispute (
    id uuid DEFAULT uuidv7() NOT NULL,
    charge_id uuid NOT NULL,
    reason text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    answer text,
    credited_amount bigint,
    fee_id uuid,
    closed_by text,
    closed_at timestamp with time zone,
    CONSTRAINT charge_dispute_accepted CHECK ((((state = 'accepted'::text) = (credited_amount IS NOT NULL)) AND ((credited_amount IS NULL) = (fee_id IS NULL)))),
    CONSTRAINT charge_dispute_answer CHECK ((btrim(answer) <> ''::text)),
    CONSTRAINT charge_dispute_answered CHECK (((state = ANY (ARRAY['accepted'::text, 'rejected'::text])) = (answer IS NOT NULL))),
    CONSTRAINT charge_dispute_closed CHECK ((((state <> 'open'::text) = (closed_at IS NOT NULL)) AND ((closed_at IS NULL) = (closed_by IS NULL)))),
    CONSTRAINT charge_dispute_credited CHECK ((credited_amount > 0)),
    CONSTRAINT charge_dispute_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT charge_dispute_state CHECK ((state = ANY (ARRAY['open'::text, 'accepted'::text, 'rejected'::text, 'withdrawn'::text])))
);

CREATE TABLE clock (
    single boolean DEFAULT true NOT NULL,
    sandbox boolean DEFAULT false NOT NULL,
    now_at timestamp with time zone,
    target_at timestamp with time zone,
    CONSTRAINT clock_is_single CHECK (single),
    CONSTRAINT clock_stored_only_in_sandbox CHECK (((now_at IS NOT NULL) = sandbox)),
    CONSTRAINT clock_target_not_behind CHECK ((target_at >= now_at)),
    CONSTRAINT clock_target_only_in_sandbox CHECK (((target_at IS NULL) OR sandbox))
);

CREATE TABLE consignment (
    id uuid DEFAULT uuidv7() NOT NULL,
    number text NOT NULL,
    outlet_id uuid NOT NULL,
    recycler_id uuid NOT NULL,
    purpose text NOT NULL,
    hazard text NOT NULL,
    un_number text NOT NULL,
    packing jsonb NOT NULL,
    state text DEFAULT 'packed'::text NOT NULL,
    expected_kg integer NOT NULL,
    packed_on date NOT NULL,
    dispatched_on date,
    mode text,
    carrier_id uuid,
    permit_id uuid,
    vehicle text,
    driver text,
    approval text,
    weighed_on date,
    weighed_kg numeric(12,2),
    tolerance_kg numeric(12,2),
    is_discrepant boolean,
    discrepancy_explanation text,
    received_on date,
    refused_on date,
    refusal_reason text,
    cancelled_on date,
    cancel_reason text,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT consignment_cancelled CHECK ((((cancelled_on IS NOT NULL) = (state = 'cancelled'::text)) AND ((cancel_reason IS NOT NULL) = (state = 'cancelled'::text)))),
    CONSTRAINT consignment_damaged_not_by_air CHECK (((mode <> 'air'::text) OR (hazard = 'intact'::text))),
    CONSTRAINT consignment_discrepancy_explained CHECK (((state <> 'received'::text) OR (NOT is_discrepant) OR (discrepancy_explanation IS NOT NULL))),
    CONSTRAINT consignment_dispatched CHECK ((((dispatched_on IS NOT NULL) = (state = ANY (ARRAY['dispatched'::text, 'weighed_in'::text, 'received'::text, 'refused'::text]))) AND ((dispatched_on IS NULL) = (mode IS NULL)) AND ((dispatched_on IS NULL) = (carrier_id IS NULL)) AND ((dispatched_on IS NULL) = (permit_id IS NULL)) AND ((dispatched_on IS NULL) = (vehicle IS NULL)) AND ((dispatched_on IS NULL) = (driver IS NULL)))),
    CONSTRAINT consignment_expected CHECK ((expected_kg > 0)),
    CONSTRAINT consignment_hazard CHECK ((hazard = ANY (ARRAY['intact'::text, 'damaged'::text, 'critical'::text]))),
    CONSTRAINT consignment_in_order CHECK (((packed_on <= dispatched_on) AND (dispatched_on <= weighed_on) AND (weighed_on <= received_on) AND (dispatched_on <= refused_on) AND (weighed_on <= refused_on) AND (packed_on <= cancelled_on))),
    CONSTRAINT consignment_mode CHECK ((mode = ANY (ARRAY['road'::text, 'rail'::text, 'sea'::text, 'air'::text]))),
    CONSTRAINT consignment_purpose CHECK ((purpose = ANY (ARRAY['recycling'::text, 'reuse'::text]))),
    CONSTRAINT consignment_received CHECK (((received_on IS NOT NULL) = (state = 'received'::text))),
    CONSTRAINT consignment_refused CHECK ((((refused_on IS NOT NULL) = (state = 'refused'::text)) AND ((refusal_reason IS NOT NULL) = (state = 'refused'::text)))),
    CONSTRAINT consignment_state CHECK ((state = ANY (ARRAY['packed'::text, 'dispatched'::text, 'weighed_in'::text, 'received'::text, 'refused'::text, 'cancelled'::text]))),
    CONSTRAINT consignment_un_number CHECK ((un_number ~ '^UN [0-9]{4}$'::text)),
    CONSTRAINT consignment_weighed CHECK ((weighed_kg >= (0)::numeric)),
    CONSTRAINT consignment_weighed_in CHECK ((((state <> ALL (ARRAY['weighed_in'::text, 'received'::text])) OR (weighed_on IS NOT NULL)) AND ((state <> ALL (ARRAY['packed'::text, 'dispatched'::text, 'cancelled'::text])) OR (weighed_on IS NULL)) AND ((weighed_on IS NULL) = (weighed_kg IS NULL)) AND ((weighed_on IS NULL) = (tolerance_kg IS NULL)) AND ((weighed_on IS NULL) = (is_discrepant IS NULL))))
);

CREATE TABLE consignment_pack (
    consignment_id uuid NOT NULL,
    routing_id uuid NOT NULL,
    outlet_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    hazard text NOT NULL,
    chemistry text NOT NULL,
    mass_kg integer NOT NULL,
    weighed_kg numeric(12,2),
    soc_percent real,
    soc_at timestamp with time zone,
    is_let_go boolean DEFAULT false NOT NULL,
    CONSTRAINT consignment_pack_mass CHECK ((mass_kg > 0)),
    CONSTRAINT consignment_pack_weighed CHECK ((weighed_kg >= (0)::numeric))
);

CREATE TABLE contact (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid NOT NULL,
    name text NOT NULL,
    purpose text NOT NULL,
    phone text,
    email text,
    note text,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    CONSTRAINT contact_can_be_reached CHECK (((phone IS NOT NULL) OR (email IS NOT NULL))),
    CONSTRAINT contact_email CHECK ((email ~ '^[^@\s]+@[^@\s]+$'::text)),
    CONSTRAINT contact_name_not_blank CHECK ((btrim(name) <> ''::text)),
    CONSTRAINT contact_phone CHECK ((phone ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT contact_purpose CHECK ((purpose = ANY (ARRAY['billing'::text, 'operations'::text, 'emergency'::text, 'legal'::text])))
);

CREATE TABLE contract (
    id uuid DEFAULT uuidv7() NOT NULL,
    number text NOT NULL,
    lessee_id uuid NOT NULL,
    lessee_kind text DEFAULT 'customer'::text NOT NULL,
    currency text NOT NULL,
    state text DEFAULT 'draft'::text NOT NULL,
    activated_at timestamp with time zone,
    ended_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    lessor_id uuid,
    lessor_kind text DEFAULT 'lessor'::text NOT NULL,
    time_zone text DEFAULT 'Asia/Shanghai'::text NOT NULL,
    transferred_from uuid,
    offered_at timestamp with time zone,
    signed_at timestamp with time zone,
    lessor_signatory text,
    lessee_signatory text,
    suspended_at timestamp with time zone,
    ending_at timestamp with time zone,
    ending_on date,
    ending_reason text,
    cancelled_at timestamp with time zone,
    ended_on date,
    CONSTRAINT contract_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT contract_ending_has_its_day CHECK ((((ending_at IS NOT NULL) = (ending_on IS NOT NULL)) AND ((ending_at IS NOT NULL) = (ending_reason IS NOT NULL)) AND ((ended_at IS NOT NULL) = (ended_on IS NOT NULL)))),
    CONSTRAINT contract_ending_reason CHECK ((ending_reason = ANY (ARRAY['expiry'::text, 'notice'::text, 'early_termination'::text, 'agreement'::text, 'transfer'::text]))),
    CONSTRAINT contract_lessee_kind CHECK ((lessee_kind = 'customer'::text)),
    CONSTRAINT contract_lessor_kind CHECK ((lessor_kind = 'lessor'::text)),
    CONSTRAINT contract_signed_by_both CHECK ((((signed_at IS NOT NULL) = (lessor_signatory IS NOT NULL)) AND ((signed_at IS NOT NULL) = (lessee_signatory IS NOT NULL)))),
    CONSTRAINT contract_state CHECK ((state = ANY (ARRAY['draft'::text, 'offered'::text, 'signed'::text, 'active'::text, 'suspended'::text, 'ending'::text, 'ended'::text, 'cancelled'::text]))),
    CONSTRAINT contract_state_has_its_time CHECK ((((state = ANY (ARRAY['draft'::text, 'cancelled'::text])) OR (offered_at IS NOT NULL)) AND ((state = ANY (ARRAY['draft'::text, 'offered'::text, 'cancelled'::text])) OR (signed_at IS NOT NULL)) AND ((state <> ALL (ARRAY['active'::text, 'suspended'::text, 'ending'::text, 'ended'::text])) OR (activated_at IS NOT NULL)) AND ((state = 'suspended'::text) <= (suspended_at IS NOT NULL)) AND ((state = ANY (ARRAY['ending'::text, 'ended'::text])) = (ending_at IS NOT NULL)) AND ((state = 'ended'::text) = (ended_at IS NOT NULL)) AND ((state = 'cancelled'::text) = (cancelled_at IS NOT NULL))))
);

CREATE TABLE contract_revision (
    contract_id uuid NOT NULL,
    number integer NOT NULL,
    during daterange NOT NULL,
    vat_mode text NOT NULL,
    vat_percent numeric(5,2) NOT NULL,
    payment_days integer NOT NULL,
    billing_alignment text NOT NULL,
    billing_timing text NOT NULL,
    guarantee_percent numeric(5,2) NOT NULL,
    replacement_days integer NOT NULL,
    autonomy_minutes integer,
    availability_percent numeric(5,2),
    notice_days integer NOT NULL,
    renewal text NOT NULL,
    renewal_months integer,
    minimum_months integer NOT NULL,
    deposit_amount bigint NOT NULL,
    permitted_use text NOT NULL,
    early_termination jsonb NOT NULL,
    buy_out jsonb NOT NULL,
    escalator jsonb NOT NULL,
    cause text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    billing_frequency text DEFAULT 'monthly'::text NOT NULL,
    billing_day integer DEFAULT 1 NOT NULL,
    billing_anchor_on date,
    billing_end_of_month boolean DEFAULT false NOT NULL,
    proration text DEFAULT 'actual'::text NOT NULL,
    first_stub text DEFAULT 'short'::text NOT NULL,
    last_stub text DEFAULT 'short'::text NOT NULL,
    return_day text DEFAULT 'free'::text NOT NULL,
    catch_up text DEFAULT 'one_invoice'::text NOT NULL,
    CONSTRAINT contract_permitted_use CHECK ((permitted_use = ANY (ARRAY['telecom_backup'::text, 'stationary_storage'::text, 'logistics_vehicle'::text, 'forklift'::text, 'bus'::text]))),
    CONSTRAINT contract_revision_autonomy CHECK ((autonomy_minutes > 0)),
    CONSTRAINT contract_revision_availability CHECK (((availability_percent >= (0)::numeric) AND (availability_percent <= (100)::numeric))),
    CONSTRAINT contract_revision_billing_alignment CHECK ((billing_alignment = ANY (ARRAY['calendar'::text, 'anniversary'::text]))),
    CONSTRAINT contract_revision_billing_day CHECK (((billing_day >= 1) AND (billing_day <= 31))),
    CONSTRAINT contract_revision_billing_frequency CHECK ((billing_frequency = ANY (ARRAY['weekly'::text, 'fortnightly'::text, 'monthly'::text, 'quarterly'::text, 'half_yearly'::text, 'yearly'::text]))),
    CONSTRAINT contract_revision_billing_timing CHECK ((billing_timing = ANY (ARRAY['advance'::text, 'arrears'::text]))),
    CONSTRAINT contract_revision_catch_up CHECK ((catch_up = ANY (ARRAY['one_invoice'::text, 'invoice_each'::text]))),
    CONSTRAINT contract_revision_cause CHECK ((cause = ANY (ARRAY['agreed'::text, 'amended'::text, 'transferred'::text]))),
    CONSTRAINT contract_revision_deposit CHECK ((deposit_amount >= 0)),
    CONSTRAINT contract_revision_first_stub CHECK ((first_stub = ANY (ARRAY['short'::text, 'long'::text]))),
    CONSTRAINT contract_revision_guarantee CHECK (((guarantee_percent >= (0)::numeric) AND (guarantee_percent <= (100)::numeric))),
    CONSTRAINT contract_revision_last_stub CHECK ((last_stub = ANY (ARRAY['short'::text, 'long'::text]))),
    CONSTRAINT contract_revision_minimum_months CHECK (((minimum_months >= 0) AND (minimum_months <= 240))),
    CONSTRAINT contract_revision_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)))),
    CONSTRAINT contract_revision_notice_days CHECK (((notice_days >= 0) AND (notice_days <= 730))),
    CONSTRAINT contract_revision_number CHECK ((number > 0)),
    CONSTRAINT contract_revision_payment_days CHECK (((payment_days >= 0) AND (payment_days <= 365))),
    CONSTRAINT contract_revision_proration CHECK ((proration = ANY (ARRAY['actual'::text, 'fixed_30'::text, 'monthfixed_30'::text, '30/360'::text]))),
    CONSTRAINT contract_revision_renewal CHECK ((renewal = ANY (ARRAY['none'::text, 'automatic'::text, 'negotiated'::text]))),
    CONSTRAINT contract_revision_renewal_months CHECK (((renewal_months >= 1) AND (renewal_months <= 120))),
    CONSTRAINT contract_revision_renews_for_a_time CHECK (((renewal = 'automatic'::text) <= (renewal_months IS NOT NULL))),
    CONSTRAINT contract_revision_replacement_days CHECK (((replacement_days >= 1) AND (replacement_days <= 365))),
    CONSTRAINT contract_revision_return_day CHECK ((return_day = ANY (ARRAY['free'::text, 'billed'::text]))),
    CONSTRAINT contract_revision_vat CHECK (((vat_percent >= (0)::numeric) AND (vat_percent <= (100)::numeric))),
    CONSTRAINT contract_revision_vat_mode CHECK ((vat_mode = ANY (ARRAY['exclusive'::text, 'inclusive'::text])))
);

CREATE TABLE custody (
    pack_id uuid NOT NULL,
    during daterange NOT NULL,
    state text NOT NULL,
    party_id uuid,
    line_id uuid,
    site_id uuid,
    slot integer,
    routing_id uuid,
    outlet_id uuid,
    trace_id uuid NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT custody_leased_somewhere CHECK ((((state = 'leased'::text) = (site_id IS NOT NULL)) AND ((state = 'leased'::text) = (slot IS NOT NULL)) AND ((state <> 'leased'::text) OR ((line_id IS NOT NULL) AND (party_id IS NOT NULL))))),
    CONSTRAINT custody_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)))),
    CONSTRAINT custody_state CHECK ((state = ANY (ARRAY['in_stock'::text, 'leased'::text, 'returned'::text, 'lost'::text, 'burnt'::text, 'sold'::text, 'condemned'::text, 'routed'::text, 'handed_over'::text, 'recycled'::text])))
);

CREATE TABLE custom_choice (
    field_id uuid NOT NULL,
    choice text NOT NULL,
    "position" integer NOT NULL
);

CREATE TABLE custom_field (
    id uuid DEFAULT uuidv7() NOT NULL,
    subject_kind text NOT NULL,
    key text NOT NULL,
    label_zh text NOT NULL,
    label_en text NOT NULL,
    type text NOT NULL,
    unit text,
    minimum numeric,
    maximum numeric,
    required boolean NOT NULL,
    visible_to_customer boolean NOT NULL,
    retired_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT custom_field_key_form CHECK ((key ~ '^[a-z][a-z0-9_]{0,39}$'::text)),
    CONSTRAINT custom_field_limits_in_order CHECK ((minimum <= maximum)),
    CONSTRAINT custom_field_limits_of_a_number CHECK (((type = ANY (ARRAY['integer'::text, 'decimal'::text])) OR (num_nonnulls(minimum, maximum, unit) = 0))),
    CONSTRAINT custom_field_subject_kind CHECK ((subject_kind = ANY (ARRAY['pack'::text, 'site'::text, 'contract'::text]))),
    CONSTRAINT custom_field_type CHECK ((type = ANY (ARRAY['text'::text, 'integer'::text, 'decimal'::text, 'boolean'::text, 'date'::text, 'choice'::text])))
);

CREATE TABLE custom_value (
    field_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    kind text NOT NULL,
    type text NOT NULL,
    text_value text,
    integer_value bigint,
    decimal_value numeric,
    boolean_value boolean,
    date_value date,
    choice_value text,
    CONSTRAINT custom_value_decimal_is_a_number CHECK ((decimal_value <> ALL (ARRAY['NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric]))),
    CONSTRAINT custom_value_of_its_type CHECK ((((text_value IS NOT NULL) = (type = 'text'::text)) AND ((integer_value IS NOT NULL) = (type = 'integer'::text)) AND ((decimal_value IS NOT NULL) = (type = 'decimal'::text)) AND ((boolean_value IS NOT NULL) = (type = 'boolean'::text)) AND ((date_value IS NOT NULL) = (type = 'date'::text)) AND ((choice_value IS NOT NULL) = (type = 'choice'::text)))),
    CONSTRAINT custom_value_text CHECK (((char_length(text_value) >= 1) AND (char_length(text_value) <= 500)))
);

CREATE TABLE deal (
    id uuid DEFAULT uuidv7() NOT NULL,
    number text NOT NULL,
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    chemistry text NOT NULL,
    limit_g bigint NOT NULL,
    limit_amount bigint NOT NULL,
    state text DEFAULT 'offered'::text NOT NULL,
    snapshot_id uuid,
    created_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    accepted_by text,
    declined_at timestamp with time zone,
    decline_reason text,
    closed_at timestamp with time zone,
    CONSTRAINT deal_accepted CHECK ((((state = ANY (ARRAY['accepted'::text, 'closed'::text])) = (accepted_at IS NOT NULL)) AND ((accepted_at IS NULL) = (snapshot_id IS NULL)) AND ((accepted_at IS NULL) = (accepted_by IS NULL)))),
    CONSTRAINT deal_chemistry CHECK ((chemistry ~ '^[A-GZ]$'::text)),
    CONSTRAINT deal_closed CHECK (((state = 'closed'::text) = (closed_at IS NOT NULL))),
    CONSTRAINT deal_declined CHECK ((((state = 'declined'::text) = (declined_at IS NOT NULL)) AND ((state = 'declined'::text) = (decline_reason IS NOT NULL)))),
    CONSTRAINT deal_limit_of_material CHECK ((limit_g > 0)),
    CONSTRAINT deal_limit_of_money CHECK ((limit_amount > 0)),
    CONSTRAINT deal_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT deal_state CHECK ((state = ANY (ARRAY['offered'::text, 'accepted'::text, 'declined'::text, 'closed'::text])))
);

CREATE TABLE deal_entry (
    movement_id uuid NOT NULL,
    deal_id uuid NOT NULL,
    material text NOT NULL,
    grams bigint NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT deal_entry_not_nothing CHECK (((grams <> 0) OR (amount <> 0)))
);

CREATE TABLE deal_movement (
    id uuid DEFAULT uuidv7() NOT NULL,
    deal_id uuid NOT NULL,
    kind text NOT NULL,
    happened_on date NOT NULL,
    scrap_g bigint,
    assay jsonb,
    consignment_id uuid,
    document text NOT NULL,
    reverses_id uuid,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    vat_percent numeric(5,2),
    vat_amount bigint DEFAULT 0 NOT NULL,
    CONSTRAINT deal_movement_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT deal_movement_kind CHECK ((kind = ANY (ARRAY['scrap'::text, 'material'::text, 'money'::text, 'vat'::text, 'reversal'::text]))),
    CONSTRAINT deal_movement_reversal CHECK (((kind = 'reversal'::text) = (reverses_id IS NOT NULL))),
    CONSTRAINT deal_movement_scrap CHECK ((((kind = 'scrap'::text) = (scrap_g IS NOT NULL)) AND ((kind = 'scrap'::text) = (assay IS NOT NULL)) AND ((kind = 'scrap'::text) OR (consignment_id IS NULL)))),
    CONSTRAINT deal_movement_scrap_mass CHECK ((scrap_g > 0)),
    CONSTRAINT deal_movement_vat_of_a_supply CHECK (
CASE kind
    WHEN 'scrap'::text THEN ((vat_amount >= 0) AND ((vat_percent IS NOT NULL) OR (vat_amount = 0)))
    WHEN 'material'::text THEN ((vat_amount <= 0) AND ((vat_percent IS NOT NULL) OR (vat_amount = 0)))
    WHEN 'money'::text THEN ((vat_amount = 0) AND (vat_percent IS NULL))
    WHEN 'vat'::text THEN ((vat_amount <> 0) AND (vat_percent IS NULL))
    ELSE (vat_percent IS NULL)
END),
    CONSTRAINT deal_movement_vat_rate CHECK (((vat_percent >= (0)::numeric) AND (vat_percent <= (100)::numeric)))
);

CREATE TABLE deal_price (
    snapshot_id uuid NOT NULL,
    material text NOT NULL,
    amount_per_tonne bigint NOT NULL,
    CONSTRAINT deal_price_positive CHECK ((amount_per_tonne > 0))
);

CREATE TABLE deal_snapshot (
    id uuid DEFAULT uuidv7() NOT NULL,
    deal_id uuid NOT NULL,
    number integer NOT NULL,
    source text NOT NULL,
    quoted_on date NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT deal_snapshot_expires_later CHECK ((expires_at > entered_at)),
    CONSTRAINT deal_snapshot_source CHECK ((btrim(source) <> ''::text))
);

CREATE TABLE deal_term (
    deal_id uuid NOT NULL,
    metal text NOT NULL,
    material text NOT NULL,
    content_percent numeric(7,4) NOT NULL,
    recovery_percent numeric(5,2) NOT NULL,
    coefficient_percent numeric(7,2) NOT NULL,
    CONSTRAINT deal_term_coefficient CHECK (((coefficient_percent > (0)::numeric) AND (coefficient_percent <= (1000)::numeric))),
    CONSTRAINT deal_term_content CHECK (((content_percent > (0)::numeric) AND (content_percent <= (100)::numeric))),
    CONSTRAINT deal_term_metal CHECK ((metal = ANY (ARRAY['Li'::text, 'Ni'::text, 'Co'::text]))),
    CONSTRAINT deal_term_recovery CHECK (((recovery_percent > (0)::numeric) AND (recovery_percent <= (100)::numeric)))
);

CREATE TABLE deposit (
    contract_id uuid NOT NULL,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    held_amount bigint DEFAULT 0 NOT NULL,
    changed_on date NOT NULL,
    CONSTRAINT deposit_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT deposit_held CHECK ((held_amount >= 0))
);

CREATE TABLE deposit_movement (
    id uuid DEFAULT uuidv7() NOT NULL,
    contract_id uuid NOT NULL,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    amount bigint NOT NULL,
    taken_back_amount bigint GENERATED ALWAYS AS ((- amount)) STORED NOT NULL,
    payment_id uuid,
    posted_on date NOT NULL,
    reason text,
    reverses_id uuid,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT deposit_movement_kind CHECK ((kind = ANY (ARRAY['received'::text, 'returned'::text, 'forfeited'::text]))),
    CONSTRAINT deposit_movement_names_its_payment CHECK (((kind = 'received'::text) = (payment_id IS NOT NULL))),
    CONSTRAINT deposit_movement_sign CHECK (((amount <> 0) AND ((amount > 0) = ((kind = 'received'::text) = (reverses_id IS NULL)))))
);

CREATE TABLE disposition (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    inspection_id uuid NOT NULL,
    decision text NOT NULL,
    decided_on date NOT NULL,
    reason text NOT NULL,
    proposed text,
    options jsonb,
    repaired_on date,
    CONSTRAINT disposition_decision CHECK ((decision = ANY (ARRAY['release'::text, 'repair'::text, 'dismantle'::text, 'recycle'::text]))),
    CONSTRAINT disposition_proposed CHECK ((proposed = ANY (ARRAY['release'::text, 'repair'::text, 'dismantle'::text, 'recycle'::text]))),
    CONSTRAINT disposition_repaired CHECK (((repaired_on IS NULL) OR (decision = 'repair'::text))),
    CONSTRAINT disposition_repaired_afterwards CHECK ((repaired_on >= decided_on))
);

CREATE TABLE disposition_band (
    id uuid DEFAULT uuidv7() NOT NULL,
    permitted_use text NOT NULL,
    valid daterange NOT NULL,
    release_from_percent numeric(5,2) NOT NULL,
    repair_from_percent numeric(5,2) NOT NULL,
    source text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT disposition_band_release CHECK (((release_from_percent >= (0)::numeric) AND (release_from_percent <= (100)::numeric))),
    CONSTRAINT disposition_band_repair CHECK (((repair_from_percent >= (0)::numeric) AND (repair_from_percent <= (100)::numeric))),
    CONSTRAINT disposition_band_repair_below_release CHECK ((repair_from_percent <= release_from_percent)),
    CONSTRAINT disposition_band_source CHECK ((btrim(source) <> ''::text)),
    CONSTRAINT disposition_band_valid_not_empty CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE dunning_notice (
    id uuid DEFAULT uuidv7() NOT NULL,
    receivable_id uuid NOT NULL,
    step_id uuid NOT NULL,
    reached_on date NOT NULL,
    open_amount bigint NOT NULL,
    noted_at timestamp with time zone NOT NULL,
    CONSTRAINT dunning_notice_of_something_open CHECK ((open_amount > 0))
);

CREATE TABLE dunning_pause (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid,
    invoice_id uuid,
    reason text NOT NULL,
    from_on date NOT NULL,
    until_on date,
    ended_on date,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT dunning_pause_days CHECK ((until_on >= from_on)),
    CONSTRAINT dunning_pause_of_one_thing CHECK ((num_nonnulls(party_id, invoice_id) = 1)),
    CONSTRAINT dunning_pause_reason_not_blank CHECK ((btrim(reason) <> ''::text))
);

CREATE TABLE dunning_step (
    id uuid DEFAULT uuidv7() NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    days integer NOT NULL,
    day_kind text NOT NULL,
    fee_amount bigint,
    fee_currency text,
    active boolean DEFAULT true NOT NULL,
    CONSTRAINT dunning_step_day_kind CHECK ((day_kind = ANY (ARRAY['business'::text, 'calendar'::text]))),
    CONSTRAINT dunning_step_days CHECK (((days >= 1) AND (days <= 365))),
    CONSTRAINT dunning_step_fee_currency CHECK ((fee_currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT dunning_step_fee_has_a_currency CHECK (((fee_amount IS NULL) = (fee_currency IS NULL))),
    CONSTRAINT dunning_step_fee_positive CHECK ((fee_amount > 0)),
    CONSTRAINT dunning_step_name_not_blank CHECK ((btrim(name) <> ''::text)),
    CONSTRAINT dunning_step_number CHECK (((number >= 1) AND (number <= 20)))
);

CREATE TABLE duty (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    kind text NOT NULL,
    health_check_id uuid NOT NULL,
    opened_on date NOT NULL,
    due_on date NOT NULL,
    closed_on date,
    outcome text,
    CONSTRAINT duty_closed_with_outcome CHECK (((closed_on IS NULL) = (outcome IS NULL))),
    CONSTRAINT duty_due_after_opening CHECK ((due_on > opened_on)),
    CONSTRAINT duty_kind CHECK ((kind = ANY (ARRAY['replacement'::text, 'check_discharge'::text]))),
    CONSTRAINT duty_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'superseded'::text, 'lease_ended'::text])))
);

CREATE TABLE einvoice (
    id uuid DEFAULT uuidv7() NOT NULL,
    invoice_id uuid NOT NULL,
    red_letter_id uuid,
    kind text NOT NULL,
    serial text NOT NULL,
    state text DEFAULT 'drafted'::text NOT NULL,
    net_amount bigint NOT NULL,
    vat_amount bigint NOT NULL,
    request jsonb NOT NULL,
    has_list boolean NOT NULL,
    batch_id uuid,
    number text,
    issued_at timestamp with time zone,
    rejected_code text,
    rejected_message text,
    created_at timestamp with time zone NOT NULL,
    submitted_at timestamp with time zone,
    CONSTRAINT einvoice_issued CHECK ((((state = 'issued'::text) = (number IS NOT NULL)) AND ((state = 'issued'::text) = (issued_at IS NOT NULL)))),
    CONSTRAINT einvoice_kind CHECK ((kind = ANY (ARRAY['special'::text, 'ordinary'::text]))),
    CONSTRAINT einvoice_number CHECK ((number ~ '^[0-9]{20}$'::text)),
    CONSTRAINT einvoice_red_is_negative CHECK (((red_letter_id IS NOT NULL) = (net_amount < 0))),
    CONSTRAINT einvoice_rejected CHECK (((state = 'rejected'::text) = (rejected_code IS NOT NULL))),
    CONSTRAINT einvoice_serial CHECK ((serial ~ '^[0-9]{20}$'::text)),
    CONSTRAINT einvoice_state CHECK ((state = ANY (ARRAY['drafted'::text, 'submitted'::text, 'issued'::text, 'rejected'::text]))),
    CONSTRAINT einvoice_submitted CHECK ((((submitted_at IS NOT NULL) = (state <> 'drafted'::text)) AND ((state = 'drafted'::text) OR (batch_id IS NOT NULL))))
);

CREATE TABLE einvoice_answer_file (
    sha256 bytea NOT NULL,
    name text NOT NULL,
    read_at timestamp with time zone NOT NULL,
    CONSTRAINT einvoice_answer_file_sha256 CHECK ((length(sha256) = 32))
);

CREATE TABLE einvoice_batch (
    id uuid DEFAULT uuidv7() NOT NULL,
    name text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone
);

CREATE TABLE einvoice_item (
    id uuid DEFAULT uuidv7() NOT NULL,
    component text NOT NULL,
    name text NOT NULL,
    tax_code text NOT NULL,
    CONSTRAINT einvoice_item_tax_code CHECK ((tax_code ~ '^[0-9]{19}$'::text))
);

CREATE TABLE einvoice_quota (
    id uuid DEFAULT uuidv7() NOT NULL,
    month date NOT NULL,
    amount bigint NOT NULL,
    set_by text NOT NULL,
    set_at timestamp with time zone NOT NULL,
    CONSTRAINT einvoice_quota_amount CHECK ((amount >= 0)),
    CONSTRAINT einvoice_quota_month CHECK ((EXTRACT(day FROM month) = (1)::numeric))
);

CREATE SEQUENCE einvoice_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE fee (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    pack_id uuid,
    component text NOT NULL,
    owed_on date NOT NULL,
    amount bigint NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    charge_id uuid,
    CONSTRAINT fee_adjusts_a_charge CHECK (((component = 'adjustment'::text) = (charge_id IS NOT NULL))),
    CONSTRAINT fee_component CHECK ((component = ANY (ARRAY['early_termination'::text, 'buy_out'::text, 'loss'::text, 'damage'::text, 'adjustment'::text, 'missing_parts'::text, 'capacity_shortfall'::text, 'logistics'::text]))),
    CONSTRAINT fee_positive CHECK (((amount > 0) OR ((component = 'adjustment'::text) AND (amount <> 0))))
);

CREATE TABLE health_check (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    line_id uuid,
    as_of date NOT NULL,
    verdict text NOT NULL,
    method text,
    capacity_mah integer,
    lower_mah integer,
    upper_mah integer,
    guarantee_mah integer,
    measured_at timestamp with time zone,
    evidence jsonb NOT NULL,
    work_order_id uuid,
    CONSTRAINT health_check_breach_is_certain CHECK (((verdict <> 'breach'::text) OR (upper_mah < guarantee_mah))),
    CONSTRAINT health_check_estimate_or_abstention CHECK ((((verdict = 'abstained'::text) = (capacity_mah IS NULL)) AND ((capacity_mah IS NULL) = (lower_mah IS NULL)) AND ((capacity_mah IS NULL) = (upper_mah IS NULL)) AND ((capacity_mah IS NULL) = (method IS NULL)) AND ((capacity_mah IS NULL) = (measured_at IS NULL)))),
    CONSTRAINT health_check_interval CHECK (((lower_mah <= capacity_mah) AND (capacity_mah <= upper_mah))),
    CONSTRAINT health_check_verdict CHECK ((verdict = ANY (ARRAY['pass'::text, 'breach'::text, 'inconclusive'::text, 'abstained'::text])))
);

CREATE TABLE health_state (
    pack_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    rank smallint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL,
    capacity_mah double precision NOT NULL,
    own_percent double precision NOT NULL,
    sensor_percent double precision NOT NULL,
    count_percent double precision NOT NULL,
    mean double precision[] NOT NULL,
    covariance double precision[] NOT NULL,
    CONSTRAINT health_state_capacity CHECK ((capacity_mah > (0)::double precision)),
    CONSTRAINT health_state_covariance CHECK ((cardinality(covariance) = 16)),
    CONSTRAINT health_state_mean CHECK ((cardinality(mean) = 4)),
    CONSTRAINT health_state_source CHECK ((source = ANY (ARRAY['joint_test'::text, 'other_test'::text, 'standard_test'::text, 'count'::text, 'window'::text, 'whole'::text])))
);

CREATE TABLE idempotent_answer (
    api_key_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE incident (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    kind text NOT NULL,
    happened_on date NOT NULL,
    description text NOT NULL,
    police_report text,
    liable text NOT NULL,
    photo_sha256 text[] DEFAULT '{}'::text[] NOT NULL,
    found_on date,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT incident_description_not_blank CHECK ((btrim(description) <> ''::text)),
    CONSTRAINT incident_found_afterwards CHECK ((found_on >= happened_on)),
    CONSTRAINT incident_kind CHECK ((kind = ANY (ARRAY['missing'::text, 'stolen'::text, 'damaged'::text, 'burnt'::text]))),
    CONSTRAINT incident_liable CHECK ((liable = ANY (ARRAY['lessee'::text, 'lessor'::text, 'third_party'::text, 'open'::text]))),
    CONSTRAINT incident_only_what_is_lost_is_found CHECK (((found_on IS NULL) OR (kind = ANY (ARRAY['missing'::text, 'stolen'::text]))))
);

CREATE TABLE inspection (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    inspected_on date NOT NULL,
    grade text NOT NULL,
    hazard text NOT NULL,
    tested_capacity_mah integer,
    remarks text NOT NULL,
    lessor_signatory text NOT NULL,
    lessee_signatory text NOT NULL,
    line_id uuid,
    lessee_id uuid,
    hazard_found text NOT NULL,
    form_id uuid,
    form_version integer,
    answers jsonb DEFAULT '[]'::jsonb NOT NULL,
    transport_answers jsonb DEFAULT '[]'::jsonb NOT NULL,
    transport_passed boolean,
    photo_sha256 text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT inspection_checked_by_a_form CHECK ((((form_version IS NULL) = (transport_passed IS NULL)) AND ((form_id IS NULL) OR (form_version IS NOT NULL)))),
    CONSTRAINT inspection_grade CHECK ((grade = ANY (ARRAY['A'::text, 'B'::text, 'C'::text, 'D'::text]))),
    CONSTRAINT inspection_hazard CHECK ((hazard = ANY (ARRAY['intact'::text, 'damaged'::text, 'critical'::text]))),
    CONSTRAINT inspection_hazard_found CHECK ((hazard_found = ANY (ARRAY['intact'::text, 'damaged'::text, 'critical'::text, 'unknown'::text]))),
    CONSTRAINT inspection_lessee_signed CHECK ((btrim(lessee_signatory) <> ''::text)),
    CONSTRAINT inspection_lessor_signed CHECK ((btrim(lessor_signatory) <> ''::text)),
    CONSTRAINT inspection_tested_capacity CHECK ((tested_capacity_mah >= 0)),
    CONSTRAINT inspection_unknown_is_the_worst CHECK ((hazard =
CASE hazard_found
    WHEN 'unknown'::text THEN 'critical'::text
    ELSE hazard_found
END))
);

CREATE TABLE inspection_form (
    id uuid DEFAULT uuidv7() NOT NULL,
    maker text NOT NULL,
    model text NOT NULL,
    version integer NOT NULL,
    valid daterange NOT NULL,
    name text NOT NULL,
    source text NOT NULL,
    checks jsonb NOT NULL,
    transport_checks jsonb NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT inspection_form_name CHECK ((btrim(name) <> ''::text)),
    CONSTRAINT inspection_form_of_all_or_a_model CHECK (((maker = ''::text) = (model = ''::text))),
    CONSTRAINT inspection_form_source CHECK ((btrim(source) <> ''::text)),
    CONSTRAINT inspection_form_transport_checks CHECK ((jsonb_array_length(transport_checks) > 0)),
    CONSTRAINT inspection_form_valid_not_empty CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid)))),
    CONSTRAINT inspection_form_version CHECK ((version > 0))
);

CREATE TABLE interest_accrual (
    id uuid DEFAULT uuidv7() NOT NULL,
    invoice_id uuid NOT NULL,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    terms_id uuid NOT NULL,
    month date NOT NULL,
    correction integer NOT NULL,
    days daterange NOT NULL,
    amount bigint NOT NULL,
    posted_on date NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT interest_accrual_correction CHECK ((correction >= 0)),
    CONSTRAINT interest_accrual_days CHECK ((NOT isempty(days))),
    CONSTRAINT interest_accrual_month CHECK ((EXTRACT(day FROM month) = (1)::numeric)),
    CONSTRAINT interest_accrual_positive CHECK (((amount >= 0) OR (correction > 0)))
);

CREATE TABLE interest_terms (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid,
    from_on date NOT NULL,
    annual_percent numeric(5,2) NOT NULL,
    year_days integer NOT NULL,
    grace_days integer NOT NULL,
    grace_is_free boolean NOT NULL,
    cap_percent numeric(5,2),
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT interest_terms_cap CHECK (((cap_percent >= (0)::numeric) AND (cap_percent <= (100)::numeric))),
    CONSTRAINT interest_terms_grace CHECK (((grace_days >= 0) AND (grace_days <= 365))),
    CONSTRAINT interest_terms_percent CHECK (((annual_percent >= (0)::numeric) AND (annual_percent <= (100)::numeric))),
    CONSTRAINT interest_terms_year CHECK ((year_days = ANY (ARRAY[360, 365])))
);

CREATE TABLE invoice (
    id uuid DEFAULT uuidv7() NOT NULL,
    run_id uuid,
    buyer_id uuid CONSTRAINT invoice_lessee_id_not_null NOT NULL,
    currency text NOT NULL,
    period daterange NOT NULL,
    state text DEFAULT 'draft'::text NOT NULL,
    number text,
    issued_on date,
    due_on date,
    net_amount bigint,
    vat_amount bigint,
    total_amount bigint,
    finalised_at timestamp with time zone,
    seller_id uuid,
    kind text DEFAULT 'invoice'::text NOT NULL,
    credits_id uuid,
    reason text,
    held_because text,
    approved_by text,
    missed_from date,
    CONSTRAINT invoice_adds_up CHECK ((total_amount = (net_amount + vat_amount))),
    CONSTRAINT invoice_amounts_together CHECK ((((net_amount IS NULL) = (total_amount IS NULL)) AND ((vat_amount IS NULL) = (total_amount IS NULL)))),
    CONSTRAINT invoice_credit_note_credits CHECK (((kind = 'invoice'::text) OR (total_amount <= 0))),
    CONSTRAINT invoice_credits_what_it_names CHECK ((((credits_id IS NULL) OR (kind = 'credit_note'::text)) AND ((credits_id IS NULL) OR (reason IS NOT NULL)))),
    CONSTRAINT invoice_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT invoice_final_is_complete CHECK ((((state = 'final'::text) = (number IS NOT NULL)) AND ((state = 'final'::text) = (issued_on IS NOT NULL)) AND ((state = 'final'::text) = (due_on IS NOT NULL)) AND ((state = 'final'::text) <= (total_amount IS NOT NULL)) AND ((state = 'final'::text) = (finalised_at IS NOT NULL)))),
    CONSTRAINT invoice_held_is_a_draft CHECK (((held_because IS NULL) OR (state = 'draft'::text))),
    CONSTRAINT invoice_kind CHECK ((kind = ANY (ARRAY['invoice'::text, 'credit_note'::text]))),
    CONSTRAINT invoice_state CHECK ((state = ANY (ARRAY['draft'::text, 'final'::text])))
);

CREATE TABLE invoice_delivery (
    invoice_id uuid NOT NULL,
    channel text NOT NULL,
    delivered_at timestamp with time zone NOT NULL,
    CONSTRAINT invoice_delivery_channel CHECK ((channel = 'portal'::text))
);

CREATE TABLE invoice_document (
    invoice_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    archived_at timestamp with time zone NOT NULL,
    CONSTRAINT invoice_document_sha256 CHECK ((sha256 = sha256(content)))
);

CREATE TABLE invoice_lessee (
    invoice_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    number text NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    issued_on date NOT NULL
);

CREATE TABLE invoice_series (
    series text NOT NULL,
    year integer NOT NULL,
    last_number integer NOT NULL,
    seller_id uuid,
    CONSTRAINT invoice_series_positive CHECK ((last_number >= 0))
);

CREATE TABLE invoice_sum (
    invoice_id uuid NOT NULL,
    kind text NOT NULL,
    vat_mode text NOT NULL,
    vat_percent numeric(5,2) NOT NULL,
    charges integer NOT NULL,
    amount bigint NOT NULL
);

CREATE TABLE invoice_vat (
    invoice_id uuid NOT NULL,
    vat_percent numeric(5,2) NOT NULL,
    net_amount bigint NOT NULL,
    vat_amount bigint NOT NULL
);

CREATE TABLE job_parked (
    run_id uuid NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    error text NOT NULL,
    parked_at timestamp with time zone NOT NULL
);

CREATE TABLE job_run (
    id uuid DEFAULT uuidv7() NOT NULL,
    job text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    state text DEFAULT 'due'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    worker text,
    done bigint DEFAULT 0 NOT NULL,
    parked bigint DEFAULT 0 NOT NULL,
    error text,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT job_run_error_when_it_failed CHECK (((state <> ALL (ARRAY['failed'::text, 'parked'::text])) OR (error IS NOT NULL))),
    CONSTRAINT job_run_finished CHECK (((finished_at IS NOT NULL) = (state = ANY (ARRAY['done'::text, 'failed'::text, 'parked'::text])))),
    CONSTRAINT job_run_started CHECK (((started_at IS NOT NULL) = (state <> 'due'::text))),
    CONSTRAINT job_run_state CHECK ((state = ANY (ARRAY['due'::text, 'running'::text, 'done'::text, 'failed'::text, 'parked'::text])))
);

CREATE TABLE journal_entry (
    id uuid DEFAULT uuidv7() NOT NULL,
    source text NOT NULL,
    source_id uuid NOT NULL,
    event text NOT NULL,
    currency text NOT NULL,
    posted_on date NOT NULL,
    concerns_on date,
    CONSTRAINT journal_entry_concerns_earlier CHECK ((concerns_on < posted_on)),
    CONSTRAINT journal_entry_currency CHECK ((currency ~ '^[A-Z]{3}$'::text))
);

CREATE TABLE lease_classification (
    id uuid DEFAULT uuidv7() NOT NULL,
    contract_id uuid NOT NULL,
    number integer NOT NULL,
    inputs jsonb NOT NULL,
    tests jsonb NOT NULL,
    monthly_rate numeric(20,12) NOT NULL,
    payments_value_amount bigint NOT NULL,
    proposed_class text NOT NULL,
    decided_class text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    CONSTRAINT lease_classification_decided CHECK ((decided_class = ANY (ARRAY['operating'::text, 'finance'::text]))),
    CONSTRAINT lease_classification_number CHECK ((number > 0)),
    CONSTRAINT lease_classification_override CHECK (((decided_class = proposed_class) OR ((inputs #>> '{override,reason}'::text[]) IS NOT NULL))),
    CONSTRAINT lease_classification_proposed CHECK ((proposed_class = ANY (ARRAY['operating'::text, 'finance'::text])))
);

CREATE TABLE lease_component (
    classification_id uuid NOT NULL,
    line_id uuid NOT NULL
);

CREATE TABLE lease_line (
    id uuid DEFAULT uuidv7() NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    started_on date,
    ended_on date,
    from_on date NOT NULL,
    named_pack_id uuid,
    first_acceptance_id uuid,
    end_reason text,
    CONSTRAINT lease_line_end_has_a_reason CHECK (((ended_on IS NOT NULL) = (end_reason IS NOT NULL))),
    CONSTRAINT lease_line_end_reason CHECK ((end_reason = ANY (ARRAY['returned'::text, 'removed'::text, 'lost'::text, 'bought_out'::text, 'transferred'::text]))),
    CONSTRAINT lease_line_ends_after_start CHECK ((ended_on > COALESCE(started_on, (from_on - 1)))),
    CONSTRAINT lease_line_started_by_acceptance CHECK (((started_on IS NOT NULL) = (first_acceptance_id IS NOT NULL)))
);

CREATE TABLE lease_month (
    id uuid DEFAULT uuidv7() NOT NULL,
    contract_id uuid NOT NULL,
    month date NOT NULL,
    balances jsonb NOT NULL,
    settled boolean NOT NULL,
    CONSTRAINT lease_month_month CHECK ((EXTRACT(day FROM month) = (1)::numeric))
);

CREATE TABLE lease_plan (
    line_id uuid NOT NULL,
    number integer NOT NULL,
    contract_id uuid NOT NULL,
    from_on date NOT NULL,
    made_on date NOT NULL,
    basis jsonb NOT NULL,
    recognised_amount bigint NOT NULL,
    principal_amount bigint,
    rate numeric(20,12),
    residual_amount bigint,
    timing text,
    commenced_amount bigint,
    asset_amount bigint,
    remeasured_amount bigint,
    CONSTRAINT lease_plan_number CHECK ((number > 0)),
    CONSTRAINT lease_plan_of_a_finance_lease CHECK ((num_nonnulls(principal_amount, rate, residual_amount, timing, commenced_amount, asset_amount, remeasured_amount) = ANY (ARRAY[0, 7]))),
    CONSTRAINT lease_plan_timing CHECK ((timing = ANY (ARRAY['arrears'::text, 'advance'::text])))
);

CREATE TABLE line_revision (
    line_id uuid NOT NULL,
    number integer NOT NULL,
    during daterange NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    site_id uuid NOT NULL,
    slot integer NOT NULL,
    rated_capacity_mah integer NOT NULL,
    base_rent_amount bigint NOT NULL,
    base_from_on date NOT NULL,
    rent_amount bigint NOT NULL,
    suspended boolean DEFAULT false NOT NULL,
    cause text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    price_plan_version_id uuid,
    plan_currency text,
    CONSTRAINT line_revision_base_rent CHECK ((base_rent_amount >= 0)),
    CONSTRAINT line_revision_cause CHECK ((cause = ANY (ARRAY['agreed'::text, 'amended'::text, 'capacity_changed'::text, 'escalated'::text, 'relocated'::text, 'resumed'::text, 'suspended'::text, 'transferred'::text]))),
    CONSTRAINT line_revision_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)))),
    CONSTRAINT line_revision_number CHECK ((number > 0)),
    CONSTRAINT line_revision_plan_published CHECK (((price_plan_version_id IS NULL) = (plan_currency IS NULL))),
    CONSTRAINT line_revision_rated_capacity CHECK ((rated_capacity_mah > 0)),
    CONSTRAINT line_revision_rent CHECK ((rent_amount >= 0)),
    CONSTRAINT line_revision_slot CHECK (((slot >= 1) AND (slot <= 1000)))
);

CREATE TABLE listing_step (
    id uuid DEFAULT uuidv7() NOT NULL,
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    sequence integer NOT NULL,
    state text NOT NULL,
    from_on date NOT NULL,
    reason text NOT NULL,
    document text NOT NULL,
    document_sha256 text,
    listed_on date,
    ends_on date,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT listing_step_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT listing_step_document_sha256 CHECK ((document_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT listing_step_has_its_end CHECK ((((ends_on IS NOT NULL) = (state = ANY (ARRAY['rectifying'::text, 'withdrawn'::text]))) AND (ends_on > from_on))),
    CONSTRAINT listing_step_on_the_list CHECK (((listed_on IS NOT NULL) = (state = ANY (ARRAY['listed'::text, 'rectifying'::text])))),
    CONSTRAINT listing_step_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT listing_step_sequence CHECK ((sequence >= 1)),
    CONSTRAINT listing_step_state CHECK ((state = ANY (ARRAY['applied'::text, 'listed'::text, 'rectifying'::text, 'withdrawn'::text, 'eligible'::text])))
);

CREATE TABLE market_bin (
    run_id uuid NOT NULL,
    "position" integer NOT NULL,
    adcode text NOT NULL,
    maker text NOT NULL,
    specification text NOT NULL,
    chemistry text NOT NULL,
    rated_voltage_mv integer NOT NULL,
    rated_capacity_mah integer NOT NULL,
    made_in integer NOT NULL,
    free_on date NOT NULL,
    soh_permille integer NOT NULL,
    packs integer NOT NULL,
    packs_taken integer NOT NULL,
    price_amount bigint NOT NULL,
    CONSTRAINT market_bin_price CHECK ((price_amount >= 0)),
    CONSTRAINT market_bin_taken CHECK (((packs_taken >= 0) AND (packs_taken <= packs)))
);

CREATE TABLE market_explanation (
    proposal_id uuid NOT NULL,
    data jsonb NOT NULL
);

CREATE TABLE market_need (
    id uuid DEFAULT uuidv7() NOT NULL,
    lessee_id uuid NOT NULL,
    site_id uuid NOT NULL,
    first_slot integer NOT NULL,
    slots integer NOT NULL,
    system_voltage_mv integer NOT NULL,
    energy_wh integer NOT NULL,
    lowest_celsius integer NOT NULL,
    starts_on date NOT NULL,
    months integer NOT NULL,
    rent_amount bigint NOT NULL,
    permitted_use text NOT NULL,
    weight_percent integer DEFAULT 100 NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT market_need_energy CHECK ((energy_wh > 0)),
    CONSTRAINT market_need_lowest CHECK (((lowest_celsius >= '-60'::integer) AND (lowest_celsius <= 60))),
    CONSTRAINT market_need_months CHECK (((months >= 1) AND (months <= 240))),
    CONSTRAINT market_need_permitted_use CHECK ((permitted_use = ANY (ARRAY['telecom_backup'::text, 'stationary_storage'::text, 'logistics_vehicle'::text, 'forklift'::text, 'bus'::text]))),
    CONSTRAINT market_need_rent CHECK (((rent_amount >= 0) AND (rent_amount <= '1000000000000'::bigint))),
    CONSTRAINT market_need_slots CHECK (((first_slot >= 1) AND (slots >= 1) AND ((first_slot + slots) <= 1001))),
    CONSTRAINT market_need_state CHECK ((state = ANY (ARRAY['open'::text, 'matched'::text, 'withdrawn'::text]))),
    CONSTRAINT market_need_voltage CHECK ((system_voltage_mv > 0)),
    CONSTRAINT market_need_weight CHECK (((weight_percent >= 0) AND (weight_percent <= 1000)))
);

CREATE TABLE market_offer (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    from_on date NOT NULL,
    adcode text NOT NULL,
    residual_amount bigint,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    withdrawn_at timestamp with time zone,
    withdrawn_by text,
    CONSTRAINT market_offer_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT market_offer_residual CHECK (((residual_amount >= 0) AND (residual_amount <= 1000000000))),
    CONSTRAINT market_offer_withdrawn CHECK (((withdrawn_at IS NULL) = (withdrawn_by IS NULL)))
);

CREATE TABLE market_proposal (
    id uuid DEFAULT uuidv7() NOT NULL,
    run_id uuid NOT NULL,
    need_id uuid NOT NULL,
    state text DEFAULT 'proposed'::text NOT NULL,
    packs integer NOT NULL,
    energy_wh integer NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    contract_id uuid,
    decline_reason text,
    decided_by text,
    decided_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT market_proposal_accepted CHECK (((state = ANY (ARRAY['accepted'::text, 'fallen_through'::text])) = (contract_id IS NOT NULL))),
    CONSTRAINT market_proposal_decided CHECK ((((state = 'proposed'::text) = (decided_at IS NULL)) AND ((decided_at IS NULL) = (decided_by IS NULL)))),
    CONSTRAINT market_proposal_declined CHECK (((state = 'declined'::text) = (decline_reason IS NOT NULL))),
    CONSTRAINT market_proposal_packs CHECK ((packs > 0)),
    CONSTRAINT market_proposal_state CHECK ((state = ANY (ARRAY['proposed'::text, 'accepted'::text, 'declined'::text, 'expired'::text, 'superseded'::text, 'fallen_through'::text])))
);

CREATE TABLE market_proposal_pack (
    proposal_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    soh_permille integer NOT NULL,
    energy_wh integer NOT NULL,
    reserved boolean DEFAULT false NOT NULL,
    line_id uuid
);

CREATE TABLE market_run (
    id uuid DEFAULT uuidv7() NOT NULL,
    as_of date NOT NULL,
    terms jsonb NOT NULL,
    method text NOT NULL,
    plan_id text NOT NULL,
    proof bytea NOT NULL,
    needs integer NOT NULL,
    packs integer NOT NULL,
    served integer NOT NULL,
    packs_taken integer NOT NULL,
    value_amount bigint NOT NULL,
    bound_amount bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT market_run_counts CHECK ((((served >= 0) AND (served <= needs)) AND ((packs_taken >= 0) AND (packs_taken <= packs)))),
    CONSTRAINT market_run_method CHECK ((method = ANY (ARRAY['solved'::text, 'cut_off'::text, 'greedy'::text]))),
    CONSTRAINT market_run_within_bound CHECK ((value_amount <= bound_amount))
);

CREATE TABLE market_unserved (
    run_id uuid NOT NULL,
    need_id uuid NOT NULL,
    reason text NOT NULL,
    short_amount bigint,
    detail text NOT NULL,
    detail_zh text NOT NULL,
    CONSTRAINT market_unserved_reason CHECK ((reason = ANY (ARRAY['no_voltage'::text, 'too_cold'::text, 'too_late'::text, 'too_worn'::text, 'too_few'::text, 'not_worth_it'::text, 'outbid'::text]))),
    CONSTRAINT market_unserved_short CHECK (((reason = ANY (ARRAY['not_worth_it'::text, 'outbid'::text])) = (short_amount IS NOT NULL)))
);

CREATE TABLE migration (
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL
);

CREATE TABLE note (
    id uuid DEFAULT uuidv7() NOT NULL,
    subject_id uuid NOT NULL,
    text text NOT NULL,
    visible_to_customer boolean NOT NULL,
    author text NOT NULL,
    written_at timestamp with time zone NOT NULL,
    struck_at timestamp with time zone,
    struck_by text,
    strike_reason text,
    CONSTRAINT note_strike_reason CHECK ((btrim(strike_reason) <> ''::text)),
    CONSTRAINT note_struck CHECK ((num_nonnulls(struck_at, struck_by, strike_reason) = ANY (ARRAY[0, 3]))),
    CONSTRAINT note_text CHECK (((btrim(text, ' 	
'::text) <> ''::text) AND (char_length(text) <= 5000)))
);

CREATE TABLE obligation (
    id uuid DEFAULT uuidv7() NOT NULL,
    record_id uuid NOT NULL,
    rule_id uuid CONSTRAINT obligation_rule_id_not_null1 NOT NULL,
    pack_id uuid NOT NULL,
    party_id uuid,
    role text NOT NULL,
    event_kind text NOT NULL,
    event_on date NOT NULL,
    recipient text NOT NULL,
    deadline_number integer NOT NULL,
    deadline_unit text NOT NULL,
    due_on date NOT NULL,
    is_provisional boolean NOT NULL,
    state text DEFAULT 'due'::text NOT NULL,
    level smallint DEFAULT 0 NOT NULL,
    payload jsonb,
    submission_id uuid,
    submitted_on date,
    receipt text,
    void_reason text,
    version integer DEFAULT 1 NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT obligation_has_payload CHECK (((state = ANY (ARRAY['due'::text, 'void'::text])) OR (payload IS NOT NULL))),
    CONSTRAINT obligation_level CHECK (((level >= 0) AND (level <= 3))),
    CONSTRAINT obligation_state CHECK ((state = ANY (ARRAY['due'::text, 'prepared'::text, 'submitted'::text, 'accepted'::text, 'rejected'::text, 'corrected'::text, 'void'::text]))),
    CONSTRAINT obligation_void CHECK (((state = 'void'::text) = (void_reason IS NOT NULL))),
    CONSTRAINT obligation_was_submitted CHECK (((state <> ALL (ARRAY['submitted'::text, 'accepted'::text, 'rejected'::text, 'corrected'::text])) OR (submitted_on IS NOT NULL)))
);

CREATE TABLE obligation_due_change (
    id uuid DEFAULT uuidv7() NOT NULL,
    obligation_id uuid NOT NULL,
    was_due_on date NOT NULL,
    due_on date NOT NULL,
    is_provisional boolean NOT NULL,
    reason text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamp with time zone NOT NULL
);

CREATE TABLE obligation_fault (
    id uuid DEFAULT uuidv7() NOT NULL,
    obligation_id uuid NOT NULL,
    submission_id uuid NOT NULL,
    field text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    found_at timestamp with time zone NOT NULL,
    fixed_at timestamp with time zone,
    fixed_by text,
    was_value jsonb,
    fixed_value jsonb,
    CONSTRAINT obligation_fault_fixed CHECK (((fixed_at IS NULL) = (fixed_by IS NULL)))
);

CREATE TABLE obligation_rule (
    id uuid DEFAULT uuidv7() NOT NULL,
    code text NOT NULL,
    regime text NOT NULL,
    event_kind text NOT NULL,
    reporter text NOT NULL,
    role text NOT NULL,
    reports text NOT NULL,
    recipient text NOT NULL,
    deadline_number integer NOT NULL,
    deadline_unit text NOT NULL,
    valid daterange NOT NULL,
    article text NOT NULL,
    source text NOT NULL,
    basis text NOT NULL,
    is_enabled boolean NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT obligation_rule_basis CHECK ((basis = ANY (ARRAY['confirmed'::text, 'assumed'::text]))),
    CONSTRAINT obligation_rule_code CHECK ((code ~ '^[a-z0-9_.-]{3,64}$'::text)),
    CONSTRAINT obligation_rule_deadline CHECK (((deadline_number >= 1) AND (deadline_number <= 365))),
    CONSTRAINT obligation_rule_recipient CHECK ((recipient = ANY (ARRAY['platform'::text, 'carmaker'::text]))),
    CONSTRAINT obligation_rule_regime CHECK ((regime = ANY (ARRAY['miit_2018_35'::text, 'order_73'::text, 'miit_2026_20'::text, 'own'::text]))),
    CONSTRAINT obligation_rule_reporter CHECK ((reporter = ANY (ARRAY['lessor'::text, 'party'::text, 'receiver'::text]))),
    CONSTRAINT obligation_rule_reports CHECK ((btrim(reports) <> ''::text)),
    CONSTRAINT obligation_rule_role CHECK ((role = ANY (ARRAY['carmaker'::text, 'cooperating_lessor'::text, 'independent_lessor'::text, 'repurposer'::text, 'outlet'::text, 'recycler'::text, 'dismantler'::text]))),
    CONSTRAINT obligation_rule_unit CHECK ((deadline_unit = ANY (ARRAY['working_days'::text, 'calendar_days'::text]))),
    CONSTRAINT obligation_rule_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE outage_source (
    outage_id uuid NOT NULL,
    duty_id uuid,
    overdue_on date,
    site_id uuid,
    discharge_started_at timestamp with time zone,
    pack_ids uuid[] NOT NULL,
    CONSTRAINT outage_source_of_duty_or_site CHECK ((((duty_id IS NULL) = (overdue_on IS NULL)) AND ((site_id IS NULL) = (discharge_started_at IS NULL)) AND ((duty_id IS NULL) <> (site_id IS NULL))))
);

CREATE TABLE outlet (
    id uuid DEFAULT uuidv7() NOT NULL,
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    kind text NOT NULL,
    adcode text NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    recycler_id uuid NOT NULL,
    chemistries text[] NOT NULL,
    hazards text[] NOT NULL,
    store_limit_kg integer NOT NULL,
    stock_kg integer DEFAULT 0 NOT NULL,
    reserved_kg integer DEFAULT 0 NOT NULL,
    generated boolean DEFAULT false NOT NULL,
    in_transit_kg integer DEFAULT 0 NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    address text,
    contact_name text,
    contact_phone text,
    opening_hours text,
    store_days integer,
    closed_from date,
    closing_reason text,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT outlet_closed_for_a_reason CHECK (((closed_from IS NULL) = (closing_reason IS NULL))),
    CONSTRAINT outlet_hazards CHECK ((hazards <@ '{intact,damaged,critical}'::text[])),
    CONSTRAINT outlet_kind CHECK ((kind = ANY (ARRAY['collecting'::text, 'concentrated'::text]))),
    CONSTRAINT outlet_latitude CHECK (((latitude >= (3)::double precision) AND (latitude <= (54)::double precision))),
    CONSTRAINT outlet_longitude CHECK (((longitude >= (73)::double precision) AND (longitude <= (136)::double precision))),
    CONSTRAINT outlet_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT outlet_stock_not_negative CHECK (((stock_kg >= 0) AND (reserved_kg >= 0) AND (in_transit_kg >= 0))),
    CONSTRAINT outlet_store_days CHECK (((store_days >= 1) AND (store_days <= 3650))),
    CONSTRAINT outlet_store_limit_positive CHECK ((store_limit_kg >= 1))
);

CREATE TABLE outlet_duty (
    id uuid DEFAULT uuidv7() NOT NULL,
    outlet_id uuid NOT NULL,
    party_id uuid NOT NULL,
    role text NOT NULL,
    valid daterange NOT NULL,
    document text NOT NULL,
    CONSTRAINT outlet_duty_role CHECK ((role = ANY (ARRAY['battery_maker'::text, 'carmaker'::text]))),
    CONSTRAINT outlet_duty_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE outlet_firm (
    id uuid DEFAULT uuidv7() NOT NULL,
    outlet_id uuid NOT NULL,
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    valid daterange NOT NULL,
    document text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT outlet_firm_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT outlet_firm_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT outlet_firm_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE outlet_limit (
    id uuid DEFAULT uuidv7() NOT NULL,
    outlet_id uuid NOT NULL,
    valid_from date NOT NULL,
    limit_kg integer NOT NULL,
    store_days integer,
    document text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT outlet_limit_days CHECK (((store_days >= 1) AND (store_days <= 3650))),
    CONSTRAINT outlet_limit_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT outlet_limit_positive CHECK ((limit_kg >= 1))
);

CREATE TABLE pack (
    id uuid DEFAULT uuidv7() NOT NULL,
    chemistry text NOT NULL,
    made_on date NOT NULL,
    cells_in_series integer NOT NULL,
    rated_voltage_mv integer NOT NULL,
    rated_capacity_mah integer NOT NULL,
    full_cell_mv integer,
    mass_kg integer NOT NULL,
    state text DEFAULT 'in_stock'::text NOT NULL,
    acquired_on date NOT NULL,
    recycled_on date,
    created_at timestamp with time zone NOT NULL,
    max_voltage_mv integer,
    min_voltage_mv integer,
    maker_energy_wh bigint,
    maker text,
    vin text,
    carmaker text,
    vehicle_model text,
    removed_on date,
    version integer DEFAULT 1 NOT NULL,
    rated_energy_wh bigint GENERATED ALWAYS AS (COALESCE(maker_energy_wh, ((((rated_voltage_mv)::bigint * rated_capacity_mah) + 500000) / 1000000))),
    holder_id uuid,
    CONSTRAINT pack_cells_in_series CHECK (((cells_in_series >= 1) AND (cells_in_series <= 1000))),
    CONSTRAINT pack_chemistry CHECK ((chemistry ~ '^[A-GZ]$'::text)),
    CONSTRAINT pack_full_cell CHECK (((full_cell_mv >= 1000) AND (full_cell_mv <= 5000))),
    CONSTRAINT pack_maker_energy CHECK ((maker_energy_wh > 0)),
    CONSTRAINT pack_mass CHECK ((mass_kg > 0)),
    CONSTRAINT pack_max_voltage CHECK ((max_voltage_mv >= rated_voltage_mv)),
    CONSTRAINT pack_min_below_rated CHECK ((min_voltage_mv <= rated_voltage_mv)),
    CONSTRAINT pack_min_voltage CHECK ((min_voltage_mv > 0)),
    CONSTRAINT pack_rated_capacity CHECK ((rated_capacity_mah > 0)),
    CONSTRAINT pack_rated_voltage CHECK ((rated_voltage_mv > 0)),
    CONSTRAINT pack_recycled CHECK (((recycled_on IS NOT NULL) = (state = 'recycled'::text))),
    CONSTRAINT pack_removed_before_acquired CHECK ((removed_on <= acquired_on)),
    CONSTRAINT pack_state CHECK ((state = ANY (ARRAY['in_stock'::text, 'leased'::text, 'returned'::text, 'lost'::text, 'burnt'::text, 'sold'::text, 'condemned'::text, 'routed'::text, 'handed_over'::text, 'recycled'::text]))),
    CONSTRAINT pack_vin CHECK ((vin ~ '^[0-9A-HJ-NPR-Z]{17}$'::text))
);

CREATE TABLE pack_code (
    pack_id uuid NOT NULL,
    scheme text NOT NULL,
    code text NOT NULL COLLATE pg_catalog."C",
    is_printed boolean CONSTRAINT pack_code_is_current_not_null NOT NULL,
    id uuid DEFAULT uuidv7() NOT NULL,
    assigned_by text,
    valid daterange DEFAULT daterange(NULL::date, NULL::date) NOT NULL,
    is_current boolean GENERATED ALWAYS AS ((is_printed AND upper_inf(valid))) STORED CONSTRAINT pack_code_is_current_not_null1 NOT NULL,
    holder_id uuid,
    CONSTRAINT pack_code_scheme CHECK ((scheme = ANY (ARRAY['gbt34014'::text, 'gbt34014_cascade'::text, 'gbt45565'::text, 'maker_serial'::text, 'unrecognised'::text]))),
    CONSTRAINT pack_code_serial_of_a_maker CHECK (((scheme <> 'maker_serial'::text) OR (assigned_by IS NOT NULL))),
    CONSTRAINT pack_code_valid_not_empty CHECK ((NOT isempty(valid)))
);

CREATE TABLE pack_origin (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    origin_id uuid,
    scheme text,
    code text COLLATE pg_catalog."C",
    holder_id uuid,
    CONSTRAINT pack_origin_not_itself CHECK ((origin_id <> pack_id)),
    CONSTRAINT pack_origin_pack_or_code CHECK (((num_nonnulls(origin_id, code) = 1) AND ((code IS NULL) = (scheme IS NULL)))),
    CONSTRAINT pack_origin_scheme CHECK ((scheme = ANY (ARRAY['gbt34014'::text, 'gbt34014_cascade'::text, 'gbt45565'::text, 'maker_serial'::text, 'unrecognised'::text])))
);

CREATE TABLE pack_return (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    returned_on date NOT NULL,
    reason text NOT NULL,
    tested_capacity_mah integer,
    lessor_signatory text,
    lessee_signatory text,
    photo_sha256 text[] DEFAULT '{}'::text[] NOT NULL,
    remarks text DEFAULT ''::text NOT NULL,
    CONSTRAINT pack_return_lessee_signed CHECK ((btrim(lessee_signatory) <> ''::text)),
    CONSTRAINT pack_return_lessor_signed CHECK ((btrim(lessor_signatory) <> ''::text)),
    CONSTRAINT pack_return_reason CHECK ((reason = ANY (ARRAY['end_of_lease'::text, 'swapped_out'::text, 'suspended'::text, 'found'::text, 'burnt'::text]))),
    CONSTRAINT pack_return_tested_capacity CHECK ((tested_capacity_mah > 0))
);

CREATE TABLE pack_session (
    pack_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    direction smallint NOT NULL,
    samples integer NOT NULL,
    charge_ah double precision NOT NULL,
    opening_ah double precision NOT NULL,
    sampling_ah double precision NOT NULL,
    missing_share double precision NOT NULL,
    before_v double precision,
    start_v double precision NOT NULL,
    end_v double precision NOT NULL,
    start_a double precision NOT NULL,
    end_a double precision NOT NULL,
    start_soc_percent real,
    end_soc_percent real,
    median_a double precision NOT NULL,
    median_temperature_c real,
    rest_before_s double precision NOT NULL,
    temperature_min_c real,
    temperature_max_c real,
    spread_median_mv real,
    spread_max_mv real,
    rest_after_s double precision,
    CONSTRAINT pack_session_direction CHECK ((direction = ANY (ARRAY['-1'::integer, 1]))),
    CONSTRAINT pack_session_ends CHECK ((ended_at > started_at))
)
PARTITION BY RANGE (started_at);

CREATE TABLE pack_telemetry (
    pack_id uuid NOT NULL,
    latest_at timestamp with time zone NOT NULL,
    voltage_v real,
    current_a real,
    soc_percent real,
    temperature_c real,
    unevaluated_from timestamp with time zone,
    temperature_min_c real,
    insulation_kohm real,
    soh_percent real,
    odometer_km real,
    cells_mv smallint[],
    temperatures_c real[],
    voltage_v_at timestamp with time zone,
    current_a_at timestamp with time zone,
    soc_percent_at timestamp with time zone,
    temperature_c_at timestamp with time zone,
    temperature_min_c_at timestamp with time zone,
    insulation_kohm_at timestamp with time zone,
    soh_percent_at timestamp with time zone,
    odometer_km_at timestamp with time zone,
    cells_mv_at timestamp with time zone,
    temperatures_c_at timestamp with time zone,
    received_at timestamp with time zone NOT NULL,
    online_since timestamp with time zone NOT NULL,
    unsealed_from timestamp with time zone
)
WITH (fillfactor='50');

CREATE TABLE pack_watch (
    pack_id uuid NOT NULL,
    state bytea NOT NULL,
    watched_at timestamp with time zone NOT NULL
);

CREATE TABLE part (
    id uuid DEFAULT uuidv7() NOT NULL,
    kind text NOT NULL,
    scheme text NOT NULL,
    code text NOT NULL COLLATE pg_catalog."C",
    assigned_by text,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT part_kind CHECK ((kind = ANY (ARRAY['module'::text, 'cell'::text]))),
    CONSTRAINT part_scheme CHECK ((scheme = ANY (ARRAY['gbt34014'::text, 'gbt34014_cascade'::text, 'gbt45565'::text, 'maker_serial'::text, 'unrecognised'::text]))),
    CONSTRAINT part_serial_of_a_maker CHECK (((scheme <> 'maker_serial'::text) OR (assigned_by IS NOT NULL)))
);

CREATE TABLE part_stay (
    id uuid DEFAULT uuidv7() NOT NULL,
    part_id uuid NOT NULL,
    pack_id uuid,
    within_id uuid,
    within_kind text GENERATED ALWAYS AS (
CASE
    WHEN (within_id IS NOT NULL) THEN 'module'::text
    ELSE NULL::text
END) STORED,
    depth integer NOT NULL,
    during daterange NOT NULL,
    place_id uuid GENERATED ALWAYS AS (COALESCE(pack_id, '00000000-0000-0000-0000-000000000000'::uuid)) STORED NOT NULL,
    depth_above integer GENERATED ALWAYS AS ((depth - 1)) STORED,
    holder_id uuid,
    code text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT part_stay_depth CHECK (((depth >= 1) AND (depth <= 10))),
    CONSTRAINT part_stay_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)))),
    CONSTRAINT part_stay_top CHECK (((within_id IS NULL) = (depth = 1)))
);

CREATE TABLE party_role (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid NOT NULL,
    party_kind text NOT NULL,
    role text NOT NULL,
    valid daterange NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT party_role_of_its_kind CHECK (
CASE role
    WHEN 'lessee'::text THEN (party_kind = 'customer'::text)
    WHEN 'payer'::text THEN (party_kind <> 'lessor'::text)
    WHEN 'cooperating_lessor'::text THEN (party_kind = 'lessor'::text)
    WHEN 'independent_lessor'::text THEN (party_kind = 'lessor'::text)
    ELSE true
END),
    CONSTRAINT party_role_role CHECK ((role = ANY (ARRAY['lessee'::text, 'payer'::text, 'maintainer'::text, 'carrier'::text, 'dismantler'::text, 'repurposer'::text, 'battery_maker'::text, 'carmaker'::text, 'outlet'::text, 'cooperating_lessor'::text, 'independent_lessor'::text]))),
    CONSTRAINT party_role_valid CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE passport (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    issued_on date NOT NULL,
    predecessor_id uuid,
    issued_by text NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    CONSTRAINT passport_not_its_own_predecessor CHECK ((predecessor_id <> id))
);

CREATE TABLE passport_declaration (
    id uuid DEFAULT uuidv7() NOT NULL,
    scope text NOT NULL,
    pack_id uuid,
    maker text,
    chemistry text,
    cells_in_series integer,
    rated_voltage_mv integer,
    rated_capacity_mah integer,
    data jsonb NOT NULL,
    declared_by text NOT NULL,
    document text NOT NULL,
    declared_on date NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT passport_declaration_of_a_model CHECK (((scope = 'model'::text) = (num_nonnulls(chemistry, cells_in_series, rated_voltage_mv, rated_capacity_mah) = 4))),
    CONSTRAINT passport_declaration_of_a_pack CHECK (((pack_id IS NOT NULL) = (scope = 'pack'::text))),
    CONSTRAINT passport_declaration_scope CHECK ((scope = ANY (ARRAY['operator'::text, 'model'::text, 'pack'::text])))
);

CREATE TABLE payment (
    id uuid DEFAULT uuidv7() NOT NULL,
    payer_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    unallocated_amount bigint NOT NULL,
    received_on date NOT NULL,
    method text NOT NULL,
    reference text NOT NULL,
    note text,
    automatic boolean NOT NULL,
    changed_on date NOT NULL,
    bounced_on date,
    bounce_reason text,
    entered_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT payment_bounced CHECK ((((bounced_on IS NULL) = (bounce_reason IS NULL)) AND ((bounced_on IS NULL) OR (unallocated_amount = 0)))),
    CONSTRAINT payment_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payment_method CHECK ((method = ANY (ARRAY['bank_transfer'::text, 'card'::text, 'cash'::text, 'offset'::text]))),
    CONSTRAINT payment_positive CHECK ((amount > 0)),
    CONSTRAINT payment_reference_not_blank CHECK ((btrim(reference) <> ''::text)),
    CONSTRAINT payment_unallocated CHECK (((unallocated_amount >= 0) AND (unallocated_amount <= amount)))
);

CREATE TABLE posting (
    entry_id uuid NOT NULL,
    account text NOT NULL,
    party_id uuid NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT posting_not_zero CHECK ((amount <> 0))
);

CREATE TABLE prefecture (
    adcode text NOT NULL,
    kind text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    province_adcode text NOT NULL,
    province_zh text NOT NULL,
    province_en text NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    CONSTRAINT prefecture_adcode CHECK ((adcode ~ '^[1-9][0-9]{5}$'::text))
);

CREATE TABLE price_index (
    id uuid DEFAULT uuidv7() NOT NULL,
    series text NOT NULL,
    month date NOT NULL,
    value numeric(15,6) NOT NULL,
    published_on date NOT NULL,
    source text NOT NULL,
    supersedes_id uuid,
    is_void boolean NOT NULL,
    is_current boolean DEFAULT true NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT price_index_first_of_month CHECK ((EXTRACT(day FROM month) = (1)::numeric)),
    CONSTRAINT price_index_published_afterwards CHECK ((published_on > month)),
    CONSTRAINT price_index_value CHECK ((value > (0)::numeric)),
    CONSTRAINT price_index_void_is_of_another CHECK (((NOT is_void) OR (supersedes_id IS NOT NULL)))
);

CREATE TABLE price_plan (
    id uuid DEFAULT uuidv7() NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    name_en text NOT NULL,
    currency text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT price_plan_currency CHECK ((currency ~ '^[A-Z]{3}$'::text))
);

CREATE TABLE price_plan_version (
    id uuid DEFAULT uuidv7() NOT NULL,
    plan_id uuid NOT NULL,
    number integer NOT NULL,
    currency text NOT NULL,
    valid_from date NOT NULL,
    components jsonb NOT NULL,
    state text DEFAULT 'draft'::text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    published_by text,
    published_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT price_plan_version_components CHECK ((jsonb_array_length(components) > 0)),
    CONSTRAINT price_plan_version_number CHECK ((number > 0)),
    CONSTRAINT price_plan_version_published CHECK ((((state = 'published'::text) = (published_at IS NOT NULL)) AND ((state = 'published'::text) = (published_by IS NOT NULL)))),
    CONSTRAINT price_plan_version_state CHECK ((state = ANY (ARRAY['draft'::text, 'published'::text])))
);

CREATE TABLE province_rule (
    id uuid DEFAULT uuidv7() NOT NULL,
    province_adcode text NOT NULL,
    valid daterange NOT NULL,
    document text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT province_rule_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT province_rule_province CHECK ((province_adcode ~ '^[1-9][0-9]0000$'::text)),
    CONSTRAINT province_rule_valid_not_empty CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid))))
);

CREATE TABLE qualification (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid NOT NULL,
    party_kind text DEFAULT 'recycler'::text NOT NULL,
    kind text NOT NULL,
    valid daterange NOT NULL,
    document text NOT NULL,
    withdrawn_on date,
    withdrawal_document text,
    document_sha256 text,
    CONSTRAINT qualification_document_sha256 CHECK ((document_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT qualification_kind CHECK ((kind = ANY (ARRAY['filing'::text, 'eia'::text, 'discharge_permit'::text, 'listing'::text]))),
    CONSTRAINT qualification_party_kind CHECK ((party_kind = 'recycler'::text)),
    CONSTRAINT qualification_valid_not_empty CHECK ((NOT isempty(valid))),
    CONSTRAINT qualification_withdrawal_documented CHECK (((withdrawn_on IS NULL) = (withdrawal_document IS NULL)))
);

CREATE TABLE quarantine (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    holder_id uuid,
    alarm_id uuid NOT NULL,
    reason text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    released_at timestamp with time zone,
    released_by text,
    inspection_note text,
    CONSTRAINT quarantine_inspection_note CHECK ((btrim(inspection_note) <> ''::text)),
    CONSTRAINT quarantine_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT quarantine_released_after_inspection CHECK ((((released_at IS NULL) = (released_by IS NULL)) AND ((released_at IS NULL) = (inspection_note IS NULL))))
);

CREATE TABLE quote (
    id uuid DEFAULT uuidv7() NOT NULL,
    lessee_id uuid,
    valid_to date NOT NULL,
    alternatives jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    accepted_alternative integer,
    contract_id uuid,
    accepted_at timestamp with time zone,
    CONSTRAINT quote_accepted CHECK ((((accepted_at IS NULL) = (contract_id IS NULL)) AND ((accepted_at IS NULL) = (accepted_alternative IS NULL)))),
    CONSTRAINT quote_accepted_alternative CHECK (((accepted_alternative >= 1) AND (accepted_alternative <= jsonb_array_length(alternatives)))),
    CONSTRAINT quote_alternatives CHECK (((jsonb_array_length(alternatives) >= 1) AND (jsonb_array_length(alternatives) <= 2)))
);

CREATE TABLE reading_chunk (
    pack_id uuid NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    readings integer NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT reading_chunk_readings CHECK ((readings > 0)),
    CONSTRAINT reading_chunk_within_a_day CHECK (((first_at <= last_at) AND (((first_at AT TIME ZONE 'Asia/Shanghai'::text))::date = ((last_at AT TIME ZONE 'Asia/Shanghai'::text))::date)))
)
PARTITION BY RANGE (first_at);
ALTER TABLE ONLY reading_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE reading_flag (
    pack_id uuid NOT NULL,
    kind text NOT NULL,
    quantity text NOT NULL,
    from_at timestamp with time zone NOT NULL,
    to_at timestamp with time zone NOT NULL,
    readings integer NOT NULL,
    CONSTRAINT reading_flag_ends CHECK ((to_at >= from_at)),
    CONSTRAINT reading_flag_kind CHECK ((kind = ANY (ARRAY['clock_ahead'::text, 'unit_jump'::text, 'stuck'::text, 'soc_contradicts_current'::text]))),
    CONSTRAINT reading_flag_readings CHECK ((readings > 0))
);

CREATE TABLE reading_hour (
    pack_id uuid NOT NULL,
    hour_at timestamp with time zone NOT NULL,
    readings integer NOT NULL,
    voltage_v_min real,
    voltage_v_mean real,
    voltage_v_max real,
    current_a_min real,
    current_a_mean real,
    current_a_max real,
    soc_percent_min real,
    soc_percent_mean real,
    soc_percent_max real,
    temperature_c_min real,
    temperature_c_mean real,
    temperature_c_max real,
    insulation_kohm_min real,
    insulation_kohm_mean real,
    insulation_kohm_max real,
    cell_mv_min real,
    cell_mv_mean real,
    cell_mv_max real,
    CONSTRAINT reading_hour_readings CHECK ((readings > 0))
)
PARTITION BY RANGE (hour_at);

CREATE TABLE receivable (
    id uuid DEFAULT uuidv7() NOT NULL,
    kind text NOT NULL,
    invoice_id uuid NOT NULL,
    number text NOT NULL,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    issued_on date NOT NULL,
    due_on date NOT NULL,
    amount bigint NOT NULL,
    open_amount bigint NOT NULL,
    automatic boolean DEFAULT true NOT NULL,
    changed_on date NOT NULL,
    interest_settled boolean DEFAULT false NOT NULL,
    vat_amount bigint,
    CONSTRAINT receivable_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT receivable_kind CHECK ((kind = ANY (ARRAY['invoice'::text, 'interest'::text, 'dunning_fee'::text]))),
    CONSTRAINT receivable_not_zero CHECK ((amount <> 0)),
    CONSTRAINT receivable_of_an_invoice CHECK (((kind = 'invoice'::text) = (id = invoice_id))),
    CONSTRAINT receivable_open CHECK (((open_amount >= LEAST(amount, (0)::bigint)) AND (open_amount <= GREATEST(amount, (0)::bigint)))),
    CONSTRAINT receivable_vat CHECK ((((kind = 'invoice'::text) = (vat_amount IS NULL)) AND ((vat_amount >= LEAST(amount, (0)::bigint)) AND (vat_amount <= GREATEST(amount, (0)::bigint)))))
);

CREATE TABLE recovery_batch (
    id uuid DEFAULT uuidv7() NOT NULL,
    recycler_id uuid NOT NULL,
    number text NOT NULL,
    consignment_id uuid,
    received_on date NOT NULL,
    expected_kg integer NOT NULL,
    mass_in_kg numeric(12,2) NOT NULL,
    state text DEFAULT 'received'::text NOT NULL,
    certificate_number text,
    recycled_on date,
    recovered_kg numeric(12,2),
    residue_kg numeric(12,2),
    efficiency_percent numeric(5,2),
    is_below_floor boolean,
    is_below_eu_floor boolean,
    entered_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT recovery_batch_certified CHECK ((((state = 'certified'::text) = (certificate_number IS NOT NULL)) AND ((state = 'certified'::text) = (recycled_on IS NOT NULL)) AND ((state = 'certified'::text) = (is_below_floor IS NOT NULL)) AND ((state = 'certified'::text) = (is_below_eu_floor IS NOT NULL)))),
    CONSTRAINT recovery_batch_conserves_mass CHECK (((COALESCE(recovered_kg, (0)::numeric) + COALESCE(residue_kg, (0)::numeric)) <= mass_in_kg)),
    CONSTRAINT recovery_batch_efficiency CHECK (((efficiency_percent >= (0)::numeric) AND (efficiency_percent <= (100)::numeric))),
    CONSTRAINT recovery_batch_expected CHECK ((expected_kg > 0)),
    CONSTRAINT recovery_batch_in_order CHECK ((received_on <= recycled_on)),
    CONSTRAINT recovery_batch_mass_in CHECK ((mass_in_kg > (0)::numeric)),
    CONSTRAINT recovery_batch_recovered CHECK ((recovered_kg >= (0)::numeric)),
    CONSTRAINT recovery_batch_residue CHECK ((residue_kg >= (0)::numeric)),
    CONSTRAINT recovery_batch_state CHECK ((state = ANY (ARRAY['received'::text, 'certified'::text])))
);

CREATE TABLE recovery_batch_pack (
    batch_id uuid NOT NULL,
    routing_id uuid NOT NULL
);

CREATE TABLE recovery_product (
    batch_id uuid NOT NULL,
    product text NOT NULL,
    mass_kg numeric(12,2) NOT NULL,
    CONSTRAINT recovery_product_mass CHECK ((mass_kg > (0)::numeric)),
    CONSTRAINT recovery_product_name CHECK ((btrim(product) <> ''::text))
);

CREATE TABLE recovery_rate (
    batch_id uuid NOT NULL,
    metal text NOT NULL,
    percent numeric(5,2) NOT NULL,
    input_kg numeric(12,3),
    output_kg numeric(12,3),
    CONSTRAINT recovery_rate_input CHECK ((input_kg > (0)::numeric)),
    CONSTRAINT recovery_rate_masses CHECK ((((input_kg IS NULL) = (output_kg IS NULL)) AND (output_kg <= input_kg))),
    CONSTRAINT recovery_rate_metal CHECK ((metal = ANY (ARRAY['Li'::text, 'Ni'::text, 'Co'::text, 'Mn'::text, 'NiCoMn'::text, 'Cu'::text, 'Al'::text, 'Fe'::text, 'P'::text, 'C'::text]))),
    CONSTRAINT recovery_rate_output CHECK ((output_kg >= (0)::numeric)),
    CONSTRAINT recovery_rate_percent CHECK (((percent >= (0)::numeric) AND (percent <= (100)::numeric)))
);

CREATE TABLE recycler_notice (
    id uuid DEFAULT uuidv7() NOT NULL,
    recycler_id uuid NOT NULL,
    subject text NOT NULL,
    lapses_on date NOT NULL,
    days integer NOT NULL,
    document text NOT NULL,
    noticed_on date NOT NULL,
    CONSTRAINT recycler_notice_ahead CHECK ((lapses_on > noticed_on)),
    CONSTRAINT recycler_notice_days CHECK ((days = ANY (ARRAY[90, 30, 7]))),
    CONSTRAINT recycler_notice_subject CHECK ((subject = ANY (ARRAY['filing'::text, 'eia'::text, 'discharge_permit'::text, 'listing'::text, 'annual_report'::text, 'rectification'::text])))
);

CREATE TABLE recycling_certificate (
    routing_id uuid NOT NULL,
    number text NOT NULL,
    recycler_id uuid NOT NULL,
    recycled_on date NOT NULL,
    lithium_percent numeric(5,2),
    nickel_cobalt_manganese_percent numeric(5,2),
    batch_id uuid,
    CONSTRAINT recycling_certificate_lithium CHECK (((lithium_percent >= (0)::numeric) AND (lithium_percent <= (100)::numeric))),
    CONSTRAINT recycling_certificate_ncm CHECK (((nickel_cobalt_manganese_percent >= (0)::numeric) AND (nickel_cobalt_manganese_percent <= (100)::numeric)))
);

CREATE TABLE red_letter (
    id uuid DEFAULT uuidv7() NOT NULL,
    einvoice_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    reason text NOT NULL,
    serial text NOT NULL,
    state text DEFAULT 'drafted'::text NOT NULL,
    net_amount bigint NOT NULL,
    vat_amount bigint NOT NULL,
    request jsonb NOT NULL,
    batch_id uuid,
    confirmation_number text,
    message text,
    created_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT red_letter_closed CHECK (((closed_at IS NOT NULL) = (state = ANY (ARRAY['refused'::text, 'lapsed'::text, 'revoked'::text, 'issued'::text])))),
    CONSTRAINT red_letter_confirmed CHECK (((state <> ALL (ARRAY['confirmed'::text, 'issued'::text])) OR (confirmation_number IS NOT NULL))),
    CONSTRAINT red_letter_reason CHECK ((reason = ANY (ARRAY['wrong'::text, 'returned'::text, 'service_ended'::text, 'allowance'::text]))),
    CONSTRAINT red_letter_sent CHECK (((state = ANY (ARRAY['drafted'::text, 'revoked'::text])) OR (batch_id IS NOT NULL))),
    CONSTRAINT red_letter_serial CHECK ((serial ~ '^[0-9]{20}$'::text)),
    CONSTRAINT red_letter_state CHECK ((state = ANY (ARRAY['drafted'::text, 'applied'::text, 'confirmed'::text, 'refused'::text, 'lapsed'::text, 'revoked'::text, 'issued'::text]))),
    CONSTRAINT red_letter_takes_back CHECK ((net_amount < 0))
);

CREATE TABLE refund (
    id uuid DEFAULT uuidv7() NOT NULL,
    payment_id uuid,
    credit_id uuid,
    party_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    taken_back_amount bigint GENERATED ALWAYS AS ((- amount)) STORED NOT NULL,
    posted_on date NOT NULL,
    reference text NOT NULL,
    reason text NOT NULL,
    reverses_id uuid,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT refund_of_one_thing CHECK ((num_nonnulls(payment_id, credit_id) = 1)),
    CONSTRAINT refund_reason_not_blank CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT refund_reference_not_blank CHECK ((btrim(reference) <> ''::text)),
    CONSTRAINT refund_sign CHECK (((amount <> 0) AND ((amount < 0) = (reverses_id IS NOT NULL))))
);

CREATE TABLE rendered_pdf (
    sha256 bytea NOT NULL,
    language text NOT NULL,
    template text NOT NULL,
    content bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT rendered_pdf_language CHECK ((language = ANY (ARRAY['en'::text, 'zh'::text]))),
    CONSTRAINT rendered_pdf_sha256 CHECK ((length(sha256) = 32)),
    CONSTRAINT rendered_pdf_size CHECK ((length(content) <= 20000000))
);

CREATE TABLE rerouting (
    id uuid DEFAULT uuidv7() NOT NULL,
    made_at timestamp with time zone NOT NULL,
    made_by text NOT NULL,
    hit integer NOT NULL,
    rerouted integer NOT NULL,
    held jsonb NOT NULL,
    before_amount bigint,
    after_amount bigint NOT NULL,
    reason text NOT NULL,
    CONSTRAINT rerouting_counts CHECK (((hit >= 1) AND ((rerouted >= 0) AND (rerouted <= hit)))),
    CONSTRAINT rerouting_reason CHECK ((btrim(reason) <> ''::text))
);

CREATE TABLE restatement (
    id uuid DEFAULT uuidv7() NOT NULL,
    line_id uuid NOT NULL,
    from_on date NOT NULL,
    settled_by uuid,
    settled boolean DEFAULT false NOT NULL,
    CONSTRAINT restatement_settled CHECK (((settled_by IS NULL) OR settled))
);

CREATE TABLE return_order (
    id uuid DEFAULT uuidv7() NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    mode text NOT NULL,
    place text NOT NULL,
    contact_name text NOT NULL,
    contact_phone text NOT NULL,
    reason text NOT NULL,
    state text DEFAULT 'ordered'::text NOT NULL,
    planned_on date,
    collected_on date,
    arrived_on date,
    settled_on date,
    cancel_reason text,
    ordered_by text NOT NULL,
    ordered_at timestamp with time zone NOT NULL,
    CONSTRAINT return_order_arrived CHECK (((state = ANY (ARRAY['arrived'::text, 'inspected'::text, 'settled'::text])) = (arrived_on IS NOT NULL))),
    CONSTRAINT return_order_arrived_afterwards CHECK ((arrived_on >= collected_on)),
    CONSTRAINT return_order_cancelled CHECK (((state = 'cancelled'::text) = (cancel_reason IS NOT NULL))),
    CONSTRAINT return_order_collected CHECK ((((state <> ALL (ARRAY['ordered'::text, 'scheduled'::text, 'cancelled'::text])) AND (mode = 'pick_up'::text)) = (collected_on IS NOT NULL))),
    CONSTRAINT return_order_mode CHECK ((mode = ANY (ARRAY['pick_up'::text, 'drop_off'::text]))),
    CONSTRAINT return_order_place CHECK ((btrim(place) <> ''::text)),
    CONSTRAINT return_order_scheduled CHECK (((state = ANY (ARRAY['ordered'::text, 'cancelled'::text])) OR (planned_on IS NOT NULL))),
    CONSTRAINT return_order_settled CHECK (((state = 'settled'::text) = (settled_on IS NOT NULL))),
    CONSTRAINT return_order_state CHECK ((state = ANY (ARRAY['ordered'::text, 'scheduled'::text, 'collected'::text, 'arrived'::text, 'inspected'::text, 'settled'::text, 'cancelled'::text])))
);

CREATE TABLE return_order_item (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    line_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    is_open boolean DEFAULT true NOT NULL,
    result text,
    resulted_on date,
    return_id uuid,
    incident_id uuid,
    inspection_id uuid,
    CONSTRAINT return_order_item_has_its_evidence CHECK ((((result IS NULL) = (resulted_on IS NULL)) AND ((NOT (result IS DISTINCT FROM 'returned'::text)) = (return_id IS NOT NULL)) AND (((result IS NOT NULL) AND (result <> 'returned'::text)) = (incident_id IS NOT NULL)) AND ((result IS NULL) OR (NOT is_open)))),
    CONSTRAINT return_order_item_result CHECK ((result = ANY (ARRAY['returned'::text, 'missing'::text, 'stolen'::text, 'burnt'::text])))
);

CREATE TABLE return_settlement (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL,
    settled_on date NOT NULL,
    currency text NOT NULL,
    owed_amount bigint NOT NULL,
    counter_claim_amount bigint NOT NULL,
    deposit_used_amount bigint NOT NULL,
    balance_amount bigint NOT NULL,
    statement jsonb NOT NULL,
    invoice_id uuid,
    payment_id uuid,
    posted_by text NOT NULL,
    posted_at timestamp with time zone NOT NULL,
    CONSTRAINT return_settlement_adds_up CHECK ((balance_amount = ((owed_amount - counter_claim_amount) - deposit_used_amount))),
    CONSTRAINT return_settlement_counter_claim CHECK ((counter_claim_amount >= 0)),
    CONSTRAINT return_settlement_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT return_settlement_deposit_used CHECK ((deposit_used_amount >= 0))
);

CREATE TABLE return_settlement_order (
    order_id uuid NOT NULL,
    settlement_id uuid NOT NULL,
    contract_id uuid NOT NULL,
    lessee_id uuid NOT NULL
);

CREATE TABLE routing (
    id uuid DEFAULT uuidv7() NOT NULL,
    pack_id uuid NOT NULL,
    disposition_id uuid NOT NULL,
    outlet_id uuid NOT NULL,
    recycler_id uuid NOT NULL,
    state text DEFAULT 'reserved'::text NOT NULL,
    mass_kg integer NOT NULL,
    distance_m integer NOT NULL,
    hand_over_on date NOT NULL,
    explanation jsonb NOT NULL,
    chosen_at timestamp with time zone NOT NULL,
    handed_over_on date,
    recycled_on date,
    released_on date,
    release_reason text,
    expires_at timestamp with time zone,
    rerouting_id uuid,
    capacity_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    CONSTRAINT routing_distance CHECK ((distance_m >= 0)),
    CONSTRAINT routing_handed_over CHECK (((handed_over_on IS NOT NULL) = (state = ANY (ARRAY['handed_over'::text, 'recycled'::text])))),
    CONSTRAINT routing_mass CHECK ((mass_kg > 0)),
    CONSTRAINT routing_recycled CHECK (((recycled_on IS NOT NULL) = (state = 'recycled'::text))),
    CONSTRAINT routing_recycled_after_hand_over CHECK ((recycled_on >= handed_over_on)),
    CONSTRAINT routing_released CHECK ((((released_on IS NOT NULL) = (state = 'released'::text)) AND ((release_reason IS NOT NULL) = (state = 'released'::text)))),
    CONSTRAINT routing_state CHECK ((state = ANY (ARRAY['reserved'::text, 'handed_over'::text, 'recycled'::text, 'released'::text])))
);

COMMENT ON COLUMN routing.capacity_ids IS 'What its mass is reserved of (treatment_capacity), to be given back when it is given up.';

CREATE TABLE routing_plan (
    id uuid DEFAULT uuidv7() NOT NULL,
    digest text NOT NULL,
    input_sha256 text NOT NULL,
    outlets_version text NOT NULL,
    as_of date NOT NULL,
    hand_over_on date NOT NULL,
    state text DEFAULT 'proposed'::text NOT NULL,
    solver text NOT NULL,
    solver_seconds numeric(10,3) NOT NULL,
    packs integer NOT NULL,
    planned integer NOT NULL,
    value bigint NOT NULL,
    bound bigint NOT NULL,
    outbid bigint NOT NULL,
    unused bigint NOT NULL,
    instance bytea NOT NULL,
    solution bytea NOT NULL,
    made_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT routing_plan_closed CHECK (((closed_at IS NULL) = (state = 'proposed'::text))),
    CONSTRAINT routing_plan_digest CHECK ((digest ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT routing_plan_gap_has_two_sources CHECK (((outbid >= 0) AND (unused >= 0) AND ((bound - value) = (outbid + unused)))),
    CONSTRAINT routing_plan_packs CHECK (((planned >= 0) AND (planned <= packs))),
    CONSTRAINT routing_plan_solver CHECK ((solver = ANY (ARRAY['flow'::text, 'greedy'::text]))),
    CONSTRAINT routing_plan_state CHECK ((state = ANY (ARRAY['proposed'::text, 'applied'::text, 'superseded'::text, 'expired'::text])))
);

CREATE TABLE routing_plan_item (
    id uuid DEFAULT uuidv7() NOT NULL,
    plan_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    state text NOT NULL,
    adcode text NOT NULL,
    mass_kg integer NOT NULL,
    outlet_id uuid,
    parts jsonb,
    reason text,
    locked_by text,
    routing_id uuid,
    recycler_id uuid,
    CONSTRAINT routing_plan_item_goes_or_is_held CHECK (
CASE state
    WHEN 'planned'::text THEN ((outlet_id IS NOT NULL) AND (parts IS NOT NULL) AND (reason IS NULL))
    WHEN 'applied'::text THEN ((outlet_id IS NOT NULL) AND (routing_id IS NOT NULL))
    ELSE (reason IS NOT NULL)
END),
    CONSTRAINT routing_plan_item_locked CHECK (((locked_by IS NULL) OR (outlet_id IS NOT NULL))),
    CONSTRAINT routing_plan_item_mass CHECK ((mass_kg > 0)),
    CONSTRAINT routing_plan_item_state CHECK ((state = ANY (ARRAY['planned'::text, 'held'::text, 'applied'::text, 'refused'::text])))
);

CREATE TABLE routing_terms (
    id uuid DEFAULT uuidv7() NOT NULL,
    from_on date NOT NULL,
    circuity_percent integer NOT NULL,
    freight_cny_per_kg_km numeric(9,7)[] NOT NULL,
    packing_cny_per_kg numeric(8,4)[] NOT NULL,
    hold_cny_per_kg numeric(8,4) NOT NULL,
    collecting_load_kg integer NOT NULL,
    concentrated_load_kg integer NOT NULL,
    reservation_days integer NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT routing_terms_circuity CHECK (((circuity_percent >= 100) AND (circuity_percent <= 300))),
    CONSTRAINT routing_terms_cost_nothing_or_more CHECK ((((0)::numeric <= ALL (freight_cny_per_kg_km)) AND ((0)::numeric <= ALL (packing_cny_per_kg)))),
    CONSTRAINT routing_terms_hold CHECK (((hold_cny_per_kg >= ('-1000'::integer)::numeric) AND (hold_cny_per_kg <= (1000)::numeric))),
    CONSTRAINT routing_terms_loads CHECK (((collecting_load_kg > 0) AND (concentrated_load_kg > 0))),
    CONSTRAINT routing_terms_of_three_hazards CHECK (((cardinality(freight_cny_per_kg_km) = 3) AND (cardinality(packing_cny_per_kg) = 3))),
    CONSTRAINT routing_terms_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT routing_terms_reservation CHECK (((reservation_days >= 0) AND (reservation_days <= 90)))
);

CREATE TABLE safety_hold (
    id uuid DEFAULT uuidv7() NOT NULL,
    quarantine_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    batch text NOT NULL COLLATE pg_catalog."C",
    opened_at timestamp with time zone NOT NULL,
    released_at timestamp with time zone,
    released_by text,
    release_note text,
    CONSTRAINT safety_hold_release_note CHECK ((btrim(release_note) <> ''::text)),
    CONSTRAINT safety_hold_released CHECK ((((released_at IS NULL) = (released_by IS NULL)) AND ((released_at IS NULL) = (release_note IS NULL))))
);

CREATE TABLE scrap_offer (
    id uuid DEFAULT uuidv7() NOT NULL,
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    chemistry text NOT NULL,
    disposition text NOT NULL,
    valid daterange NOT NULL,
    cny_per_kg numeric(12,4) NOT NULL,
    material_cny_per_kg numeric(12,4) DEFAULT 0 NOT NULL,
    source text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT scrap_offer_disposition CHECK ((disposition = ANY (ARRAY['repair'::text, 'dismantle'::text, 'recycle'::text]))),
    CONSTRAINT scrap_offer_material_is_part CHECK ((material_cny_per_kg >= (0)::numeric)),
    CONSTRAINT scrap_offer_recycler_kind CHECK ((recycler_kind = 'recycler'::text)),
    CONSTRAINT scrap_offer_source CHECK ((btrim(source) <> ''::text)),
    CONSTRAINT scrap_offer_valid_not_empty CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid)))),
    CONSTRAINT scrap_offer_within_reason CHECK (((cny_per_kg >= ('-1000'::integer)::numeric) AND (cny_per_kg <= (1000)::numeric)))
);

CREATE TABLE signing_key (
    id uuid DEFAULT uuidv7() NOT NULL,
    private_pem text,
    public_pem text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT signing_key_encrypted CHECK ((private_pem ~~ '-----BEGIN ENCRYPTED PRIVATE KEY-----%'::text))
);

CREATE TABLE site (
    id uuid DEFAULT uuidv7() NOT NULL,
    party_id uuid NOT NULL,
    party_kind text DEFAULT 'customer'::text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    adcode text NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    datum text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    site_class text,
    load_w integer,
    required_autonomy_minutes integer,
    vin text,
    left_on date,
    CONSTRAINT site_class CHECK ((site_class = ANY (ARRAY['A'::text, 'B'::text, 'C'::text, 'D'::text]))),
    CONSTRAINT site_code_not_blank CHECK ((btrim(code) <> ''::text)),
    CONSTRAINT site_datum CHECK ((datum = ANY (ARRAY['wgs84'::text, 'gcj02'::text]))),
    CONSTRAINT site_kind CHECK ((kind = ANY (ARRAY['tower'::text, 'depot'::text, 'vehicle'::text]))),
    CONSTRAINT site_latitude CHECK (((latitude >= (3)::double precision) AND (latitude <= (54)::double precision))),
    CONSTRAINT site_load CHECK ((load_w > 0)),
    CONSTRAINT site_longitude CHECK (((longitude >= (73)::double precision) AND (longitude <= (136)::double precision))),
    CONSTRAINT site_party_kind CHECK ((party_kind = 'customer'::text)),
    CONSTRAINT site_required_autonomy CHECK ((required_autonomy_minutes > 0)),
    CONSTRAINT site_vehicle_has_a_vin CHECK (((kind = 'vehicle'::text) = (vin IS NOT NULL))),
    CONSTRAINT site_vin CHECK ((vin ~ '^[0-9A-HJ-NPR-Z]{17}$'::text))
);

CREATE TABLE site_device (
    code text NOT NULL,
    part integer NOT NULL,
    site_id uuid NOT NULL,
    slot integer NOT NULL,
    CONSTRAINT site_device_code CHECK ((btrim(code) <> ''::text)),
    CONSTRAINT site_device_part CHECK (((part >= 1) AND (part <= 250))),
    CONSTRAINT site_device_slot CHECK (((slot >= 1) AND (slot <= 1000)))
);

CREATE TABLE site_string (
    site_id uuid NOT NULL,
    number integer NOT NULL,
    system_voltage_mv integer NOT NULL,
    slots int4range NOT NULL,
    CONSTRAINT site_string_number CHECK (((number >= 1) AND (number <= 1000))),
    CONSTRAINT site_string_slots CHECK (((NOT isempty(slots)) AND (slots <@ int4range(1, 1001)))),
    CONSTRAINT site_string_system_voltage CHECK ((system_voltage_mv > 0))
);

CREATE TABLE site_tenancy (
    id uuid DEFAULT uuidv7() NOT NULL,
    site_id uuid NOT NULL,
    during daterange NOT NULL,
    tenants integer NOT NULL,
    is_anchor boolean NOT NULL,
    supersedes_id uuid,
    is_void boolean NOT NULL,
    is_current boolean DEFAULT true NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT site_tenancy_not_empty CHECK (((NOT isempty(during)) AND (NOT lower_inf(during)))),
    CONSTRAINT site_tenancy_tenants CHECK (((tenants >= 1) AND (tenants <= 20))),
    CONSTRAINT site_tenancy_void_is_of_another CHECK (((NOT is_void) OR (supersedes_id IS NOT NULL)))
);

CREATE TABLE standby_slope (
    pack_id uuid NOT NULL,
    chemistry text NOT NULL,
    found_on date NOT NULL,
    mv_per_day double precision NOT NULL,
    lower_mv double precision NOT NULL,
    upper_mv double precision NOT NULL,
    days integer NOT NULL,
    CONSTRAINT standby_slope_interval CHECK ((lower_mv <= upper_mv))
);

CREATE TABLE subject (
    id uuid NOT NULL,
    kind text NOT NULL,
    pack_id uuid GENERATED ALWAYS AS (
CASE kind
    WHEN 'pack'::text THEN id
    ELSE NULL::uuid
END) STORED,
    site_id uuid GENERATED ALWAYS AS (
CASE kind
    WHEN 'site'::text THEN id
    ELSE NULL::uuid
END) STORED,
    contract_id uuid GENERATED ALWAYS AS (
CASE kind
    WHEN 'contract'::text THEN id
    ELSE NULL::uuid
END) STORED,
    fields_version integer DEFAULT 1 NOT NULL,
    CONSTRAINT subject_kind CHECK ((kind = ANY (ARRAY['pack'::text, 'site'::text, 'contract'::text])))
);

CREATE TABLE subject_tag (
    subject_id uuid NOT NULL,
    tag text NOT NULL,
    CONSTRAINT subject_tag_is_normal CHECK (((tag IS NFC NORMALIZED) AND ((char_length(tag) >= 1) AND (char_length(tag) <= 40))))
);

CREATE TABLE submission (
    id uuid DEFAULT uuidv7() NOT NULL,
    recipient text NOT NULL,
    state text DEFAULT 'made'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failure text,
    made_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    answered_at timestamp with time zone,
    CONSTRAINT submission_answered CHECK (((state = 'answered'::text) = (answered_at IS NOT NULL))),
    CONSTRAINT submission_parked CHECK (((state <> 'parked'::text) OR (failure IS NOT NULL))),
    CONSTRAINT submission_sent CHECK (((state <> 'sent'::text) OR (sent_at IS NOT NULL))),
    CONSTRAINT submission_state CHECK ((state = ANY (ARRAY['made'::text, 'sent'::text, 'answered'::text, 'parked'::text])))
);

CREATE TABLE submission_item (
    submission_id uuid NOT NULL,
    obligation_id uuid NOT NULL,
    payload jsonb NOT NULL,
    result text,
    receipt text,
    CONSTRAINT submission_item_result CHECK ((result = ANY (ARRAY['accepted'::text, 'rejected'::text])))
);

CREATE TABLE test_rule (
    id uuid DEFAULT uuidv7() NOT NULL,
    site_class text NOT NULL,
    valid_from date NOT NULL,
    interval_months integer NOT NULL,
    life_months integer NOT NULL,
    life_percent integer NOT NULL,
    old_percent integer NOT NULL,
    old_months integer NOT NULL,
    drop_points integer NOT NULL,
    depth_percent integer NOT NULL,
    deep_percent integer NOT NULL,
    deep_every integer NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT test_rule_deep CHECK (((deep_percent >= 80) AND (deep_percent <= 100))),
    CONSTRAINT test_rule_deep_every CHECK (((deep_every >= 1) AND (deep_every <= 10))),
    CONSTRAINT test_rule_depth CHECK (((depth_percent >= 30) AND (depth_percent <= 80))),
    CONSTRAINT test_rule_drop CHECK (((drop_points >= 1) AND (drop_points <= 100))),
    CONSTRAINT test_rule_interval CHECK (((interval_months >= 1) AND (interval_months <= 120))),
    CONSTRAINT test_rule_life CHECK (((life_months >= 12) AND (life_months <= 360))),
    CONSTRAINT test_rule_life_percent CHECK (((life_percent >= 1) AND (life_percent <= 100))),
    CONSTRAINT test_rule_old_months CHECK (((old_months >= 1) AND (old_months <= 120))),
    CONSTRAINT test_rule_old_percent CHECK (((old_percent >= 1) AND (old_percent <= 100))),
    CONSTRAINT test_rule_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT test_rule_site_class CHECK ((site_class = ANY (ARRAY['A'::text, 'B'::text, 'C'::text, 'D'::text])))
);

CREATE TABLE trace_head (
    id uuid DEFAULT uuidv7() NOT NULL,
    as_of date NOT NULL,
    packs bigint NOT NULL,
    records bigint NOT NULL,
    hash bytea NOT NULL,
    made_by text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    CONSTRAINT trace_head_hash CHECK ((octet_length(hash) = 32))
);

CREATE TABLE transport_treatment (
    inspection_id uuid NOT NULL,
    pack_id uuid NOT NULL,
    treated_on date NOT NULL,
    measures text NOT NULL,
    document_sha256 text,
    shipper_signatory text NOT NULL,
    consignee_signatory text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT transport_treatment_consignee_signed CHECK ((btrim(consignee_signatory) <> ''::text)),
    CONSTRAINT transport_treatment_measures CHECK ((btrim(measures) <> ''::text)),
    CONSTRAINT transport_treatment_shipper_signed CHECK ((btrim(shipper_signatory) <> ''::text))
);

CREATE TABLE treatment_capacity (
    id uuid DEFAULT uuidv7() NOT NULL,
    recycler_id uuid NOT NULL,
    recycler_kind text DEFAULT 'recycler'::text NOT NULL,
    chemistries text[] NOT NULL,
    valid daterange NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    capacity_kg bigint,
    reserved_kg bigint DEFAULT 0 NOT NULL,
    document text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT treatment_capacity_days CHECK (((NOT isempty(valid)) AND (NOT lower_inf(valid)) AND (NOT upper_inf(valid)))),
    CONSTRAINT treatment_capacity_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT treatment_capacity_latitude CHECK (((latitude >= (3)::double precision) AND (latitude <= (54)::double precision))),
    CONSTRAINT treatment_capacity_longitude CHECK (((longitude >= (73)::double precision) AND (longitude <= (136)::double precision))),
    CONSTRAINT treatment_capacity_not_exceeded CHECK (((reserved_kg >= 0) AND (reserved_kg <= capacity_kg))),
    CONSTRAINT treatment_capacity_of_something CHECK ((cardinality(chemistries) >= 1)),
    CONSTRAINT treatment_capacity_recycler_kind CHECK ((recycler_kind = 'recycler'::text))
);

CREATE TABLE unmatched_source (
    kind text NOT NULL,
    value text NOT NULL,
    part integer NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    readings bigint NOT NULL,
    reason text NOT NULL,
    CONSTRAINT unmatched_source_readings CHECK ((readings > 0))
);

CREATE TABLE unread_message (
    id uuid DEFAULT uuidv7() NOT NULL,
    source text NOT NULL,
    reason text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT unread_message_reason CHECK ((btrim(reason) <> ''::text)),
    CONSTRAINT unread_message_sha256 CHECK ((sha256 = sha256(content))),
    CONSTRAINT unread_message_size CHECK ((octet_length(content) <= 1048576))
);

CREATE TABLE withdrawal (
    id uuid DEFAULT uuidv7() NOT NULL,
    announcement_no text NOT NULL,
    document text NOT NULL,
    document_sha256 text,
    withdrawn_on date NOT NULL,
    kinds text[] NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamp with time zone NOT NULL,
    CONSTRAINT withdrawal_announcement CHECK ((btrim(announcement_no) <> ''::text)),
    CONSTRAINT withdrawal_document CHECK ((btrim(document) <> ''::text)),
    CONSTRAINT withdrawal_document_sha256 CHECK ((document_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT withdrawal_kinds CHECK (((kinds <@ '{filing,eia,discharge_permit,listing}'::text[]) AND (kinds <> '{}'::text[])))
);

CREATE TABLE withdrawn_firm (
    withdrawal_id uuid NOT NULL,
    recycler_id uuid NOT NULL,
    lost text[] NOT NULL
);

CREATE TABLE work_order (
    id uuid DEFAULT uuidv7() NOT NULL,
    kind text NOT NULL,
    pack_id uuid NOT NULL,
    line_id uuid NOT NULL,
    site_id uuid NOT NULL,
    why text NOT NULL,
    duty_id uuid,
    alarm_id uuid,
    from_on date NOT NULL,
    due_on date NOT NULL,
    depth_percent integer NOT NULL,
    state text NOT NULL,
    planned_at timestamp with time zone NOT NULL,
    assignee text,
    assigned_at timestamp with time zone,
    done_at timestamp with time zone,
    capacity_test_id uuid,
    result jsonb,
    cancelled_at timestamp with time zone,
    cancel_reason text,
    CONSTRAINT work_order_assigned CHECK ((((assignee IS NULL) = (assigned_at IS NULL)) AND ((state <> 'planned'::text) OR (assigned_at IS NULL)) AND ((state <> ALL (ARRAY['assigned'::text, 'done'::text])) OR (assigned_at IS NOT NULL)))),
    CONSTRAINT work_order_cancelled CHECK ((((state = 'cancelled'::text) = (cancelled_at IS NOT NULL)) AND ((state = 'cancelled'::text) = (cancel_reason IS NOT NULL)))),
    CONSTRAINT work_order_depth CHECK (((depth_percent >= 1) AND (depth_percent <= 100))),
    CONSTRAINT work_order_done CHECK ((((state = 'done'::text) = (done_at IS NOT NULL)) AND ((state = 'done'::text) = (capacity_test_id IS NOT NULL)) AND ((state = 'done'::text) = (result IS NOT NULL)))),
    CONSTRAINT work_order_kind CHECK ((kind = 'check_discharge'::text)),
    CONSTRAINT work_order_state CHECK ((state = ANY (ARRAY['planned'::text, 'assigned'::text, 'done'::text, 'cancelled'::text]))),
    CONSTRAINT work_order_why CHECK ((why = ANY (ARRAY['schedule'::text, 'inconclusive'::text, 'resistance'::text]))),
    CONSTRAINT work_order_why_inconclusive CHECK (((why = 'inconclusive'::text) = (duty_id IS NOT NULL))),
    CONSTRAINT work_order_why_resistance CHECK (((why = 'resistance'::text) = (alarm_id IS NOT NULL))),
    CONSTRAINT work_order_window CHECK ((from_on <= due_on))
);

CREATE TABLE working_day (
    day date NOT NULL,
    is_working boolean NOT NULL,
    ordinal integer NOT NULL,
    calendar text NOT NULL,
    is_published boolean NOT NULL
);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_id_line UNIQUE (id, line_id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_id_pack UNIQUE (id, pack_id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_identity UNIQUE (id, line_id, pack_id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_once UNIQUE (line_id, pack_id, accepted_on);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_pkey PRIMARY KEY (id);

ALTER TABLE ONLY account
    ADD CONSTRAINT account_name_en_once UNIQUE (name_en);

ALTER TABLE ONLY account
    ADD CONSTRAINT account_name_once UNIQUE (name);

ALTER TABLE ONLY account
    ADD CONSTRAINT account_pkey PRIMARY KEY (code);

ALTER TABLE ONLY accounting_period
    ADD CONSTRAINT accounting_period_once UNIQUE (month);

ALTER TABLE ONLY accounting_period
    ADD CONSTRAINT accounting_period_pkey PRIMARY KEY (id);

ALTER TABLE ONLY alarm_limits
    ADD CONSTRAINT alarm_limits_pkey PRIMARY KEY (id);

ALTER TABLE ONLY alarm_limits
    ADD CONSTRAINT alarm_limits_version_once UNIQUE (model, version);

ALTER TABLE ONLY alarm
    ADD CONSTRAINT alarm_pkey PRIMARY KEY (id);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_identity UNIQUE (id, receivable_id, source, amount);

ALTER TABLE ONLY allocation_order
    ADD CONSTRAINT allocation_order_pkey PRIMARY KEY (party_id);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_reversed_once UNIQUE (reverses_id);

ALTER TABLE ONLY ancillary_vat
    ADD CONSTRAINT ancillary_vat_once UNIQUE (from_on);

ALTER TABLE ONLY ancillary_vat
    ADD CONSTRAINT ancillary_vat_pkey PRIMARY KEY (id);

ALTER TABLE ONLY annual_report
    ADD CONSTRAINT annual_report_once PRIMARY KEY (recycler_id, year);

ALTER TABLE ONLY api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY api_key
    ADD CONSTRAINT api_key_prefix_once UNIQUE (prefix);

ALTER TABLE ONLY attachment_content
    ADD CONSTRAINT attachment_content_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY attachment
    ADD CONSTRAINT attachment_once UNIQUE (subject_id, held_sha256);

ALTER TABLE ONLY attachment
    ADD CONSTRAINT attachment_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_chunk
    ADD CONSTRAINT billing_chunk_once PRIMARY KEY (run_id, stage, number);

ALTER TABLE ONLY billing_hold
    ADD CONSTRAINT billing_hold_once PRIMARY KEY (run_id, line_id, code);

ALTER TABLE ONLY billing_item
    ADD CONSTRAINT billing_item_once PRIMARY KEY (run_id, contract_id);

ALTER TABLE ONLY billing_run
    ADD CONSTRAINT billing_run_once UNIQUE NULLS NOT DISTINCT (as_of, buyer_id);

ALTER TABLE ONLY billing_run
    ADD CONSTRAINT billing_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY billing_stage
    ADD CONSTRAINT billing_stage_once PRIMARY KEY (run_id, stage);

ALTER TABLE ONLY calendar_day
    ADD CONSTRAINT calendar_day_once PRIMARY KEY (calendar, day);

ALTER TABLE ONLY calendar_year
    ADD CONSTRAINT calendar_year_id UNIQUE (id);

ALTER TABLE ONLY calendar_year
    ADD CONSTRAINT calendar_year_once PRIMARY KEY (calendar, year);

ALTER TABLE ONLY capacity_test
    ADD CONSTRAINT capacity_test_pkey PRIMARY KEY (id);

ALTER TABLE ONLY capacity_test
    ADD CONSTRAINT capacity_test_report_once UNIQUE (pack_id, laboratory, report_number);

ALTER TABLE ONLY carrier_permit
    ADD CONSTRAINT carrier_permit_id UNIQUE (id);

ALTER TABLE ONLY carrier_permit
    ADD CONSTRAINT carrier_permit_one_at_a_time PRIMARY KEY (carrier_id, mode, goods_class, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_days_once EXCLUDE USING gist (line_id WITH =, component WITH =, during WITH &&) WHERE (((reverses_id IS NULL) AND (NOT is_reversed)));

ALTER TABLE ONLY charge_dispute
    ADD CONSTRAINT charge_dispute_fee_once UNIQUE (fee_id);

ALTER TABLE ONLY charge_dispute
    ADD CONSTRAINT charge_dispute_pkey PRIMARY KEY (id);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_pkey PRIMARY KEY (id);

ALTER TABLE ONLY clock
    ADD CONSTRAINT clock_pkey PRIMARY KEY (single);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_number_once UNIQUE (number);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_of_one_hazard UNIQUE (id, hazard);

ALTER TABLE ONLY consignment_pack
    ADD CONSTRAINT consignment_pack_pkey PRIMARY KEY (consignment_id, routing_id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_to_one_outlet UNIQUE (id, outlet_id);

ALTER TABLE ONLY contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (id);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_id_currency UNIQUE (id, currency);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_id_lessee UNIQUE (id, lessee_id);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_number_once UNIQUE (number);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_pkey PRIMARY KEY (id);

ALTER TABLE ONLY contract_revision
    ADD CONSTRAINT contract_revision_one_a_day UNIQUE (contract_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY contract_revision
    ADD CONSTRAINT contract_revision_pkey PRIMARY KEY (contract_id, number);

ALTER TABLE ONLY contract_term
    ADD CONSTRAINT contract_term_once PRIMARY KEY (contract_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY custody
    ADD CONSTRAINT custody_one_a_day PRIMARY KEY (pack_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY custom_choice
    ADD CONSTRAINT custom_choice_once PRIMARY KEY (field_id, choice);

ALTER TABLE ONLY custom_field
    ADD CONSTRAINT custom_field_identity UNIQUE (id, subject_kind, type);

ALTER TABLE ONLY custom_field
    ADD CONSTRAINT custom_field_key_once UNIQUE (subject_kind, key);

ALTER TABLE ONLY custom_field
    ADD CONSTRAINT custom_field_pkey PRIMARY KEY (id);

ALTER TABLE ONLY custom_value
    ADD CONSTRAINT custom_value_once PRIMARY KEY (field_id, subject_id);

ALTER TABLE ONLY deal_entry
    ADD CONSTRAINT deal_entry_once PRIMARY KEY (movement_id, material);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_identity UNIQUE (id, deal_id);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_reversed_once UNIQUE (reverses_id);

ALTER TABLE ONLY deal
    ADD CONSTRAINT deal_number_once UNIQUE (number);

ALTER TABLE ONLY deal
    ADD CONSTRAINT deal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deal_price
    ADD CONSTRAINT deal_price_once PRIMARY KEY (snapshot_id, material);

ALTER TABLE ONLY deal_snapshot
    ADD CONSTRAINT deal_snapshot_of_its_deal UNIQUE (id, deal_id);

ALTER TABLE ONLY deal_snapshot
    ADD CONSTRAINT deal_snapshot_once UNIQUE (deal_id, number);

ALTER TABLE ONLY deal_snapshot
    ADD CONSTRAINT deal_snapshot_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deal_term
    ADD CONSTRAINT deal_term_material_once UNIQUE (deal_id, material);

ALTER TABLE ONLY deal_term
    ADD CONSTRAINT deal_term_once PRIMARY KEY (deal_id, metal);

ALTER TABLE ONLY deposit
    ADD CONSTRAINT deposit_identity UNIQUE (contract_id, party_id, currency);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_identity UNIQUE (id, contract_id, kind, amount);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_reversed_once UNIQUE (reverses_id);

ALTER TABLE ONLY deposit
    ADD CONSTRAINT deposit_pkey PRIMARY KEY (contract_id);

ALTER TABLE ONLY disposition_band
    ADD CONSTRAINT disposition_band_one_at_a_time UNIQUE (permitted_use, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY disposition_band
    ADD CONSTRAINT disposition_band_pkey PRIMARY KEY (id);

ALTER TABLE ONLY disposition
    ADD CONSTRAINT disposition_identity UNIQUE (id, pack_id);

ALTER TABLE ONLY disposition
    ADD CONSTRAINT disposition_once_per_inspection UNIQUE (inspection_id);

ALTER TABLE ONLY disposition
    ADD CONSTRAINT disposition_pkey PRIMARY KEY (id);

ALTER TABLE ONLY domain_event
    ADD CONSTRAINT domain_event_in_sequence UNIQUE (aggregate_id, aggregate, sequence);

ALTER TABLE ONLY domain_event
    ADD CONSTRAINT domain_event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dunning_notice
    ADD CONSTRAINT dunning_notice_once UNIQUE (receivable_id, step_id);

ALTER TABLE ONLY dunning_notice
    ADD CONSTRAINT dunning_notice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dunning_pause
    ADD CONSTRAINT dunning_pause_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dunning_step
    ADD CONSTRAINT dunning_step_number_once UNIQUE (number);

ALTER TABLE ONLY dunning_step
    ADD CONSTRAINT dunning_step_pkey PRIMARY KEY (id);

ALTER TABLE ONLY duty
    ADD CONSTRAINT duty_pkey PRIMARY KEY (id);

ALTER TABLE ONLY einvoice_answer_file
    ADD CONSTRAINT einvoice_answer_file_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY einvoice_batch
    ADD CONSTRAINT einvoice_batch_name_once UNIQUE (name);

ALTER TABLE ONLY einvoice_batch
    ADD CONSTRAINT einvoice_batch_pkey PRIMARY KEY (id);

ALTER TABLE ONLY einvoice_item
    ADD CONSTRAINT einvoice_item_id UNIQUE (id);

ALTER TABLE ONLY einvoice_item
    ADD CONSTRAINT einvoice_item_pkey PRIMARY KEY (component);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_number_once UNIQUE (number);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY einvoice_quota
    ADD CONSTRAINT einvoice_quota_id UNIQUE (id);

ALTER TABLE ONLY einvoice_quota
    ADD CONSTRAINT einvoice_quota_pkey PRIMARY KEY (month);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_serial_once UNIQUE (serial);

ALTER TABLE ONLY event_subject
    ADD CONSTRAINT event_subject_once PRIMARY KEY (event_id, subject_id);

ALTER TABLE ONLY fee
    ADD CONSTRAINT fee_pkey PRIMARY KEY (id);

ALTER TABLE ONLY health_check
    ADD CONSTRAINT health_check_pkey PRIMARY KEY (id);

ALTER TABLE ONLY health_state
    ADD CONSTRAINT health_state_once PRIMARY KEY (pack_id, at, rank, ref);

ALTER TABLE ONLY idempotent_answer
    ADD CONSTRAINT idempotent_answer_once PRIMARY KEY (api_key_id, key);

ALTER TABLE ONLY incident
    ADD CONSTRAINT incident_identity UNIQUE (id, line_id, pack_id);

ALTER TABLE ONLY incident
    ADD CONSTRAINT incident_pkey PRIMARY KEY (id);

ALTER TABLE ONLY inspection_form
    ADD CONSTRAINT inspection_form_one_at_a_time UNIQUE (maker, model, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY inspection_form
    ADD CONSTRAINT inspection_form_pkey PRIMARY KEY (id);

ALTER TABLE ONLY inspection_form
    ADD CONSTRAINT inspection_form_version_once UNIQUE (maker, model, version);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_identity UNIQUE (id, pack_id);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_once UNIQUE (pack_id, inspected_on);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_pkey PRIMARY KEY (id);

ALTER TABLE ONLY interest_accrual
    ADD CONSTRAINT interest_accrual_once UNIQUE (invoice_id, month, correction);

ALTER TABLE ONLY interest_accrual
    ADD CONSTRAINT interest_accrual_pkey PRIMARY KEY (id);

ALTER TABLE ONLY interest_terms
    ADD CONSTRAINT interest_terms_once UNIQUE NULLS NOT DISTINCT (party_id, from_on);

ALTER TABLE ONLY interest_terms
    ADD CONSTRAINT interest_terms_pkey PRIMARY KEY (id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_credited_once UNIQUE (credits_id);

ALTER TABLE ONLY invoice_delivery
    ADD CONSTRAINT invoice_delivery_once PRIMARY KEY (invoice_id, channel);

ALTER TABLE ONLY invoice_document
    ADD CONSTRAINT invoice_document_pkey PRIMARY KEY (invoice_id);

ALTER TABLE ONLY invoice_lessee
    ADD CONSTRAINT invoice_lessee_once PRIMARY KEY (lessee_id, invoice_id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY invoice_series
    ADD CONSTRAINT invoice_series_once UNIQUE NULLS NOT DISTINCT (seller_id, series, year);

ALTER TABLE ONLY invoice_sum
    ADD CONSTRAINT invoice_sum_once PRIMARY KEY (invoice_id, kind, vat_mode, vat_percent);

ALTER TABLE ONLY invoice_vat
    ADD CONSTRAINT invoice_vat_once PRIMARY KEY (invoice_id, vat_percent);

ALTER TABLE ONLY job_parked
    ADD CONSTRAINT job_parked_once PRIMARY KEY (run_id, subject, subject_id);

ALTER TABLE ONLY job_run
    ADD CONSTRAINT job_run_once UNIQUE (job, as_of);

ALTER TABLE ONLY job_run
    ADD CONSTRAINT job_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journal_entry
    ADD CONSTRAINT journal_entry_once UNIQUE (source_id, source, event);

ALTER TABLE ONLY journal_entry
    ADD CONSTRAINT journal_entry_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lease_classification
    ADD CONSTRAINT lease_classification_once UNIQUE (contract_id, number);

ALTER TABLE ONLY lease_classification
    ADD CONSTRAINT lease_classification_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lease_component
    ADD CONSTRAINT lease_component_pkey PRIMARY KEY (line_id, classification_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_id_contract UNIQUE (id, contract_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_identity UNIQUE (id, contract_id, lessee_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lease_month
    ADD CONSTRAINT lease_month_once UNIQUE (contract_id, month);

ALTER TABLE ONLY lease_month
    ADD CONSTRAINT lease_month_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lease_plan
    ADD CONSTRAINT lease_plan_pkey PRIMARY KEY (line_id, number);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_one_a_day UNIQUE (line_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_pkey PRIMARY KEY (line_id, number);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_slot_once UNIQUE (contract_id, site_id, slot, during WITHOUT OVERLAPS);

ALTER TABLE ONLY listing_step
    ADD CONSTRAINT listing_step_in_sequence UNIQUE (recycler_id, sequence);

ALTER TABLE ONLY listing_step
    ADD CONSTRAINT listing_step_pkey PRIMARY KEY (id);

ALTER TABLE ONLY market_bin
    ADD CONSTRAINT market_bin_once PRIMARY KEY (run_id, "position");

ALTER TABLE ONLY market_explanation
    ADD CONSTRAINT market_explanation_pkey PRIMARY KEY (proposal_id);

ALTER TABLE ONLY market_need
    ADD CONSTRAINT market_need_pkey PRIMARY KEY (id);

ALTER TABLE ONLY market_offer
    ADD CONSTRAINT market_offer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY market_proposal
    ADD CONSTRAINT market_proposal_once UNIQUE (run_id, need_id);

ALTER TABLE ONLY market_proposal_pack
    ADD CONSTRAINT market_proposal_pack_once PRIMARY KEY (proposal_id, pack_id);

ALTER TABLE ONLY market_proposal
    ADD CONSTRAINT market_proposal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY market_run
    ADD CONSTRAINT market_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY market_unserved
    ADD CONSTRAINT market_unserved_once PRIMARY KEY (run_id, need_id);

ALTER TABLE ONLY meter_reading
    ADD CONSTRAINT meter_reading_pkey PRIMARY KEY (id);

ALTER TABLE ONLY migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY note
    ADD CONSTRAINT note_pkey PRIMARY KEY (id);

ALTER TABLE ONLY obligation_due_change
    ADD CONSTRAINT obligation_due_change_pkey PRIMARY KEY (id);

ALTER TABLE ONLY obligation_fault
    ADD CONSTRAINT obligation_fault_pkey PRIMARY KEY (id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_once UNIQUE (record_id, rule_id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY obligation_rule
    ADD CONSTRAINT obligation_rule_one_at_a_time UNIQUE (code, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY obligation_rule
    ADD CONSTRAINT obligation_rule_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outage
    ADD CONSTRAINT outage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_once_a_day UNIQUE (duty_id, overdue_on);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_once_a_discharge UNIQUE (site_id, discharge_started_at);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_pkey PRIMARY KEY (outage_id);

ALTER TABLE ONLY outlet
    ADD CONSTRAINT outlet_code_once UNIQUE (code);

ALTER TABLE ONLY outlet_duty
    ADD CONSTRAINT outlet_duty_id UNIQUE (id);

ALTER TABLE ONLY outlet_duty
    ADD CONSTRAINT outlet_duty_one_at_a_time PRIMARY KEY (outlet_id, party_id, role, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY outlet_firm
    ADD CONSTRAINT outlet_firm_id UNIQUE (id);

ALTER TABLE ONLY outlet_firm
    ADD CONSTRAINT outlet_firm_one_at_a_time PRIMARY KEY (outlet_id, recycler_id, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY outlet_limit
    ADD CONSTRAINT outlet_limit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outlet
    ADD CONSTRAINT outlet_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pack_code
    ADD CONSTRAINT pack_code_id PRIMARY KEY (id);

ALTER TABLE ONLY pack_code
    ADD CONSTRAINT pack_code_one_printed EXCLUDE USING gist (pack_id WITH =, valid WITH &&) WHERE (is_printed);

ALTER TABLE ONLY pack_origin
    ADD CONSTRAINT pack_origin_code_once UNIQUE (pack_id, code);

ALTER TABLE ONLY pack_origin
    ADD CONSTRAINT pack_origin_once UNIQUE (pack_id, origin_id);

ALTER TABLE ONLY pack_origin
    ADD CONSTRAINT pack_origin_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pack
    ADD CONSTRAINT pack_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pack_return
    ADD CONSTRAINT pack_return_identity UNIQUE (id, line_id, pack_id);

ALTER TABLE pack_return
    ADD CONSTRAINT pack_return_jointly_tested CHECK (((reason <> 'end_of_lease'::text) OR (ROW(tested_capacity_mah, lessor_signatory, lessee_signatory) IS NOT NULL))) NOT VALID;

ALTER TABLE ONLY pack_return
    ADD CONSTRAINT pack_return_once UNIQUE (line_id, pack_id, returned_on);

ALTER TABLE ONLY pack_return
    ADD CONSTRAINT pack_return_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pack_session
    ADD CONSTRAINT pack_session_once PRIMARY KEY (pack_id, started_at);

ALTER TABLE ONLY pack_telemetry
    ADD CONSTRAINT pack_telemetry_pkey PRIMARY KEY (pack_id);

ALTER TABLE ONLY pack_watch
    ADD CONSTRAINT pack_watch_pkey PRIMARY KEY (pack_id);

ALTER TABLE ONLY part
    ADD CONSTRAINT part_id_code UNIQUE (id, code);

ALTER TABLE ONLY part
    ADD CONSTRAINT part_identity UNIQUE (id, kind);

ALTER TABLE ONLY part
    ADD CONSTRAINT part_pkey PRIMARY KEY (id);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_part_once UNIQUE (part_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_pkey PRIMARY KEY (id);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_place UNIQUE (part_id, place_id, depth, during WITHOUT OVERLAPS);

ALTER TABLE ONLY party
    ADD CONSTRAINT party_credit_code_once UNIQUE (credit_code);

ALTER TABLE ONLY party
    ADD CONSTRAINT party_id_kind UNIQUE (id, kind);

ALTER TABLE ONLY party
    ADD CONSTRAINT party_identity UNIQUE (id, level, kind);

ALTER TABLE ONLY party
    ADD CONSTRAINT party_pkey PRIMARY KEY (id);

ALTER TABLE ONLY party_role
    ADD CONSTRAINT party_role_id UNIQUE (id);

ALTER TABLE ONLY party_role
    ADD CONSTRAINT party_role_one_at_a_time PRIMARY KEY (party_id, role, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY passport_declaration
    ADD CONSTRAINT passport_declaration_pkey PRIMARY KEY (id);

ALTER TABLE ONLY passport
    ADD CONSTRAINT passport_once UNIQUE (pack_id);

ALTER TABLE ONLY passport
    ADD CONSTRAINT passport_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payment
    ADD CONSTRAINT payment_identity UNIQUE (id, payer_id, currency);

ALTER TABLE ONLY payment
    ADD CONSTRAINT payment_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payment
    ADD CONSTRAINT payment_reference_once UNIQUE (payer_id, reference);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_line_once UNIQUE (line_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_pack_once UNIQUE (pack_id, during WITHOUT OVERLAPS);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_slot_once UNIQUE (site_id, slot, during WITHOUT OVERLAPS);

ALTER TABLE ONLY posting
    ADD CONSTRAINT posting_once PRIMARY KEY (entry_id, account, party_id);

ALTER TABLE ONLY prefecture
    ADD CONSTRAINT prefecture_pkey PRIMARY KEY (adcode);

ALTER TABLE ONLY price_index
    ADD CONSTRAINT price_index_pkey PRIMARY KEY (id);

ALTER TABLE ONLY price_plan
    ADD CONSTRAINT price_plan_code_once UNIQUE (code);

ALTER TABLE ONLY price_plan
    ADD CONSTRAINT price_plan_id_currency UNIQUE (id, currency);

ALTER TABLE ONLY price_plan
    ADD CONSTRAINT price_plan_pkey PRIMARY KEY (id);

ALTER TABLE ONLY price_plan_version
    ADD CONSTRAINT price_plan_version_id_currency UNIQUE (id, currency);

ALTER TABLE ONLY price_plan_version
    ADD CONSTRAINT price_plan_version_number_once UNIQUE (plan_id, number);

ALTER TABLE ONLY price_plan_version
    ADD CONSTRAINT price_plan_version_pkey PRIMARY KEY (id);

ALTER TABLE ONLY province_rule
    ADD CONSTRAINT province_rule_id UNIQUE (id);

ALTER TABLE ONLY province_rule
    ADD CONSTRAINT province_rule_one_at_a_time PRIMARY KEY (province_adcode, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY qualification
    ADD CONSTRAINT qualification_id UNIQUE (id);

ALTER TABLE ONLY qualification
    ADD CONSTRAINT qualification_one_at_a_time PRIMARY KEY (party_id, kind, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (id);

ALTER TABLE ONLY quote
    ADD CONSTRAINT quote_contract_once UNIQUE (contract_id);

ALTER TABLE ONLY quote
    ADD CONSTRAINT quote_pkey PRIMARY KEY (id);

ALTER TABLE ONLY reading_chunk
    ADD CONSTRAINT reading_chunk_once PRIMARY KEY (pack_id, first_at);

ALTER TABLE ONLY reading_flag
    ADD CONSTRAINT reading_flag_once PRIMARY KEY (pack_id, kind, quantity, from_at);

ALTER TABLE ONLY reading_hour
    ADD CONSTRAINT reading_hour_once PRIMARY KEY (pack_id, hour_at);

ALTER TABLE ONLY receivable
    ADD CONSTRAINT receivable_identity UNIQUE (id, party_id, currency);

ALTER TABLE ONLY receivable
    ADD CONSTRAINT receivable_pkey PRIMARY KEY (id);

ALTER TABLE ONLY recovery_batch
    ADD CONSTRAINT recovery_batch_number_once UNIQUE (recycler_id, number);

ALTER TABLE ONLY recovery_batch_pack
    ADD CONSTRAINT recovery_batch_pack_once UNIQUE (routing_id);

ALTER TABLE ONLY recovery_batch_pack
    ADD CONSTRAINT recovery_batch_pack_pkey PRIMARY KEY (batch_id, routing_id);

ALTER TABLE ONLY recovery_batch
    ADD CONSTRAINT recovery_batch_pkey PRIMARY KEY (id);

ALTER TABLE ONLY recovery_batch
    ADD CONSTRAINT recovery_certificate_number_once UNIQUE (recycler_id, certificate_number);

ALTER TABLE ONLY recovery_product
    ADD CONSTRAINT recovery_product_pkey PRIMARY KEY (batch_id, product);

ALTER TABLE ONLY recovery_rate
    ADD CONSTRAINT recovery_rate_pkey PRIMARY KEY (batch_id, metal);

ALTER TABLE ONLY recycler_notice
    ADD CONSTRAINT recycler_notice_once UNIQUE (recycler_id, subject, lapses_on, days);

ALTER TABLE ONLY recycler_notice
    ADD CONSTRAINT recycler_notice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY recycling_certificate
    ADD CONSTRAINT recycling_certificate_pkey PRIMARY KEY (routing_id);

ALTER TABLE ONLY red_letter
    ADD CONSTRAINT red_letter_pkey PRIMARY KEY (id);

ALTER TABLE ONLY red_letter
    ADD CONSTRAINT red_letter_serial_once UNIQUE (serial);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_identity UNIQUE (id, party_id, currency, amount);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_pkey PRIMARY KEY (id);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_reversed_once UNIQUE (reverses_id);

ALTER TABLE ONLY rendered_pdf
    ADD CONSTRAINT rendered_pdf_once PRIMARY KEY (sha256, language, template);

ALTER TABLE ONLY rerouting
    ADD CONSTRAINT rerouting_pkey PRIMARY KEY (id);

ALTER TABLE ONLY restatement
    ADD CONSTRAINT restatement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY return_order
    ADD CONSTRAINT return_order_identity UNIQUE (id, contract_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_once UNIQUE (order_id, line_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_pkey PRIMARY KEY (id);

ALTER TABLE ONLY return_order
    ADD CONSTRAINT return_order_pkey PRIMARY KEY (id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_identity UNIQUE (id, contract_id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_once UNIQUE (order_id);

ALTER TABLE ONLY return_settlement_order
    ADD CONSTRAINT return_settlement_order_once PRIMARY KEY (order_id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_identity UNIQUE (id, outlet_id, pack_id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_pkey PRIMARY KEY (id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_id UNIQUE (id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_once PRIMARY KEY (plan_id, pack_id);

ALTER TABLE ONLY routing_plan
    ADD CONSTRAINT routing_plan_once UNIQUE (input_sha256);

ALTER TABLE ONLY routing_plan
    ADD CONSTRAINT routing_plan_pkey PRIMARY KEY (id);

ALTER TABLE ONLY routing_terms
    ADD CONSTRAINT routing_terms_one_a_day UNIQUE (from_on);

ALTER TABLE ONLY routing_terms
    ADD CONSTRAINT routing_terms_pkey PRIMARY KEY (id);

ALTER TABLE ONLY safety_hold
    ADD CONSTRAINT safety_hold_once UNIQUE (quarantine_id, pack_id);

ALTER TABLE ONLY safety_hold
    ADD CONSTRAINT safety_hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY scrap_offer
    ADD CONSTRAINT scrap_offer_id UNIQUE (id);

ALTER TABLE ONLY scrap_offer
    ADD CONSTRAINT scrap_offer_one_at_a_time PRIMARY KEY (recycler_id, chemistry, disposition, valid WITHOUT OVERLAPS);

ALTER TABLE ONLY signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY site
    ADD CONSTRAINT site_code_once UNIQUE (party_id, code);

ALTER TABLE ONLY site_device
    ADD CONSTRAINT site_device_once PRIMARY KEY (code, part);

ALTER TABLE ONLY site_device
    ADD CONSTRAINT site_device_slot_once UNIQUE (site_id, slot);

ALTER TABLE ONLY site
    ADD CONSTRAINT site_id_party UNIQUE (id, party_id);

ALTER TABLE ONLY site
    ADD CONSTRAINT site_pkey PRIMARY KEY (id);

ALTER TABLE ONLY site_string
    ADD CONSTRAINT site_string_number_once PRIMARY KEY (site_id, number);

ALTER TABLE ONLY site_string
    ADD CONSTRAINT site_string_slot_once EXCLUDE USING gist (site_id WITH =, slots WITH &&);

ALTER TABLE ONLY site_tenancy
    ADD CONSTRAINT site_tenancy_one_a_day EXCLUDE USING gist (site_id WITH =, during WITH &&) WHERE ((is_current AND (NOT is_void)));

ALTER TABLE ONLY site_tenancy
    ADD CONSTRAINT site_tenancy_pkey PRIMARY KEY (id);

ALTER TABLE ONLY standby_slope
    ADD CONSTRAINT standby_slope_once PRIMARY KEY (pack_id);

ALTER TABLE ONLY subject
    ADD CONSTRAINT subject_identity UNIQUE (id, kind);

ALTER TABLE ONLY subject
    ADD CONSTRAINT subject_pkey PRIMARY KEY (id);

ALTER TABLE ONLY subject_tag
    ADD CONSTRAINT subject_tag_once PRIMARY KEY (subject_id, tag);

ALTER TABLE ONLY submission_item
    ADD CONSTRAINT submission_item_once PRIMARY KEY (submission_id, obligation_id);

ALTER TABLE ONLY submission
    ADD CONSTRAINT submission_pkey PRIMARY KEY (id);

ALTER TABLE ONLY test_rule
    ADD CONSTRAINT test_rule_once UNIQUE (site_class, valid_from);

ALTER TABLE ONLY test_rule
    ADD CONSTRAINT test_rule_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trace_head
    ADD CONSTRAINT trace_head_one_a_day UNIQUE (as_of);

ALTER TABLE ONLY trace_head
    ADD CONSTRAINT trace_head_pkey PRIMARY KEY (id);

ALTER TABLE ONLY trace_record
    ADD CONSTRAINT trace_record_in_sequence UNIQUE (pack_id, sequence);

ALTER TABLE ONLY trace_record
    ADD CONSTRAINT trace_record_pkey PRIMARY KEY (id);

ALTER TABLE ONLY transport_treatment
    ADD CONSTRAINT transport_treatment_pkey PRIMARY KEY (inspection_id);

ALTER TABLE ONLY treatment_capacity
    ADD CONSTRAINT treatment_capacity_pkey PRIMARY KEY (id);

ALTER TABLE ONLY unmatched_source
    ADD CONSTRAINT unmatched_source_once PRIMARY KEY (kind, value, part);

ALTER TABLE ONLY unread_message
    ADD CONSTRAINT unread_message_once UNIQUE (source, sha256);

ALTER TABLE ONLY unread_message
    ADD CONSTRAINT unread_message_pkey PRIMARY KEY (id);

ALTER TABLE ONLY withdrawal
    ADD CONSTRAINT withdrawal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY withdrawn_firm
    ADD CONSTRAINT withdrawn_firm_once PRIMARY KEY (withdrawal_id, recycler_id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_pkey PRIMARY KEY (id);

ALTER TABLE ONLY working_day
    ADD CONSTRAINT working_day_pkey PRIMARY KEY (day);

CREATE INDEX acceptance_by_pack ON acceptance USING btree (pack_id, accepted_on) INCLUDE (tested_capacity_mah);

CREATE INDEX alarm_by_holder ON alarm USING btree (holder_id, id) WHERE (holder_id IS NOT NULL);

CREATE INDEX alarm_by_pack ON alarm USING btree (pack_id, id);

CREATE UNIQUE INDEX alarm_one_open ON alarm USING btree (pack_id, kind, cell, code, serial) NULLS NOT DISTINCT WHERE (state <> 'closed'::text);

CREATE INDEX alarm_open ON alarm USING btree (severity, id) WHERE (state <> 'closed'::text);

CREATE INDEX alarm_to_repeat ON alarm USING btree (next_repeat_at, id) WHERE (state = 'raised'::text);

CREATE INDEX allocation_by_contract ON allocation USING btree (contract_id) WHERE (contract_id IS NOT NULL);

CREATE INDEX allocation_by_credit ON allocation USING btree (credit_id) WHERE (credit_id IS NOT NULL);

CREATE INDEX allocation_by_party ON allocation USING btree (party_id, id);

CREATE INDEX allocation_by_payment ON allocation USING btree (payment_id) WHERE (payment_id IS NOT NULL);

CREATE INDEX allocation_by_receivable ON allocation USING btree (receivable_id);

CREATE INDEX attachment_by_content ON attachment USING btree (held_sha256) WHERE (held_sha256 IS NOT NULL);

CREATE INDEX attachment_by_subject ON attachment USING btree (subject_id, id);

CREATE INDEX billing_chunk_pending ON billing_chunk USING btree (run_id, stage, number) WHERE (state = 'pending'::text);

CREATE INDEX billing_item_by_contract ON billing_item USING btree (contract_id, billing_on);

CREATE INDEX billing_item_by_invoice ON billing_item USING btree (invoice_id);

CREATE INDEX billing_item_trouble ON billing_item USING btree (run_id) WHERE (code IS NOT NULL);

CREATE INDEX capacity_test_by_pack ON capacity_test USING btree (pack_id, id);

CREATE INDEX capacity_test_full ON capacity_test USING btree (pack_id, tested_on, id) WHERE (capacity_mah IS NOT NULL);

CREATE INDEX charge_by_contract ON charge USING btree (contract_id);

CREATE INDEX charge_by_invoice ON charge USING btree (invoice_id, id);

CREATE INDEX charge_dispute_by_charge ON charge_dispute USING btree (charge_id);

CREATE UNIQUE INDEX charge_dispute_open_once ON charge_dispute USING btree (charge_id) WHERE (state = 'open'::text);

CREATE UNIQUE INDEX charge_fee_once ON charge USING btree (fee_id) WHERE ((reverses_id IS NULL) AND (NOT is_reversed));

CREATE UNIQUE INDEX charge_once ON charge USING btree (line_id, component, lower(during), revision) WHERE ((reverses_id IS NULL) AND (fee_id IS NULL));

CREATE UNIQUE INDEX charge_reversed_once ON charge USING btree (reverses_id) WHERE (reverses_id IS NOT NULL);

CREATE INDEX consignment_by_outlet ON consignment USING btree (outlet_id, id);

CREATE INDEX consignment_by_recycler ON consignment USING btree (recycler_id, id);

CREATE UNIQUE INDEX consignment_pack_in_one_lot ON consignment_pack USING btree (routing_id) WHERE (NOT is_let_go);

CREATE INDEX contact_by_party ON contact USING btree (party_id, id);

CREATE INDEX contract_by_lessee ON contract USING btree (lessee_id, id);

CREATE INDEX contract_revision_of_contract ON contract_revision USING btree (contract_id, lower(during)) INCLUDE (during, vat_mode, vat_percent, proration, last_stub, payment_days);

CREATE INDEX contract_term_of_contract ON contract_term USING btree (contract_id, lower(during)) INCLUDE (during);

CREATE INDEX custody_by_line ON custody USING btree (line_id, lower(during)) INCLUDE (pack_id, during) WHERE (state = 'leased'::text);

CREATE INDEX custom_value_by_subject ON custom_value USING btree (subject_id);

CREATE INDEX deal_by_recycler ON deal USING btree (recycler_id, id);

CREATE INDEX deal_entry_by_deal ON deal_entry USING btree (deal_id, material);

CREATE INDEX deal_movement_by_deal ON deal_movement USING btree (deal_id, id);

CREATE INDEX deposit_by_party ON deposit USING btree (party_id);

CREATE INDEX deposit_movement_by_contract ON deposit_movement USING btree (contract_id, id);

CREATE INDEX deposit_movement_by_party ON deposit_movement USING btree (party_id);

CREATE INDEX deposit_movement_by_payment ON deposit_movement USING btree (payment_id) WHERE (payment_id IS NOT NULL);

CREATE INDEX disposition_by_pack ON disposition USING btree (pack_id);

CREATE INDEX domain_event_in_order ON domain_event USING btree (xact, id);

CREATE INDEX dunning_notice_by_step ON dunning_notice USING btree (step_id);

CREATE INDEX dunning_pause_by_invoice ON dunning_pause USING btree (invoice_id);

CREATE INDEX dunning_pause_by_party ON dunning_pause USING btree (party_id);

CREATE INDEX duty_by_due ON duty USING btree (due_on, id) WHERE (closed_on IS NULL);

CREATE INDEX duty_by_line ON duty USING btree (line_id);

CREATE UNIQUE INDEX duty_one_open ON duty USING btree (pack_id, kind) WHERE (closed_on IS NULL);

CREATE INDEX einvoice_batch_unsent ON einvoice_batch USING btree (id) WHERE (sent_at IS NULL);

CREATE INDEX einvoice_by_batch ON einvoice USING btree (batch_id);

CREATE INDEX einvoice_by_day ON einvoice USING btree (created_at);

CREATE INDEX einvoice_by_invoice ON einvoice USING btree (invoice_id, id);

CREATE INDEX einvoice_by_state ON einvoice USING btree (state, id);

CREATE UNIQUE INDEX einvoice_once ON einvoice USING btree (invoice_id) WHERE ((red_letter_id IS NULL) AND (state <> 'rejected'::text));

CREATE UNIQUE INDEX einvoice_red_once ON einvoice USING btree (red_letter_id) WHERE (state <> 'rejected'::text);

CREATE INDEX einvoice_waiting ON einvoice USING btree (id) WHERE ((state = 'drafted'::text) AND (batch_id IS NULL));

CREATE INDEX event_subject_in_order ON event_subject USING btree (subject_id, happened_on, recorded_at, event_id);

CREATE INDEX fee_by_charge ON fee USING btree (charge_id) WHERE (charge_id IS NOT NULL);

CREATE INDEX fee_by_contract ON fee USING btree (contract_id);

CREATE UNIQUE INDEX fee_once ON fee USING btree (line_id, component, owed_on) WHERE (component <> 'adjustment'::text);

CREATE INDEX health_check_by_pack ON health_check USING btree (pack_id, as_of);

CREATE UNIQUE INDEX health_check_by_work_order ON health_check USING btree (work_order_id) WHERE (work_order_id IS NOT NULL);

CREATE INDEX health_check_estimates ON health_check USING btree (pack_id, as_of) INCLUDE (lower_mah) WHERE (lower_mah IS NOT NULL);

CREATE UNIQUE INDEX health_check_once ON health_check USING btree (pack_id, as_of) WHERE (work_order_id IS NULL);

CREATE INDEX health_state_tests ON health_state USING btree (pack_id, ref) WHERE (source = ANY (ARRAY['joint_test'::text, 'other_test'::text, 'standard_test'::text]));

CREATE INDEX idempotent_answer_by_age ON idempotent_answer USING btree (created_at);

CREATE INDEX incident_by_line ON incident USING btree (line_id, id);

CREATE UNIQUE INDEX incident_pack_lost_once ON incident USING btree (pack_id) WHERE ((kind = ANY (ARRAY['missing'::text, 'stolen'::text])) AND (found_on IS NULL));

CREATE INDEX inspection_by_lessee ON inspection USING btree (lessee_id, id);

CREATE INDEX inspection_by_pack ON inspection USING btree (pack_id, inspected_on);

CREATE INDEX inspection_failed ON inspection USING btree (pack_id) WHERE (NOT transport_passed);

CREATE INDEX interest_accrual_by_party ON interest_accrual USING btree (party_id, id);

CREATE INDEX invoice_by_buyer ON invoice USING btree (buyer_id, id);

CREATE INDEX invoice_by_run ON invoice USING btree (run_id, state);

CREATE UNIQUE INDEX invoice_draft_once ON invoice USING btree (run_id, seller_id, buyer_id, currency, missed_from) NULLS NOT DISTINCT WHERE ((state = 'draft'::text) AND (held_because IS NULL) AND (run_id IS NOT NULL));

CREATE INDEX invoice_lessee_by_invoice ON invoice_lessee USING btree (invoice_id);

CREATE UNIQUE INDEX invoice_number_once ON invoice USING btree (seller_id, number) NULLS NOT DISTINCT WHERE (number IS NOT NULL);

CREATE INDEX job_run_unfinished ON job_run USING btree (as_of, job) WHERE (state = ANY (ARRAY['due'::text, 'running'::text, 'failed'::text]));

CREATE INDEX journal_entry_by_day ON journal_entry USING btree (posted_on);

CREATE INDEX lease_component_by_classification ON lease_component USING btree (classification_id);

CREATE INDEX lease_line_by_contract ON lease_line USING btree (contract_id, id);

CREATE INDEX lease_line_to_bill ON lease_line USING btree (lessee_id, id) WHERE (started_on IS NOT NULL);

CREATE INDEX lease_plan_by_contract ON lease_plan USING btree (contract_id, line_id, number);

CREATE INDEX line_revision_by_contract ON line_revision USING btree (contract_id, line_id);

CREATE INDEX line_revision_by_plan ON line_revision USING btree (price_plan_version_id) WHERE (price_plan_version_id IS NOT NULL);

CREATE INDEX line_revision_by_site ON line_revision USING btree (site_id, slot);

CREATE INDEX line_revision_of_line ON line_revision USING btree (line_id, lower(during)) INCLUDE (during, site_id, rent_amount, suspended, price_plan_version_id);

CREATE INDEX line_revision_with_plan ON line_revision USING btree (contract_id) WHERE (price_plan_version_id IS NOT NULL);

CREATE UNIQUE INDEX market_need_accepted_once ON market_proposal USING btree (need_id) WHERE (state = 'accepted'::text);

CREATE INDEX market_need_by_lessee ON market_need USING btree (lessee_id, id);

CREATE INDEX market_need_open ON market_need USING btree (id) WHERE (state = 'open'::text);

CREATE UNIQUE INDEX market_offer_one_open ON market_offer USING btree (pack_id) WHERE (withdrawn_at IS NULL);

CREATE UNIQUE INDEX market_pack_reserved_once ON market_proposal_pack USING btree (pack_id) WHERE reserved;

CREATE INDEX market_proposal_by_need ON market_proposal USING btree (need_id, id);

CREATE INDEX market_proposal_open ON market_proposal USING btree (expires_at) WHERE (state = 'proposed'::text);

CREATE INDEX market_proposal_pack_by_line ON market_proposal_pack USING btree (line_id) WHERE (line_id IS NOT NULL);

CREATE INDEX market_unserved_by_need ON market_unserved USING btree (need_id);

CREATE INDEX meter_reading_by_pack ON meter_reading USING btree (pack_id, id);

CREATE UNIQUE INDEX meter_reading_once ON meter_reading USING btree (pack_id, measure, at) WHERE (is_current AND (NOT is_void));

CREATE INDEX note_by_subject ON note USING btree (subject_id, id);

CREATE INDEX obligation_by_due ON obligation USING btree (due_on, party_id) INCLUDE (state, submitted_on, is_provisional);

CREATE INDEX obligation_by_pack ON obligation USING btree (pack_id, id);

CREATE INDEX obligation_by_submission ON obligation USING btree (submission_id);

CREATE INDEX obligation_due_change_by_obligation ON obligation_due_change USING btree (obligation_id, id);

CREATE INDEX obligation_fault_by_obligation ON obligation_fault USING btree (obligation_id, id);

CREATE INDEX obligation_open ON obligation USING btree (due_on, id) WHERE (state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text]));

CREATE INDEX obligation_open_by_party ON obligation USING btree (party_id, due_on, id) WHERE (state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text]));

CREATE INDEX obligation_open_by_role ON obligation USING btree (role, due_on, id) WHERE (state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text]));

CREATE INDEX obligation_open_own ON obligation USING btree (due_on, id) WHERE ((state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text])) AND (party_id IS NULL));

CREATE INDEX obligation_open_own_by_role ON obligation USING btree (role, due_on, id) WHERE ((state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text])) AND (party_id IS NULL));

CREATE INDEX obligation_provisional ON obligation USING btree (id) WHERE is_provisional;

CREATE INDEX obligation_rule_by_event ON obligation_rule USING btree (event_kind) WHERE is_enabled;

CREATE INDEX obligation_to_escalate ON obligation USING btree (level, due_on) WHERE (state = ANY (ARRAY['due'::text, 'prepared'::text, 'rejected'::text, 'corrected'::text]));

CREATE INDEX obligation_to_prepare ON obligation USING btree (due_on, id) WHERE ((state = 'due'::text) AND (party_id IS NULL));

CREATE INDEX obligation_to_submit ON obligation USING btree (recipient, due_on, id) WHERE ((state = ANY (ARRAY['prepared'::text, 'corrected'::text])) AND (submission_id IS NULL) AND (party_id IS NULL));

CREATE INDEX outage_by_line ON outage USING gist (line_id, during) WHERE (is_current AND (NOT is_void));

CREATE INDEX outage_by_site ON outage USING gist (site_id, during) WHERE (is_current AND (NOT is_void));

CREATE INDEX outlet_by_prefecture ON outlet USING btree (adcode, code);

CREATE INDEX outlet_by_recycler ON outlet USING btree (recycler_id);

CREATE INDEX outlet_duty_by_party ON outlet_duty USING btree (party_id, role);

CREATE INDEX outlet_limit_in_force ON outlet_limit USING btree (outlet_id, valid_from DESC, id DESC);

CREATE INDEX pack_by_chemistry ON pack USING btree (chemistry, id);

CREATE INDEX pack_by_holder ON pack USING btree (holder_id, id, rated_capacity_mah, rated_voltage_mv, made_on) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_by_holder_chemistry ON pack USING btree (holder_id, chemistry, id) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_by_holder_maker ON pack USING btree (holder_id, maker, id, chemistry, state) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_by_holder_state ON pack USING btree (holder_id, state, id, chemistry) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_by_make ON pack USING btree (made_on, id);

CREATE INDEX pack_by_maker ON pack USING btree (maker, id, chemistry, state);

CREATE INDEX pack_by_rating ON pack USING btree (rated_capacity_mah, rated_voltage_mv, id);

CREATE INDEX pack_by_state ON pack USING btree (state, id);

CREATE INDEX pack_code_by_code ON pack_code USING btree (code);

CREATE INDEX pack_code_by_holder ON pack_code USING btree (holder_id, code) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_code_current ON pack_code USING btree (pack_id) WHERE is_current;

CREATE UNIQUE INDEX pack_code_once ON pack_code USING btree (code) WHERE (scheme = ANY (ARRAY['gbt34014'::text, 'gbt34014_cascade'::text, 'gbt45565'::text]));

CREATE UNIQUE INDEX pack_code_once_per_pack ON pack_code USING btree (pack_id, code, scheme);

CREATE UNIQUE INDEX pack_code_serial_once ON pack_code USING btree (code, lower(assigned_by)) WHERE (scheme = 'maker_serial'::text);

CREATE INDEX pack_condemned ON pack USING btree (id) WHERE (state = 'condemned'::text);

CREATE INDEX pack_origin_by_code ON pack_origin USING btree (code) WHERE (code IS NOT NULL);

CREATE INDEX pack_origin_by_holder ON pack_origin USING btree (holder_id, code) WHERE (holder_id IS NOT NULL);

CREATE INDEX pack_origin_by_origin ON pack_origin USING btree (origin_id) WHERE (origin_id IS NOT NULL);

CREATE INDEX pack_return_by_pack ON pack_return USING btree (pack_id, returned_on);

CREATE INDEX pack_telemetry_to_evaluate ON pack_telemetry USING btree (pack_id) WHERE (unevaluated_from IS NOT NULL);

CREATE INDEX pack_telemetry_to_seal ON pack_telemetry USING btree (pack_id) WHERE (unsealed_from IS NOT NULL);

CREATE INDEX part_by_code ON part USING btree (code);

CREATE UNIQUE INDEX part_code_once ON part USING btree (code) WHERE (scheme = ANY (ARRAY['gbt34014'::text, 'gbt34014_cascade'::text, 'gbt45565'::text]));

CREATE UNIQUE INDEX part_serial_once ON part USING btree (code, lower(assigned_by)) WHERE (scheme = 'maker_serial'::text);

CREATE INDEX part_stay_by_code ON part_stay USING btree (code) WHERE (pack_id IS NOT NULL);

CREATE INDEX part_stay_by_holder ON part_stay USING btree (holder_id, code) WHERE (holder_id IS NOT NULL);

CREATE INDEX part_stay_by_module ON part_stay USING btree (within_id) WHERE (within_id IS NOT NULL);

CREATE INDEX part_stay_by_pack ON part_stay USING btree (pack_id);

CREATE INDEX part_stay_by_part ON part_stay USING btree (part_id);

CREATE INDEX part_stay_in_pack ON part_stay USING btree (pack_id, within_id) WHERE upper_inf(during);

CREATE INDEX party_by_billing_party ON party USING btree (billing_party_id);

CREATE INDEX party_by_name ON party USING gin (pieces(names)) WITH (fastupdate=off);

CREATE INDEX party_by_parent ON party USING btree (parent_id, id);

CREATE UNIQUE INDEX party_one_lessor ON party USING btree (kind) WHERE (kind = 'lessor'::text);

CREATE INDEX passport_declaration_of_alike ON passport_declaration USING btree (maker, rated_voltage_mv, rated_capacity_mah) WHERE (scope = 'model'::text);

CREATE INDEX passport_declaration_of_one ON passport_declaration USING btree (pack_id) WHERE (pack_id IS NOT NULL);

CREATE INDEX payment_by_payer ON payment USING btree (payer_id, id);

CREATE INDEX payment_with_credit ON payment USING btree (payer_id, currency, received_on) WHERE (unallocated_amount > 0);

CREATE INDEX placement_by_line ON placement USING btree (line_id);

CREATE INDEX placement_by_pack ON placement USING btree (pack_id);

CREATE INDEX placement_of_line ON placement USING btree (line_id, lower(during)) INCLUDE (pack_id, during);

CREATE INDEX posting_by_party ON posting USING btree (party_id, entry_id);

CREATE UNIQUE INDEX price_index_once ON price_index USING btree (series, month) WHERE (is_current AND (NOT is_void));

CREATE INDEX quarantine_by_alarm ON quarantine USING btree (alarm_id);

CREATE INDEX quarantine_by_pack ON quarantine USING btree (pack_id, id);

CREATE UNIQUE INDEX quarantine_one_open ON quarantine USING btree (pack_id) WHERE (released_at IS NULL);

CREATE INDEX quote_by_lessee ON quote USING btree (lessee_id, id);

CREATE INDEX receivable_by_change ON receivable USING btree (changed_on);

CREATE INDEX receivable_by_invoice ON receivable USING btree (invoice_id);

CREATE INDEX receivable_by_party ON receivable USING btree (party_id, id);

CREATE INDEX receivable_interest ON receivable USING btree (id) WHERE ((kind = 'invoice'::text) AND (amount > 0) AND (NOT interest_settled));

CREATE INDEX receivable_open_by_party ON receivable USING btree (party_id, currency, due_on) WHERE (open_amount <> 0);

CREATE INDEX receivable_overdue ON receivable USING btree (id) WHERE ((kind = 'invoice'::text) AND (open_amount > 0));

CREATE INDEX recovery_batch_below_floor ON recovery_batch USING btree (recycler_id, id) WHERE is_below_floor;

CREATE INDEX red_letter_by_batch ON red_letter USING btree (batch_id);

CREATE INDEX red_letter_by_einvoice ON red_letter USING btree (einvoice_id, id);

CREATE UNIQUE INDEX red_letter_once ON red_letter USING btree (einvoice_id, credit_note_id) WHERE (state <> ALL (ARRAY['refused'::text, 'lapsed'::text, 'revoked'::text]));

CREATE INDEX red_letter_waiting ON red_letter USING btree (id) WHERE ((state = 'drafted'::text) AND (batch_id IS NULL));

CREATE INDEX refund_by_credit ON refund USING btree (credit_id) WHERE (credit_id IS NOT NULL);

CREATE INDEX refund_by_party ON refund USING btree (party_id, id);

CREATE INDEX refund_by_payment ON refund USING btree (payment_id) WHERE (payment_id IS NOT NULL);

CREATE UNIQUE INDEX refund_reference_once ON refund USING btree (party_id, reference) WHERE (reverses_id IS NULL);

CREATE INDEX rendered_pdf_by_age ON rendered_pdf USING btree (created_at);

CREATE INDEX restatement_open ON restatement USING btree (line_id) WHERE (NOT settled);

CREATE INDEX return_order_by_contract ON return_order USING btree (contract_id, id);

CREATE INDEX return_order_by_lessee ON return_order USING btree (lessee_id, id);

CREATE INDEX return_order_item_by_line ON return_order_item USING btree (line_id);

CREATE INDEX return_order_item_by_pack ON return_order_item USING btree (pack_id);

CREATE UNIQUE INDEX return_order_item_line_once ON return_order_item USING btree (line_id) WHERE is_open;

CREATE INDEX return_settlement_by_lessee ON return_settlement USING btree (lessee_id, id);

CREATE INDEX return_settlement_order_by_settlement ON return_settlement_order USING btree (settlement_id);

CREATE INDEX routing_by_outlet ON routing USING btree (outlet_id, state);

CREATE INDEX routing_by_recycler ON routing USING btree (recycler_id, state);

CREATE INDEX routing_expiring ON routing USING btree (expires_at) WHERE (state = 'reserved'::text);

CREATE UNIQUE INDEX routing_one_per_pack ON routing USING btree (pack_id) WHERE (state <> 'released'::text);

CREATE INDEX routing_open_by_day ON routing USING btree (hand_over_on, recycler_id) WHERE (state = 'reserved'::text);

CREATE INDEX routing_plan_item_by_place ON routing_plan_item USING btree (plan_id, state, adcode);

CREATE INDEX safety_hold_open ON safety_hold USING btree (pack_id) WHERE (released_at IS NULL);

CREATE UNIQUE INDEX site_vin_once ON site USING btree (vin) WHERE (left_on IS NULL);

CREATE INDEX standby_slope_by_chemistry ON standby_slope USING btree (chemistry, mv_per_day);

CREATE INDEX subject_tag_by_tag ON subject_tag USING btree (tag, subject_id);

CREATE INDEX submission_item_by_obligation ON submission_item USING btree (obligation_id);

CREATE INDEX submission_under_way ON submission USING btree (state, recipient, id) WHERE (state = ANY (ARRAY['made'::text, 'sent'::text]));

CREATE UNIQUE INDEX trace_record_corrected_once ON trace_record USING btree (corrects_id) WHERE (corrects_id IS NOT NULL);

CREATE INDEX treatment_capacity_by_recycler ON treatment_capacity USING btree (recycler_id);

CREATE INDEX unmatched_source_by_last_seen ON unmatched_source USING btree (last_seen_at DESC, kind, value, part);

CREATE INDEX unread_message_by_time ON unread_message USING btree (received_at);

CREATE INDEX withdrawn_firm_by_recycler ON withdrawn_firm USING btree (recycler_id);

CREATE INDEX work_order_by_duty ON work_order USING btree (duty_id) WHERE (duty_id IS NOT NULL);

CREATE INDEX work_order_by_pack ON work_order USING btree (pack_id, id);

CREATE INDEX work_order_by_site ON work_order USING btree (site_id, id);

CREATE UNIQUE INDEX work_order_one_open ON work_order USING btree (pack_id, kind) WHERE (state = ANY (ARRAY['planned'::text, 'assigned'::text]));

CREATE UNIQUE INDEX working_day_ordinal ON working_day USING btree (ordinal) WHERE is_working;

CREATE TRIGGER alarm_limits_append_only BEFORE DELETE OR UPDATE ON alarm_limits FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER allocation_append_only BEFORE DELETE OR UPDATE ON allocation FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER allocation_counts AFTER INSERT ON allocation FOR EACH ROW EXECUTE FUNCTION count_allocation();

CREATE TRIGGER ancillary_vat_append_only BEFORE DELETE OR UPDATE ON ancillary_vat FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER annual_report_append_only BEFORE DELETE OR UPDATE ON annual_report FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER attachment_append_only BEFORE DELETE OR UPDATE ON attachment FOR EACH ROW EXECUTE FUNCTION refuse_change_except('removed_at', 'removed_by', 'removal_reason', 'held_sha256');

CREATE TRIGGER capacity_test_append_only BEFORE DELETE OR UPDATE ON capacity_test FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER capacity_test_restates AFTER INSERT ON capacity_test FOR EACH ROW WHEN ((new.depth_percent = 100)) EXECUTE FUNCTION note_tests_restated();

CREATE TRIGGER charge_append_only BEFORE DELETE OR UPDATE ON charge FOR EACH ROW EXECUTE FUNCTION refuse_change_of_charge();

CREATE TRIGGER charge_on_open_invoice AFTER INSERT ON charge REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_charge_on_final_invoice();

CREATE TRIGGER clock_never_goes_back BEFORE UPDATE ON clock FOR EACH ROW EXECUTE FUNCTION refuse_clock_going_back();

CREATE TRIGGER consignment_leaves_fit BEFORE UPDATE OF state ON consignment FOR EACH ROW WHEN (((new.state = 'dispatched'::text) AND (old.state <> 'dispatched'::text))) EXECUTE FUNCTION refuse_unfit_lot();

CREATE TRIGGER consignment_pack_only_of_fit BEFORE INSERT ON consignment_pack FOR EACH ROW EXECUTE FUNCTION refuse_unfit_for_transport();

CREATE TRIGGER contract_revision_changes AFTER UPDATE ON contract_revision FOR EACH ROW WHEN (((((((((((old.vat_mode IS DISTINCT FROM new.vat_mode) OR (old.vat_percent IS DISTINCT FROM new.vat_percent)) OR (old.billing_alignment IS DISTINCT FROM new.billing_alignment)) OR (old.billing_timing IS DISTINCT FROM new.billing_timing)) OR (old.billing_frequency IS DISTINCT FROM new.billing_frequency)) OR (old.billing_day IS DISTINCT FROM new.billing_day)) OR (old.billing_anchor_on IS DISTINCT FROM new.billing_anchor_on)) OR (old.billing_end_of_month IS DISTINCT FROM new.billing_end_of_month)) OR (old.proration IS DISTINCT FROM new.proration)) OR (old.return_day IS DISTINCT FROM new.return_day))) EXECUTE FUNCTION note_terms_restated();

CREATE TRIGGER contract_revision_restates AFTER INSERT ON contract_revision FOR EACH ROW WHEN ((new.number > 1)) EXECUTE FUNCTION note_terms_restated();

CREATE TRIGGER deal_accepted_before_expiry BEFORE UPDATE ON deal FOR EACH ROW EXECUTE FUNCTION refuse_bad_acceptance();

CREATE TRIGGER deal_closed_when_settled BEFORE UPDATE OF state ON deal FOR EACH ROW WHEN ((new.state = 'closed'::text)) EXECUTE FUNCTION refuse_closing_what_is_open();

CREATE TRIGGER deal_entry_append_only BEFORE DELETE OR UPDATE ON deal_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deal_entry_judged AFTER INSERT ON deal_entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION judge_entries();

CREATE TRIGGER deal_movement_append_only BEFORE DELETE OR UPDATE ON deal_movement FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deal_price_append_only BEFORE DELETE OR UPDATE ON deal_price FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deal_price_while_offered BEFORE INSERT ON deal_price FOR EACH ROW EXECUTE FUNCTION refuse_price_of_accepted();

CREATE TRIGGER deal_reversal_mirrors_vat BEFORE INSERT ON deal_movement FOR EACH ROW WHEN ((new.kind = 'reversal'::text)) EXECUTE FUNCTION mirror_vat();

CREATE TRIGGER deal_snapshot_append_only BEFORE DELETE OR UPDATE ON deal_snapshot FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deal_snapshot_while_offered BEFORE INSERT ON deal_snapshot FOR EACH ROW EXECUTE FUNCTION refuse_revaluation();

CREATE TRIGGER deal_term_append_only BEFORE DELETE OR UPDATE ON deal_term FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deposit_movement_append_only BEFORE DELETE OR UPDATE ON deposit_movement FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER deposit_movement_counts AFTER INSERT ON deposit_movement FOR EACH ROW EXECUTE FUNCTION count_deposit_movement();

CREATE TRIGGER deposit_posted_in_order BEFORE UPDATE OF changed_on ON deposit FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();

CREATE TRIGGER domain_event_append_only BEFORE DELETE OR UPDATE ON domain_event FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER domain_event_notes_subjects AFTER INSERT ON domain_event REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_subjects();

CREATE TRIGGER dunning_notice_append_only BEFORE DELETE OR UPDATE ON dunning_notice FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER event_subject_append_only BEFORE DELETE OR UPDATE ON event_subject FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER fee_append_only BEFORE DELETE OR UPDATE ON fee FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER interest_accrual_append_only BEFORE DELETE OR UPDATE ON interest_accrual FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER interest_terms_append_only BEFORE DELETE OR UPDATE ON interest_terms FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoice_document_append_only BEFORE DELETE OR UPDATE ON invoice_document FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoice_drafted_is_owed AFTER INSERT ON invoice REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_receivables();

CREATE TRIGGER invoice_final_is_immutable BEFORE DELETE OR UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION refuse_change_of_final_invoice();

CREATE TRIGGER invoice_final_is_owed AFTER UPDATE ON invoice REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_receivables();

CREATE TRIGGER invoice_final_names_lessees AFTER UPDATE ON invoice REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_lessees();

CREATE TRIGGER invoice_lessee_append_only BEFORE DELETE OR UPDATE ON invoice_lessee FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoice_sum_of_a_draft BEFORE DELETE OR UPDATE ON invoice_sum FOR EACH ROW EXECUTE FUNCTION refuse_sum_of_final_invoice();

CREATE TRIGGER invoice_vat_append_only BEFORE DELETE OR UPDATE ON invoice_vat FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER journal_entry_append_only BEFORE DELETE OR UPDATE ON journal_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER lease_classification_append_only BEFORE DELETE OR UPDATE ON lease_classification FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER lease_component_append_only BEFORE DELETE OR UPDATE ON lease_component FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER lease_month_append_only BEFORE DELETE OR UPDATE ON lease_month FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER lease_plan_append_only BEFORE DELETE OR UPDATE ON lease_plan FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER line_revision_changes AFTER UPDATE ON line_revision FOR EACH ROW WHEN (((((old.rent_amount IS DISTINCT FROM new.rent_amount) OR (old.suspended IS DISTINCT FROM new.suspended)) OR (old.site_id IS DISTINCT FROM new.site_id)) OR (old.price_plan_version_id IS DISTINCT FROM new.price_plan_version_id))) EXECUTE FUNCTION note_revision_restated();

CREATE TRIGGER line_revision_restates AFTER INSERT ON line_revision FOR EACH ROW WHEN ((new.number > 1)) EXECUTE FUNCTION note_stay_restated();

CREATE TRIGGER listing_step_append_only BEFORE DELETE OR UPDATE ON listing_step FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER market_pack_reserved BEFORE INSERT ON placement FOR EACH ROW EXECUTE FUNCTION keep_market_reservation();

CREATE TRIGGER market_run_append_only BEFORE DELETE OR UPDATE ON market_run FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER meter_reading_append_only BEFORE DELETE OR UPDATE ON meter_reading FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();

CREATE TRIGGER meter_reading_restates AFTER INSERT ON meter_reading FOR EACH ROW EXECUTE FUNCTION note_readings_restated();

CREATE TRIGGER meter_reading_supersedes BEFORE INSERT ON meter_reading FOR EACH ROW WHEN ((new.supersedes_id IS NOT NULL)) EXECUTE FUNCTION supersede_fact();

CREATE TRIGGER note_append_only BEFORE DELETE OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION refuse_change_except('struck_at', 'struck_by', 'strike_reason');

CREATE TRIGGER obligation_due_change_append_only BEFORE DELETE OR UPDATE ON obligation_due_change FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER outage_append_only BEFORE DELETE OR UPDATE ON outage FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();

CREATE TRIGGER outage_restates AFTER INSERT ON outage FOR EACH ROW EXECUTE FUNCTION note_outages_restated();

CREATE TRIGGER outage_supersedes BEFORE INSERT ON outage FOR EACH ROW WHEN ((new.supersedes_id IS NOT NULL)) EXECUTE FUNCTION supersede_fact();

CREATE TRIGGER outlet_changed AFTER INSERT OR DELETE OR UPDATE OF kind, adcode, longitude, latitude, recycler_id, chemistries, hazards, store_limit_kg, store_days, closed_from ON outlet FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER outlet_firm_changed AFTER INSERT OR DELETE OR UPDATE ON outlet_firm FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER outlet_limit_append_only BEFORE DELETE OR UPDATE ON outlet_limit FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER outlet_store_limit AFTER UPDATE ON outlet FOR EACH ROW WHEN (((((new.stock_kg + new.reserved_kg) + new.in_transit_kg) > new.store_limit_kg) AND (((new.stock_kg + new.reserved_kg) + new.in_transit_kg) > ((old.stock_kg + old.reserved_kg) + old.in_transit_kg)))) EXECUTE FUNCTION refuse_more_than_stored();

CREATE TRIGGER outlet_store_limit_at_first AFTER INSERT ON outlet FOR EACH ROW WHEN ((((new.stock_kg + new.reserved_kg) + new.in_transit_kg) > new.store_limit_kg)) EXECUTE FUNCTION refuse_more_than_stored();

CREATE TRIGGER pack_code_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON pack_code FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();

CREATE TRIGGER pack_not_sold_from_quarantine BEFORE UPDATE OF state ON pack FOR EACH ROW WHEN (((new.state = 'sold'::text) AND (old.state <> 'sold'::text))) EXECUTE FUNCTION refuse_quarantined_sale();

CREATE TRIGGER pack_origin_never_circular AFTER INSERT OR UPDATE ON pack_origin FOR EACH ROW WHEN ((new.origin_id IS NOT NULL)) EXECUTE FUNCTION refuse_origin_circle();

CREATE TRIGGER pack_origin_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON pack_origin FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();

CREATE TRIGGER pack_return_not_of_quarantined BEFORE INSERT ON pack_return FOR EACH ROW WHEN ((new.reason <> ALL (ARRAY['found'::text, 'burnt'::text]))) EXECUTE FUNCTION refuse_quarantined();

CREATE TRIGGER part_stay_takes_code BEFORE INSERT OR UPDATE OF part_id ON part_stay FOR EACH ROW EXECUTE FUNCTION take_code_of_part();

CREATE TRIGGER part_stay_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON part_stay FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();

CREATE TRIGGER passport_append_only BEFORE DELETE OR UPDATE ON passport FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER passport_declaration_append_only BEFORE DELETE OR UPDATE ON passport_declaration FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER payment_fixed BEFORE DELETE OR UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION refuse_change_of_payment();

CREATE TRIGGER payment_posted_in_order BEFORE UPDATE OF changed_on ON payment FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();

CREATE TRIGGER placement_names_holder AFTER INSERT OR DELETE OR UPDATE ON placement FOR EACH ROW EXECUTE FUNCTION note_holder();

CREATE TRIGGER placement_not_of_held BEFORE INSERT ON placement FOR EACH ROW EXECUTE FUNCTION refuse_held();

CREATE TRIGGER placement_not_of_quarantined BEFORE INSERT OR UPDATE OF pack_id, site_id, slot ON placement FOR EACH ROW EXECUTE FUNCTION refuse_quarantined();

CREATE TRIGGER placement_restates AFTER INSERT OR UPDATE ON placement FOR EACH ROW EXECUTE FUNCTION note_stay_restated();

CREATE TRIGGER posting_append_only BEFORE DELETE OR UPDATE ON posting FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER posting_entry_balances AFTER INSERT ON posting REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries();

CREATE TRIGGER posting_month_open AFTER INSERT ON posting REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_posting_in_closed_month();

CREATE TRIGGER price_index_append_only BEFORE DELETE OR UPDATE ON price_index FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();

CREATE TRIGGER price_index_supersedes BEFORE INSERT ON price_index FOR EACH ROW WHEN ((new.supersedes_id IS NOT NULL)) EXECUTE FUNCTION supersede_fact();

CREATE TRIGGER price_plan_version_immutable BEFORE DELETE OR UPDATE ON price_plan_version FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();

CREATE TRIGGER qualification_changed AFTER INSERT OR DELETE OR UPDATE ON qualification FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER quote_fixed BEFORE DELETE OR UPDATE ON quote FOR EACH ROW EXECUTE FUNCTION refuse_change_of_quote();

CREATE TRIGGER receivable_fixed BEFORE DELETE OR UPDATE ON receivable FOR EACH ROW EXECUTE FUNCTION refuse_change_of_receivable();

CREATE TRIGGER receivable_posted_in_order BEFORE UPDATE OF changed_on ON receivable FOR EACH ROW EXECUTE FUNCTION refuse_earlier_posting();

CREATE TRIGGER recovery_certificate_is_final BEFORE DELETE OR UPDATE ON recovery_batch FOR EACH ROW WHEN ((old.state = 'certified'::text)) EXECUTE FUNCTION refuse_change_of_certificate();

CREATE TRIGGER recovery_product_append_only BEFORE DELETE OR UPDATE ON recovery_product FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER recovery_rate_append_only BEFORE DELETE OR UPDATE ON recovery_rate FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER recycler_notice_append_only BEFORE DELETE OR UPDATE ON recycler_notice FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER refund_append_only BEFORE DELETE OR UPDATE ON refund FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER refund_counts AFTER INSERT ON refund FOR EACH ROW EXECUTE FUNCTION count_refund();

CREATE TRIGGER return_settlement_append_only BEFORE DELETE OR UPDATE ON return_settlement FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER return_settlement_order_append_only BEFORE DELETE OR UPDATE ON return_settlement_order FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER routing_not_of_a_lot BEFORE UPDATE OF state ON routing FOR EACH ROW WHEN ((new.state = ANY (ARRAY['handed_over'::text, 'released'::text]))) EXECUTE FUNCTION refuse_consigned();

CREATE TRIGGER routing_not_of_quarantined BEFORE UPDATE OF state ON routing FOR EACH ROW WHEN ((new.state = 'handed_over'::text)) EXECUTE FUNCTION refuse_quarantined();

CREATE TRIGGER routing_only_of_fit BEFORE INSERT ON routing FOR EACH ROW EXECUTE FUNCTION refuse_unfit_for_transport();

CREATE TRIGGER routing_stays_of_fit BEFORE UPDATE OF state ON routing FOR EACH ROW WHEN (((new.state = 'handed_over'::text) AND (old.state <> 'handed_over'::text))) EXECUTE FUNCTION refuse_unfit_for_transport();

CREATE TRIGGER routing_to_an_open_outlet AFTER INSERT ON routing REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_routing_to_closed_outlet();

CREATE TRIGGER scrap_offer_changed AFTER INSERT OR DELETE OR UPDATE ON scrap_offer FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER signing_key_append_only BEFORE DELETE OR UPDATE ON signing_key FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER site_tenancy_append_only BEFORE DELETE OR UPDATE ON site_tenancy FOR EACH ROW EXECUTE FUNCTION refuse_change_of_fact();

CREATE TRIGGER site_tenancy_restates AFTER INSERT ON site_tenancy FOR EACH ROW EXECUTE FUNCTION note_tenancies_restated();

CREATE TRIGGER site_tenancy_supersedes BEFORE INSERT ON site_tenancy FOR EACH ROW WHEN ((new.supersedes_id IS NOT NULL)) EXECUTE FUNCTION supersede_fact();

CREATE TRIGGER test_rule_append_only BEFORE DELETE OR UPDATE ON test_rule FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER trace_head_append_only BEFORE DELETE OR UPDATE ON trace_head FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER trace_record_append_only BEFORE DELETE OR UPDATE ON trace_record FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER trace_record_fills_in_links BEFORE INSERT ON trace_record FOR EACH ROW WHEN ((new.hash IS NULL)) EXECUTE FUNCTION link_record();

ALTER TABLE trace_record ENABLE ALWAYS TRIGGER trace_record_fills_in_links;

CREATE TRIGGER trace_record_linked AFTER INSERT ON trace_record REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unlinked();

CREATE TRIGGER trace_record_takes_custody AFTER INSERT ON trace_record FOR EACH ROW EXECUTE FUNCTION note_custody();

CREATE TRIGGER transport_treatment_append_only BEFORE DELETE OR UPDATE ON transport_treatment FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER treatment_capacity_changed AFTER INSERT OR DELETE OR UPDATE OF chemistries, valid, longitude, latitude, capacity_kg ON treatment_capacity FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER unread_message_append_only BEFORE UPDATE ON unread_message FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER withdrawal_append_only BEFORE DELETE OR UPDATE ON withdrawal FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER withdrawn_firm_append_only BEFORE DELETE OR UPDATE ON withdrawn_firm FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_of_the_contract FOREIGN KEY (line_id, contract_id) REFERENCES lease_line(id, contract_id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY acceptance
    ADD CONSTRAINT acceptance_within_term FOREIGN KEY (contract_id, PERIOD accepted) REFERENCES contract_term(contract_id, PERIOD during);

ALTER TABLE ONLY alarm
    ADD CONSTRAINT alarm_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES party(id);

ALTER TABLE ONLY alarm
    ADD CONSTRAINT alarm_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_from_its_credit FOREIGN KEY (credit_id, party_id, currency) REFERENCES receivable(id, party_id, currency);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_from_its_deposit FOREIGN KEY (contract_id, party_id, currency) REFERENCES deposit(contract_id, party_id, currency);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_from_its_payer FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment(id, payer_id, currency);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_of_the_party FOREIGN KEY (receivable_id, party_id, currency) REFERENCES receivable(id, party_id, currency);

ALTER TABLE ONLY allocation_order
    ADD CONSTRAINT allocation_order_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY allocation
    ADD CONSTRAINT allocation_reversal_mirrors FOREIGN KEY (reverses_id, receivable_id, source, taken_back_amount) REFERENCES allocation(id, receivable_id, source, amount);

ALTER TABLE ONLY annual_report
    ADD CONSTRAINT annual_report_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY api_key
    ADD CONSTRAINT api_key_party_of_its_role FOREIGN KEY (party_id, role) REFERENCES party(id, kind);

ALTER TABLE ONLY attachment
    ADD CONSTRAINT attachment_content_is_kept FOREIGN KEY (held_sha256) REFERENCES attachment_content(sha256);

ALTER TABLE ONLY attachment
    ADD CONSTRAINT attachment_subject FOREIGN KEY (subject_id) REFERENCES subject(id);

ALTER TABLE ONLY billing_chunk
    ADD CONSTRAINT billing_chunk_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_run(id);

ALTER TABLE ONLY billing_hold
    ADD CONSTRAINT billing_hold_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY billing_hold
    ADD CONSTRAINT billing_hold_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_run(id);

ALTER TABLE ONLY billing_item
    ADD CONSTRAINT billing_item_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY billing_item
    ADD CONSTRAINT billing_item_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id) ON DELETE SET NULL;

ALTER TABLE ONLY billing_item
    ADD CONSTRAINT billing_item_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_run(id);

ALTER TABLE ONLY billing_run
    ADD CONSTRAINT billing_run_buyer_id_fkey FOREIGN KEY (buyer_id) REFERENCES party(id);

ALTER TABLE ONLY billing_stage
    ADD CONSTRAINT billing_stage_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_run(id);

ALTER TABLE ONLY calendar_day
    ADD CONSTRAINT calendar_day_year FOREIGN KEY (calendar, year) REFERENCES calendar_year(calendar, year) ON DELETE CASCADE;

ALTER TABLE ONLY capacity_test
    ADD CONSTRAINT capacity_test_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY carrier_permit
    ADD CONSTRAINT carrier_permit_carrier_id_fkey FOREIGN KEY (carrier_id) REFERENCES party(id);

ALTER TABLE ONLY charge_dispute
    ADD CONSTRAINT charge_dispute_charge_id_fkey FOREIGN KEY (charge_id) REFERENCES charge(id);

ALTER TABLE ONLY charge_dispute
    ADD CONSTRAINT charge_dispute_fee_id_fkey FOREIGN KEY (fee_id) REFERENCES fee(id);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_fee_id_fkey FOREIGN KEY (fee_id) REFERENCES fee(id);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY charge
    ADD CONSTRAINT charge_reverses_id_fkey FOREIGN KEY (reverses_id) REFERENCES charge(id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_carrier_id_fkey FOREIGN KEY (carrier_id) REFERENCES party(id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_outlet_id_fkey FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY consignment_pack
    ADD CONSTRAINT consignment_pack_of_its_hazard FOREIGN KEY (consignment_id, hazard) REFERENCES consignment(id, hazard);

ALTER TABLE ONLY consignment_pack
    ADD CONSTRAINT consignment_pack_routed FOREIGN KEY (routing_id, outlet_id, pack_id) REFERENCES routing(id, outlet_id, pack_id);

ALTER TABLE ONLY consignment_pack
    ADD CONSTRAINT consignment_pack_to_its_outlet FOREIGN KEY (consignment_id, outlet_id) REFERENCES consignment(id, outlet_id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_permit_id_fkey FOREIGN KEY (permit_id) REFERENCES carrier_permit(id);

ALTER TABLE ONLY consignment
    ADD CONSTRAINT consignment_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY contact
    ADD CONSTRAINT contact_of_a_party FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_of_a_customer FOREIGN KEY (lessee_id, lessee_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_of_a_lessor FOREIGN KEY (lessor_id, lessor_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY contract_revision
    ADD CONSTRAINT contract_revision_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY contract_term
    ADD CONSTRAINT contract_term_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY contract
    ADD CONSTRAINT contract_transferred_from_fkey FOREIGN KEY (transferred_from) REFERENCES contract(id);

ALTER TABLE ONLY custody
    ADD CONSTRAINT custody_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY custody
    ADD CONSTRAINT custody_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY custody
    ADD CONSTRAINT custody_trace_id_fkey FOREIGN KEY (trace_id) REFERENCES trace_record(id);

ALTER TABLE ONLY custom_choice
    ADD CONSTRAINT custom_choice_field FOREIGN KEY (field_id) REFERENCES custom_field(id);

ALTER TABLE ONLY custom_value
    ADD CONSTRAINT custom_value_of_its_choices FOREIGN KEY (field_id, choice_value) REFERENCES custom_choice(field_id, choice);

ALTER TABLE ONLY custom_value
    ADD CONSTRAINT custom_value_of_its_field FOREIGN KEY (field_id, kind, type) REFERENCES custom_field(id, subject_kind, type);

ALTER TABLE ONLY custom_value
    ADD CONSTRAINT custom_value_of_its_subject FOREIGN KEY (subject_id, kind) REFERENCES subject(id, kind);

ALTER TABLE ONLY deal_entry
    ADD CONSTRAINT deal_entry_of_its_deal FOREIGN KEY (movement_id, deal_id) REFERENCES deal_movement(id, deal_id);

ALTER TABLE ONLY deal_entry
    ADD CONSTRAINT deal_entry_of_its_terms FOREIGN KEY (deal_id, material) REFERENCES deal_term(deal_id, material);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_consignment_id_fkey FOREIGN KEY (consignment_id) REFERENCES consignment(id);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES deal(id);

ALTER TABLE ONLY deal_movement
    ADD CONSTRAINT deal_movement_reverses_its_own FOREIGN KEY (reverses_id, deal_id) REFERENCES deal_movement(id, deal_id);

ALTER TABLE ONLY deal
    ADD CONSTRAINT deal_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY deal_price
    ADD CONSTRAINT deal_price_snapshot_id_fkey FOREIGN KEY (snapshot_id) REFERENCES deal_snapshot(id);

ALTER TABLE ONLY deal
    ADD CONSTRAINT deal_priced FOREIGN KEY (snapshot_id, id) REFERENCES deal_snapshot(id, deal_id);

ALTER TABLE ONLY deal_snapshot
    ADD CONSTRAINT deal_snapshot_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES deal(id);

ALTER TABLE ONLY deal_term
    ADD CONSTRAINT deal_term_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES deal(id);

ALTER TABLE ONLY deposit
    ADD CONSTRAINT deposit_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_from_its_payer FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment(id, payer_id, currency);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_of_the_party FOREIGN KEY (contract_id, party_id, currency) REFERENCES deposit(contract_id, party_id, currency);

ALTER TABLE ONLY deposit_movement
    ADD CONSTRAINT deposit_movement_reversal_mirrors FOREIGN KEY (reverses_id, contract_id, kind, taken_back_amount) REFERENCES deposit_movement(id, contract_id, kind, amount);

ALTER TABLE ONLY deposit
    ADD CONSTRAINT deposit_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY disposition
    ADD CONSTRAINT disposition_inspected FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection(id, pack_id);

ALTER TABLE ONLY dunning_notice
    ADD CONSTRAINT dunning_notice_receivable_id_fkey FOREIGN KEY (receivable_id) REFERENCES receivable(id);

ALTER TABLE ONLY dunning_notice
    ADD CONSTRAINT dunning_notice_step_id_fkey FOREIGN KEY (step_id) REFERENCES dunning_step(id);

ALTER TABLE ONLY dunning_pause
    ADD CONSTRAINT dunning_pause_invoice FOREIGN KEY (invoice_id) REFERENCES receivable(id);

ALTER TABLE ONLY dunning_pause
    ADD CONSTRAINT dunning_pause_party FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY duty
    ADD CONSTRAINT duty_health_check_id_fkey FOREIGN KEY (health_check_id) REFERENCES health_check(id);

ALTER TABLE ONLY duty
    ADD CONSTRAINT duty_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY duty
    ADD CONSTRAINT duty_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES einvoice_batch(id);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY einvoice
    ADD CONSTRAINT einvoice_of_a_red_letter FOREIGN KEY (red_letter_id) REFERENCES red_letter(id);

ALTER TABLE ONLY fee
    ADD CONSTRAINT fee_charge_id_fkey FOREIGN KEY (charge_id) REFERENCES charge(id);

ALTER TABLE ONLY fee
    ADD CONSTRAINT fee_of_the_line FOREIGN KEY (line_id, contract_id, lessee_id) REFERENCES lease_line(id, contract_id, lessee_id);

ALTER TABLE ONLY fee
    ADD CONSTRAINT fee_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY health_check
    ADD CONSTRAINT health_check_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY health_check
    ADD CONSTRAINT health_check_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY health_check
    ADD CONSTRAINT health_check_work_order_id_fkey FOREIGN KEY (work_order_id) REFERENCES work_order(id);

ALTER TABLE ONLY idempotent_answer
    ADD CONSTRAINT idempotent_answer_api_key_id_fkey FOREIGN KEY (api_key_id) REFERENCES api_key(id);

ALTER TABLE ONLY incident
    ADD CONSTRAINT incident_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY incident
    ADD CONSTRAINT incident_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_form_id_fkey FOREIGN KEY (form_id) REFERENCES inspection_form(id);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY inspection
    ADD CONSTRAINT inspection_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY interest_accrual
    ADD CONSTRAINT interest_accrual_of_the_party FOREIGN KEY (invoice_id, party_id, currency) REFERENCES receivable(id, party_id, currency);

ALTER TABLE ONLY interest_accrual
    ADD CONSTRAINT interest_accrual_terms_id_fkey FOREIGN KEY (terms_id) REFERENCES interest_terms(id);

ALTER TABLE ONLY interest_terms
    ADD CONSTRAINT interest_terms_party FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_buyer_id_fkey FOREIGN KEY (buyer_id) REFERENCES party(id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_credits_id_fkey FOREIGN KEY (credits_id) REFERENCES invoice(id);

ALTER TABLE ONLY invoice_delivery
    ADD CONSTRAINT invoice_delivery_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY invoice_document
    ADD CONSTRAINT invoice_document_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY invoice_lessee
    ADD CONSTRAINT invoice_lessee_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY invoice_lessee
    ADD CONSTRAINT invoice_lessee_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_run_id_fkey FOREIGN KEY (run_id) REFERENCES billing_run(id);

ALTER TABLE ONLY invoice
    ADD CONSTRAINT invoice_seller_id_fkey FOREIGN KEY (seller_id) REFERENCES party(id);

ALTER TABLE ONLY invoice_series
    ADD CONSTRAINT invoice_series_seller_id_fkey FOREIGN KEY (seller_id) REFERENCES party(id);

ALTER TABLE ONLY invoice_sum
    ADD CONSTRAINT invoice_sum_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY invoice_vat
    ADD CONSTRAINT invoice_vat_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY job_parked
    ADD CONSTRAINT job_parked_run_id_fkey FOREIGN KEY (run_id) REFERENCES job_run(id);

ALTER TABLE ONLY lease_classification
    ADD CONSTRAINT lease_classification_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY lease_component
    ADD CONSTRAINT lease_component_classification_id_fkey FOREIGN KEY (classification_id) REFERENCES lease_classification(id);

ALTER TABLE ONLY lease_component
    ADD CONSTRAINT lease_component_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_contract FOREIGN KEY (contract_id, lessee_id) REFERENCES contract(id, lessee_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_first_acceptance FOREIGN KEY (first_acceptance_id, id) REFERENCES acceptance(id, line_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_named_pack_first FOREIGN KEY (first_acceptance_id, named_pack_id) REFERENCES acceptance(id, pack_id);

ALTER TABLE ONLY lease_line
    ADD CONSTRAINT lease_line_named_pack_id_fkey FOREIGN KEY (named_pack_id) REFERENCES pack(id);

ALTER TABLE ONLY lease_month
    ADD CONSTRAINT lease_month_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY lease_plan
    ADD CONSTRAINT lease_plan_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY lease_plan
    ADD CONSTRAINT lease_plan_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_of_the_contract FOREIGN KEY (line_id, contract_id, lessee_id) REFERENCES lease_line(id, contract_id, lessee_id);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_plan_in_the_currency FOREIGN KEY (contract_id, plan_currency) REFERENCES contract(id, currency);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_plan_version FOREIGN KEY (price_plan_version_id, plan_currency) REFERENCES price_plan_version(id, currency);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_site_of_the_lessee FOREIGN KEY (site_id, lessee_id) REFERENCES site(id, party_id);

ALTER TABLE ONLY line_revision
    ADD CONSTRAINT line_revision_within_contract FOREIGN KEY (contract_id, PERIOD during) REFERENCES contract_revision(contract_id, PERIOD during) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY listing_step
    ADD CONSTRAINT listing_step_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY market_bin
    ADD CONSTRAINT market_bin_run_id_fkey FOREIGN KEY (run_id) REFERENCES market_run(id);

ALTER TABLE ONLY market_explanation
    ADD CONSTRAINT market_explanation_proposal_id_fkey FOREIGN KEY (proposal_id) REFERENCES market_proposal(id);

ALTER TABLE ONLY market_need
    ADD CONSTRAINT market_need_at_own_site FOREIGN KEY (site_id, lessee_id) REFERENCES site(id, party_id);

ALTER TABLE ONLY market_offer
    ADD CONSTRAINT market_offer_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY market_offer
    ADD CONSTRAINT market_offer_prefecture FOREIGN KEY (adcode) REFERENCES prefecture(adcode);

ALTER TABLE ONLY market_proposal
    ADD CONSTRAINT market_proposal_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY market_proposal
    ADD CONSTRAINT market_proposal_need_id_fkey FOREIGN KEY (need_id) REFERENCES market_need(id);

ALTER TABLE ONLY market_proposal_pack
    ADD CONSTRAINT market_proposal_pack_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id) ON DELETE SET NULL;

ALTER TABLE ONLY market_proposal_pack
    ADD CONSTRAINT market_proposal_pack_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY market_proposal_pack
    ADD CONSTRAINT market_proposal_pack_proposal_id_fkey FOREIGN KEY (proposal_id) REFERENCES market_proposal(id);

ALTER TABLE ONLY market_proposal
    ADD CONSTRAINT market_proposal_run_id_fkey FOREIGN KEY (run_id) REFERENCES market_run(id);

ALTER TABLE ONLY market_unserved
    ADD CONSTRAINT market_unserved_need_id_fkey FOREIGN KEY (need_id) REFERENCES market_need(id);

ALTER TABLE ONLY market_unserved
    ADD CONSTRAINT market_unserved_run_id_fkey FOREIGN KEY (run_id) REFERENCES market_run(id);

ALTER TABLE ONLY meter_reading
    ADD CONSTRAINT meter_reading_of_a_pack FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY meter_reading
    ADD CONSTRAINT meter_reading_supersedes_id_fkey FOREIGN KEY (supersedes_id) REFERENCES meter_reading(id);

ALTER TABLE ONLY note
    ADD CONSTRAINT note_subject FOREIGN KEY (subject_id) REFERENCES subject(id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_by_a_rule FOREIGN KEY (rule_id) REFERENCES obligation_rule(id);

ALTER TABLE ONLY obligation_due_change
    ADD CONSTRAINT obligation_due_change_obligation_id_fkey FOREIGN KEY (obligation_id) REFERENCES obligation(id);

ALTER TABLE ONLY obligation_fault
    ADD CONSTRAINT obligation_fault_obligation_id_fkey FOREIGN KEY (obligation_id) REFERENCES obligation(id);

ALTER TABLE ONLY obligation_fault
    ADD CONSTRAINT obligation_fault_submission_id_fkey FOREIGN KEY (submission_id) REFERENCES submission(id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_in_a_submission FOREIGN KEY (submission_id) REFERENCES submission(id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_of_a_record FOREIGN KEY (record_id) REFERENCES trace_record(id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY obligation
    ADD CONSTRAINT obligation_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY outage
    ADD CONSTRAINT outage_of_a_line FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY outage
    ADD CONSTRAINT outage_of_a_site FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_duty_id_fkey FOREIGN KEY (duty_id) REFERENCES duty(id);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_outage_id_fkey FOREIGN KEY (outage_id) REFERENCES outage(id);

ALTER TABLE ONLY outage_source
    ADD CONSTRAINT outage_source_site_id_fkey FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY outage
    ADD CONSTRAINT outage_supersedes_id_fkey FOREIGN KEY (supersedes_id) REFERENCES outage(id);

ALTER TABLE ONLY outlet_duty
    ADD CONSTRAINT outlet_duty_outlet_id_fkey FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY outlet_duty
    ADD CONSTRAINT outlet_duty_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY outlet_firm
    ADD CONSTRAINT outlet_firm_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY outlet_firm
    ADD CONSTRAINT outlet_firm_outlet FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY outlet_limit
    ADD CONSTRAINT outlet_limit_outlet_id_fkey FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY outlet
    ADD CONSTRAINT outlet_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY outlet
    ADD CONSTRAINT outlet_prefecture FOREIGN KEY (adcode) REFERENCES prefecture(adcode);

ALTER TABLE ONLY outlet
    ADD CONSTRAINT outlet_recycler FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY pack_code
    ADD CONSTRAINT pack_code_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY pack
    ADD CONSTRAINT pack_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES party(id);

ALTER TABLE ONLY pack_origin
    ADD CONSTRAINT pack_origin_origin_id_fkey FOREIGN KEY (origin_id) REFERENCES pack(id);

ALTER TABLE ONLY pack_origin
    ADD CONSTRAINT pack_origin_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY pack_return
    ADD CONSTRAINT pack_return_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY pack_return
    ADD CONSTRAINT pack_return_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY pack_watch
    ADD CONSTRAINT pack_watch_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_of_the_part FOREIGN KEY (part_id, code) REFERENCES part(id, code) ON UPDATE CASCADE;

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_within_a_module FOREIGN KEY (within_id, within_kind) REFERENCES part(id, kind);

ALTER TABLE ONLY part_stay
    ADD CONSTRAINT part_stay_within_the_same_pack FOREIGN KEY (within_id, place_id, depth_above, PERIOD during) REFERENCES part_stay(part_id, place_id, depth, PERIOD during) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY party
    ADD CONSTRAINT party_billing_party FOREIGN KEY (billing_party_id) REFERENCES party(id);

ALTER TABLE ONLY party
    ADD CONSTRAINT party_parent FOREIGN KEY (parent_id, parent_level, kind) REFERENCES party(id, level, kind) ON UPDATE CASCADE;

ALTER TABLE ONLY party_role
    ADD CONSTRAINT party_role_of_a_party FOREIGN KEY (party_id, party_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY passport_declaration
    ADD CONSTRAINT passport_declaration_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY passport
    ADD CONSTRAINT passport_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY payment
    ADD CONSTRAINT payment_payer FOREIGN KEY (payer_id) REFERENCES party(id);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_accepted FOREIGN KEY (acceptance_id, line_id, pack_id) REFERENCES acceptance(id, line_id, pack_id);

ALTER TABLE ONLY placement
    ADD CONSTRAINT placement_within_line FOREIGN KEY (line_id, PERIOD during) REFERENCES line_revision(line_id, PERIOD during);

ALTER TABLE ONLY posting
    ADD CONSTRAINT posting_account FOREIGN KEY (account) REFERENCES account(code);

ALTER TABLE ONLY posting
    ADD CONSTRAINT posting_entry_id_fkey FOREIGN KEY (entry_id) REFERENCES journal_entry(id);

ALTER TABLE ONLY posting
    ADD CONSTRAINT posting_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY price_index
    ADD CONSTRAINT price_index_supersedes_id_fkey FOREIGN KEY (supersedes_id) REFERENCES price_index(id);

ALTER TABLE ONLY price_plan_version
    ADD CONSTRAINT price_plan_version_of_its_plan FOREIGN KEY (plan_id, currency) REFERENCES price_plan(id, currency);

ALTER TABLE ONLY qualification
    ADD CONSTRAINT qualification_of_a_recycler FOREIGN KEY (party_id, party_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY quarantine
    ADD CONSTRAINT quarantine_alarm_id_fkey FOREIGN KEY (alarm_id) REFERENCES alarm(id);

ALTER TABLE ONLY quarantine
    ADD CONSTRAINT quarantine_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES party(id);

ALTER TABLE ONLY quarantine
    ADD CONSTRAINT quarantine_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY quote
    ADD CONSTRAINT quote_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY quote
    ADD CONSTRAINT quote_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY receivable
    ADD CONSTRAINT receivable_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY receivable
    ADD CONSTRAINT receivable_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY recovery_batch
    ADD CONSTRAINT recovery_batch_consignment_id_fkey FOREIGN KEY (consignment_id) REFERENCES consignment(id);

ALTER TABLE ONLY recovery_batch_pack
    ADD CONSTRAINT recovery_batch_pack_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES recovery_batch(id);

ALTER TABLE ONLY recovery_batch_pack
    ADD CONSTRAINT recovery_batch_pack_routing_id_fkey FOREIGN KEY (routing_id) REFERENCES routing(id);

ALTER TABLE ONLY recovery_batch
    ADD CONSTRAINT recovery_batch_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY recovery_product
    ADD CONSTRAINT recovery_product_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES recovery_batch(id);

ALTER TABLE ONLY recovery_rate
    ADD CONSTRAINT recovery_rate_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES recovery_batch(id);

ALTER TABLE ONLY recycler_notice
    ADD CONSTRAINT recycler_notice_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY recycling_certificate
    ADD CONSTRAINT recycling_certificate_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES recovery_batch(id);

ALTER TABLE ONLY recycling_certificate
    ADD CONSTRAINT recycling_certificate_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY recycling_certificate
    ADD CONSTRAINT recycling_certificate_routing_id_fkey FOREIGN KEY (routing_id) REFERENCES routing(id);

ALTER TABLE ONLY red_letter
    ADD CONSTRAINT red_letter_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES einvoice_batch(id);

ALTER TABLE ONLY red_letter
    ADD CONSTRAINT red_letter_credit_note_id_fkey FOREIGN KEY (credit_note_id) REFERENCES invoice(id);

ALTER TABLE ONLY red_letter
    ADD CONSTRAINT red_letter_of_an_einvoice FOREIGN KEY (einvoice_id) REFERENCES einvoice(id);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_from_its_credit FOREIGN KEY (credit_id, party_id, currency) REFERENCES receivable(id, party_id, currency);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_from_its_payer FOREIGN KEY (payment_id, party_id, currency) REFERENCES payment(id, payer_id, currency);

ALTER TABLE ONLY refund
    ADD CONSTRAINT refund_reversal_mirrors FOREIGN KEY (reverses_id, party_id, currency, taken_back_amount) REFERENCES refund(id, party_id, currency, amount);

ALTER TABLE ONLY restatement
    ADD CONSTRAINT restatement_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY restatement
    ADD CONSTRAINT restatement_settled_by_fkey FOREIGN KEY (settled_by) REFERENCES invoice(id);

ALTER TABLE ONLY return_order
    ADD CONSTRAINT return_order_contract_id_fkey FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_befell FOREIGN KEY (incident_id, line_id, pack_id) REFERENCES incident(id, line_id, pack_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_inspected FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection(id, pack_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_line_of_the_contract FOREIGN KEY (line_id, contract_id, lessee_id) REFERENCES lease_line(id, contract_id, lessee_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_of_its_contract FOREIGN KEY (order_id, contract_id) REFERENCES return_order(id, contract_id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY return_order_item
    ADD CONSTRAINT return_order_item_returned FOREIGN KEY (return_id, line_id, pack_id) REFERENCES pack_return(id, line_id, pack_id);

ALTER TABLE ONLY return_order
    ADD CONSTRAINT return_order_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_of_its_order FOREIGN KEY (order_id, contract_id) REFERENCES return_order(id, contract_id);

ALTER TABLE ONLY return_settlement_order
    ADD CONSTRAINT return_settlement_order_lessee_id_fkey FOREIGN KEY (lessee_id) REFERENCES party(id);

ALTER TABLE ONLY return_settlement_order
    ADD CONSTRAINT return_settlement_order_of_the_contract FOREIGN KEY (order_id, contract_id) REFERENCES return_order(id, contract_id);

ALTER TABLE ONLY return_settlement_order
    ADD CONSTRAINT return_settlement_order_settled FOREIGN KEY (settlement_id, contract_id) REFERENCES return_settlement(id, contract_id);

ALTER TABLE ONLY return_settlement
    ADD CONSTRAINT return_settlement_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payment(id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_decided FOREIGN KEY (disposition_id, pack_id) REFERENCES disposition(id, pack_id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_outlet_id_fkey FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_outlet_id_fkey FOREIGN KEY (outlet_id) REFERENCES outlet(id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_pack FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_plan FOREIGN KEY (plan_id) REFERENCES routing_plan(id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_recycler FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY routing_plan_item
    ADD CONSTRAINT routing_plan_item_routing_id_fkey FOREIGN KEY (routing_id) REFERENCES routing(id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY routing
    ADD CONSTRAINT routing_rerouting FOREIGN KEY (rerouting_id) REFERENCES rerouting(id);

ALTER TABLE ONLY safety_hold
    ADD CONSTRAINT safety_hold_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY safety_hold
    ADD CONSTRAINT safety_hold_quarantine_id_fkey FOREIGN KEY (quarantine_id) REFERENCES quarantine(id);

ALTER TABLE ONLY scrap_offer
    ADD CONSTRAINT scrap_offer_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY site_device
    ADD CONSTRAINT site_device_site_id_fkey FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY site
    ADD CONSTRAINT site_of_a_customer FOREIGN KEY (party_id, party_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY site
    ADD CONSTRAINT site_prefecture FOREIGN KEY (adcode) REFERENCES prefecture(adcode);

ALTER TABLE ONLY site_string
    ADD CONSTRAINT site_string_site_id_fkey FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY site_tenancy
    ADD CONSTRAINT site_tenancy_of_a_site FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY site_tenancy
    ADD CONSTRAINT site_tenancy_supersedes_id_fkey FOREIGN KEY (supersedes_id) REFERENCES site_tenancy(id);

ALTER TABLE ONLY subject
    ADD CONSTRAINT subject_contract FOREIGN KEY (contract_id) REFERENCES contract(id);

ALTER TABLE ONLY subject
    ADD CONSTRAINT subject_pack FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY subject
    ADD CONSTRAINT subject_site FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE ONLY subject_tag
    ADD CONSTRAINT subject_tag_subject FOREIGN KEY (subject_id) REFERENCES subject(id);

ALTER TABLE ONLY submission_item
    ADD CONSTRAINT submission_item_obligation_id_fkey FOREIGN KEY (obligation_id) REFERENCES obligation(id);

ALTER TABLE ONLY submission_item
    ADD CONSTRAINT submission_item_submission_id_fkey FOREIGN KEY (submission_id) REFERENCES submission(id);

ALTER TABLE ONLY trace_record
    ADD CONSTRAINT trace_record_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY trace_record
    ADD CONSTRAINT trace_record_party_id_fkey FOREIGN KEY (party_id) REFERENCES party(id);

ALTER TABLE ONLY transport_treatment
    ADD CONSTRAINT transport_treatment_of_its_inspection FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection(id, pack_id);

ALTER TABLE ONLY treatment_capacity
    ADD CONSTRAINT treatment_capacity_of_a_recycler FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party(id, kind);

ALTER TABLE ONLY withdrawn_firm
    ADD CONSTRAINT withdrawn_firm_recycler_id_fkey FOREIGN KEY (recycler_id) REFERENCES party(id);

ALTER TABLE ONLY withdrawn_firm
    ADD CONSTRAINT withdrawn_firm_withdrawal_id_fkey FOREIGN KEY (withdrawal_id) REFERENCES withdrawal(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_alarm_id_fkey FOREIGN KEY (alarm_id) REFERENCES alarm(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_capacity_test_id_fkey FOREIGN KEY (capacity_test_id) REFERENCES capacity_test(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_duty_id_fkey FOREIGN KEY (duty_id) REFERENCES duty(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_line_id_fkey FOREIGN KEY (line_id) REFERENCES lease_line(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pack(id);

ALTER TABLE ONLY work_order
    ADD CONSTRAINT work_order_site_id_fkey FOREIGN KEY (site_id) REFERENCES site(id);

ALTER TABLE acceptance ENABLE ROW LEVEL SECURITY;

CREATE POLICY acceptance_audit ON acceptance FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY acceptance_own ON acceptance FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = acceptance.line_id))));

CREATE POLICY acceptance_regulator ON acceptance FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE account ENABLE ROW LEVEL SECURITY;

CREATE POLICY account_audit ON account FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE accounting_period ENABLE ROW LEVEL SECURITY;

CREATE POLICY accounting_period_audit ON accounting_period FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE alarm ENABLE ROW LEVEL SECURITY;

CREATE POLICY alarm_audit ON alarm FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE alarm_limits ENABLE ROW LEVEL SECURITY;

CREATE POLICY alarm_limits_audit ON alarm_limits FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY alarm_own ON alarm FOR SELECT TO leasing_customer USING ((holder_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE allocation ENABLE ROW LEVEL SECURITY;

CREATE POLICY allocation_audit ON allocation FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY allocation_own ON allocation FOR SELECT TO leasing_customer USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE ancillary_vat ENABLE ROW LEVEL SECURITY;

CREATE POLICY ancillary_vat_audit ON ancillary_vat FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE annual_report ENABLE ROW LEVEL SECURITY;

CREATE POLICY annual_report_audit ON annual_report FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY annual_report_own ON annual_report FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE attachment ENABLE ROW LEVEL SECURITY;

CREATE POLICY attachment_audit ON attachment FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE attachment_content ENABLE ROW LEVEL SECURITY;

CREATE POLICY attachment_content_audit ON attachment_content FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY attachment_content_own ON attachment_content FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM attachment
  WHERE (attachment.held_sha256 = attachment_content.sha256))));

CREATE POLICY attachment_own ON attachment FOR SELECT TO leasing_customer USING ((visible_to_customer AND (EXISTS ( SELECT
   FROM subject
  WHERE (subject.id = attachment.subject_id)))));

CREATE POLICY attachment_regulator ON attachment FOR SELECT TO leasing_regulator USING ((EXISTS ( SELECT
   FROM pack
  WHERE (pack.id = attachment.subject_id))));

ALTER TABLE billing_chunk ENABLE ROW LEVEL SECURITY;

ALTER TABLE billing_hold ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_hold_audit ON billing_hold FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE billing_item ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_item_audit ON billing_item FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE billing_stage ENABLE ROW LEVEL SECURITY;

CREATE POLICY billing_stage_audit ON billing_stage FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE capacity_test ENABLE ROW LEVEL SECURITY;

CREATE POLICY capacity_test_audit ON capacity_test FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY capacity_test_of_a_stay ON capacity_test FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = capacity_test.pack_id) AND (capacity_test.tested_on <@ placement.during)))));

CREATE POLICY capacity_test_own ON capacity_test FOR SELECT TO leasing_customer, leasing_recycler USING ((EXISTS ( SELECT
   FROM pack
  WHERE (pack.id = capacity_test.pack_id))));

CREATE POLICY capacity_test_regulator ON capacity_test FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE carrier_permit ENABLE ROW LEVEL SECURITY;

CREATE POLICY carrier_permit_audit ON carrier_permit FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE charge ENABLE ROW LEVEL SECURITY;

CREATE POLICY charge_audit ON charge FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE charge_dispute ENABLE ROW LEVEL SECURITY;

CREATE POLICY charge_dispute_audit ON charge_dispute FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY charge_dispute_own ON charge_dispute FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM (charge
     JOIN invoice ON ((invoice.id = charge.invoice_id)))
  WHERE (charge.id = charge_dispute.charge_id))));

CREATE POLICY charge_own ON charge FOR SELECT TO leasing_customer USING (((EXISTS ( SELECT
   FROM invoice
  WHERE (invoice.id = charge.invoice_id))) OR ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = charge.line_id))) AND (EXISTS ( SELECT
   FROM invoice_lessee
  WHERE (invoice_lessee.invoice_id = charge.invoice_id))))));

ALTER TABLE clock ENABLE ROW LEVEL SECURITY;

CREATE POLICY clock_regulator ON clock FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY clock_shown ON clock FOR SELECT TO leasing_customer, leasing_recycler, leasing_auditor USING (true);

ALTER TABLE consignment ENABLE ROW LEVEL SECURITY;

CREATE POLICY consignment_audit ON consignment FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY consignment_own ON consignment FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE consignment_pack ENABLE ROW LEVEL SECURITY;

CREATE POLICY consignment_pack_audit ON consignment_pack FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY consignment_pack_own ON consignment_pack FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM consignment
  WHERE (consignment.id = consignment_pack.consignment_id))));

CREATE POLICY consignment_pack_regulator ON consignment_pack FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY consignment_regulator ON consignment FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE contact ENABLE ROW LEVEL SECURITY;

CREATE POLICY contact_audit ON contact FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY contact_own ON contact FOR SELECT TO leasing_customer, leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE contract ENABLE ROW LEVEL SECURITY;

CREATE POLICY contract_audit ON contract FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY contract_own ON contract FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE contract_revision ENABLE ROW LEVEL SECURITY;

CREATE POLICY contract_revision_audit ON contract_revision FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY contract_revision_own ON contract_revision FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM contract
  WHERE (contract.id = contract_revision.contract_id))));

ALTER TABLE contract_term ENABLE ROW LEVEL SECURITY;

CREATE POLICY contract_term_audit ON contract_term FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY contract_term_own ON contract_term FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM contract
  WHERE (contract.id = contract_term.contract_id))));

ALTER TABLE custody ENABLE ROW LEVEL SECURITY;

CREATE POLICY custody_audit ON custody FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY custody_own ON custody FOR SELECT TO leasing_customer, leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY custody_regulator ON custody FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE custom_choice ENABLE ROW LEVEL SECURITY;

CREATE POLICY custom_choice_audit ON custom_choice FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY custom_choice_shown ON custom_choice FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM custom_field
  WHERE (custom_field.id = custom_choice.field_id))));

ALTER TABLE custom_field ENABLE ROW LEVEL SECURITY;

CREATE POLICY custom_field_audit ON custom_field FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY custom_field_shown ON custom_field FOR SELECT TO leasing_customer USING (visible_to_customer);

ALTER TABLE custom_value ENABLE ROW LEVEL SECURITY;

CREATE POLICY custom_value_audit ON custom_value FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY custom_value_own ON custom_value FOR SELECT TO leasing_customer USING (((EXISTS ( SELECT
   FROM custom_field
  WHERE (custom_field.id = custom_value.field_id))) AND (EXISTS ( SELECT
   FROM subject
  WHERE (subject.id = custom_value.subject_id)))));

ALTER TABLE deal ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_audit ON deal FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE deal_entry ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_entry_audit ON deal_entry FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deal_entry_own ON deal_entry FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM deal
  WHERE (deal.id = deal_entry.deal_id))));

ALTER TABLE deal_movement ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_movement_audit ON deal_movement FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deal_movement_own ON deal_movement FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM deal
  WHERE (deal.id = deal_movement.deal_id))));

CREATE POLICY deal_own ON deal FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE deal_price ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_price_audit ON deal_price FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deal_price_own ON deal_price FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM deal_snapshot
  WHERE (deal_snapshot.id = deal_price.snapshot_id))));

ALTER TABLE deal_snapshot ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_snapshot_audit ON deal_snapshot FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deal_snapshot_own ON deal_snapshot FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM deal
  WHERE (deal.id = deal_snapshot.deal_id))));

ALTER TABLE deal_term ENABLE ROW LEVEL SECURITY;

CREATE POLICY deal_term_audit ON deal_term FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deal_term_own ON deal_term FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM deal
  WHERE (deal.id = deal_term.deal_id))));

ALTER TABLE deposit ENABLE ROW LEVEL SECURITY;

CREATE POLICY deposit_audit ON deposit FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE deposit_movement ENABLE ROW LEVEL SECURITY;

CREATE POLICY deposit_movement_audit ON deposit_movement FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY deposit_movement_own ON deposit_movement FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM deposit
  WHERE (deposit.contract_id = deposit_movement.contract_id))));

CREATE POLICY deposit_own ON deposit FOR SELECT TO leasing_customer USING (((party_id = (current_setting('leasing.party'::text))::uuid) OR (EXISTS ( SELECT
   FROM contract
  WHERE (contract.id = deposit.contract_id)))));

ALTER TABLE disposition ENABLE ROW LEVEL SECURITY;

CREATE POLICY disposition_audit ON disposition FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE disposition_band ENABLE ROW LEVEL SECURITY;

CREATE POLICY disposition_band_audit ON disposition_band FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY disposition_regulator ON disposition FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE domain_event ENABLE ROW LEVEL SECURITY;

CREATE POLICY domain_event_audit ON domain_event FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY domain_event_own ON domain_event FOR SELECT TO leasing_customer, leasing_recycler USING ((EXISTS ( SELECT
   FROM event_subject
  WHERE (event_subject.event_id = domain_event.id))));

ALTER TABLE duty ENABLE ROW LEVEL SECURITY;

CREATE POLICY duty_audit ON duty FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY duty_own ON duty FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = duty.line_id))));

ALTER TABLE einvoice ENABLE ROW LEVEL SECURITY;

CREATE POLICY einvoice_audit ON einvoice FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY einvoice_own ON einvoice FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM invoice
  WHERE (invoice.id = einvoice.invoice_id))));

ALTER TABLE event_subject ENABLE ROW LEVEL SECURITY;

CREATE POLICY event_subject_audit ON event_subject FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY event_subject_own ON event_subject FOR SELECT TO leasing_customer USING (((party_id = (current_setting('leasing.party'::text))::uuid) OR (of_holder AND (EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = event_subject.subject_id) AND (placement.during @> event_subject.happened_on)))))));

CREATE POLICY event_subject_routed ON event_subject FOR SELECT TO leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE fee ENABLE ROW LEVEL SECURITY;

CREATE POLICY fee_audit ON fee FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY fee_own ON fee FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE health_check ENABLE ROW LEVEL SECURITY;

CREATE POLICY health_check_audit ON health_check FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY health_check_own ON health_check FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = health_check.line_id))));

CREATE POLICY health_check_regulator ON health_check FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE health_state ENABLE ROW LEVEL SECURITY;

ALTER TABLE incident ENABLE ROW LEVEL SECURITY;

CREATE POLICY incident_audit ON incident FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY incident_own ON incident FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = incident.line_id))));

CREATE POLICY incident_regulator ON incident FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE inspection ENABLE ROW LEVEL SECURITY;

CREATE POLICY inspection_audit ON inspection FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE inspection_form ENABLE ROW LEVEL SECURITY;

CREATE POLICY inspection_form_audit ON inspection_form FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY inspection_form_used ON inspection_form FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM inspection
  WHERE (inspection.form_id = inspection_form.id))));

CREATE POLICY inspection_own ON inspection FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY inspection_regulator ON inspection FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE interest_accrual ENABLE ROW LEVEL SECURITY;

CREATE POLICY interest_accrual_audit ON interest_accrual FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY interest_accrual_own ON interest_accrual FOR SELECT TO leasing_customer USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;

CREATE POLICY invoice_audit ON invoice FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE invoice_delivery ENABLE ROW LEVEL SECURITY;

CREATE POLICY invoice_delivery_audit ON invoice_delivery FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY invoice_delivery_own ON invoice_delivery FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM invoice
  WHERE (invoice.id = invoice_delivery.invoice_id))));

ALTER TABLE invoice_document ENABLE ROW LEVEL SECURITY;

ALTER TABLE invoice_lessee ENABLE ROW LEVEL SECURITY;

CREATE POLICY invoice_lessee_audit ON invoice_lessee FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY invoice_lessee_own ON invoice_lessee FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY invoice_own ON invoice FOR SELECT TO leasing_customer USING (((buyer_id = (current_setting('leasing.party'::text))::uuid) AND ((state = 'final'::text) OR ((held_because IS NULL) AND (run_id = (NULLIF(current_setting('leasing.previewed_run'::text, true), ''::text))::uuid)))));

ALTER TABLE invoice_sum ENABLE ROW LEVEL SECURITY;

CREATE POLICY invoice_sum_audit ON invoice_sum FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY invoice_sum_own ON invoice_sum FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM invoice
  WHERE (invoice.id = invoice_sum.invoice_id))));

ALTER TABLE invoice_vat ENABLE ROW LEVEL SECURITY;

CREATE POLICY invoice_vat_audit ON invoice_vat FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY invoice_vat_own ON invoice_vat FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM invoice
  WHERE (invoice.id = invoice_vat.invoice_id))));

ALTER TABLE journal_entry ENABLE ROW LEVEL SECURITY;

CREATE POLICY journal_entry_audit ON journal_entry FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE lease_classification ENABLE ROW LEVEL SECURITY;

CREATE POLICY lease_classification_audit ON lease_classification FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE lease_component ENABLE ROW LEVEL SECURITY;

CREATE POLICY lease_component_audit ON lease_component FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE lease_line ENABLE ROW LEVEL SECURITY;

CREATE POLICY lease_line_audit ON lease_line FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY lease_line_own ON lease_line FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY lease_line_regulator ON lease_line FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE lease_month ENABLE ROW LEVEL SECURITY;

CREATE POLICY lease_month_audit ON lease_month FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE lease_plan ENABLE ROW LEVEL SECURITY;

CREATE POLICY lease_plan_audit ON lease_plan FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE line_revision ENABLE ROW LEVEL SECURITY;

CREATE POLICY line_revision_audit ON line_revision FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY line_revision_own ON line_revision FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE listing_step ENABLE ROW LEVEL SECURITY;

CREATE POLICY listing_step_audit ON listing_step FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY listing_step_own ON listing_step FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE market_bin ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_bin_audit ON market_bin FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE market_explanation ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_explanation_audit ON market_explanation FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE market_need ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_need_audit ON market_need FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY market_need_own ON market_need FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE market_offer ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_offer_audit ON market_offer FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE market_proposal ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_proposal_audit ON market_proposal FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY market_proposal_own ON market_proposal FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM market_need
  WHERE (market_need.id = market_proposal.need_id))));

ALTER TABLE market_proposal_pack ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_proposal_pack_audit ON market_proposal_pack FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY market_proposal_pack_own ON market_proposal_pack FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM market_proposal
  WHERE (market_proposal.id = market_proposal_pack.proposal_id))));

ALTER TABLE market_run ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_run_audit ON market_run FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE market_unserved ENABLE ROW LEVEL SECURITY;

CREATE POLICY market_unserved_audit ON market_unserved FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE meter_reading ENABLE ROW LEVEL SECURITY;

CREATE POLICY meter_reading_audit ON meter_reading FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY meter_reading_own ON meter_reading FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = meter_reading.pack_id) AND (((meter_reading.at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during)))));

ALTER TABLE note ENABLE ROW LEVEL SECURITY;

CREATE POLICY note_audit ON note FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY note_own ON note FOR SELECT TO leasing_customer USING ((visible_to_customer AND (EXISTS ( SELECT
   FROM subject
  WHERE (subject.id = note.subject_id)))));

ALTER TABLE obligation ENABLE ROW LEVEL SECURITY;

CREATE POLICY obligation_audit ON obligation FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE obligation_due_change ENABLE ROW LEVEL SECURITY;

CREATE POLICY obligation_due_change_audit ON obligation_due_change FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY obligation_due_change_own ON obligation_due_change FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM obligation
  WHERE (obligation.id = obligation_due_change.obligation_id))));

ALTER TABLE obligation_fault ENABLE ROW LEVEL SECURITY;

CREATE POLICY obligation_fault_audit ON obligation_fault FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY obligation_fault_own ON obligation_fault FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM obligation
  WHERE (obligation.id = obligation_fault.obligation_id))));

CREATE POLICY obligation_own ON obligation FOR SELECT TO leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY obligation_regulator ON obligation FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE obligation_rule ENABLE ROW LEVEL SECURITY;

CREATE POLICY obligation_rule_public ON obligation_rule FOR SELECT TO leasing_recycler, leasing_auditor USING (true);

CREATE POLICY obligation_rule_regulator ON obligation_rule FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE outage ENABLE ROW LEVEL SECURITY;

CREATE POLICY outage_audit ON outage FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY outage_own ON outage FOR SELECT TO leasing_customer USING (((EXISTS ( SELECT
   FROM site
  WHERE (site.id = outage.site_id))) OR (EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = outage.line_id)))));

ALTER TABLE outage_source ENABLE ROW LEVEL SECURITY;

CREATE POLICY outage_source_audit ON outage_source FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY outage_source_own ON outage_source FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM outage
  WHERE (outage.id = outage_source.outage_id))));

ALTER TABLE outlet ENABLE ROW LEVEL SECURITY;

CREATE POLICY outlet_audit ON outlet FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE outlet_duty ENABLE ROW LEVEL SECURITY;

CREATE POLICY outlet_duty_audit ON outlet_duty FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY outlet_duty_own ON outlet_duty FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM outlet
  WHERE (outlet.id = outlet_duty.outlet_id))));

ALTER TABLE outlet_firm ENABLE ROW LEVEL SECURITY;

CREATE POLICY outlet_firm_audit ON outlet_firm FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY outlet_firm_own ON outlet_firm FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE outlet_limit ENABLE ROW LEVEL SECURITY;

CREATE POLICY outlet_limit_audit ON outlet_limit FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY outlet_limit_own ON outlet_limit FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM outlet
  WHERE (outlet.id = outlet_limit.outlet_id))));

CREATE POLICY outlet_of_its_firms ON outlet FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM outlet_firm
  WHERE (outlet_firm.outlet_id = outlet.id))));

CREATE POLICY outlet_own ON outlet FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY outlet_regulator ON outlet FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE pack ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_audit ON pack FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE pack_code ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_code_audit ON pack_code FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY pack_code_own ON pack_code FOR SELECT TO leasing_customer USING ((holder_id = ANY (ARRAY[(current_setting('leasing.party'::text))::uuid])));

CREATE POLICY pack_code_regulator ON pack_code FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY pack_code_routed ON pack_code FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM routing
  WHERE ((routing.pack_id = pack_code.pack_id) AND (routing.state <> 'released'::text)))));

ALTER TABLE pack_origin ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_origin_audit ON pack_origin FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY pack_origin_own ON pack_origin FOR SELECT TO leasing_customer USING ((holder_id = ANY (ARRAY[(current_setting('leasing.party'::text))::uuid])));

CREATE POLICY pack_origin_regulator ON pack_origin FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY pack_origin_routed ON pack_origin FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM pack
  WHERE (pack.id = pack_origin.pack_id))));

CREATE POLICY pack_own ON pack FOR SELECT TO leasing_customer USING ((holder_id = ANY (ARRAY[(current_setting('leasing.party'::text))::uuid])));

CREATE POLICY pack_regulator ON pack FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE pack_return ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_return_audit ON pack_return FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY pack_return_own ON pack_return FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = pack_return.line_id))));

CREATE POLICY pack_return_regulator ON pack_return FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY pack_routed ON pack FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM routing
  WHERE ((routing.pack_id = pack.id) AND (routing.state <> 'released'::text)))));

ALTER TABLE pack_session ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_session_audit ON pack_session FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY pack_session_own ON pack_session FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = pack_session.pack_id) AND (((pack_session.started_at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during) AND (((pack_session.ended_at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during)))));

ALTER TABLE pack_telemetry ENABLE ROW LEVEL SECURITY;

CREATE POLICY pack_telemetry_audit ON pack_telemetry FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY pack_telemetry_own ON pack_telemetry FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = pack_telemetry.pack_id) AND upper_inf(placement.during) AND (((pack_telemetry.latest_at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during)))));

CREATE POLICY pack_telemetry_regulator ON pack_telemetry FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE pack_watch ENABLE ROW LEVEL SECURITY;

ALTER TABLE part ENABLE ROW LEVEL SECURITY;

CREATE POLICY part_audit ON part FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY part_own ON part FOR SELECT TO leasing_customer, leasing_recycler USING ((EXISTS ( SELECT
   FROM part_stay
  WHERE (part_stay.part_id = part.id))));

CREATE POLICY part_regulator ON part FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE part_stay ENABLE ROW LEVEL SECURITY;

CREATE POLICY part_stay_audit ON part_stay FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY part_stay_own ON part_stay FOR SELECT TO leasing_customer USING ((holder_id = ANY (ARRAY[(current_setting('leasing.party'::text))::uuid])));

CREATE POLICY part_stay_regulator ON part_stay FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY part_stay_routed ON part_stay FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM pack
  WHERE (pack.id = part_stay.pack_id))));

ALTER TABLE party ENABLE ROW LEVEL SECURITY;

CREATE POLICY party_audit ON party FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY party_itself ON party FOR SELECT TO leasing_customer, leasing_recycler USING (((id = (current_setting('leasing.party'::text))::uuid) OR (kind = 'lessor'::text)));

CREATE POLICY party_regulator ON party FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE party_role ENABLE ROW LEVEL SECURITY;

CREATE POLICY party_role_audit ON party_role FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY party_role_own ON party_role FOR SELECT TO leasing_customer, leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE passport ENABLE ROW LEVEL SECURITY;

CREATE POLICY passport_audit ON passport FOR SELECT TO leasing_auditor, leasing_regulator USING (true);

ALTER TABLE passport_declaration ENABLE ROW LEVEL SECURITY;

CREATE POLICY passport_declaration_audit ON passport_declaration FOR SELECT TO leasing_auditor, leasing_regulator USING (true);

ALTER TABLE payment ENABLE ROW LEVEL SECURITY;

CREATE POLICY payment_audit ON payment FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY payment_own ON payment FOR SELECT TO leasing_customer USING ((payer_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE placement ENABLE ROW LEVEL SECURITY;

CREATE POLICY placement_audit ON placement FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY placement_own ON placement FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = placement.line_id))));

CREATE POLICY placement_regulator ON placement FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE posting ENABLE ROW LEVEL SECURITY;

CREATE POLICY posting_audit ON posting FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE prefecture ENABLE ROW LEVEL SECURITY;

CREATE POLICY prefecture_public ON prefecture FOR SELECT TO leasing_customer, leasing_recycler, leasing_auditor USING (true);

CREATE POLICY prefecture_regulator ON prefecture FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE price_index ENABLE ROW LEVEL SECURITY;

CREATE POLICY price_index_shown ON price_index FOR SELECT TO leasing_customer, leasing_auditor USING (true);

ALTER TABLE price_plan ENABLE ROW LEVEL SECURITY;

CREATE POLICY price_plan_audit ON price_plan FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY price_plan_own ON price_plan FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM price_plan_version
  WHERE (price_plan_version.plan_id = price_plan.id))));

ALTER TABLE price_plan_version ENABLE ROW LEVEL SECURITY;

CREATE POLICY price_plan_version_audit ON price_plan_version FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY price_plan_version_own ON price_plan_version FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM line_revision
  WHERE (line_revision.price_plan_version_id = price_plan_version.id))));

ALTER TABLE province_rule ENABLE ROW LEVEL SECURITY;

CREATE POLICY province_rule_audit ON province_rule FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE qualification ENABLE ROW LEVEL SECURITY;

CREATE POLICY qualification_audit ON qualification FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY qualification_own ON qualification FOR SELECT TO leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY qualification_regulator ON qualification FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;

CREATE POLICY quarantine_audit ON quarantine FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY quarantine_own ON quarantine FOR SELECT TO leasing_customer USING ((holder_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE quote ENABLE ROW LEVEL SECURITY;

CREATE POLICY quote_audit ON quote FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY quote_own ON quote FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE reading_chunk ENABLE ROW LEVEL SECURITY;

CREATE POLICY reading_chunk_audit ON reading_chunk FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY reading_chunk_own ON reading_chunk FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = reading_chunk.pack_id) AND (((reading_chunk.first_at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during)))));

ALTER TABLE reading_flag ENABLE ROW LEVEL SECURITY;

CREATE POLICY reading_flag_audit ON reading_flag FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE reading_hour ENABLE ROW LEVEL SECURITY;

CREATE POLICY reading_hour_audit ON reading_hour FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY reading_hour_own ON reading_hour FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM placement
  WHERE ((placement.pack_id = reading_hour.pack_id) AND (((reading_hour.hour_at AT TIME ZONE 'Asia/Shanghai'::text))::date <@ placement.during)))));

ALTER TABLE receivable ENABLE ROW LEVEL SECURITY;

CREATE POLICY receivable_audit ON receivable FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY receivable_own ON receivable FOR SELECT TO leasing_customer USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE recovery_batch ENABLE ROW LEVEL SECURITY;

CREATE POLICY recovery_batch_audit ON recovery_batch FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recovery_batch_own ON recovery_batch FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE recovery_batch_pack ENABLE ROW LEVEL SECURITY;

CREATE POLICY recovery_batch_pack_audit ON recovery_batch_pack FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recovery_batch_pack_own ON recovery_batch_pack FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM recovery_batch
  WHERE (recovery_batch.id = recovery_batch_pack.batch_id))));

CREATE POLICY recovery_batch_pack_regulator ON recovery_batch_pack FOR SELECT TO leasing_regulator USING (true);

CREATE POLICY recovery_batch_regulator ON recovery_batch FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE recovery_product ENABLE ROW LEVEL SECURITY;

CREATE POLICY recovery_product_audit ON recovery_product FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recovery_product_own ON recovery_product FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM recovery_batch
  WHERE (recovery_batch.id = recovery_product.batch_id))));

ALTER TABLE recovery_rate ENABLE ROW LEVEL SECURITY;

CREATE POLICY recovery_rate_audit ON recovery_rate FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recovery_rate_own ON recovery_rate FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM recovery_batch
  WHERE (recovery_batch.id = recovery_rate.batch_id))));

ALTER TABLE recycler_notice ENABLE ROW LEVEL SECURITY;

CREATE POLICY recycler_notice_audit ON recycler_notice FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recycler_notice_own ON recycler_notice FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE recycling_certificate ENABLE ROW LEVEL SECURITY;

CREATE POLICY recycling_certificate_audit ON recycling_certificate FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY recycling_certificate_own ON recycling_certificate FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY recycling_certificate_regulator ON recycling_certificate FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE red_letter ENABLE ROW LEVEL SECURITY;

CREATE POLICY red_letter_audit ON red_letter FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY red_letter_own ON red_letter FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM einvoice
  WHERE (einvoice.id = red_letter.einvoice_id))));

ALTER TABLE refund ENABLE ROW LEVEL SECURITY;

CREATE POLICY refund_audit ON refund FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY refund_own ON refund FOR SELECT TO leasing_customer USING ((party_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE rendered_pdf ENABLE ROW LEVEL SECURITY;

ALTER TABLE rerouting ENABLE ROW LEVEL SECURITY;

CREATE POLICY rerouting_audit ON rerouting FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE restatement ENABLE ROW LEVEL SECURITY;

CREATE POLICY restatement_audit ON restatement FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE return_order ENABLE ROW LEVEL SECURITY;

CREATE POLICY return_order_audit ON return_order FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE return_order_item ENABLE ROW LEVEL SECURITY;

CREATE POLICY return_order_item_audit ON return_order_item FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY return_order_item_own ON return_order_item FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY return_order_own ON return_order FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE return_settlement ENABLE ROW LEVEL SECURITY;

CREATE POLICY return_settlement_audit ON return_settlement FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE return_settlement_order ENABLE ROW LEVEL SECURITY;

CREATE POLICY return_settlement_order_audit ON return_settlement_order FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY return_settlement_order_own ON return_settlement_order FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY return_settlement_own ON return_settlement FOR SELECT TO leasing_customer USING ((lessee_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE routing ENABLE ROW LEVEL SECURITY;

CREATE POLICY routing_audit ON routing FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY routing_own ON routing FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE routing_plan ENABLE ROW LEVEL SECURITY;

CREATE POLICY routing_plan_audit ON routing_plan FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE routing_plan_item ENABLE ROW LEVEL SECURITY;

CREATE POLICY routing_plan_item_audit ON routing_plan_item FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY routing_regulator ON routing FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE routing_terms ENABLE ROW LEVEL SECURITY;

CREATE POLICY routing_terms_audit ON routing_terms FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY routing_to_own_outlet ON routing FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM outlet
  WHERE ((outlet.id = routing.outlet_id) AND (outlet.recycler_id = (current_setting('leasing.party'::text))::uuid)))));

ALTER TABLE safety_hold ENABLE ROW LEVEL SECURITY;

CREATE POLICY safety_hold_audit ON safety_hold FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE scrap_offer ENABLE ROW LEVEL SECURITY;

CREATE POLICY scrap_offer_audit ON scrap_offer FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY scrap_offer_own ON scrap_offer FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE site ENABLE ROW LEVEL SECURITY;

CREATE POLICY site_audit ON site FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE site_device ENABLE ROW LEVEL SECURITY;

CREATE POLICY site_device_audit ON site_device FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY site_device_own ON site_device FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM site
  WHERE (site.id = site_device.site_id))));

CREATE POLICY site_own ON site FOR SELECT TO leasing_customer USING ((party_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY site_regulator ON site FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE site_string ENABLE ROW LEVEL SECURITY;

CREATE POLICY site_string_audit ON site_string FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY site_string_own ON site_string FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM site
  WHERE (site.id = site_string.site_id))));

ALTER TABLE site_tenancy ENABLE ROW LEVEL SECURITY;

CREATE POLICY site_tenancy_audit ON site_tenancy FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY site_tenancy_own ON site_tenancy FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM site
  WHERE (site.id = site_tenancy.site_id))));

ALTER TABLE standby_slope ENABLE ROW LEVEL SECURITY;

ALTER TABLE subject ENABLE ROW LEVEL SECURITY;

CREATE POLICY subject_audit ON subject FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY subject_own ON subject FOR SELECT TO leasing_customer USING (((EXISTS ( SELECT
   FROM pack
  WHERE (pack.id = subject.pack_id))) OR (EXISTS ( SELECT
   FROM site
  WHERE (site.id = subject.site_id))) OR (EXISTS ( SELECT
   FROM contract
  WHERE (contract.id = subject.contract_id)))));

ALTER TABLE subject_tag ENABLE ROW LEVEL SECURITY;

CREATE POLICY subject_tag_audit ON subject_tag FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE submission ENABLE ROW LEVEL SECURITY;

CREATE POLICY submission_audit ON submission FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE submission_item ENABLE ROW LEVEL SECURITY;

CREATE POLICY submission_item_audit ON submission_item FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE test_rule ENABLE ROW LEVEL SECURITY;

CREATE POLICY test_rule_audit ON test_rule FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE trace_head ENABLE ROW LEVEL SECURITY;

CREATE POLICY trace_head_public ON trace_head FOR SELECT TO leasing_customer, leasing_recycler, leasing_auditor USING (true);

ALTER TABLE trace_record ENABLE ROW LEVEL SECURITY;

CREATE POLICY trace_record_audit ON trace_record FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY trace_record_own ON trace_record FOR SELECT TO leasing_customer, leasing_recycler USING ((party_id = (current_setting('leasing.party'::text))::uuid));

CREATE POLICY trace_record_regulator ON trace_record FOR SELECT TO leasing_regulator USING (true);

ALTER TABLE transport_treatment ENABLE ROW LEVEL SECURITY;

CREATE POLICY transport_treatment_audit ON transport_treatment FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY transport_treatment_own ON transport_treatment FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM inspection
  WHERE (inspection.id = transport_treatment.inspection_id))));

ALTER TABLE treatment_capacity ENABLE ROW LEVEL SECURITY;

CREATE POLICY treatment_capacity_audit ON treatment_capacity FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY treatment_capacity_own ON treatment_capacity FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE unmatched_source ENABLE ROW LEVEL SECURITY;

CREATE POLICY unmatched_source_audit ON unmatched_source FOR SELECT TO leasing_auditor USING (true);

ALTER TABLE withdrawal ENABLE ROW LEVEL SECURITY;

CREATE POLICY withdrawal_audit ON withdrawal FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY withdrawal_own ON withdrawal FOR SELECT TO leasing_recycler USING ((EXISTS ( SELECT
   FROM withdrawn_firm
  WHERE (withdrawn_firm.withdrawal_id = withdrawal.id))));

ALTER TABLE withdrawn_firm ENABLE ROW LEVEL SECURITY;

CREATE POLICY withdrawn_firm_audit ON withdrawn_firm FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY withdrawn_firm_own ON withdrawn_firm FOR SELECT TO leasing_recycler USING ((recycler_id = (current_setting('leasing.party'::text))::uuid));

ALTER TABLE work_order ENABLE ROW LEVEL SECURITY;

CREATE POLICY work_order_audit ON work_order FOR SELECT TO leasing_auditor USING (true);

CREATE POLICY work_order_own ON work_order FOR SELECT TO leasing_customer USING ((EXISTS ( SELECT
   FROM lease_line
  WHERE (lease_line.id = work_order.line_id))));

ALTER TABLE working_day ENABLE ROW LEVEL SECURITY;

CREATE POLICY working_day_public ON working_day FOR SELECT TO leasing_recycler, leasing_auditor USING (true);

CREATE POLICY working_day_regulator ON working_day FOR SELECT TO leasing_regulator USING (true);

GRANT SELECT ON TABLE party TO leasing_customer;
GRANT SELECT ON TABLE party TO leasing_recycler;
GRANT SELECT ON TABLE party TO leasing_auditor;
GRANT SELECT ON TABLE party TO leasing_regulator;

GRANT SELECT ON TABLE contract_term TO leasing_customer;
GRANT SELECT ON TABLE contract_term TO leasing_auditor;

GRANT SELECT ON TABLE outage TO leasing_customer;
GRANT SELECT ON TABLE outage TO leasing_auditor;

GRANT SELECT ON TABLE placement TO leasing_customer;
GRANT SELECT ON TABLE placement TO leasing_auditor;
GRANT SELECT ON TABLE placement TO leasing_regulator;

GRANT SELECT ON TABLE meter_reading TO leasing_customer;
GRANT SELECT ON TABLE meter_reading TO leasing_auditor;

GRANT SELECT ON TABLE domain_event TO leasing_auditor;

GRANT SELECT(id) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(id) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(aggregate) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(aggregate) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(aggregate_id) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(aggregate_id) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(kind) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(kind) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(data) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(data) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(occurred_at) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(occurred_at) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT(actor_role) ON TABLE domain_event TO leasing_customer;
GRANT SELECT(actor_role) ON TABLE domain_event TO leasing_recycler;

GRANT SELECT ON TABLE event_subject TO leasing_customer;
GRANT SELECT ON TABLE event_subject TO leasing_recycler;
GRANT SELECT ON TABLE event_subject TO leasing_auditor;

GRANT SELECT ON TABLE trace_record TO leasing_customer;
GRANT SELECT ON TABLE trace_record TO leasing_recycler;
GRANT SELECT ON TABLE trace_record TO leasing_auditor;
GRANT SELECT ON TABLE trace_record TO leasing_regulator;

GRANT SELECT ON TABLE acceptance TO leasing_customer;
GRANT SELECT ON TABLE acceptance TO leasing_auditor;
GRANT SELECT ON TABLE acceptance TO leasing_regulator;

GRANT SELECT ON TABLE account TO leasing_auditor;

GRANT SELECT ON TABLE accounting_period TO leasing_auditor;

GRANT SELECT ON TABLE alarm TO leasing_customer;
GRANT SELECT ON TABLE alarm TO leasing_auditor;

GRANT SELECT ON TABLE alarm_limits TO leasing_auditor;

GRANT SELECT ON TABLE allocation TO leasing_customer;
GRANT SELECT ON TABLE allocation TO leasing_auditor;

GRANT SELECT ON TABLE allocation_order TO leasing_auditor;

GRANT SELECT ON TABLE ancillary_vat TO leasing_auditor;

GRANT SELECT ON TABLE annual_report TO leasing_recycler;
GRANT SELECT ON TABLE annual_report TO leasing_auditor;

GRANT SELECT ON TABLE attachment TO leasing_customer;
GRANT SELECT ON TABLE attachment TO leasing_auditor;

GRANT SELECT(id) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(subject_id) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(sha256) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(media_type) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(size_bytes) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(filename) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(added_at) ON TABLE attachment TO leasing_regulator;

GRANT SELECT(removed_at) ON TABLE attachment TO leasing_regulator;

GRANT SELECT ON TABLE attachment_content TO leasing_customer;
GRANT SELECT ON TABLE attachment_content TO leasing_auditor;

GRANT SELECT ON TABLE billing_hold TO leasing_auditor;

GRANT SELECT ON TABLE billing_item TO leasing_auditor;

GRANT SELECT ON TABLE billing_run TO leasing_auditor;

GRANT SELECT ON TABLE billing_stage TO leasing_auditor;

GRANT SELECT ON TABLE calendar_day TO leasing_auditor;

GRANT SELECT ON TABLE calendar_year TO leasing_auditor;

GRANT SELECT ON TABLE capacity_test TO leasing_customer;
GRANT SELECT ON TABLE capacity_test TO leasing_recycler;
GRANT SELECT ON TABLE capacity_test TO leasing_auditor;
GRANT SELECT ON TABLE capacity_test TO leasing_regulator;

GRANT SELECT ON TABLE carrier_permit TO leasing_auditor;

GRANT SELECT ON TABLE charge TO leasing_customer;
GRANT SELECT ON TABLE charge TO leasing_auditor;

GRANT SELECT ON TABLE charge_dispute TO leasing_customer;
GRANT SELECT ON TABLE charge_dispute TO leasing_auditor;

GRANT SELECT ON TABLE clock TO leasing_auditor;
GRANT SELECT ON TABLE clock TO leasing_customer;
GRANT SELECT ON TABLE clock TO leasing_recycler;
GRANT SELECT ON TABLE clock TO leasing_regulator;

GRANT SELECT ON TABLE consignment TO leasing_recycler;
GRANT SELECT ON TABLE consignment TO leasing_auditor;

GRANT SELECT(id) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(number) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(outlet_id) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(recycler_id) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(state) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(expected_kg) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(dispatched_on) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(weighed_on) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(weighed_kg) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(received_on) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(refused_on) ON TABLE consignment TO leasing_regulator;

GRANT SELECT(refusal_reason) ON TABLE consignment TO leasing_regulator;

GRANT SELECT ON TABLE consignment_pack TO leasing_recycler;
GRANT SELECT ON TABLE consignment_pack TO leasing_auditor;

GRANT SELECT(consignment_id) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT(routing_id) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT(outlet_id) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT(pack_id) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT(mass_kg) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT(weighed_kg) ON TABLE consignment_pack TO leasing_regulator;

GRANT SELECT ON TABLE contact TO leasing_customer;
GRANT SELECT ON TABLE contact TO leasing_recycler;
GRANT SELECT ON TABLE contact TO leasing_auditor;

GRANT SELECT ON TABLE contract TO leasing_customer;
GRANT SELECT ON TABLE contract TO leasing_auditor;

GRANT SELECT ON TABLE contract_revision TO leasing_customer;
GRANT SELECT ON TABLE contract_revision TO leasing_auditor;

GRANT SELECT ON TABLE custody TO leasing_customer;
GRANT SELECT ON TABLE custody TO leasing_recycler;
GRANT SELECT ON TABLE custody TO leasing_auditor;
GRANT SELECT ON TABLE custody TO leasing_regulator;

GRANT SELECT ON TABLE custom_choice TO leasing_customer;
GRANT SELECT ON TABLE custom_choice TO leasing_auditor;

GRANT SELECT ON TABLE custom_field TO leasing_customer;
GRANT SELECT ON TABLE custom_field TO leasing_auditor;

GRANT SELECT ON TABLE custom_value TO leasing_customer;
GRANT SELECT ON TABLE custom_value TO leasing_auditor;

GRANT SELECT ON TABLE deal TO leasing_recycler;
GRANT SELECT ON TABLE deal TO leasing_auditor;

GRANT SELECT ON TABLE deal_entry TO leasing_recycler;
GRANT SELECT ON TABLE deal_entry TO leasing_auditor;

GRANT SELECT ON TABLE deal_movement TO leasing_recycler;
GRANT SELECT ON TABLE deal_movement TO leasing_auditor;

GRANT SELECT ON TABLE deal_price TO leasing_recycler;
GRANT SELECT ON TABLE deal_price TO leasing_auditor;

GRANT SELECT ON TABLE deal_snapshot TO leasing_recycler;
GRANT SELECT ON TABLE deal_snapshot TO leasing_auditor;

GRANT SELECT ON TABLE deal_term TO leasing_recycler;
GRANT SELECT ON TABLE deal_term TO leasing_auditor;

GRANT SELECT ON TABLE deposit TO leasing_customer;
GRANT SELECT ON TABLE deposit TO leasing_auditor;

GRANT SELECT ON TABLE deposit_movement TO leasing_customer;
GRANT SELECT ON TABLE deposit_movement TO leasing_auditor;

GRANT SELECT ON TABLE disposition TO leasing_auditor;

GRANT SELECT(id) ON TABLE disposition TO leasing_regulator;

GRANT SELECT(pack_id) ON TABLE disposition TO leasing_regulator;

GRANT SELECT(inspection_id) ON TABLE disposition TO leasing_regulator;

GRANT SELECT(decision) ON TABLE disposition TO leasing_regulator;

GRANT SELECT(decided_on) ON TABLE disposition TO leasing_regulator;

GRANT SELECT(reason) ON TABLE disposition TO leasing_regulator;

GRANT SELECT ON TABLE disposition_band TO leasing_auditor;

GRANT SELECT ON TABLE dunning_notice TO leasing_auditor;

GRANT SELECT ON TABLE dunning_pause TO leasing_auditor;

GRANT SELECT ON TABLE dunning_step TO leasing_auditor;

GRANT SELECT ON TABLE duty TO leasing_customer;
GRANT SELECT ON TABLE duty TO leasing_auditor;

GRANT SELECT ON TABLE einvoice TO leasing_customer;
GRANT SELECT ON TABLE einvoice TO leasing_auditor;

GRANT SELECT ON TABLE einvoice_answer_file TO leasing_auditor;

GRANT SELECT ON TABLE einvoice_batch TO leasing_auditor;

GRANT SELECT ON TABLE einvoice_item TO leasing_auditor;

GRANT SELECT ON TABLE einvoice_quota TO leasing_auditor;

GRANT SELECT ON TABLE fee TO leasing_customer;
GRANT SELECT ON TABLE fee TO leasing_auditor;

GRANT SELECT ON TABLE health_check TO leasing_customer;
GRANT SELECT ON TABLE health_check TO leasing_auditor;
GRANT SELECT ON TABLE health_check TO leasing_regulator;

GRANT SELECT ON TABLE incident TO leasing_customer;
GRANT SELECT ON TABLE incident TO leasing_auditor;
GRANT SELECT ON TABLE incident TO leasing_regulator;

GRANT SELECT ON TABLE inspection TO leasing_auditor;
GRANT SELECT ON TABLE inspection TO leasing_customer;

GRANT SELECT(id) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(pack_id) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(inspected_on) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(grade) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(hazard) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(tested_capacity_mah) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(remarks) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(lessor_signatory) ON TABLE inspection TO leasing_regulator;

GRANT SELECT(lessee_signatory) ON TABLE inspection TO leasing_regulator;

GRANT SELECT ON TABLE inspection_form TO leasing_customer;
GRANT SELECT ON TABLE inspection_form TO leasing_auditor;

GRANT SELECT ON TABLE interest_accrual TO leasing_customer;
GRANT SELECT ON TABLE interest_accrual TO leasing_auditor;

GRANT SELECT ON TABLE interest_terms TO leasing_auditor;

GRANT SELECT ON TABLE invoice TO leasing_customer;
GRANT SELECT ON TABLE invoice TO leasing_auditor;

GRANT SELECT ON TABLE invoice_delivery TO leasing_customer;
GRANT SELECT ON TABLE invoice_delivery TO leasing_auditor;

GRANT SELECT ON TABLE invoice_lessee TO leasing_customer;
GRANT SELECT ON TABLE invoice_lessee TO leasing_auditor;

GRANT SELECT ON TABLE invoice_series TO leasing_auditor;

GRANT SELECT ON TABLE invoice_sum TO leasing_customer;
GRANT SELECT ON TABLE invoice_sum TO leasing_auditor;

GRANT SELECT ON TABLE invoice_vat TO leasing_customer;
GRANT SELECT ON TABLE invoice_vat TO leasing_auditor;

GRANT SELECT ON TABLE job_parked TO leasing_auditor;

GRANT SELECT ON TABLE job_run TO leasing_auditor;

GRANT SELECT ON TABLE journal_entry TO leasing_auditor;

GRANT SELECT ON TABLE lease_classification TO leasing_auditor;

GRANT SELECT ON TABLE lease_component TO leasing_auditor;

GRANT SELECT ON TABLE lease_line TO leasing_customer;
GRANT SELECT ON TABLE lease_line TO leasing_auditor;
GRANT SELECT ON TABLE lease_line TO leasing_regulator;

GRANT SELECT ON TABLE lease_month TO leasing_auditor;

GRANT SELECT ON TABLE lease_plan TO leasing_auditor;

GRANT SELECT ON TABLE line_revision TO leasing_customer;
GRANT SELECT ON TABLE line_revision TO leasing_auditor;

GRANT SELECT ON TABLE listing_step TO leasing_recycler;
GRANT SELECT ON TABLE listing_step TO leasing_auditor;

GRANT SELECT ON TABLE market_bin TO leasing_auditor;

GRANT SELECT ON TABLE market_explanation TO leasing_auditor;

GRANT SELECT ON TABLE market_need TO leasing_customer;
GRANT SELECT ON TABLE market_need TO leasing_auditor;

GRANT SELECT ON TABLE market_offer TO leasing_auditor;

GRANT SELECT ON TABLE market_proposal TO leasing_customer;
GRANT SELECT ON TABLE market_proposal TO leasing_auditor;

GRANT SELECT ON TABLE market_proposal_pack TO leasing_customer;
GRANT SELECT ON TABLE market_proposal_pack TO leasing_auditor;

GRANT SELECT ON TABLE market_run TO leasing_auditor;

GRANT SELECT ON TABLE market_unserved TO leasing_auditor;

GRANT SELECT ON TABLE note TO leasing_customer;
GRANT SELECT ON TABLE note TO leasing_auditor;

GRANT SELECT ON TABLE obligation TO leasing_recycler;
GRANT SELECT ON TABLE obligation TO leasing_auditor;

GRANT SELECT(id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(record_id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(rule_id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(pack_id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(party_id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(role) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(event_kind) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(event_on) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(recipient) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(deadline_number) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(deadline_unit) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(due_on) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(is_provisional) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(state) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(level) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(submission_id) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(submitted_on) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(receipt) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(void_reason) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(version) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(opened_at) ON TABLE obligation TO leasing_regulator;

GRANT SELECT(changed_at) ON TABLE obligation TO leasing_regulator;

GRANT SELECT ON TABLE obligation_due_change TO leasing_recycler;
GRANT SELECT ON TABLE obligation_due_change TO leasing_auditor;

GRANT SELECT ON TABLE obligation_fault TO leasing_recycler;
GRANT SELECT ON TABLE obligation_fault TO leasing_auditor;

GRANT SELECT ON TABLE obligation_rule TO leasing_recycler;
GRANT SELECT ON TABLE obligation_rule TO leasing_auditor;
GRANT SELECT ON TABLE obligation_rule TO leasing_regulator;

GRANT SELECT ON TABLE outage_source TO leasing_customer;
GRANT SELECT ON TABLE outage_source TO leasing_auditor;

GRANT SELECT ON TABLE outlet TO leasing_recycler;
GRANT SELECT ON TABLE outlet TO leasing_auditor;
GRANT SELECT ON TABLE outlet TO leasing_regulator;

GRANT SELECT ON TABLE outlet_duty TO leasing_recycler;
GRANT SELECT ON TABLE outlet_duty TO leasing_auditor;

GRANT SELECT ON TABLE outlet_firm TO leasing_recycler;
GRANT SELECT ON TABLE outlet_firm TO leasing_auditor;

GRANT SELECT ON TABLE outlet_limit TO leasing_recycler;
GRANT SELECT ON TABLE outlet_limit TO leasing_auditor;

GRANT SELECT ON TABLE pack TO leasing_customer;
GRANT SELECT ON TABLE pack TO leasing_auditor;
GRANT SELECT ON TABLE pack TO leasing_recycler;
GRANT SELECT ON TABLE pack TO leasing_regulator;

GRANT SELECT ON TABLE pack_code TO leasing_customer;
GRANT SELECT ON TABLE pack_code TO leasing_auditor;
GRANT SELECT ON TABLE pack_code TO leasing_recycler;
GRANT SELECT ON TABLE pack_code TO leasing_regulator;

GRANT SELECT ON TABLE pack_origin TO leasing_customer;
GRANT SELECT ON TABLE pack_origin TO leasing_recycler;
GRANT SELECT ON TABLE pack_origin TO leasing_auditor;
GRANT SELECT ON TABLE pack_origin TO leasing_regulator;

GRANT SELECT ON TABLE pack_return TO leasing_customer;
GRANT SELECT ON TABLE pack_return TO leasing_auditor;
GRANT SELECT ON TABLE pack_return TO leasing_regulator;

GRANT SELECT ON TABLE pack_session TO leasing_customer;
GRANT SELECT ON TABLE pack_session TO leasing_auditor;

GRANT SELECT ON TABLE pack_telemetry TO leasing_customer;
GRANT SELECT ON TABLE pack_telemetry TO leasing_auditor;
GRANT SELECT ON TABLE pack_telemetry TO leasing_regulator;

GRANT SELECT ON TABLE part TO leasing_customer;
GRANT SELECT ON TABLE part TO leasing_recycler;
GRANT SELECT ON TABLE part TO leasing_auditor;
GRANT SELECT ON TABLE part TO leasing_regulator;

GRANT SELECT ON TABLE part_stay TO leasing_customer;
GRANT SELECT ON TABLE part_stay TO leasing_recycler;
GRANT SELECT ON TABLE part_stay TO leasing_auditor;
GRANT SELECT ON TABLE part_stay TO leasing_regulator;

GRANT SELECT ON TABLE party_role TO leasing_customer;
GRANT SELECT ON TABLE party_role TO leasing_recycler;
GRANT SELECT ON TABLE party_role TO leasing_auditor;

GRANT SELECT ON TABLE passport TO leasing_auditor;
GRANT SELECT ON TABLE passport TO leasing_regulator;

GRANT SELECT ON TABLE passport_declaration TO leasing_auditor;
GRANT SELECT ON TABLE passport_declaration TO leasing_regulator;

GRANT SELECT ON TABLE payment TO leasing_customer;
GRANT SELECT ON TABLE payment TO leasing_auditor;

GRANT SELECT ON TABLE posting TO leasing_auditor;

GRANT SELECT ON TABLE prefecture TO leasing_customer;
GRANT SELECT ON TABLE prefecture TO leasing_recycler;
GRANT SELECT ON TABLE prefecture TO leasing_auditor;
GRANT SELECT ON TABLE prefecture TO leasing_regulator;

GRANT SELECT ON TABLE price_index TO leasing_customer;
GRANT SELECT ON TABLE price_index TO leasing_auditor;

GRANT SELECT ON TABLE price_plan TO leasing_customer;
GRANT SELECT ON TABLE price_plan TO leasing_auditor;

GRANT SELECT ON TABLE price_plan_version TO leasing_customer;
GRANT SELECT ON TABLE price_plan_version TO leasing_auditor;

GRANT SELECT ON TABLE province_rule TO leasing_auditor;

GRANT SELECT ON TABLE qualification TO leasing_recycler;
GRANT SELECT ON TABLE qualification TO leasing_auditor;
GRANT SELECT ON TABLE qualification TO leasing_regulator;

GRANT SELECT ON TABLE quarantine TO leasing_customer;
GRANT SELECT ON TABLE quarantine TO leasing_auditor;

GRANT SELECT ON TABLE quote TO leasing_customer;
GRANT SELECT ON TABLE quote TO leasing_auditor;

GRANT SELECT ON TABLE reading_chunk TO leasing_customer;
GRANT SELECT ON TABLE reading_chunk TO leasing_auditor;

GRANT SELECT ON TABLE reading_flag TO leasing_auditor;

GRANT SELECT ON TABLE reading_hour TO leasing_customer;
GRANT SELECT ON TABLE reading_hour TO leasing_auditor;

GRANT SELECT ON TABLE receivable TO leasing_customer;
GRANT SELECT ON TABLE receivable TO leasing_auditor;

GRANT SELECT ON TABLE recovery_batch TO leasing_recycler;
GRANT SELECT ON TABLE recovery_batch TO leasing_auditor;

GRANT SELECT(id) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(recycler_id) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(number) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(received_on) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(expected_kg) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(mass_in_kg) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(state) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT(recycled_on) ON TABLE recovery_batch TO leasing_regulator;

GRANT SELECT ON TABLE recovery_batch_pack TO leasing_recycler;
GRANT SELECT ON TABLE recovery_batch_pack TO leasing_auditor;
GRANT SELECT ON TABLE recovery_batch_pack TO leasing_regulator;

GRANT SELECT ON TABLE recovery_product TO leasing_recycler;
GRANT SELECT ON TABLE recovery_product TO leasing_auditor;

GRANT SELECT ON TABLE recovery_rate TO leasing_recycler;
GRANT SELECT ON TABLE recovery_rate TO leasing_auditor;

GRANT SELECT ON TABLE recycler_notice TO leasing_recycler;
GRANT SELECT ON TABLE recycler_notice TO leasing_auditor;

GRANT SELECT ON TABLE recycling_certificate TO leasing_recycler;
GRANT SELECT ON TABLE recycling_certificate TO leasing_auditor;
GRANT SELECT ON TABLE recycling_certificate TO leasing_regulator;

GRANT SELECT ON TABLE red_letter TO leasing_customer;
GRANT SELECT ON TABLE red_letter TO leasing_auditor;

GRANT SELECT ON TABLE refund TO leasing_customer;
GRANT SELECT ON TABLE refund TO leasing_auditor;

GRANT SELECT ON TABLE rerouting TO leasing_auditor;

GRANT SELECT ON TABLE restatement TO leasing_auditor;

GRANT SELECT ON TABLE return_order TO leasing_customer;
GRANT SELECT ON TABLE return_order TO leasing_auditor;

GRANT SELECT ON TABLE return_order_item TO leasing_customer;
GRANT SELECT ON TABLE return_order_item TO leasing_auditor;

GRANT SELECT ON TABLE return_settlement TO leasing_customer;
GRANT SELECT ON TABLE return_settlement TO leasing_auditor;

GRANT SELECT ON TABLE return_settlement_order TO leasing_customer;
GRANT SELECT ON TABLE return_settlement_order TO leasing_auditor;

GRANT SELECT ON TABLE routing TO leasing_recycler;
GRANT SELECT ON TABLE routing TO leasing_auditor;

GRANT SELECT(id) ON TABLE routing TO leasing_regulator;

GRANT SELECT(pack_id) ON TABLE routing TO leasing_regulator;

GRANT SELECT(outlet_id) ON TABLE routing TO leasing_regulator;

GRANT SELECT(recycler_id) ON TABLE routing TO leasing_regulator;

GRANT SELECT(state) ON TABLE routing TO leasing_regulator;

GRANT SELECT(mass_kg) ON TABLE routing TO leasing_regulator;

GRANT SELECT(distance_m) ON TABLE routing TO leasing_regulator;

GRANT SELECT(hand_over_on) ON TABLE routing TO leasing_regulator;

GRANT SELECT(handed_over_on) ON TABLE routing TO leasing_regulator;

GRANT SELECT(recycled_on) ON TABLE routing TO leasing_regulator;

GRANT SELECT(released_on) ON TABLE routing TO leasing_regulator;

GRANT SELECT(release_reason) ON TABLE routing TO leasing_regulator;

GRANT SELECT ON TABLE routing_plan TO leasing_auditor;

GRANT SELECT ON TABLE routing_plan_item TO leasing_auditor;

GRANT SELECT ON TABLE routing_terms TO leasing_auditor;

GRANT SELECT ON TABLE safety_hold TO leasing_auditor;

GRANT SELECT ON TABLE scrap_offer TO leasing_recycler;
GRANT SELECT ON TABLE scrap_offer TO leasing_auditor;

GRANT SELECT ON TABLE site TO leasing_customer;
GRANT SELECT ON TABLE site TO leasing_auditor;
GRANT SELECT ON TABLE site TO leasing_regulator;

GRANT SELECT ON TABLE site_device TO leasing_customer;
GRANT SELECT ON TABLE site_device TO leasing_auditor;

GRANT SELECT ON TABLE site_string TO leasing_customer;
GRANT SELECT ON TABLE site_string TO leasing_auditor;

GRANT SELECT ON TABLE site_tenancy TO leasing_customer;
GRANT SELECT ON TABLE site_tenancy TO leasing_auditor;

GRANT SELECT ON TABLE subject TO leasing_customer;
GRANT SELECT ON TABLE subject TO leasing_auditor;

GRANT SELECT ON TABLE subject_tag TO leasing_auditor;

GRANT SELECT ON TABLE submission TO leasing_auditor;

GRANT SELECT ON TABLE submission_item TO leasing_auditor;

GRANT SELECT ON TABLE test_rule TO leasing_auditor;

GRANT SELECT ON TABLE trace_head TO leasing_customer;
GRANT SELECT ON TABLE trace_head TO leasing_recycler;
GRANT SELECT ON TABLE trace_head TO leasing_auditor;

GRANT SELECT ON TABLE transport_treatment TO leasing_customer;
GRANT SELECT ON TABLE transport_treatment TO leasing_auditor;

GRANT SELECT ON TABLE treatment_capacity TO leasing_recycler;
GRANT SELECT ON TABLE treatment_capacity TO leasing_auditor;

GRANT SELECT ON TABLE unmatched_source TO leasing_auditor;

GRANT SELECT ON TABLE withdrawal TO leasing_recycler;
GRANT SELECT ON TABLE withdrawal TO leasing_auditor;

GRANT SELECT ON TABLE withdrawn_firm TO leasing_recycler;
GRANT SELECT ON TABLE withdrawn_firm TO leasing_auditor;

GRANT SELECT ON TABLE work_order TO leasing_customer;
GRANT SELECT ON TABLE work_order TO leasing_auditor;

GRANT SELECT ON TABLE working_day TO leasing_recycler;
GRANT SELECT ON TABLE working_day TO leasing_auditor;
GRANT SELECT ON TABLE working_day TO leasing_regulator;
