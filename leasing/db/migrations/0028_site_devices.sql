-- Which slot a device of a site's supervision unit speaks of. A battery group's device (蓄电池组,
-- 铁锂电池) may report several batteries, counted from 1.

CREATE TABLE site_device (
  code text NOT NULL
    CONSTRAINT site_device_code CHECK (btrim(code) <> ''),
  part integer NOT NULL
    CONSTRAINT site_device_part CHECK (part BETWEEN 1 AND 250),
  site_id uuid NOT NULL REFERENCES site (id),
  slot integer NOT NULL
    CONSTRAINT site_device_slot CHECK (slot BETWEEN 1 AND 1000),
  CONSTRAINT site_device_once PRIMARY KEY (code, part),
  CONSTRAINT site_device_slot_once UNIQUE (site_id, slot)
);

ALTER TABLE site_device ENABLE ROW LEVEL SECURITY;
CREATE POLICY site_device_own ON site_device FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM site WHERE site.id = site_id));
CREATE POLICY site_device_audit ON site_device FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON site_device TO leasing_customer, leasing_auditor;
