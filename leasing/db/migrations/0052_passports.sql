-- Battery passports, what is declared for them, keys that sign archives, and a regulator who reads
-- what becomes of packs and no price.

ALTER TABLE api_key
  DROP CONSTRAINT api_key_role,
  ADD CONSTRAINT api_key_role
    CHECK (role IN ('staff', 'customer', 'recycler', 'auditor', 'regulator'));

-- One passport a pack. A pack that was made from another has a passport of its own, which names the
-- one before it: ours, or one that another operator issued.
CREATE TABLE passport (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id)
    CONSTRAINT passport_once UNIQUE,
  issued_on date NOT NULL,
  predecessor_id uuid
    CONSTRAINT passport_not_its_own_predecessor CHECK (predecessor_id <> id),
  issued_by text NOT NULL,
  issued_at timestamptz NOT NULL
);

CREATE TRIGGER passport_append_only BEFORE UPDATE OR DELETE ON passport
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Parts of passports that we do not hold and somebody stands for. Of one scope what was entered
-- later holds, field by field.
CREATE TABLE passport_declaration (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  scope text NOT NULL
    CONSTRAINT passport_declaration_scope CHECK (scope IN ('operator', 'model', 'pack')),
  pack_id uuid REFERENCES pack (id),
  maker text,
  chemistry text,
  cells_in_series integer,
  rated_voltage_mv integer,
  rated_capacity_mah integer,
  data jsonb NOT NULL,
  declared_by text NOT NULL,
  document text NOT NULL,
  declared_on date NOT NULL,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT passport_declaration_of_a_pack CHECK ((pack_id IS NOT NULL) = (scope = 'pack')),
  CONSTRAINT passport_declaration_of_a_model CHECK (
    (scope = 'model') = (num_nonnulls(chemistry, cells_in_series, rated_voltage_mv,
                                      rated_capacity_mah) = 4))
);

CREATE INDEX passport_declaration_of_one ON passport_declaration (pack_id)
  WHERE pack_id IS NOT NULL;
CREATE INDEX passport_declaration_of_alike
  ON passport_declaration (maker, rated_voltage_mv, rated_capacity_mah) WHERE scope = 'model';

CREATE TRIGGER passport_declaration_append_only BEFORE UPDATE OR DELETE ON passport_declaration
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Keys that sign archives. The newest signs; older ones stay, so that what they signed can be
-- checked. Nobody but the lessor's own process reads the private half.
CREATE TABLE signing_key (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  private_pem text NOT NULL,
  public_pem text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TRIGGER signing_key_append_only BEFORE UPDATE OR DELETE ON signing_key
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE passport ENABLE ROW LEVEL SECURITY;
CREATE POLICY passport_audit ON passport FOR SELECT
  TO leasing_auditor, leasing_regulator USING (true);
ALTER TABLE passport_declaration ENABLE ROW LEVEL SECURITY;
CREATE POLICY passport_declaration_audit ON passport_declaration FOR SELECT
  TO leasing_auditor, leasing_regulator USING (true);
GRANT SELECT ON passport, passport_declaration TO leasing_auditor, leasing_regulator;

-- What a regulator reads: packs, where they were, and what became of them. Every table with an
-- amount in it is left out, and so is domain_event, whose facts may have one.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'party', 'site', 'outlet', 'qualification', 'prefecture', 'clock',
    'pack', 'pack_code', 'pack_origin', 'part', 'part_stay',
    'trace_record', 'custody', 'acceptance', 'placement', 'pack_return', 'incident',
    'recycling_certificate', 'capacity_test', 'health_check', 'pack_telemetry', 'lease_line'
  ] LOOP
    IF (SELECT relrowsecurity FROM pg_class
         WHERE relname = name
           AND relnamespace = quote_ident(current_schema())::regnamespace) THEN
      EXECUTE format('CREATE POLICY %I ON %I FOR SELECT TO leasing_regulator USING (true)',
                     name || '_regulator', name);
    END IF;
    EXECUTE format('GRANT SELECT ON %I TO leasing_regulator', name);
  END LOOP;
END $$;

-- Of files that hang on packs a regulator reads the names and hashes, not what they say.
CREATE POLICY attachment_regulator ON attachment FOR SELECT TO leasing_regulator
  USING (EXISTS (SELECT FROM pack WHERE pack.id = subject_id));
GRANT SELECT (id, subject_id, sha256, media_type, size_bytes, filename, added_at, removed_at)
  ON attachment TO leasing_regulator;

-- Why a pack went one way and not another may be told in money, so of these only some columns.
CREATE POLICY inspection_regulator ON inspection FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT (id, pack_id, inspected_on, grade, hazard, tested_capacity_mah, remarks,
              lessor_signatory, lessee_signatory)
  ON inspection TO leasing_regulator;
CREATE POLICY disposition_regulator ON disposition FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT (id, pack_id, inspection_id, decision, decided_on, reason)
  ON disposition TO leasing_regulator;
CREATE POLICY routing_regulator ON routing FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT (id, pack_id, outlet_id, recycler_id, state, mass_kg, distance_m, hand_over_on,
              handed_over_on, recycled_on, released_on, release_reason)
  ON routing TO leasing_regulator;
CREATE POLICY consignment_regulator ON consignment FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT (id, number, outlet_id, recycler_id, state, expected_kg, dispatched_on, weighed_on,
              weighed_kg, received_on, refused_on, refusal_reason)
  ON consignment TO leasing_regulator;
CREATE POLICY consignment_pack_regulator ON consignment_pack FOR SELECT
  TO leasing_regulator USING (true);
GRANT SELECT (consignment_id, routing_id, outlet_id, pack_id, mass_kg, weighed_kg)
  ON consignment_pack TO leasing_regulator;
