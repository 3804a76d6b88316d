-- The head of a day: one hash over the newest record of every pack at the day's end. Published, it
-- tells later whether a chain was cut short or written anew as a whole.

CREATE TABLE trace_head (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  as_of date NOT NULL
    CONSTRAINT trace_head_one_a_day UNIQUE,
  packs bigint NOT NULL,
  records bigint NOT NULL,
  hash bytea NOT NULL
    CONSTRAINT trace_head_hash CHECK (octet_length(hash) = 32),
  made_by text NOT NULL,
  made_at timestamptz NOT NULL
);

CREATE TRIGGER trace_head_append_only BEFORE UPDATE OR DELETE ON trace_head
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- It is made to be published, and says nothing of any pack.
ALTER TABLE trace_head ENABLE ROW LEVEL SECURITY;
CREATE POLICY trace_head_public ON trace_head FOR SELECT
  TO leasing_customer, leasing_recycler, leasing_auditor USING (true);
GRANT SELECT ON trace_head TO leasing_customer, leasing_recycler, leasing_auditor;
