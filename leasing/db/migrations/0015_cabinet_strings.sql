-- Cabinet strings of a site (电池组串): the slots whose packs work side by side on one bus. And
-- what it takes to ask a whole stock quickly how much each pack still holds.

CREATE TABLE site_string (
  site_id uuid NOT NULL REFERENCES site (id),
  number integer NOT NULL
    CONSTRAINT site_string_number CHECK (number BETWEEN 1 AND 1000),
  system_voltage_mv integer NOT NULL
    CONSTRAINT site_string_system_voltage CHECK (system_voltage_mv > 0),
  -- Half-open, as PostgreSQL keeps it: slots 1 to 4 are [1,5).
  slots int4range NOT NULL
    CONSTRAINT site_string_slots CHECK (NOT isempty(slots) AND slots <@ int4range(1, 1001)),
  CONSTRAINT site_string_number_once PRIMARY KEY (site_id, number),
  CONSTRAINT site_string_slot_once EXCLUDE USING gist (site_id WITH =, slots WITH &&)
);

ALTER TABLE site_string ENABLE ROW LEVEL SECURITY;
CREATE POLICY site_string_own ON site_string FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM site WHERE site.id = site_id));
CREATE POLICY site_string_audit ON site_string FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON site_string TO leasing_customer, leasing_auditor;

-- The latest estimate of a pack, past any number of nights on which the check abstained.
CREATE INDEX health_check_estimates ON health_check (pack_id, as_of) INCLUDE (lower_mah)
  WHERE lower_mah IS NOT NULL;
CREATE INDEX acceptance_by_pack ON acceptance (pack_id, accepted_on) INCLUDE (tested_capacity_mah);
