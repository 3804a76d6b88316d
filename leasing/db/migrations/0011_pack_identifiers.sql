-- What a pack is known by, each identifier with its days; what it was rated for; its first life.

ALTER TABLE pack
  ADD COLUMN max_voltage_mv integer,
  ADD COLUMN min_voltage_mv integer
    CONSTRAINT pack_min_voltage CHECK (min_voltage_mv > 0),
  -- Only where the maker gives energy of its own; else it is voltage times capacity.
  ADD COLUMN maker_energy_wh bigint
    CONSTRAINT pack_maker_energy CHECK (maker_energy_wh > 0),
  -- Who gave the code that is printed on the pack now; the first characters of that code.
  ADD COLUMN maker text,
  -- The vehicle a pack came from. Vehicles get new packs, so several may name one vehicle.
  ADD COLUMN vin text
    CONSTRAINT pack_vin CHECK (vin ~ '^[0-9A-HJ-NPR-Z]{17}$'),
  ADD COLUMN carmaker text,
  ADD COLUMN vehicle_model text,
  ADD COLUMN removed_on date,
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD CONSTRAINT pack_max_voltage CHECK (max_voltage_mv >= rated_voltage_mv),
  ADD CONSTRAINT pack_min_below_rated CHECK (min_voltage_mv <= rated_voltage_mv),
  ADD CONSTRAINT pack_removed_before_acquired CHECK (removed_on <= acquired_on);

ALTER TABLE pack
  ADD COLUMN rated_energy_wh bigint GENERATED ALWAYS AS (
    coalesce(maker_energy_wh,
             (rated_voltage_mv::bigint * rated_capacity_mah + 500000) / 1000000)) VIRTUAL;

ALTER TABLE pack_code DROP CONSTRAINT pack_code_once;
ALTER TABLE pack_code RENAME COLUMN is_current TO is_printed;
DROP INDEX pack_code_one_current;

-- Codes are compared by their bytes, so that one index finds a code and a beginning of one.
ALTER TABLE pack_code ALTER COLUMN code TYPE text COLLATE "C";

ALTER TABLE pack_code
  ADD COLUMN id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT pack_code_id PRIMARY KEY,
  ADD COLUMN assigned_by text,
  -- A bound that nobody knows is open.
  ADD COLUMN valid daterange NOT NULL DEFAULT daterange(NULL, NULL)
    CONSTRAINT pack_code_valid_not_empty CHECK (NOT isempty(valid)),
  DROP CONSTRAINT pack_code_scheme,
  ADD CONSTRAINT pack_code_scheme CHECK (scheme IN (
    'gbt34014', 'gbt34014_cascade', 'gbt45565', 'maker_serial', 'unrecognised')),
  ADD CONSTRAINT pack_code_serial_of_a_maker
    CHECK (scheme <> 'maker_serial' OR assigned_by IS NOT NULL);

ALTER TABLE pack_code
  ADD COLUMN is_current boolean NOT NULL
    GENERATED ALWAYS AS (is_printed AND upper_inf(valid)) STORED,
  -- One printed code on any day: a pack that is given a new one loses the old from that day on.
  ADD CONSTRAINT pack_code_one_printed
    EXCLUDE USING gist (pack_id WITH =, valid WITH &&) WHERE (is_printed);

UPDATE pack_code
   SET valid = daterange(pack.made_on, NULL)
  FROM pack
 WHERE pack.id = pack_id
   AND is_printed;

UPDATE pack
   SET maker = CASE WHEN scheme LIKE 'gbt34014%' THEN left(code, 3) END
  FROM pack_code
 WHERE pack_id = pack.id
   AND is_current;

-- Codes of a standard are given once. A maker's serial is unique to the maker, and what nobody
-- can read may well stand on two packs.
CREATE UNIQUE INDEX pack_code_once ON pack_code (code)
  WHERE scheme IN ('gbt34014', 'gbt34014_cascade', 'gbt45565');
CREATE UNIQUE INDEX pack_code_serial_once ON pack_code (code, lower(assigned_by))
  WHERE scheme = 'maker_serial';
CREATE UNIQUE INDEX pack_code_once_per_pack ON pack_code (pack_id, code, scheme);
CREATE INDEX pack_code_by_code ON pack_code (code);
CREATE INDEX pack_code_current ON pack_code (pack_id) WHERE is_current;
DROP INDEX pack_code_by_pack;

CREATE INDEX pack_by_maker ON pack (maker, id);
CREATE INDEX pack_by_chemistry ON pack (chemistry, id);
CREATE INDEX pack_by_rating ON pack (rated_capacity_mah, rated_voltage_mv, id);
CREATE INDEX pack_by_make ON pack (made_on, id);
