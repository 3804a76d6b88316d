-- Where a returned pack may go: outlets (回收服务网点), the recyclers behind them, and the dated
-- evidence that a recycler is qualified (有进有出).

CREATE TABLE prefecture (
  adcode text PRIMARY KEY
    CONSTRAINT prefecture_adcode CHECK (adcode ~ '^[1-9][0-9]{5}$'),
  kind text NOT NULL,
  name_zh text NOT NULL,
  name_en text NOT NULL,
  province_adcode text NOT NULL,
  province_zh text NOT NULL,
  province_en text NOT NULL,
  longitude double precision NOT NULL,
  latitude double precision NOT NULL
);

CREATE TABLE qualification (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT qualification_id UNIQUE,
  party_id uuid NOT NULL,
  party_kind text NOT NULL DEFAULT 'recycler'
    CONSTRAINT qualification_party_kind CHECK (party_kind = 'recycler'),
  kind text NOT NULL
    CONSTRAINT qualification_kind CHECK (kind IN ('filing', 'eia', 'discharge_permit', 'listing')),
  valid daterange NOT NULL
    CONSTRAINT qualification_valid_not_empty CHECK (NOT isempty(valid)),
  document text NOT NULL,
  withdrawn_on date,
  withdrawal_document text,
  CONSTRAINT qualification_one_at_a_time
    PRIMARY KEY (party_id, kind, valid WITHOUT OVERLAPS),
  CONSTRAINT qualification_of_a_recycler
    FOREIGN KEY (party_id, party_kind) REFERENCES party (id, kind),
  CONSTRAINT qualification_withdrawal_documented
    CHECK ((withdrawn_on IS NULL) = (withdrawal_document IS NULL))
);

CREATE TABLE outlet (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  code text NOT NULL
    CONSTRAINT outlet_code_once UNIQUE,
  name_zh text NOT NULL,
  name_en text NOT NULL,
  kind text NOT NULL
    CONSTRAINT outlet_kind CHECK (kind IN ('collecting', 'concentrated')),
  adcode text NOT NULL
    CONSTRAINT outlet_prefecture REFERENCES prefecture (adcode),
  longitude double precision NOT NULL
    CONSTRAINT outlet_longitude CHECK (longitude BETWEEN 73 AND 136),
  latitude double precision NOT NULL
    CONSTRAINT outlet_latitude CHECK (latitude BETWEEN 3 AND 54),
  recycler_id uuid NOT NULL
    CONSTRAINT outlet_recycler REFERENCES party (id),
  chemistries text[] NOT NULL,
  hazards text[] NOT NULL
    CONSTRAINT outlet_hazards CHECK (hazards <@ '{intact,damaged,critical}'),
  store_limit_kg integer NOT NULL,
  stock_kg integer NOT NULL DEFAULT 0,
  reserved_kg integer NOT NULL DEFAULT 0,
  generated boolean NOT NULL DEFAULT false,
  CONSTRAINT outlet_store_limit CHECK (stock_kg + reserved_kg <= store_limit_kg),
  CONSTRAINT outlet_stock_not_negative CHECK (stock_kg >= 0 AND reserved_kg >= 0),
  -- MIIT 2019 No. 46: a collecting outlet stores 5 t at most, a concentrated one can store 30 t.
  CONSTRAINT outlet_store_limit_of_its_kind CHECK (
    CASE kind
      WHEN 'collecting' THEN store_limit_kg BETWEEN 1 AND 5000
      ELSE store_limit_kg >= 30000
    END)
);

CREATE INDEX outlet_by_prefecture ON outlet (adcode, code);
CREATE INDEX outlet_by_recycler ON outlet (recycler_id);

ALTER TABLE qualification ENABLE ROW LEVEL SECURITY;
CREATE POLICY qualification_own ON qualification FOR SELECT TO leasing_recycler
  USING (party_id = current_setting('leasing.party')::uuid);
CREATE POLICY qualification_audit ON qualification FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON qualification TO leasing_recycler, leasing_auditor;

ALTER TABLE outlet ENABLE ROW LEVEL SECURITY;
CREATE POLICY outlet_own ON outlet FOR SELECT TO leasing_recycler
  USING (recycler_id = current_setting('leasing.party')::uuid);
CREATE POLICY outlet_audit ON outlet FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON outlet TO leasing_recycler, leasing_auditor;

-- Divisions of the country belong to nobody: everyone may read them.
ALTER TABLE prefecture ENABLE ROW LEVEL SECURITY;
CREATE POLICY prefecture_public ON prefecture FOR SELECT
  TO leasing_customer, leasing_recycler, leasing_auditor USING (true);
GRANT SELECT ON prefecture TO leasing_customer, leasing_recycler, leasing_auditor;
