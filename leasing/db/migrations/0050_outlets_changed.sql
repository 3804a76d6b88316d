-- Who keeps outlets in memory is told when what it read is old: one notice a statement, on a channel
-- that is this lessor's own, with the name of the table.
--
-- What an outlet has in stock, reserved and in transit changes with every reservation and is not
-- told: a transaction that notifies holds a lock of the whole cluster while it commits, and all
-- reservations would queue at it. Whoever keeps masses in memory lets the reservation decide.

CREATE FUNCTION tell_outlets_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('outlets_' || current_schema(), TG_TABLE_NAME);
  RETURN NULL;
END $$;

CREATE TRIGGER outlet_changed AFTER INSERT OR DELETE OR UPDATE OF
    kind, adcode, longitude, latitude, recycler_id, chemistries, hazards, store_limit_kg, store_days,
    closed_from
  ON outlet
  FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER qualification_changed AFTER INSERT OR UPDATE OR DELETE ON qualification
  FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();

CREATE TRIGGER scrap_offer_changed AFTER INSERT OR UPDATE OR DELETE ON scrap_offer
  FOR EACH STATEMENT EXECUTE FUNCTION tell_outlets_changed();
