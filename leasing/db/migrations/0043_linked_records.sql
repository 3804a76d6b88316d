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

-- The text that is hashed: a line for each field that has a value; `data` comes last, because it
-- alone may have several lines.
CREATE FUNCTION trace_hash(record trace_record) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN sha256(convert_to(concat_ws(E'\n',
    'previous ' || encode(record.previous_hash, 'hex'),
    'id ' || record.id,
    'pack ' || record.pack_id,
    'sequence ' || record.sequence,
    'kind ' || record.kind,
    'happened_on ' || to_char(record.happened_on, 'YYYY-MM-DD'),
    'adcode ' || record.adcode,
    'party ' || record.party_id,
    'corrects ' || record.corrects_id,
    'actor ' || record.actor,
    'recorded_at ' || to_char(record.recorded_at AT TIME ZONE 'UTC',
                              'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'data ' || record.data) || E'\n', 'UTF8'));
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
    step.hash := trace_hash(step);
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

-- Whoever writes a record leaves sequence and hashes to the table; given ones have to be right.
-- A row sees the rows before it in its own statement. Two who write to one pack at once take turns
-- by its lock; without it the second is refused by `trace_record_in_sequence`.
CREATE FUNCTION link_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last_sequence integer;
  given_hash bytea := NEW.hash;
BEGIN
  SELECT sequence, hash
    INTO last_sequence, NEW.previous_hash
    FROM trace_record
   WHERE pack_id = NEW.pack_id
   ORDER BY sequence DESC
   LIMIT 1;
  last_sequence := coalesce(last_sequence, 0);
  IF NEW.sequence <> last_sequence + 1 THEN
    RAISE EXCEPTION 'record % of pack % does not follow %', NEW.sequence, NEW.pack_id, last_sequence
      USING ERRCODE = 'check_violation', CONSTRAINT = 'trace_record_gapless';
  END IF;
  NEW.sequence := last_sequence + 1;
  IF NEW.corrects_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM trace_record WHERE id = NEW.corrects_id AND pack_id = NEW.pack_id
  ) THEN
    RAISE EXCEPTION 'pack % has no record %', NEW.pack_id, NEW.corrects_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'trace_record_corrects_own';
  END IF;
  NEW.hash := trace_hash(NEW);
  IF given_hash <> NEW.hash THEN
    RAISE EXCEPTION 'the hash of record % of pack % is another', NEW.sequence, NEW.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'trace_record_linked';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER trace_record_linked BEFORE INSERT ON trace_record
  FOR EACH ROW EXECUTE FUNCTION link_record();
-- Also for who copies rows as a replica would.
ALTER TABLE trace_record ENABLE ALWAYS TRIGGER trace_record_linked;
