-- From a returned pack to its recycling certificate.

CREATE TABLE inspection (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL REFERENCES pack (id),
  inspected_on date NOT NULL,
  grade text NOT NULL
    CONSTRAINT inspection_grade CHECK (grade IN ('A', 'B', 'C', 'D')),
  hazard text NOT NULL
    CONSTRAINT inspection_hazard CHECK (hazard IN ('intact', 'damaged', 'critical')),
  tested_capacity_mah integer
    CONSTRAINT inspection_tested_capacity CHECK (tested_capacity_mah >= 0),
  remarks text NOT NULL,
  lessor_signatory text NOT NULL
    CONSTRAINT inspection_lessor_signed CHECK (btrim(lessor_signatory) <> ''),
  lessee_signatory text NOT NULL
    CONSTRAINT inspection_lessee_signed CHECK (btrim(lessee_signatory) <> ''),
  CONSTRAINT inspection_once UNIQUE (pack_id, inspected_on),
  CONSTRAINT inspection_identity UNIQUE (id, pack_id)
);

CREATE TABLE disposition (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL,
  inspection_id uuid NOT NULL
    CONSTRAINT disposition_once_per_inspection UNIQUE,
  decision text NOT NULL
    CONSTRAINT disposition_decision CHECK (decision IN ('release', 'recycle')),
  decided_on date NOT NULL,
  reason text NOT NULL,
  CONSTRAINT disposition_identity UNIQUE (id, pack_id),
  CONSTRAINT disposition_inspected
    FOREIGN KEY (inspection_id, pack_id) REFERENCES inspection (id, pack_id)
);

-- A pack's way to an outlet. While it is reserved, its mass counts against the outlet's store.
CREATE TABLE routing (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  pack_id uuid NOT NULL,
  disposition_id uuid NOT NULL,
  outlet_id uuid NOT NULL REFERENCES outlet (id),
  recycler_id uuid NOT NULL REFERENCES party (id),
  state text NOT NULL DEFAULT 'reserved'
    CONSTRAINT routing_state CHECK (state IN ('reserved', 'handed_over', 'recycled', 'released')),
  mass_kg integer NOT NULL
    CONSTRAINT routing_mass CHECK (mass_kg > 0),
  distance_m integer NOT NULL
    CONSTRAINT routing_distance CHECK (distance_m >= 0),
  hand_over_on date NOT NULL,
  explanation jsonb NOT NULL,
  chosen_at timestamptz NOT NULL,
  handed_over_on date,
  recycled_on date,
  released_on date,
  release_reason text,
  CONSTRAINT routing_decided
    FOREIGN KEY (disposition_id, pack_id) REFERENCES disposition (id, pack_id),
  CONSTRAINT routing_handed_over
    CHECK ((handed_over_on IS NOT NULL) = (state IN ('handed_over', 'recycled'))),
  CONSTRAINT routing_recycled CHECK ((recycled_on IS NOT NULL) = (state = 'recycled')),
  CONSTRAINT routing_recycled_after_hand_over CHECK (recycled_on >= handed_over_on),
  CONSTRAINT routing_released
    CHECK ((released_on IS NOT NULL) = (state = 'released')
       AND (release_reason IS NOT NULL) = (state = 'released'))
);

CREATE UNIQUE INDEX routing_one_per_pack ON routing (pack_id) WHERE state <> 'released';
CREATE INDEX routing_by_outlet ON routing (outlet_id, state);
CREATE INDEX routing_by_recycler ON routing (recycler_id, state);

CREATE TABLE recycling_certificate (
  routing_id uuid PRIMARY KEY REFERENCES routing (id),
  number text NOT NULL,
  recycler_id uuid NOT NULL REFERENCES party (id),
  recycled_on date NOT NULL,
  lithium_percent numeric(5, 2) NOT NULL
    CONSTRAINT recycling_certificate_lithium CHECK (lithium_percent BETWEEN 0 AND 100),
  nickel_cobalt_manganese_percent numeric(5, 2)
    CONSTRAINT recycling_certificate_ncm
      CHECK (nickel_cobalt_manganese_percent BETWEEN 0 AND 100),
  CONSTRAINT recycling_certificate_number_once UNIQUE (recycler_id, number)
);

ALTER TABLE inspection ENABLE ROW LEVEL SECURITY;
CREATE POLICY inspection_audit ON inspection FOR SELECT TO leasing_auditor USING (true);
ALTER TABLE disposition ENABLE ROW LEVEL SECURITY;
CREATE POLICY disposition_audit ON disposition FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON inspection, disposition TO leasing_auditor;

ALTER TABLE routing ENABLE ROW LEVEL SECURITY;
CREATE POLICY routing_own ON routing FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY routing_audit ON routing FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON routing TO leasing_recycler, leasing_auditor;

ALTER TABLE recycling_certificate ENABLE ROW LEVEL SECURITY;
CREATE POLICY recycling_certificate_own ON recycling_certificate FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY recycling_certificate_audit ON recycling_certificate FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON recycling_certificate TO leasing_recycler, leasing_auditor;

-- A recycler sees the packs on their way to it.
CREATE POLICY pack_routed ON pack FOR SELECT TO leasing_recycler
  USING (EXISTS (SELECT FROM routing WHERE routing.pack_id = pack.id AND state <> 'released'));
CREATE POLICY pack_code_routed ON pack_code FOR SELECT TO leasing_recycler
  USING (EXISTS (
    SELECT FROM routing WHERE routing.pack_id = pack_code.pack_id AND state <> 'released'));
GRANT SELECT ON pack, pack_code TO leasing_recycler;
