-- Who there is, who may come in, and the clock they share.

CREATE TABLE party (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  kind text NOT NULL
    CONSTRAINT party_kind CHECK (kind IN ('lessor', 'customer', 'recycler')),
  name text NOT NULL
    CONSTRAINT party_name_not_blank CHECK (btrim(name) <> ''),
  credit_code text
    CONSTRAINT party_credit_code_once UNIQUE,
  home_adcode text,
  generated boolean NOT NULL DEFAULT false,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  CONSTRAINT party_id_kind UNIQUE (id, kind)
);

-- One deployment serves one lessor.
CREATE UNIQUE INDEX party_one_lessor ON party (kind) WHERE kind = 'lessor';

CREATE TABLE api_key (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  prefix text NOT NULL
    CONSTRAINT api_key_prefix_once UNIQUE,
  digest bytea NOT NULL
    CONSTRAINT api_key_digest_is_sha256 CHECK (length(digest) = 32),
  role text NOT NULL
    CONSTRAINT api_key_role CHECK (role IN ('staff', 'customer', 'recycler', 'auditor')),
  party_id uuid,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  last_used_at timestamptz,
  -- An outsider's key is bound to a party of that kind; staff and auditors see all.
  CONSTRAINT api_key_party_of_its_role
    FOREIGN KEY (party_id, role) REFERENCES party (id, kind),
  CONSTRAINT api_key_outsiders_have_a_party
    CHECK ((party_id IS NOT NULL) = (role IN ('customer', 'recycler')))
);

-- The answer to a POST that carried an Idempotency-Key, written in the transaction that did
-- the work: it exists exactly when the work was done.
CREATE TABLE idempotent_answer (
  api_key_id uuid NOT NULL REFERENCES api_key (id),
  key text NOT NULL,
  request_sha256 bytea NOT NULL,
  status integer NOT NULL,
  headers jsonb NOT NULL,
  body bytea NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT idempotent_answer_once PRIMARY KEY (api_key_id, key)
);

CREATE INDEX idempotent_answer_by_age ON idempotent_answer (created_at);

-- The system clock, or in a sandbox a stored one that can be moved forward.
CREATE TABLE clock (
  single boolean PRIMARY KEY DEFAULT true
    CONSTRAINT clock_is_single CHECK (single),
  sandbox boolean NOT NULL DEFAULT false,
  now_at timestamptz,
  target_at timestamptz,
  CONSTRAINT clock_stored_only_in_sandbox CHECK ((now_at IS NOT NULL) = sandbox),
  CONSTRAINT clock_target_only_in_sandbox CHECK (target_at IS NULL OR sandbox),
  CONSTRAINT clock_target_not_behind CHECK (target_at >= now_at)
);

INSERT INTO clock (single) VALUES (true);

CREATE FUNCTION refuse_clock_going_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.now_at < OLD.now_at OR (OLD.sandbox AND NOT NEW.sandbox) THEN
    RAISE EXCEPTION 'the clock does not go back'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'clock_never_goes_back';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER clock_never_goes_back BEFORE UPDATE ON clock
  FOR EACH ROW EXECUTE FUNCTION refuse_clock_going_back();

-- Rows that record what happened are added, never changed.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;

-- Every change of state leaves a row here in the same transaction (outbox). `xact` lets a
-- reader page without missing a transaction that started earlier and committed later.
CREATE TABLE domain_event (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
  aggregate text NOT NULL,
  aggregate_id uuid NOT NULL,
  sequence integer NOT NULL,
  kind text NOT NULL,
  data jsonb NOT NULL,
  actor text NOT NULL,
  occurred_at timestamptz NOT NULL,
  CONSTRAINT domain_event_in_sequence UNIQUE (aggregate_id, aggregate, sequence)
);

CREATE INDEX domain_event_in_order ON domain_event (xact, id);

CREATE TRIGGER domain_event_append_only BEFORE UPDATE OR DELETE ON domain_event
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What the scheduler woke us for: due, running, done, failed or parked.
CREATE TABLE job_run (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  job text NOT NULL,
  as_of timestamptz NOT NULL,
  state text NOT NULL DEFAULT 'due'
    CONSTRAINT job_run_state CHECK (state IN ('due', 'running', 'done', 'failed', 'parked')),
  attempts integer NOT NULL DEFAULT 0,
  worker text,
  done bigint NOT NULL DEFAULT 0,
  parked bigint NOT NULL DEFAULT 0,
  error text,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT job_run_once UNIQUE (job, as_of),
  CONSTRAINT job_run_started CHECK ((started_at IS NOT NULL) = (state <> 'due')),
  CONSTRAINT job_run_finished
    CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'parked'))),
  CONSTRAINT job_run_error_when_it_failed 
    CHECK (state NOT IN ('failed', 'parked') OR error IS NOT NULL)
);

-- Items that a run could not do, each with its reason.
CREATE TABLE job_parked (
  run_id uuid NOT NULL REFERENCES job_run (id),
  subject text NOT NULL,
  subject_id uuid NOT NULL,
  error text NOT NULL,
  parked_at timestamptz NOT NULL,
  CONSTRAINT job_parked_once PRIMARY KEY (run_id, subject, subject_id)
);

CREATE INDEX job_run_unfinished ON job_run (as_of, job) WHERE state IN ('due', 'running', 'failed');

ALTER TABLE party ENABLE ROW LEVEL SECURITY;
CREATE POLICY party_itself ON party FOR SELECT TO leasing_customer, leasing_recycler
  USING (id = current_setting('leasing.party')::uuid OR kind = 'lessor');
CREATE POLICY party_audit ON party FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON party TO leasing_customer, leasing_recycler, leasing_auditor;
GRANT SELECT ON domain_event, job_run, job_parked, clock TO leasing_auditor;
