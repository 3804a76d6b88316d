-- Sites, contracts and their lines, and which pack stands where and when.

CREATE TABLE site (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  party_id uuid NOT NULL,
  party_kind text NOT NULL DEFAULT 'customer'
    CONSTRAINT site_party_kind CHECK (party_kind = 'customer'),
  code text NOT NULL
    CONSTRAINT site_code_not_blank CHECK (btrim(code) <> ''),
  name text NOT NULL,
  kind text NOT NULL
    CONSTRAINT site_kind CHECK (kind IN ('tower', 'depot')),
  adcode text NOT NULL
    CONSTRAINT site_prefecture REFERENCES prefecture (adcode),
  longitude double precision NOT NULL
    CONSTRAINT site_longitude CHECK (longitude BETWEEN 73 AND 136),
  latitude double precision NOT NULL
    CONSTRAINT site_latitude CHECK (latitude BETWEEN 3 AND 54),
  datum text NOT NULL
    CONSTRAINT site_datum CHECK (datum IN ('wgs84', 'gcj02')),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  CONSTRAINT site_code_once UNIQUE (party_id, code),
  CONSTRAINT site_id_party UNIQUE (id, party_id),
  CONSTRAINT site_of_a_customer FOREIGN KEY (party_id, party_kind) REFERENCES party (id, kind)
);

CREATE TABLE contract (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  number text NOT NULL
    CONSTRAINT contract_number_once UNIQUE,
  lessee_id uuid NOT NULL,
  lessee_kind text NOT NULL DEFAULT 'customer'
    CONSTRAINT contract_lessee_kind CHECK (lessee_kind = 'customer'),
  term daterange NOT NULL
    CONSTRAINT contract_term_bounded
      CHECK (NOT isempty(term) AND NOT lower_inf(term) AND NOT upper_inf(term)),
  currency text NOT NULL
    CONSTRAINT contract_currency CHECK (currency ~ '^[A-Z]{3}$'),
  vat_percent numeric(5, 2) NOT NULL
    CONSTRAINT contract_vat CHECK (vat_percent BETWEEN 0 AND 100),
  payment_days integer NOT NULL
    CONSTRAINT contract_payment_days CHECK (payment_days BETWEEN 0 AND 365),
  guarantee_percent numeric(5, 2) NOT NULL
    CONSTRAINT contract_guarantee CHECK (guarantee_percent BETWEEN 0 AND 100),
  replacement_days integer NOT NULL
    CONSTRAINT contract_replacement_days CHECK (replacement_days BETWEEN 1 AND 365),
  state text NOT NULL DEFAULT 'draft'
    CONSTRAINT contract_state CHECK (state IN ('draft', 'active', 'ended')),
  activated_at timestamptz,
  ended_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  CONSTRAINT contract_id_lessee UNIQUE (id, lessee_id),
  CONSTRAINT contract_of_a_customer FOREIGN KEY (lessee_id, lessee_kind) REFERENCES party (id, kind),
  CONSTRAINT contract_activated CHECK ((activated_at IS NOT NULL) = (state <> 'draft')),
  CONSTRAINT contract_ended CHECK ((ended_at IS NOT NULL) = (state = 'ended'))
);

CREATE INDEX contract_by_lessee ON contract (lessee_id, id);

-- A line is a position: a slot at a site, at a monthly rent. The pack in it may change.
CREATE TABLE lease_line (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  contract_id uuid NOT NULL,
  lessee_id uuid NOT NULL,
  site_id uuid NOT NULL,
  slot integer NOT NULL
    CONSTRAINT lease_line_slot CHECK (slot BETWEEN 1 AND 1000),
  rated_capacity_mah integer NOT NULL
    CONSTRAINT lease_line_rated_capacity CHECK (rated_capacity_mah > 0),
  rent_amount bigint NOT NULL
    CONSTRAINT lease_line_rent CHECK (rent_amount >= 0),
  started_on date,
  ended_on date,
  CONSTRAINT lease_line_slot_once UNIQUE (contract_id, site_id, slot),
  CONSTRAINT lease_line_contract
    FOREIGN KEY (contract_id, lessee_id) REFERENCES contract (id, lessee_id),
  -- A lessee's packs stand at the lessee's own sites.
  CONSTRAINT lease_line_site_of_the_lessee
    FOREIGN KEY (site_id, lessee_id) REFERENCES site (id, party_id),
  CONSTRAINT lease_line_ends_after_start CHECK (ended_on > started_on)
);

CREATE INDEX lease_line_to_bill ON lease_line (lessee_id, id) WHERE started_on IS NOT NULL;
CREATE INDEX lease_line_by_site ON lease_line (site_id);

-- The joint test at hand-over. Without one, nothing is placed and no rent starts.
CREATE TABLE acceptance (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  accepted_on date NOT NULL,
  tested_capacity_mah integer NOT NULL
    CONSTRAINT acceptance_tested_capacity CHECK (tested_capacity_mah > 0),
  lessor_signatory text NOT NULL
    CONSTRAINT acceptance_lessor_signed CHECK (btrim(lessor_signatory) <> ''),
  lessee_signatory text NOT NULL
    CONSTRAINT acceptance_lessee_signed CHECK (btrim(lessee_signatory) <> ''),
  photo_sha256 text[] NOT NULL DEFAULT '{}',
  CONSTRAINT acceptance_once UNIQUE (line_id, pack_id, accepted_on),
  CONSTRAINT acceptance_identity UNIQUE (id, line_id, pack_id)
);

CREATE TABLE placement (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  acceptance_id uuid NOT NULL,
  line_id uuid NOT NULL,
  pack_id uuid NOT NULL,
  during daterange NOT NULL
    CONSTRAINT placement_not_empty CHECK (NOT isempty(during) AND NOT lower_inf(during)),
  CONSTRAINT placement_pack_once UNIQUE (pack_id, during WITHOUT OVERLAPS),
  CONSTRAINT placement_line_once UNIQUE (line_id, during WITHOUT OVERLAPS),
  CONSTRAINT placement_accepted
    FOREIGN KEY (acceptance_id, line_id, pack_id) REFERENCES acceptance (id, line_id, pack_id)
);

-- The end of a line, by a joint test on return.
CREATE TABLE pack_return (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  line_id uuid NOT NULL REFERENCES lease_line (id),
  pack_id uuid NOT NULL REFERENCES pack (id),
  returned_on date NOT NULL,
  reason text NOT NULL
    CONSTRAINT pack_return_reason CHECK (reason IN ('end_of_lease', 'swapped_out')),
  CONSTRAINT pack_return_once UNIQUE (line_id, pack_id, returned_on)
);

CREATE INDEX pack_return_by_pack ON pack_return (pack_id, returned_on);

ALTER TABLE site ENABLE ROW LEVEL SECURITY;
CREATE POLICY site_own ON site FOR SELECT TO leasing_customer
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY site_audit ON site FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON site TO leasing_customer, leasing_auditor;

ALTER TABLE contract ENABLE ROW LEVEL SECURITY;
CREATE POLICY contract_own ON contract FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY contract_audit ON contract FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON contract TO leasing_customer, leasing_auditor;

ALTER TABLE lease_line ENABLE ROW LEVEL SECURITY;
CREATE POLICY lease_line_own ON lease_line FOR SELECT TO leasing_customer
  USING (lessee_id = current_setting('leasing.party')::uuid);
CREATE POLICY lease_line_audit ON lease_line FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON lease_line TO leasing_customer, leasing_auditor;

-- What hangs on a line is seen by whoever sees the line: the line's own policy decides.
ALTER TABLE acceptance ENABLE ROW LEVEL SECURITY;
CREATE POLICY acceptance_own ON acceptance FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY acceptance_audit ON acceptance FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON acceptance TO leasing_customer, leasing_auditor;

ALTER TABLE placement ENABLE ROW LEVEL SECURITY;
CREATE POLICY placement_own ON placement FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY placement_audit ON placement FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON placement TO leasing_customer, leasing_auditor;

ALTER TABLE pack_return ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_return_own ON pack_return FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM lease_line WHERE lease_line.id = line_id));
CREATE POLICY pack_return_audit ON pack_return FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack_return TO leasing_customer, leasing_auditor;

-- A customer sees the packs that stand in its lines. What becomes of a pack after it went back
-- is the next party's business.
ALTER TABLE pack ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_own ON pack FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement WHERE placement.pack_id = pack.id AND upper_inf(placement.during)));
CREATE POLICY pack_audit ON pack FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack TO leasing_customer, leasing_auditor;

ALTER TABLE pack_code ENABLE ROW LEVEL SECURITY;
CREATE POLICY pack_code_own ON pack_code FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM placement
     WHERE placement.pack_id = pack_code.pack_id AND upper_inf(placement.during)));
CREATE POLICY pack_code_audit ON pack_code FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON pack_code TO leasing_customer, leasing_auditor;
