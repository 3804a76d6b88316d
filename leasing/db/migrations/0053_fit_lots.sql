-- What failed its transport check, and was not treated, goes into no lot and leaves in none. A check
-- may fail after its lot was packed, so that it is asked again when the lot leaves.

CREATE INDEX inspection_failed ON inspection (pack_id) WHERE NOT transport_passed;

CREATE TRIGGER consignment_pack_only_of_fit BEFORE INSERT ON consignment_pack
  FOR EACH ROW EXECUTE FUNCTION refuse_unfit_for_transport();

CREATE FUNCTION refuse_unfit_lot() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  failed record;
BEGIN
  -- Whoever enters an inspection holds the pack.
  PERFORM
     FROM pack
    WHERE id IN (SELECT pack_id FROM consignment_pack WHERE consignment_id = NEW.id)
    ORDER BY id
      FOR SHARE;
  SELECT pack_id, failed_transport_check(pack_id) AS inspection_id
    INTO failed
    FROM consignment_pack
   WHERE consignment_id = NEW.id
     AND failed_transport_check(pack_id) IS NOT NULL
   ORDER BY pack_id
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'pack % failed its transport check', failed.pack_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'transport_check_failed',
            TABLE = TG_TABLE_NAME,
            HINT = format('treat pack %s and let both sides accept inspection %s',
                          failed.pack_id, failed.inspection_id);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER consignment_leaves_fit BEFORE UPDATE OF state ON consignment
  FOR EACH ROW WHEN (NEW.state = 'dispatched' AND OLD.state <> 'dispatched')
  EXECUTE FUNCTION refuse_unfit_lot();
