-- Alarms of packs: what was found, on what evidence, and what became of it. A thermal runaway opens
-- a quarantine of its pack and holds the packs with the same cells.

-- What the rules carry of a pack from one portion of readings to the next. Only the rules read it.
CREATE TABLE pack_watch (
  pack_id uuid PRIMARY KEY REFERENCES pack (id),
  state bytea NOT NULL,
  watched_at timestamptz NOT NULL
);

-- Limits that differ from the defaults, by model: maker, kind, chemistry and specification, as the
-- first seven characters of a GB/T 34014 code say them.
CREATE TABLE alarm_limits (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  model text COLLATE "C" NOT NULL
    CONSTRAINT alarm_limits_model CHECK (model ~ '^[0-9A-Z]{3}[PMC][A-GZ][0-9A-Z]{2}$'),
  version integer NOT NULL
    CONSTRAINT alarm_limits_version CHECK (version > 0),
  valid_from date NOT NULL,
  limits jsonb NOT NULL
    CONSTRAINT alarm_limits_object CHECK (jsonb_typeof(limits) = 'object'),
  reason text NOT NULL
    CONSTRAINT alarm_limits_reason CHECK (btrim(reason) <> ''),
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT alarm_limits_version_once UNIQUE (model, version)
);

CREATE TRIGGER alarm_limits_append_only BEFORE UPDATE OR DELETE ON alarm_limits
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE alarm (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  -- Who had the pack when it was raised, and may read it.
  holder_id uuid REFERENCES party (id),
  kind text NOT NULL
    CONSTRAINT alarm_kind CHECK (kind IN (
      'cell_over_voltage', 'cell_under_voltage', 'static_imbalance', 'drift', 'cell_spread',
      'charge_temperature', 'over_temperature', 'temperature_spread', 'thermal_runaway',
      'insulation', 'insulation_trend', 'capacity', 'resistance', 'standby_self_discharge',
      'data_stuck', 'data_unit_jump', 'data_clock', 'data_contradiction', 'data_soc', 'device')),
  severity text NOT NULL
    CONSTRAINT alarm_severity CHECK (severity IN ('info', 'warn', 'critical')),
  cell integer
    CONSTRAINT alarm_cell CHECK (cell > 0),
  -- Of an alarm that the battery's own management raises: what it calls it, and by which serial it
  -- pairs the end with the beginning.
  code text
    CONSTRAINT alarm_code CHECK (btrim(code) <> ''),
  serial text
    CONSTRAINT alarm_serial CHECK (btrim(serial) <> ''),
  since timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  limits jsonb NOT NULL,
  evidence jsonb NOT NULL,
  state text NOT NULL DEFAULT 'raised'
    CONSTRAINT alarm_state CHECK (state IN ('raised', 'acknowledged', 'closed')),
  raised_at timestamptz NOT NULL,
  next_repeat_at timestamptz,
  repeats integer NOT NULL DEFAULT 0
    CONSTRAINT alarm_repeats CHECK (repeats >= 0),
  acknowledged_at timestamptz,
  acknowledged_by text,
  closed_at timestamptz,
  closed_by text,
  close_reason text
    CONSTRAINT alarm_close_reason CHECK (btrim(close_reason) <> ''),
  CONSTRAINT alarm_of_a_device
    CHECK ((kind = 'device') = (code IS NOT NULL) AND (serial IS NULL OR kind = 'device')),
  CONSTRAINT alarm_seen_since CHECK (last_seen_at >= since),
  CONSTRAINT alarm_repeated_until_acknowledged
    CHECK ((state = 'raised') = (next_repeat_at IS NOT NULL)),
  CONSTRAINT alarm_acknowledged
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)
       AND (state <> 'raised' OR acknowledged_at IS NULL)
       AND (state <> 'acknowledged' OR acknowledged_at IS NOT NULL)),
  CONSTRAINT alarm_closed
    CHECK ((state = 'closed') = (closed_at IS NOT NULL)
       AND (closed_at IS NULL) = (closed_by IS NULL)
       AND (closed_at IS NULL) = (close_reason IS NULL))
);

CREATE UNIQUE INDEX alarm_one_open ON alarm (pack_id, kind, cell, code, serial)
  NULLS NOT DISTINCT WHERE state <> 'closed';
CREATE INDEX alarm_by_pack ON alarm (pack_id, id);
CREATE INDEX alarm_by_holder ON alarm (holder_id, id) WHERE holder_id IS NOT NULL;
CREATE INDEX alarm_open ON alarm (severity, id) WHERE state <> 'closed';
CREATE INDEX alarm_to_repeat ON alarm (next_repeat_at, id) WHERE state = 'raised';

-- A pack that nobody may move or hand over as if nothing had happened.
CREATE TABLE quarantine (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  holder_id uuid REFERENCES party (id),
  alarm_id uuid NOT NULL REFERENCES alarm (id),
  reason text NOT NULL
    CONSTRAINT quarantine_reason CHECK (btrim(reason) <> ''),
  opened_at timestamptz NOT NULL,
  released_at timestamptz,
  released_by text,
  inspection_note text
    CONSTRAINT quarantine_inspection_note CHECK (btrim(inspection_note) <> ''),
  CONSTRAINT quarantine_released_after_inspection
    CHECK ((released_at IS NULL) = (released_by IS NULL)
       AND (released_at IS NULL) = (inspection_note IS NULL))
);

CREATE UNIQUE INDEX quarantine_one_open ON quarantine (pack_id) WHERE released_at IS NULL;
CREATE INDEX quarantine_by_pack ON quarantine (pack_id, id);
CREATE INDEX quarantine_by_alarm ON quarantine (alarm_id);

-- Packs with cells of the maker and batch of a pack in quarantine: not handed over until looked at.
CREATE TABLE safety_hold (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  quarantine_id uuid NOT NULL REFERENCES quarantine (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  -- What the packs have in common, as the beginning of a code.
  batch text COLLATE "C" NOT NULL,
  opened_at timestamptz NOT NULL,
  released_at timestamptz,
  released_by text,
  release_note text
    CONSTRAINT safety_hold_release_note CHECK (btrim(release_note) <> ''),
  CONSTRAINT safety_hold_once UNIQUE (quarantine_id, pack_id),
  CONSTRAINT safety_hold_released
    CHECK ((released_at IS NULL) = (released_by IS NULL)
       AND (released_at IS NULL) = (release_note IS NULL))
);

CREATE INDEX safety_hold_open ON safety_hold (pack_id) WHERE released_at IS NULL;

-- Whoever moves a pack holds its row already; an alarm that comes at the same moment waits for it
-- or is seen.
CREATE FUNCTION refuse_quarantined() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION refuse_held() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Handed over to a customer, or moved to another place of the customer's.
CREATE TRIGGER placement_not_of_quarantined
  BEFORE INSERT OR UPDATE OF pack_id, site_id, slot ON placement
  FOR EACH ROW EXECUTE FUNCTION refuse_quarantined();
CREATE TRIGGER placement_not_of_held BEFORE INSERT ON placement
  FOR EACH ROW EXECUTE FUNCTION refuse_held();
-- Taken back. One that was lost is back already when it is found.
CREATE TRIGGER pack_return_not_of_quarantined BEFORE INSERT ON pack_return
  FOR EACH ROW WHEN (NEW.reason <> 'found')
  EXECUTE FUNCTION refuse_quarantined();
-- Sold to the customer: it stays where it is, and is nobody's to look after.
CREATE FUNCTION refuse_quarantined_sale() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER pack_not_sold_from_quarantine BEFORE UPDATE OF state ON pack
  FOR EACH ROW WHEN (NEW.state = 'sold' AND OLD.state <> 'sold')
  EXECUTE FUNCTION refuse_quarantined_sale();
-- Brought to an outlet.
CREATE TRIGGER routing_not_of_quarantined BEFORE UPDATE OF state ON routing
  FOR EACH ROW WHEN (NEW.state = 'handed_over')
  EXECUTE FUNCTION refuse_quarantined();

ALTER TABLE pack_watch ENABLE ROW LEVEL SECURITY;

ALTER TABLE alarm_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY alarm_limits_audit ON alarm_limits FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON alarm_limits TO leasing_auditor;

ALTER TABLE alarm ENABLE ROW LEVEL SECURITY;
CREATE POLICY alarm_own ON alarm FOR SELECT TO leasing_customer
  USING (holder_id = current_setting('leasing.party')::uuid);
CREATE POLICY alarm_audit ON alarm FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON alarm TO leasing_customer, leasing_auditor;

ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
CREATE POLICY quarantine_own ON quarantine FOR SELECT TO leasing_customer
  USING (holder_id = current_setting('leasing.party')::uuid);
CREATE POLICY quarantine_audit ON quarantine FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON quarantine TO leasing_customer, leasing_auditor;

ALTER TABLE safety_hold ENABLE ROW LEVEL SECURITY;
CREATE POLICY safety_hold_audit ON safety_hold FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON safety_hold TO leasing_auditor;
