-- The directory of outlets: how to find one, who keeps it up, what it may store from which day on,
-- and until when it is open.

ALTER TABLE outlet
  ADD COLUMN recycler_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT outlet_recycler_kind CHECK (recycler_kind = 'recycler'),
  ADD COLUMN address text,
  ADD COLUMN contact_name text,
  ADD COLUMN contact_phone text,
  ADD COLUMN opening_hours text,
  ADD COLUMN store_days integer
    CONSTRAINT outlet_store_days CHECK (store_days BETWEEN 1 AND 3650),
  -- First day on which it takes nothing more.
  ADD COLUMN closed_from date,
  ADD COLUMN closing_reason text,
  ADD COLUMN version integer NOT NULL DEFAULT 1,
  ADD CONSTRAINT outlet_closed_for_a_reason
    CHECK ((closed_from IS NULL) = (closing_reason IS NULL)),
  ADD CONSTRAINT outlet_of_a_recycler
    FOREIGN KEY (recycler_id, recycler_kind) REFERENCES party (id, kind),
  ADD CONSTRAINT outlet_store_limit_positive CHECK (store_limit_kg >= 1),
  -- The guide's limits bind by date: the rules judge each limit by its first day.
  DROP CONSTRAINT outlet_store_limit_of_its_kind,
  -- A limit may fall below what is there: the mass is a fact, and no law of ours moves it away.
  -- So it is not the state that is refused, but to add to it.
  DROP CONSTRAINT outlet_store_limit;

CREATE FUNCTION refuse_more_than_stored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'outlet % stores % kg at most', NEW.code, NEW.store_limit_kg
    USING ERRCODE = 'check_violation', CONSTRAINT = 'outlet_store_limit';
END $$;

CREATE TRIGGER outlet_store_limit AFTER UPDATE ON outlet
  FOR EACH ROW
  WHEN (NEW.stock_kg + NEW.reserved_kg + NEW.in_transit_kg > NEW.store_limit_kg
    AND NEW.stock_kg + NEW.reserved_kg + NEW.in_transit_kg
      > OLD.stock_kg + OLD.reserved_kg + OLD.in_transit_kg)
  EXECUTE FUNCTION refuse_more_than_stored();

CREATE TRIGGER outlet_store_limit_at_first AFTER INSERT ON outlet
  FOR EACH ROW
  WHEN (NEW.stock_kg + NEW.reserved_kg + NEW.in_transit_kg > NEW.store_limit_kg)
  EXECUTE FUNCTION refuse_more_than_stored();

-- What an outlet may store from a day on. Of two entries for one day the later one counts, so a
-- mistake is corrected by one more row.
CREATE TABLE outlet_limit (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  outlet_id uuid NOT NULL REFERENCES outlet (id),
  valid_from date NOT NULL,
  limit_kg integer NOT NULL
    CONSTRAINT outlet_limit_positive CHECK (limit_kg >= 1),
  store_days integer
    CONSTRAINT outlet_limit_days CHECK (store_days BETWEEN 1 AND 3650),
  document text NOT NULL
    CONSTRAINT outlet_limit_document CHECK (btrim(document) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL
);

CREATE INDEX outlet_limit_in_force ON outlet_limit (outlet_id, valid_from DESC, id DESC);

CREATE TRIGGER outlet_limit_append_only BEFORE UPDATE OR DELETE ON outlet_limit
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Whose outlet it is: a battery maker has outlets in each province, a carmaker in each city, where
-- it sells (Order No. 73).
CREATE TABLE outlet_duty (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT outlet_duty_id UNIQUE,
  outlet_id uuid NOT NULL REFERENCES outlet (id),
  party_id uuid NOT NULL REFERENCES party (id),
  role text NOT NULL
    CONSTRAINT outlet_duty_role CHECK (role IN ('battery_maker', 'carmaker')),
  valid daterange NOT NULL
    CONSTRAINT outlet_duty_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  document text NOT NULL,
  CONSTRAINT outlet_duty_one_at_a_time
    PRIMARY KEY (outlet_id, party_id, role, valid WITHOUT OVERLAPS)
);

CREATE INDEX outlet_duty_by_party ON outlet_duty (party_id, role);

-- Nothing new goes to an outlet that is closed on the day of the hand-over. The room at an outlet is
-- taken before its routing is written, and a closing waits for that, so one of the two sees the other.
CREATE FUNCTION refuse_routing_to_closed_outlet() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER routing_to_an_open_outlet AFTER INSERT ON routing
  REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_routing_to_closed_outlet();

ALTER TABLE outlet_limit ENABLE ROW LEVEL SECURITY;
CREATE POLICY outlet_limit_own ON outlet_limit FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM outlet WHERE outlet.id = outlet_id));
CREATE POLICY outlet_limit_audit ON outlet_limit FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE outlet_duty ENABLE ROW LEVEL SECURITY;
CREATE POLICY outlet_duty_own ON outlet_duty FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM outlet WHERE outlet.id = outlet_id));
CREATE POLICY outlet_duty_audit ON outlet_duty FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON outlet_limit, outlet_duty TO leasing_recycler, leasing_auditor;
