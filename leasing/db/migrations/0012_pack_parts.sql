-- What a pack is made of, and what it was made from.

CREATE TABLE part (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  kind text NOT NULL
    CONSTRAINT part_kind CHECK (kind IN ('module', 'cell')),
  scheme text NOT NULL
    CONSTRAINT part_scheme CHECK (scheme IN (
      'gbt34014', 'gbt34014_cascade', 'gbt45565', 'maker_serial', 'unrecognised')),
  code text COLLATE "C" NOT NULL,
  assigned_by text,
  created_at timestamptz NOT NULL,
  CONSTRAINT part_serial_of_a_maker CHECK (scheme <> 'maker_serial' OR assigned_by IS NOT NULL),
  CONSTRAINT part_identity UNIQUE (id, kind)
);

CREATE UNIQUE INDEX part_code_once ON part (code)
  WHERE scheme IN ('gbt34014', 'gbt34014_cascade', 'gbt45565');
CREATE UNIQUE INDEX part_serial_once ON part (code, lower(assigned_by))
  WHERE scheme = 'maker_serial';
CREATE INDEX part_by_code ON part (code);

-- Where a part is, day by day: at some depth in a pack, or loose (no pack). A part is in one
-- place at a time. What is inside another part is there only while that one is one level above
-- it in the same pack, so levels count down to the top and no part can be inside itself.
CREATE TABLE part_stay (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  part_id uuid NOT NULL REFERENCES part (id),
  pack_id uuid REFERENCES pack (id),
  within_id uuid,
  within_kind text GENERATED ALWAYS AS (CASE WHEN within_id IS NOT NULL THEN 'module' END) STORED,
  depth integer NOT NULL
    CONSTRAINT part_stay_depth CHECK (depth BETWEEN 1 AND 10),
  during daterange NOT NULL
    CONSTRAINT part_stay_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  -- What the level above must look like; a loose part has a place of its own to be in.
  place_id uuid NOT NULL
    GENERATED ALWAYS AS (coalesce(pack_id, '00000000-0000-0000-0000-000000000000')) STORED,
  depth_above integer GENERATED ALWAYS AS (depth - 1) STORED,
  CONSTRAINT part_stay_top CHECK ((within_id IS NULL) = (depth = 1)),
  CONSTRAINT part_stay_part_once UNIQUE (part_id, during WITHOUT OVERLAPS),
  CONSTRAINT part_stay_place UNIQUE (part_id, place_id, depth, during WITHOUT OVERLAPS),
  CONSTRAINT part_stay_within_a_module
    FOREIGN KEY (within_id, within_kind) REFERENCES part (id, kind),
  CONSTRAINT part_stay_within_the_same_pack
    FOREIGN KEY (within_id, place_id, depth_above, PERIOD during)
    REFERENCES part_stay (part_id, place_id, depth, PERIOD during)
    DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX part_stay_in_pack ON part_stay (pack_id, within_id) WHERE upper_inf(during);
CREATE INDEX part_stay_by_pack ON part_stay (pack_id);
CREATE INDEX part_stay_by_part ON part_stay (part_id);
CREATE INDEX part_stay_by_module ON part_stay (within_id) WHERE within_id IS NOT NULL;

-- A pack made from others: from packs of ours, or from what is known by its code alone.
CREATE TABLE pack_origin (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  origin_id uuid REFERENCES pack (id),
  scheme text
    CONSTRAINT pack_origin_scheme CHECK (scheme IN (
      'gbt34014', 'gbt34014_cascade', 'gbt45565', 'maker_serial', 'unrecognised')),
  code text COLLATE "C",
  CONSTRAINT pack_origin_pack_or_code
    CHECK (num_nonnulls(origin_id, code) = 1 AND (code IS NULL) = (scheme IS NULL)),
  CONSTRAINT pack_origin_not_itself CHECK (origin_id <> pack_id),
  CONSTRAINT pack_origin_once UNIQUE (pack_id, origin_id),
  CONSTRAINT pack_origin_code_once UNIQUE (pack_id, code)
);

CREATE INDEX pack_origin_by_origin ON pack_origin (origin_id) WHERE origin_id IS NOT NULL;
CREATE INDEX pack_origin_by_code ON pack_origin (code) WHERE code IS NOT NULL;

-- No pack is made from itself, however far back. Two links that close a circle together may be
-- written at once, so they take turns; links are few.
CREATE FUNCTION refuse_origin_circle() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER pack_origin_never_circular AFTER INSERT OR UPDATE ON pack_origin
  FOR EACH ROW WHEN (NEW.origin_id IS NOT NULL)
  EXECUTE FUNCTION refuse_origin_circle();

-- Whoever sees a pack sees what it is made of and from: the pack's own policy decides.
ALTER TABLE part_stay ENABLE ROW LEVEL SECURITY;
CREATE POLICY part_stay_own ON part_stay FOR SELECT TO leasing_customer, leasing_recycler
  USING (EXISTS (SELECT FROM pack WHERE pack.id = pack_id));
CREATE POLICY part_stay_audit ON part_stay FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON part_stay TO leasing_customer, leasing_recycler, leasing_auditor;

ALTER TABLE part ENABLE ROW LEVEL SECURITY;
CREATE POLICY part_own ON part FOR SELECT TO leasing_customer, leasing_recycler
  USING (EXISTS (SELECT FROM part_stay WHERE part_stay.part_id = part.id));
CREATE POLICY part_audit ON part FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON part TO leasing_customer, leasing_recycler, leasing_auditor;

ALTER TABLE pack_origin ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_origin_own ON pack_origin FOR SELECT TO leasing_customer, leasing_recycler
  USING (EXISTS (SELECT FROM pack WHERE pack.id = pack_id));
CREATE POLICY pack_origin_audit ON pack_origin FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack_origin TO leasing_customer, leasing_recycler, leasing_auditor;
