-- Each record of a pack's life is linked to the one before it by a hash over all it says, so that
-- nothing in it is changed, left out or put in another place without a trace. How to reckon a hash
-- with standard tools: docs/traceability.md.

-- What a hash was taken over must stay as it was written, letter for letter; `jsonb` would write
-- numbers, blanks and the order of keys as the server's version sees fit.
ALTER TABLE trace_record
  ALTER COLUMN data TYPE json USING data::json,
  ADD COLUMN previous_hash bytea,
  ADD COLUMN hash bytea,
  ADD COLUMN corrects_id uuid;

-- The text that is hashed: a line for each field that has a value; the data come last, because
-- they alone may have several lines. Each parameter is used once, so that PostgreSQL puts the
-- expression where the function is called.
CREATE FUNCTION trace_hash(
  previous_hash bytea, id uuid, pack_id uuid, sequence integer, kind text, happened_on date,
  adcode text, party_id uuid, corrects_id uuid, actor text, recorded_at timestamptz, data json
) RETURNS bytea LANGUAGE sql STABLE AS $$
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

-- Whoever writes records without hashes has them linked one by one, at half the speed; a row sees
-- the rows before it in its own statement. The index is the way to a pack's last record also where
-- the table was counted when it was small.
CREATE FUNCTION link_record() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

ALTER TABLE trace_record DISABLE TRIGGER trace_record_append_only;
DO $$
DECLARE
  step trace_record;
  last trace_record;
BEGIN
  FOR step IN SELECT * FROM trace_record ORDER BY pack_id, sequence LOOP
    IF last.pack_id = step.pack_id THEN
      step.previous_hash := last.hash;
    END IF;
    step.hash := trace_hash(step.previous_hash, step.id, step.pack_id, step.sequence, step.kind,
      step.happened_on, step.adcode, step.party_id, step.corrects_id, step.actor,
      step.recorded_at, step.data);
    UPDATE trace_record
       SET previous_hash = step.previous_hash,
           hash = step.hash
     WHERE id = step.id;
    last := step;
  END LOOP;
END $$;
ALTER TABLE trace_record ENABLE TRIGGER trace_record_append_only;

ALTER TABLE trace_record
  ALTER COLUMN hash SET NOT NULL,
  ADD CONSTRAINT trace_record_hash CHECK (
    octet_length(hash) = 32 AND octet_length(previous_hash) = 32),
  ADD CONSTRAINT trace_record_first CHECK (
    sequence >= 1 AND (sequence = 1) = (previous_hash IS NULL)),
  ADD CONSTRAINT trace_record_one_line CHECK (strpos(concat(actor, adcode), E'\n') = 0),
  -- A correction names what it corrects, once; what is wrong with it another correction says.
  ADD CONSTRAINT trace_record_correction CHECK (
    (kind = 'record.corrected') = (corrects_id IS NOT NULL));

CREATE UNIQUE INDEX trace_record_corrected_once ON trace_record (corrects_id)
  WHERE corrects_id IS NOT NULL;

CREATE TRIGGER trace_record_fills_in_links BEFORE INSERT ON trace_record
  FOR EACH ROW WHEN (NEW.hash IS NULL)
  EXECUTE FUNCTION link_record();
-- Also for who copies rows as a replica would.
ALTER TABLE trace_record ENABLE ALWAYS TRIGGER trace_record_fills_in_links;

-- A record stands one above the record whose hash it names, so that there is no gap either. Two who
-- write to one pack at once take turns by its lock; without it the second is refused by
-- `trace_record_in_sequence`.
CREATE FUNCTION refuse_unlinked() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE TRIGGER trace_record_linked AFTER INSERT ON trace_record
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unlinked();
