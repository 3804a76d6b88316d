-- What is known of a party beside its name: its place in a group of companies, who gets its
-- invoices, the roles it plays, and the people one can call.

ALTER TABLE party
  DROP CONSTRAINT party_kind,
  -- A partner is none of the others: a maker, a carrier. It has no key.
  ADD CONSTRAINT party_kind CHECK (kind IN ('lessor', 'customer', 'recycler', 'partner')),
  ADD COLUMN name_en text
    CONSTRAINT party_name_en_not_blank CHECK (btrim(name_en) <> ''),
  ADD COLUMN short_name text
    CONSTRAINT party_short_name_not_blank CHECK (btrim(short_name) <> ''),
  ADD COLUMN registered_address text
    CONSTRAINT party_registered_address_not_blank CHECK (btrim(registered_address) <> ''),
  ADD COLUMN parent_id uuid,
  ADD COLUMN parent_level integer,
  -- Each level is one more than the one above it, so no circle of parties can exist, whoever
  -- writes it and whatever is written at the same time.
  ADD COLUMN level integer NOT NULL GENERATED ALWAYS AS (coalesce(parent_level + 1, 0)) STORED
    CONSTRAINT party_level CHECK (level BETWEEN 0 AND 7),
  -- Its own choice of who gets its invoices; without one the nearest party above it decides.
  ADD COLUMN billing_party_id uuid
    CONSTRAINT party_billing_party REFERENCES party (id),
  -- What a search by name looks through.
  ADD COLUMN names text COLLATE "pg_c_utf8" NOT NULL GENERATED ALWAYS AS (lower(
    (name || E'\n' || coalesce(short_name, '') || E'\n' || coalesce(name_en, ''))
      COLLATE "pg_c_utf8")) STORED,
  ADD CONSTRAINT party_identity UNIQUE (id, level, kind),
  -- A move of a party carries the levels of all below it along.
  ADD CONSTRAINT party_parent
    FOREIGN KEY (parent_id, parent_level, kind) REFERENCES party (id, level, kind)
    ON UPDATE CASCADE,
  ADD CONSTRAINT party_parent_has_a_level
    CHECK ((parent_id IS NULL) = (parent_level IS NULL)),
  ADD CONSTRAINT party_group_of_customers
    CHECK (kind = 'customer' OR (parent_id IS NULL AND billing_party_id IS NULL));

CREATE INDEX party_by_parent ON party (parent_id, id);
CREATE INDEX party_by_billing_party ON party (billing_party_id);

-- All single characters and pairs of neighbours in a text. Chinese names are searched by two
-- characters as often as not: pg_trgm wants three, and where the character type is C it takes
-- no Chinese character for one.
CREATE FUNCTION pieces(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
  SELECT DISTINCT substr(given, start, size)
    FROM generate_series(1, length(given)) AS start,
         generate_series(1, 2) AS size);

-- Parties are read more than written: no list of pending entries that each search has to scan.
CREATE INDEX party_by_name ON party USING gin (pieces(names)) WITH (fastupdate = off);

-- Who gets a party's invoices: the nearest choice on the way up, or the party itself. NULL when
-- the way leads to a party that the reader may not see.
CREATE FUNCTION billing_party_of(party_id uuid) RETURNS uuid LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH RECURSIVE way (member, above, chosen, distance) AS (
    SELECT id, parent_id, billing_party_id, 0
      FROM party
     WHERE id = party_id
     UNION ALL
    SELECT id, parent_id, billing_party_id, distance + 1
      FROM way
      JOIN party ON id = above
     WHERE chosen IS NULL
  )
  SELECT CASE WHEN above IS NULL THEN coalesce(chosen, party_id) ELSE chosen END
    FROM way
   ORDER BY distance DESC
   LIMIT 1;
END;

CREATE TABLE party_role (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT party_role_id UNIQUE,
  party_id uuid NOT NULL,
  party_kind text NOT NULL,
  role text NOT NULL
    CONSTRAINT party_role_role CHECK (role IN (
      'lessee', 'payer', 'maintainer', 'carrier', 'dismantler', 'repurposer', 'battery_maker',
      'carmaker')),
  valid daterange NOT NULL
    CONSTRAINT party_role_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  created_at timestamptz NOT NULL,
  CONSTRAINT party_role_one_at_a_time PRIMARY KEY (party_id, role, valid WITHOUT OVERLAPS),
  CONSTRAINT party_role_of_a_party
    FOREIGN KEY (party_id, party_kind) REFERENCES party (id, kind),
  CONSTRAINT party_role_of_its_kind CHECK (
    CASE role
      WHEN 'lessee' THEN party_kind = 'customer'
      WHEN 'payer' THEN party_kind <> 'lessor'
      ELSE true
    END)
);

CREATE TABLE contact (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  party_id uuid NOT NULL
    CONSTRAINT contact_of_a_party REFERENCES party (id),
  name text NOT NULL
    CONSTRAINT contact_name_not_blank CHECK (btrim(name) <> ''),
  purpose text NOT NULL
    CONSTRAINT contact_purpose CHECK (purpose IN ('billing', 'operations', 'emergency', 'legal')),
  phone text
    CONSTRAINT contact_phone CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
  email text
    CONSTRAINT contact_email CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
  note text,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  removed_at timestamptz,
  CONSTRAINT contact_can_be_reached CHECK (phone IS NOT NULL OR email IS NOT NULL)
);

CREATE INDEX contact_by_party ON contact (party_id, id);

ALTER TABLE party_role ENABLE ROW LEVEL SECURITY;
CREATE POLICY party_role_own ON party_role FOR SELECT TO leasing_customer, leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY party_role_audit ON party_role FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON party_role TO leasing_customer, leasing_recycler, leasing_auditor;

ALTER TABLE contact ENABLE ROW LEVEL SECURITY;
CREATE POLICY contact_own ON contact FOR SELECT TO leasing_customer, leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY contact_audit ON contact FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON contact TO leasing_customer, leasing_recycler, leasing_auditor;
