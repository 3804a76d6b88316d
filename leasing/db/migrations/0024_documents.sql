-- Issued documents as they were issued, and the PDFs made of them.

-- The canonical JSON of a final invoice. Names of companies and sites and printed codes of packs
-- change later; what was issued does not.
CREATE TABLE invoice_document (
  invoice_id uuid PRIMARY KEY REFERENCES invoice (id),
  sha256 bytea NOT NULL
    CONSTRAINT invoice_document_sha256 CHECK (sha256 = sha256(content)),
  content bytea NOT NULL,
  archived_at timestamptz NOT NULL
);

CREATE TRIGGER invoice_document_append_only BEFORE UPDATE OR DELETE ON invoice_document
  FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A cache: the same document, language and template make the same PDF. Rows are dropped by age.
CREATE TABLE rendered_pdf (
  sha256 bytea NOT NULL
    CONSTRAINT rendered_pdf_sha256 CHECK (length(sha256) = 32),
  language text NOT NULL
    CONSTRAINT rendered_pdf_language CHECK (language IN ('en', 'zh')),
  template text NOT NULL,
  content bytea NOT NULL
    CONSTRAINT rendered_pdf_size CHECK (length(content) <= 20000000),
  created_at timestamptz NOT NULL,
  CONSTRAINT rendered_pdf_once PRIMARY KEY (sha256, language, template)
);

CREATE INDEX rendered_pdf_by_age ON rendered_pdf (created_at);

-- Outsiders read neither table: whoever may see an invoice is given its document by us.
ALTER TABLE invoice_document ENABLE ROW LEVEL SECURITY;
ALTER TABLE rendered_pdf ENABLE ROW LEVEL SECURITY;

-- E-invoices (数电票): what was asked of the tax administration and what it answered.

CREATE SEQUENCE einvoice_serial;

-- What a component is to the tax administration.
CREATE TABLE einvoice_item (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT einvoice_item_id UNIQUE,
  component text PRIMARY KEY,
  name text NOT NULL,
  tax_code text NOT NULL
    CONSTRAINT einvoice_item_tax_code CHECK (tax_code ~ '^[0-9]{19}$')
);

-- What may be invoiced in a month, without VAT (授信额度).
CREATE TABLE einvoice_quota (
  id uuid NOT NULL DEFAULT uuidv7()
    CONSTRAINT einvoice_quota_id UNIQUE,
  month date PRIMARY KEY
    CONSTRAINT einvoice_quota_month CHECK (extract(day FROM month) = 1),
  amount bigint NOT NULL
    CONSTRAINT einvoice_quota_amount CHECK (amount >= 0),
  set_by text NOT NULL,
  set_at timestamptz NOT NULL
);

-- Requests that are sent together. A batch is made before it is sent, so that it can be sent again.
CREATE TABLE einvoice_batch (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  name text NOT NULL
    CONSTRAINT einvoice_batch_name_once UNIQUE,
  made_at timestamptz NOT NULL,
  sent_at timestamptz
);

CREATE INDEX einvoice_batch_unsent ON einvoice_batch (id) WHERE sent_at IS NULL;

CREATE TABLE red_letter (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  einvoice_id uuid NOT NULL,
  credit_note_id uuid NOT NULL REFERENCES invoice (id),
  reason text NOT NULL
    CONSTRAINT red_letter_reason CHECK (
      reason IN ('wrong', 'returned', 'service_ended', 'allowance')),
  serial text NOT NULL
    CONSTRAINT red_letter_serial_once UNIQUE
    CONSTRAINT red_letter_serial CHECK (serial ~ '^[0-9]{20}$'),
  state text NOT NULL DEFAULT 'drafted'
    CONSTRAINT red_letter_state CHECK (state IN (
      'drafted', 'applied', 'confirmed', 'refused', 'lapsed', 'revoked', 'issued')),
  net_amount bigint NOT NULL
    CONSTRAINT red_letter_takes_back CHECK (net_amount < 0),
  vat_amount bigint NOT NULL,
  request jsonb NOT NULL,
  batch_id uuid REFERENCES einvoice_batch (id),
  confirmation_number text,
  message text,
  created_at timestamptz NOT NULL,
  closed_at timestamptz,
  CONSTRAINT red_letter_confirmed CHECK (
    state NOT IN ('confirmed', 'issued') OR confirmation_number IS NOT NULL),
  CONSTRAINT red_letter_closed CHECK (
    (closed_at IS NOT NULL) = (state IN ('refused', 'lapsed', 'revoked', 'issued'))),
  CONSTRAINT red_letter_sent CHECK (state IN ('drafted', 'revoked') OR batch_id IS NOT NULL)
);

CREATE UNIQUE INDEX red_letter_once ON red_letter (einvoice_id, credit_note_id)
 WHERE state NOT IN ('refused', 'lapsed', 'revoked');
CREATE INDEX red_letter_waiting ON red_letter (id) WHERE state = 'drafted' AND batch_id IS NULL;
CREATE INDEX red_letter_by_batch ON red_letter (batch_id);

CREATE TABLE einvoice (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  invoice_id uuid NOT NULL REFERENCES invoice (id),
  red_letter_id uuid
    CONSTRAINT einvoice_of_a_red_letter REFERENCES red_letter (id),
  kind text NOT NULL
    CONSTRAINT einvoice_kind CHECK (kind IN ('special', 'ordinary')),
  serial text NOT NULL
    CONSTRAINT einvoice_serial_once UNIQUE
    CONSTRAINT einvoice_serial CHECK (serial ~ '^[0-9]{20}$'),
  state text NOT NULL DEFAULT 'drafted'
    CONSTRAINT einvoice_state CHECK (state IN ('drafted', 'submitted', 'issued', 'rejected')),
  net_amount bigint NOT NULL,
  vat_amount bigint NOT NULL,
  request jsonb NOT NULL,
  has_list boolean NOT NULL,
  batch_id uuid REFERENCES einvoice_batch (id),
  number text
    CONSTRAINT einvoice_number_once UNIQUE
    CONSTRAINT einvoice_number CHECK (number ~ '^[0-9]{20}$'),
  issued_at timestamptz,
  rejected_code text,
  rejected_message text,
  created_at timestamptz NOT NULL,
  submitted_at timestamptz,
  CONSTRAINT einvoice_red_is_negative CHECK ((red_letter_id IS NOT NULL) = (net_amount < 0)),
  CONSTRAINT einvoice_submitted CHECK (
    (submitted_at IS NOT NULL) = (state <> 'drafted')
    AND (state = 'drafted' OR batch_id IS NOT NULL)),
  CONSTRAINT einvoice_issued CHECK (
    (state = 'issued') = (number IS NOT NULL) AND (state = 'issued') = (issued_at IS NOT NULL)),
  CONSTRAINT einvoice_rejected CHECK ((state = 'rejected') = (rejected_code IS NOT NULL))
);

ALTER TABLE red_letter ADD CONSTRAINT red_letter_of_an_einvoice
  FOREIGN KEY (einvoice_id) REFERENCES einvoice (id);

CREATE UNIQUE INDEX einvoice_once ON einvoice (invoice_id)
 WHERE red_letter_id IS NULL AND state <> 'rejected';
CREATE UNIQUE INDEX einvoice_red_once ON einvoice (red_letter_id) WHERE state <> 'rejected';
CREATE INDEX einvoice_by_invoice ON einvoice (invoice_id, id);
CREATE INDEX einvoice_by_state ON einvoice (state, id);
CREATE INDEX einvoice_waiting ON einvoice (id) WHERE state = 'drafted' AND batch_id IS NULL;
CREATE INDEX einvoice_by_batch ON einvoice (batch_id);
CREATE INDEX einvoice_by_day ON einvoice (created_at);
CREATE INDEX red_letter_by_einvoice ON red_letter (einvoice_id, id);

-- Files of answers that were read, by their content: one that comes again changes nothing.
CREATE TABLE einvoice_answer_file (
  sha256 bytea PRIMARY KEY
    CONSTRAINT einvoice_answer_file_sha256 CHECK (length(sha256) = 32),
  name text NOT NULL,
  read_at timestamptz NOT NULL
);

ALTER TABLE einvoice ENABLE ROW LEVEL SECURITY;
CREATE POLICY einvoice_own ON einvoice FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM invoice WHERE invoice.id = invoice_id));
CREATE POLICY einvoice_audit ON einvoice FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON einvoice TO leasing_customer, leasing_auditor;

ALTER TABLE red_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY red_letter_own ON red_letter FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM einvoice WHERE einvoice.id = einvoice_id));
CREATE POLICY red_letter_audit ON red_letter FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON red_letter TO leasing_customer, leasing_auditor;

GRANT SELECT ON einvoice_item, einvoice_quota, einvoice_batch, einvoice_answer_file
   TO leasing_auditor;
