-- Timelines of contracts, sites and packs, and who had a pack on which day.
--
-- What happened is in domain_event already. Here is where to find it: one row for every contract,
-- site and pack that an event is about, in the order of a timeline.

-- No foreign key: rows come from the trigger on domain_event alone, and no event ever goes.
CREATE TABLE event_subject (
  event_id uuid NOT NULL,
  kind text NOT NULL
    CONSTRAINT event_subject_kind CHECK (kind IN ('contract', 'site', 'pack')),
  subject_id uuid NOT NULL,
  -- The civil day it was effective, and the instant we learnt of it.
  happened_on date NOT NULL,
  recorded_at timestamptz NOT NULL,
  -- Who outside may read it here: a party by name, or whoever has the pack on that day.
  party_id uuid,
  of_holder boolean NOT NULL,
  CONSTRAINT event_subject_once PRIMARY KEY (event_id, subject_id)
);

CREATE INDEX event_subject_in_order
  ON event_subject (subject_id, happened_on, recorded_at, event_id);

CREATE TRIGGER event_subject_append_only BEFORE UPDATE OR DELETE ON event_subject
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Outsiders learn in which role somebody acted, not by which name.
ALTER TABLE domain_event
  ADD COLUMN actor_role text GENERATED ALWAYS AS (split_part(actor, ':', 1)) VIRTUAL;

-- What an event is about, and the outsider it concerns. What befalls a line befalls its contract,
-- its site, and the pack that stands in it that day.
CREATE FUNCTION subjects_of(aggregate text, aggregate_id uuid, facts jsonb, on_day date)
RETURNS TABLE (kind text, subject_id uuid, party_id uuid)
LANGUAGE sql STABLE AS $$
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
  SELECT 'contract', charge.contract_id, invoice.lessee_id
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

-- The day an event was effective. A change of fields and the lessor's own fields are as of the day
-- they were entered: what they call `on` is a field like any other. Days are the lessor's
-- (leasing/kit/time.py).
CREATE FUNCTION effective_day(kind text, facts jsonb, recorded_at timestamptz) RETURNS date
LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    CASE
      WHEN kind NOT LIKE '%.changed'
      THEN coalesce(facts ->> 'on', facts ->> 'from_on', facts ->> 'given_on')::date
    END,
    (recorded_at AT TIME ZONE 'Asia/Shanghai')::date);
$$;

-- What the lessor keeps to itself.
CREATE FUNCTION is_internal(kind text, facts jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN kind IN ('note.added', 'attachment.added')
    THEN NOT coalesce((facts ->> 'visible_to_customer')::boolean, false)
    ELSE kind IN (
      'note.struck', 'attachment.removed', 'tags.changed', 'custom_fields.changed',
      'pack.acquired', 'pack.inspected', 'pack.reinstated', 'waste.declared')
  END;
$$;

CREATE FUNCTION subject_rows(event domain_event) RETURNS SETOF event_subject
LANGUAGE sql STABLE AS $$
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

CREATE FUNCTION note_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event_subject
         (event_id, kind, subject_id, happened_on, recorded_at, party_id, of_holder)
  SELECT event_id, subject.kind, subject_id, happened_on, recorded_at, party_id, of_holder
    FROM added
   CROSS JOIN LATERAL subject_rows(added) AS subject;
  RETURN NULL;
END $$;

CREATE TRIGGER domain_event_notes_subjects AFTER INSERT ON domain_event
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION note_subjects();

-- Custody: who has a pack, day by day, as the steps of its life say. What is said last about a day
-- holds, so each day from the first on belongs to exactly one holder.
CREATE TABLE custody (
  pack_id uuid NOT NULL REFERENCES pack (id),
  during daterange NOT NULL
    CONSTRAINT custody_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  state text NOT NULL
    CONSTRAINT custody_state CHECK (state IN (
      'in_stock', 'leased', 'returned', 'lost', 'sold', 'condemned', 'routed', 'handed_over',
      'recycled')),
  -- Whom it concerns beside the lessor: the lessee, or the recycler it goes to.
  party_id uuid REFERENCES party (id),
  line_id uuid,
  site_id uuid,
  slot integer,
  routing_id uuid,
  outlet_id uuid,
  trace_id uuid NOT NULL REFERENCES trace_record (id),
  recorded_at timestamptz NOT NULL,
  CONSTRAINT custody_one_a_day PRIMARY KEY (pack_id, during WITHOUT OVERLAPS),
  CONSTRAINT custody_leased_somewhere CHECK (
    (state = 'leased') = (site_id IS NOT NULL)
    AND (state = 'leased') = (slot IS NOT NULL)
    AND (state <> 'leased' OR (line_id IS NOT NULL AND party_id IS NOT NULL)))
);

CREATE FUNCTION custody_after(kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE kind
    WHEN 'pack.acquired' THEN 'in_stock'
    WHEN 'pack.commissioned' THEN 'leased'
    WHEN 'pack.swapped' THEN 'leased'
    WHEN 'pack.relocated' THEN 'leased'
    WHEN 'lease.transferred' THEN 'leased'
    WHEN 'pack.lost' THEN 'lost'
    WHEN 'pack.found' THEN 'returned'
    WHEN 'pack.returned' THEN 'returned'
    WHEN 'pack.sold' THEN 'sold'
    WHEN 'pack.reinstated' THEN 'in_stock'
    WHEN 'waste.declared' THEN 'condemned'
    WHEN 'route.chosen' THEN 'routed'
    WHEN 'route.released' THEN 'condemned'
    WHEN 'waste.inbound' THEN 'handed_over'
    WHEN 'recycle.completed' THEN 'recycled'
  END;
$$;

-- A step says who has the pack from its day on, whatever was said about those days before.
CREATE FUNCTION take_custody(step trace_record) RETURNS void LANGUAGE plpgsql AS $$
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

CREATE FUNCTION note_custody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM take_custody(NEW);
  RETURN NULL;
END $$;

CREATE TRIGGER trace_record_takes_custody AFTER INSERT ON trace_record
  FOR EACH ROW EXECUTE FUNCTION note_custody();

-- What happened before there were timelines. Events that do not say their day are shown on the day
-- they were recorded.
INSERT INTO event_subject
       (event_id, kind, subject_id, happened_on, recorded_at, party_id, of_holder)
SELECT event_id, subject.kind, subject_id, happened_on, recorded_at, party_id, of_holder
  FROM domain_event AS event
 CROSS JOIN LATERAL subject_rows(event) AS subject;

DO $$
DECLARE
  step trace_record;
BEGIN
  FOR step IN SELECT * FROM trace_record ORDER BY pack_id, sequence LOOP
    PERFORM take_custody(step);
  END LOOP;
END $$;

-- Who sees what. A customer sees of its contracts and sites all that is not internal, and of a pack
-- what happened in its time; a recycler sees of a pack its way there.

ALTER TABLE event_subject ENABLE ROW LEVEL SECURITY;
CREATE POLICY event_subject_own ON event_subject FOR SELECT TO leasing_customer
  USING (
    party_id = current_setting('leasing.party')::uuid
    OR (of_holder AND EXISTS (
         SELECT FROM placement
          WHERE placement.pack_id = subject_id
            AND placement.during @> happened_on)));
CREATE POLICY event_subject_routed ON event_subject FOR SELECT TO leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY event_subject_audit ON event_subject FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON event_subject TO leasing_customer, leasing_recycler, leasing_auditor;

ALTER TABLE domain_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY domain_event_own ON domain_event FOR SELECT TO leasing_customer, leasing_recycler
  USING (EXISTS (SELECT FROM event_subject WHERE event_subject.event_id = domain_event.id));
CREATE POLICY domain_event_audit ON domain_event FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT (id, aggregate, aggregate_id, kind, data, actor_role, occurred_at)
  ON domain_event TO leasing_customer, leasing_recycler;

ALTER TABLE custody ENABLE ROW LEVEL SECURITY;
CREATE POLICY custody_own ON custody FOR SELECT TO leasing_customer, leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY custody_audit ON custody FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON custody TO leasing_customer, leasing_recycler, leasing_auditor;
