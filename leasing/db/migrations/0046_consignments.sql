-- Lots of packs on the road to an outlet (托运批次), with what carries them, what they weigh there, and
-- who takes them or does not; and what was recovered from packs, batch by batch.

-- That a carrier may carry dangerous goods of class 9, by mode and days.
CREATE TABLE carrier_permit (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT carrier_permit_id UNIQUE,
  carrier_id uuid NOT NULL REFERENCES party (id),
  mode text NOT NULL
    CONSTRAINT carrier_permit_mode CHECK (mode IN ('road', 'rail', 'sea', 'air')),
  goods_class text NOT NULL DEFAULT '9'
    CONSTRAINT carrier_permit_class CHECK (goods_class = '9'),
  valid daterange NOT NULL
    CONSTRAINT carrier_permit_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
  document text NOT NULL
    CONSTRAINT carrier_permit_document CHECK (btrim(document) <> ''),
  withdrawn_on date,
  withdrawal_document text,
  entered_by text NOT NULL,
  entered_at timestamptz NOT NULL,
  CONSTRAINT carrier_permit_one_at_a_time
    PRIMARY KEY (carrier_id, mode, goods_class, valid WITHOUT OVERLAPS),
  CONSTRAINT carrier_permit_withdrawal
    CHECK ((withdrawn_on IS NULL) = (withdrawal_document IS NULL))
);

ALTER TABLE routing ADD CONSTRAINT routing_identity UNIQUE (id, outlet_id, pack_id);

-- A lot is of one hazard class, and goes to one outlet. What its packages bear is kept as it was said
-- to whoever packed them.
CREATE TABLE consignment (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  number text NOT NULL
    CONSTRAINT consignment_number_once UNIQUE,
  outlet_id uuid NOT NULL REFERENCES outlet (id),
  recycler_id uuid NOT NULL REFERENCES party (id),
  purpose text NOT NULL
    CONSTRAINT consignment_purpose CHECK (purpose IN ('recycling', 'reuse')),
  hazard text NOT NULL
    CONSTRAINT consignment_hazard CHECK (hazard IN ('intact', 'damaged', 'critical')),
  un_number text NOT NULL
    CONSTRAINT consignment_un_number CHECK (un_number ~ '^UN [0-9]{4}$'),
  packing jsonb NOT NULL,
  state text NOT NULL DEFAULT 'packed'
    CONSTRAINT consignment_state CHECK (
      state IN ('packed', 'dispatched', 'weighed_in', 'received', 'refused', 'cancelled')),
  expected_kg integer NOT NULL
    CONSTRAINT consignment_expected CHECK (expected_kg > 0),
  packed_on date NOT NULL,
  dispatched_on date,
  mode text
    CONSTRAINT consignment_mode CHECK (mode IN ('road', 'rail', 'sea', 'air')),
  carrier_id uuid REFERENCES party (id),
  permit_id uuid REFERENCES carrier_permit (id),
  vehicle text,
  driver text,
  approval text,
  weighed_on date,
  weighed_kg numeric(12, 2)
    CONSTRAINT consignment_weighed CHECK (weighed_kg >= 0),
  tolerance_kg numeric(12, 2),
  is_discrepant boolean,
  discrepancy_explanation text,
  received_on date,
  refused_on date,
  refusal_reason text,
  cancelled_on date,
  cancel_reason text,
  created_at timestamptz NOT NULL,
  CONSTRAINT consignment_of_one_hazard UNIQUE (id, hazard),
  CONSTRAINT consignment_to_one_outlet UNIQUE (id, outlet_id),
  CONSTRAINT consignment_dispatched CHECK (
    (dispatched_on IS NOT NULL)
      = (state IN ('dispatched', 'weighed_in', 'received', 'refused'))
    AND (dispatched_on IS NULL) = (mode IS NULL)
    AND (dispatched_on IS NULL) = (carrier_id IS NULL)
    AND (dispatched_on IS NULL) = (permit_id IS NULL)
    AND (dispatched_on IS NULL) = (vehicle IS NULL)
    AND (dispatched_on IS NULL) = (driver IS NULL)),
  CONSTRAINT consignment_weighed_in CHECK (
    (state NOT IN ('weighed_in', 'received') OR weighed_on IS NOT NULL)
    AND (state NOT IN ('packed', 'dispatched', 'cancelled') OR weighed_on IS NULL)
    AND (weighed_on IS NULL) = (weighed_kg IS NULL)
    AND (weighed_on IS NULL) = (tolerance_kg IS NULL)
    AND (weighed_on IS NULL) = (is_discrepant IS NULL)),
  CONSTRAINT consignment_received CHECK ((received_on IS NOT NULL) = (state = 'received')),
  CONSTRAINT consignment_discrepancy_explained
    CHECK (state <> 'received' OR NOT is_discrepant OR discrepancy_explanation IS NOT NULL),
  CONSTRAINT consignment_refused CHECK (
    (refused_on IS NOT NULL) = (state = 'refused')
    AND (refusal_reason IS NOT NULL) = (state = 'refused')),
  CONSTRAINT consignment_cancelled CHECK (
    (cancelled_on IS NOT NULL) = (state = 'cancelled')
    AND (cancel_reason IS NOT NULL) = (state = 'cancelled')),
  CONSTRAINT consignment_in_order CHECK (
    packed_on <= dispatched_on AND dispatched_on <= weighed_on AND weighed_on <= received_on
    AND dispatched_on <= refused_on AND weighed_on <= refused_on AND packed_on <= cancelled_on),
  CONSTRAINT consignment_damaged_not_by_air CHECK (mode <> 'air' OR hazard = 'intact')
);

CREATE INDEX consignment_by_outlet ON consignment (outlet_id, id);
CREATE INDEX consignment_by_recycler ON consignment (recycler_id, id);

CREATE TABLE consignment_pack (
  consignment_id uuid NOT NULL,
  routing_id uuid NOT NULL,
  outlet_id uuid NOT NULL,
  pack_id uuid NOT NULL,
  hazard text NOT NULL,
  chemistry text NOT NULL,
  mass_kg integer NOT NULL
    CONSTRAINT consignment_pack_mass CHECK (mass_kg > 0),
  weighed_kg numeric(12, 2)
    CONSTRAINT consignment_pack_weighed CHECK (weighed_kg >= 0),
  soc_percent real,
  soc_at timestamptz,
  -- Of a lot that was cancelled or refused: the pack may go in another.
  is_let_go boolean NOT NULL DEFAULT false,
  PRIMARY KEY (consignment_id, routing_id),
  CONSTRAINT consignment_pack_of_its_hazard
    FOREIGN KEY (consignment_id, hazard) REFERENCES consignment (id, hazard),
  CONSTRAINT consignment_pack_to_its_outlet
    FOREIGN KEY (consignment_id, outlet_id) REFERENCES consignment (id, outlet_id),
  CONSTRAINT consignment_pack_routed
    FOREIGN KEY (routing_id, outlet_id, pack_id) REFERENCES routing (id, outlet_id, pack_id)
);

CREATE UNIQUE INDEX consignment_pack_in_one_lot ON consignment_pack (routing_id)
  WHERE NOT is_let_go;

-- A pack in a lot goes with its lot: it is neither given up nor handed over by itself.
CREATE FUNCTION refuse_consigned() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  found_number text;
BEGIN
  SELECT number INTO found_number
    FROM consignment_pack
    JOIN consignment ON consignment.id = consignment_id
   WHERE routing_id = NEW.id
     AND NOT is_let_go
     AND state IN ('packed', 'dispatched', 'weighed_in');
  IF FOUND THEN
    RAISE EXCEPTION 'routing % is in consignment %', NEW.id, found_number
      USING ERRCODE = 'check_violation', CONSTRAINT = 'routing_consigned';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER routing_not_of_a_lot BEFORE UPDATE OF state ON routing
  FOR EACH ROW WHEN (NEW.state IN ('handed_over', 'released'))
  EXECUTE FUNCTION refuse_consigned();

-- What a recycler treats at once, and what it says it recovered. Masses in kilograms.
CREATE TABLE recovery_batch (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  recycler_id uuid NOT NULL REFERENCES party (id),
  number text NOT NULL,
  consignment_id uuid REFERENCES consignment (id),
  received_on date NOT NULL,
  expected_kg integer NOT NULL
    CONSTRAINT recovery_batch_expected CHECK (expected_kg > 0),
  mass_in_kg numeric(12, 2) NOT NULL
    CONSTRAINT recovery_batch_mass_in CHECK (mass_in_kg > 0),
  state text NOT NULL DEFAULT 'received'
    CONSTRAINT recovery_batch_state CHECK (state IN ('received', 'certified')),
  certificate_number text,
  recycled_on date,
  -- Of the mass of the batteries alone, without what was added on the way.
  recovered_kg numeric(12, 2)
    CONSTRAINT recovery_batch_recovered CHECK (recovered_kg >= 0),
  residue_kg numeric(12, 2)
    CONSTRAINT recovery_batch_residue CHECK (residue_kg >= 0),
  efficiency_percent numeric(5, 2)
    CONSTRAINT recovery_batch_efficiency CHECK (efficiency_percent BETWEEN 0 AND 100),
  is_below_floor boolean,
  is_below_eu_floor boolean,
  entered_by text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT recovery_batch_number_once UNIQUE (recycler_id, number),
  CONSTRAINT recovery_certificate_number_once UNIQUE (recycler_id, certificate_number),
  CONSTRAINT recovery_batch_certified CHECK (
    (state = 'certified') = (certificate_number IS NOT NULL)
    AND (state = 'certified') = (recycled_on IS NOT NULL)
    AND (state = 'certified') = (is_below_floor IS NOT NULL)
    AND (state = 'certified') = (is_below_eu_floor IS NOT NULL)),
  CONSTRAINT recovery_batch_in_order CHECK (received_on <= recycled_on),
  CONSTRAINT recovery_batch_conserves_mass
    CHECK (coalesce(recovered_kg, 0) + coalesce(residue_kg, 0) <= mass_in_kg)
);

CREATE INDEX recovery_batch_below_floor ON recovery_batch (recycler_id, id) WHERE is_below_floor;

CREATE TABLE recovery_batch_pack (
  batch_id uuid NOT NULL REFERENCES recovery_batch (id),
  routing_id uuid NOT NULL
    CONSTRAINT recovery_batch_pack_once UNIQUE REFERENCES routing (id),
  PRIMARY KEY (batch_id, routing_id)
);

CREATE TABLE recovery_rate (
  batch_id uuid NOT NULL REFERENCES recovery_batch (id),
  metal text NOT NULL
    CONSTRAINT recovery_rate_metal CHECK (
      metal IN ('Li', 'Ni', 'Co', 'Mn', 'NiCoMn', 'Cu', 'Al', 'Fe', 'P', 'C')),
  percent numeric(5, 2) NOT NULL
    CONSTRAINT recovery_rate_percent CHECK (percent BETWEEN 0 AND 100),
  input_kg numeric(12, 3)
    CONSTRAINT recovery_rate_input CHECK (input_kg > 0),
  output_kg numeric(12, 3)
    CONSTRAINT recovery_rate_output CHECK (output_kg >= 0),
  CONSTRAINT recovery_rate_masses
    CHECK ((input_kg IS NULL) = (output_kg IS NULL) AND output_kg <= input_kg),
  PRIMARY KEY (batch_id, metal)
);

CREATE TABLE recovery_product (
  batch_id uuid NOT NULL REFERENCES recovery_batch (id),
  product text NOT NULL
    CONSTRAINT recovery_product_name CHECK (btrim(product) <> ''),
  mass_kg numeric(12, 2) NOT NULL
    CONSTRAINT recovery_product_mass CHECK (mass_kg > 0),
  PRIMARY KEY (batch_id, product)
);

CREATE TRIGGER recovery_rate_append_only BEFORE UPDATE OR DELETE ON recovery_rate
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER recovery_product_append_only BEFORE UPDATE OR DELETE ON recovery_product
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_change_of_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'certificate % is final', OLD.certificate_number
    USING ERRCODE = 'check_violation', CONSTRAINT = 'recovery_certificate_is_final';
END $$;

CREATE TRIGGER recovery_certificate_is_final BEFORE UPDATE OR DELETE ON recovery_batch
  FOR EACH ROW WHEN (OLD.state = 'certified')
  EXECUTE FUNCTION refuse_change_of_certificate();

-- A certificate of one pack is a batch of one. What was certified before becomes that.
ALTER TABLE recycling_certificate
  ADD COLUMN batch_id uuid REFERENCES recovery_batch (id),
  ALTER COLUMN lithium_percent DROP NOT NULL,
  DROP CONSTRAINT recycling_certificate_number_once;

INSERT INTO recovery_batch (recycler_id, number, received_on, expected_kg, mass_in_kg, state,
                            certificate_number, recycled_on, is_below_floor,
                            is_below_eu_floor, entered_by,
                            created_at)
SELECT recycling_certificate.recycler_id, 'R-' || routing_id, handed_over_on, mass_kg, mass_kg, 'certified',
       number, recycling_certificate.recycled_on,
       lithium_percent < CASE
           WHEN recycling_certificate.recycled_on < '2025-01-01' THEN 85
           ELSE 90
         END
         OR coalesce(nickel_cobalt_manganese_percent < 98, false),
       -- The floors of the Union for metals begin on 2027-12-31.
       false,
       'lessor:migration', now()
  FROM recycling_certificate
  JOIN routing ON routing.id = routing_id;

UPDATE recycling_certificate
   SET batch_id = recovery_batch.id
  FROM recovery_batch
 WHERE recovery_batch.recycler_id = recycling_certificate.recycler_id
   AND certificate_number = recycling_certificate.number;

INSERT INTO recovery_batch_pack (batch_id, routing_id)
SELECT batch_id, routing_id
  FROM recycling_certificate;

INSERT INTO recovery_rate (batch_id, metal, percent)
SELECT batch_id, 'Li', lithium_percent
  FROM recycling_certificate
 UNION ALL
SELECT batch_id, 'NiCoMn', nickel_cobalt_manganese_percent
  FROM recycling_certificate
 WHERE nickel_cobalt_manganese_percent IS NOT NULL;

-- Carriers' permits are the lessor's business. A recycler sees the lots that come to it, and what it
-- certified itself.
ALTER TABLE carrier_permit ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_permit_audit ON carrier_permit FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON carrier_permit TO leasing_auditor;

ALTER TABLE consignment ENABLE ROW LEVEL SECURITY;
CREATE POLICY consignment_own ON consignment FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY consignment_audit ON consignment FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON consignment TO leasing_recycler, leasing_auditor;

ALTER TABLE consignment_pack ENABLE ROW LEVEL SECURITY;
CREATE POLICY consignment_pack_own ON consignment_pack FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM consignment WHERE consignment.id = consignment_id));
CREATE POLICY consignment_pack_audit ON consignment_pack FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON consignment_pack TO leasing_recycler, leasing_auditor;

ALTER TABLE recovery_batch ENABLE ROW LEVEL SECURITY;
CREATE POLICY recovery_batch_own ON recovery_batch FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY recovery_batch_audit ON recovery_batch FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON recovery_batch TO leasing_recycler, leasing_auditor;

ALTER TABLE recovery_batch_pack ENABLE ROW LEVEL SECURITY;
CREATE POLICY recovery_batch_pack_own ON recovery_batch_pack FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM recovery_batch WHERE recovery_batch.id = batch_id));
CREATE POLICY recovery_batch_pack_audit ON recovery_batch_pack FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON recovery_batch_pack TO leasing_recycler, leasing_auditor;

ALTER TABLE recovery_rate ENABLE ROW LEVEL SECURITY;
CREATE POLICY recovery_rate_own ON recovery_rate FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM recovery_batch WHERE recovery_batch.id = batch_id));
CREATE POLICY recovery_rate_audit ON recovery_rate FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON recovery_rate TO leasing_recycler, leasing_auditor;

ALTER TABLE recovery_product ENABLE ROW LEVEL SECURITY;
CREATE POLICY recovery_product_own ON recovery_product FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM recovery_batch WHERE recovery_batch.id = batch_id));
CREATE POLICY recovery_product_audit ON recovery_product FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON recovery_product TO leasing_recycler, leasing_auditor;
