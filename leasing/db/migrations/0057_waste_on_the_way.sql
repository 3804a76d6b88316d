-- What leaves for an outlet in a lot leaves when the lot does. Lots that are under way have no such
-- record yet; what is to be reported of it, `leasing obligations open-missing` opens.
INSERT INTO trace_record (pack_id, kind, happened_on, data, adcode, party_id, actor, recorded_at)
SELECT consignment_pack.pack_id, 'waste.outbound', dispatched_on,
       json_build_object('routing_id', routing_id, 'mass_kg', mass_kg,
                         'consignment_id', consignment.id, 'consignment', number),
       (SELECT adcode
          FROM trace_record
         WHERE trace_record.pack_id = consignment_pack.pack_id
           AND kind = 'route.chosen'
         ORDER BY sequence DESC
         LIMIT 1),
       recycler_id, 'migration', now()
  FROM consignment
  JOIN consignment_pack ON consignment_id = consignment.id
 WHERE state IN ('dispatched', 'weighed_in');

-- Waste that nobody else takes in comes into the lessor's own store, and is what it was before.
CREATE OR REPLACE FUNCTION note_custody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.kind = 'waste.inbound' AND NEW.party_id IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM take_custody(NEW);
  RETURN NULL;
END $$;

-- A recycler's duty is to report what it received, and what it made of it. What comes into treatment
-- was received when it came into the recycler's outlet: one arrival, one report.
UPDATE obligation_rule
   SET is_enabled = false,
       source = source || '; reported when it comes in (waste.inbound)',
       version = version + 1
 WHERE code = 'recycler.recycle.received';

-- A regulator's balance compares what came into treatment with what was sent there.
CREATE POLICY recovery_batch_regulator ON recovery_batch FOR SELECT
  TO leasing_regulator USING (true);
CREATE POLICY recovery_batch_pack_regulator ON recovery_batch_pack FOR SELECT
  TO leasing_regulator USING (true);
GRANT SELECT (id, recycler_id, number, received_on, expected_kg, mass_in_kg, state, recycled_on)
  ON recovery_batch TO leasing_regulator;
GRANT SELECT ON recovery_batch_pack TO leasing_regulator;
