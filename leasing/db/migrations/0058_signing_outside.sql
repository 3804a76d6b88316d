-- A regulator's balance compares what came into treatment with what was sent there.
CREATE POLICY recovery_batch_regulator ON recovery_batch FOR SELECT
  TO leasing_regulator USING (true);
CREATE POLICY recovery_batch_pack_regulator ON recovery_batch_pack FOR SELECT
  TO leasing_regulator USING (true);
GRANT SELECT (id, recycler_id, number, received_on, expected_kg, mass_in_kg, state, recycled_on)
  ON recovery_batch TO leasing_regulator;
GRANT SELECT ON recovery_batch_pack TO leasing_regulator;
