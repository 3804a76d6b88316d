-- Who has a pack now, written on the pack and on all that a search finds it by.
--
-- A customer sees the packs that stand in its lines, as before. Asked of the stays, row by row,
-- that took PostgreSQL past every stay before it had a page; asked of one column, it begins
-- where the customer's packs do.

ALTER TABLE pack ADD COLUMN holder_id uuid REFERENCES party (id);
ALTER TABLE pack_code ADD COLUMN holder_id uuid;
ALTER TABLE pack_origin ADD COLUMN holder_id uuid;
ALTER TABLE part_stay
  ADD COLUMN holder_id uuid,
  ADD COLUMN code text COLLATE "C";

UPDATE pack
   SET holder_id = lessee_id
  FROM placement
  JOIN lease_line ON lease_line.id = line_id
 WHERE pack_id = pack.id
   AND upper_inf(during);

UPDATE pack_code
   SET holder_id = pack.holder_id
  FROM pack
 WHERE pack.id = pack_id
   AND pack.holder_id IS NOT NULL;

UPDATE pack_origin
   SET holder_id = pack.holder_id
  FROM pack
 WHERE pack.id = pack_id
   AND pack.holder_id IS NOT NULL;

UPDATE part_stay
   SET code = part.code,
       holder_id = (SELECT holder_id FROM pack WHERE pack.id = pack_id)
  FROM part
 WHERE part.id = part_id;

ALTER TABLE part ADD CONSTRAINT part_id_code UNIQUE (id, code);

-- A stay is found by the code of its part, and that is the part's whatever becomes of it.
ALTER TABLE part_stay
  ALTER COLUMN code SET NOT NULL,
  DROP CONSTRAINT part_stay_part_id_fkey,
  ADD CONSTRAINT part_stay_of_the_part
    FOREIGN KEY (part_id, code) REFERENCES part (id, code) ON UPDATE CASCADE;

-- A pack is in one line at a time, so at most one stay goes on.
CREATE FUNCTION name_holder(changed_id uuid) RETURNS void LANGUAGE plpgsql AS $$
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

CREATE FUNCTION note_holder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM name_holder(OLD.pack_id);
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.pack_id <> OLD.pack_id) THEN
    PERFORM name_holder(NEW.pack_id);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER placement_names_holder AFTER INSERT OR UPDATE OR DELETE ON placement
  FOR EACH ROW EXECUTE FUNCTION note_holder();

-- What is written beside a pack has the pack's holder. A hand-over at the same moment waits for
-- us, or we for it.
CREATE FUNCTION take_holder_of_pack() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT holder_id INTO NEW.holder_id
    FROM pack
   WHERE id = NEW.pack_id
     FOR SHARE;
  RETURN NEW;
END $$;

CREATE TRIGGER pack_code_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON pack_code
  FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();
CREATE TRIGGER pack_origin_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON pack_origin
  FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();
CREATE TRIGGER part_stay_takes_holder BEFORE INSERT OR UPDATE OF pack_id ON part_stay
  FOR EACH ROW EXECUTE FUNCTION take_holder_of_pack();

CREATE FUNCTION take_code_of_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT code INTO NEW.code FROM part WHERE id = NEW.part_id;
  RETURN NEW;
END $$;

CREATE TRIGGER part_stay_takes_code BEFORE INSERT OR UPDATE OF part_id ON part_stay
  FOR EACH ROW EXECUTE FUNCTION take_code_of_part();

-- The packs of a customer in the orders in which they are listed and searched. What stands behind
-- the id is filtered by in the index, so that only packs of the page are read.
CREATE INDEX pack_by_holder
  ON pack (holder_id, id, rated_capacity_mah, rated_voltage_mv, made_on)
  WHERE holder_id IS NOT NULL;
CREATE INDEX pack_by_holder_maker ON pack (holder_id, maker, id, chemistry, state)
  WHERE holder_id IS NOT NULL;
CREATE INDEX pack_by_holder_state ON pack (holder_id, state, id, chemistry)
  WHERE holder_id IS NOT NULL;
CREATE INDEX pack_by_holder_chemistry ON pack (holder_id, chemistry, id)
  WHERE holder_id IS NOT NULL;
CREATE INDEX pack_code_by_holder ON pack_code (holder_id, code) WHERE holder_id IS NOT NULL;
CREATE INDEX pack_origin_by_holder ON pack_origin (holder_id, code) WHERE holder_id IS NOT NULL;
CREATE INDEX part_stay_by_holder ON part_stay (holder_id, code) WHERE holder_id IS NOT NULL;
CREATE INDEX part_stay_by_code ON part_stay (code) WHERE pack_id IS NOT NULL;

DROP INDEX pack_by_maker;
CREATE INDEX pack_by_maker ON pack (maker, id, chemistry, state);

-- One value, written as an array: with "=" PostgreSQL would take a list ordered by holder and id
-- for one ordered by id alone, go along the primary key, and read half the table for a customer
-- whose packs are all at its end.
ALTER POLICY pack_own ON pack
  USING (holder_id = ANY (ARRAY[current_setting('leasing.party')::uuid]));
ALTER POLICY pack_code_own ON pack_code
  USING (holder_id = ANY (ARRAY[current_setting('leasing.party')::uuid]));

-- Customers and recyclers shared these. A recycler still sees them where it sees the pack.
ALTER POLICY part_stay_own ON part_stay TO leasing_customer
  USING (holder_id = ANY (ARRAY[current_setting('leasing.party')::uuid]));
CREATE POLICY part_stay_routed ON part_stay FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM pack WHERE pack.id = pack_id));
ALTER POLICY pack_origin_own ON pack_origin TO leasing_customer
  USING (holder_id = ANY (ARRAY[current_setting('leasing.party')::uuid]));
CREATE POLICY pack_origin_routed ON pack_origin FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM pack WHERE pack.id = pack_id));
