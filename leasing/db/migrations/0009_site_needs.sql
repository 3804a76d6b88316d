-- What a site needs of its packs, and the vehicles of a fleet.

ALTER TABLE site
  ADD COLUMN site_class text
    CONSTRAINT site_class CHECK (site_class IN ('A', 'B', 'C', 'D')),
  ADD COLUMN load_w integer
    CONSTRAINT site_load CHECK (load_w > 0),
  ADD COLUMN required_autonomy_minutes integer
    CONSTRAINT site_required_autonomy CHECK (required_autonomy_minutes > 0),
  ADD COLUMN vin text
    CONSTRAINT site_vin_once UNIQUE
    CONSTRAINT site_vin CHECK (vin ~ '^[0-9A-HJ-NPR-Z]{17}$'),
  DROP CONSTRAINT site_kind,
  ADD CONSTRAINT site_kind CHECK (kind IN ('tower', 'depot', 'vehicle')),
  ADD CONSTRAINT site_vehicle_has_a_vin CHECK ((kind = 'vehicle') = (vin IS NOT NULL));
