-- Every batch of readings updates rows of its packs. With room left in each page the new version
-- of a row stays beside the old one: no index is touched, and the table does not grow.

ALTER TABLE pack_telemetry SET (fillfactor = 50);
