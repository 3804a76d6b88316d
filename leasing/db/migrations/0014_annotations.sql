-- What people write on packs, sites and contracts: notes, attachments, tags and fields of their own.

-- A pack, site or contract that something was written on. Its id is that thing's id, and one of
-- the three generated columns refers to it: what does not exist cannot be written on.
CREATE TABLE subject (
  id uuid PRIMARY KEY,
  kind text NOT NULL
    CONSTRAINT subject_kind CHECK (kind IN ('pack', 'site', 'contract')),
  pack_id uuid GENERATED ALWAYS AS (CASE kind WHEN 'pack' THEN id END) STORED
    CONSTRAINT subject_pack REFERENCES pack (id),
  site_id uuid GENERATED ALWAYS AS (CASE kind WHEN 'site' THEN id END) STORED
    CONSTRAINT subject_site REFERENCES site (id),
  contract_id uuid GENERATED ALWAYS AS (CASE kind WHEN 'contract' THEN id END) STORED
    CONSTRAINT subject_contract REFERENCES contract (id),
  -- Of its custom fields: whoever edits them says which version they read.
  fields_version integer NOT NULL DEFAULT 1,
  CONSTRAINT subject_identity UNIQUE (id, kind)
);

-- Rows of which only the columns named in the trigger may change, and only from null.
CREATE FUNCTION refuse_change_except() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE'
     OR to_jsonb(NEW) - TG_ARGV <> to_jsonb(OLD) - TG_ARGV
     OR to_jsonb(OLD) ->> TG_ARGV[0] IS NOT NULL THEN
    RAISE EXCEPTION 'rows of % are never deleted, and change once only', TG_TABLE_NAME
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
  END IF;
  RETURN NEW;
END $$;

CREATE TABLE note (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  subject_id uuid NOT NULL
    CONSTRAINT note_subject REFERENCES subject (id),
  text text NOT NULL
    CONSTRAINT note_text CHECK (btrim(text, E' \t\r\n') <> '' AND char_length(text) <= 5000),
  visible_to_customer boolean NOT NULL,
  author text NOT NULL,
  written_at timestamptz NOT NULL,
  struck_at timestamptz,
  struck_by text,
  strike_reason text
    CONSTRAINT note_strike_reason CHECK (btrim(strike_reason) <> ''),
  CONSTRAINT note_struck CHECK (num_nonnulls(struck_at, struck_by, strike_reason) IN (0, 3))
);

CREATE INDEX note_by_subject ON note (subject_id, id);

CREATE TRIGGER note_append_only BEFORE UPDATE OR DELETE ON note
  FOR EACH ROW EXECUTE FUNCTION refuse_change_except('struck_at', 'struck_by', 'strike_reason');

-- The same bytes are kept once. The hash is worked out by the database itself.
CREATE TABLE attachment_content (
  sha256 bytea PRIMARY KEY,
  bytes bytea NOT NULL,
  CONSTRAINT attachment_content_is_what_was_hashed CHECK (sha256 = sha256(bytes)),
  CONSTRAINT attachment_content_not_empty CHECK (length(bytes) > 0)
);

-- What is attached is mostly compressed already.
ALTER TABLE attachment_content ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE attachment (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  subject_id uuid NOT NULL
    CONSTRAINT attachment_subject REFERENCES subject (id),
  sha256 bytea NOT NULL
    CONSTRAINT attachment_sha256 CHECK (length(sha256) = 32),
  media_type text NOT NULL
    CONSTRAINT attachment_media_type CHECK (media_type IN (
      'application/pdf', 'image/png', 'image/jpeg', 'image/webp', 'image/heic',
      'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
      'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
      'text/csv', 'text/plain')),
  size_bytes integer NOT NULL
    CONSTRAINT attachment_size CHECK (size_bytes > 0),
  -- For people to read; nothing is ever opened or decided by it.
  filename text NOT NULL
    CONSTRAINT attachment_filename
      CHECK (btrim(filename) <> '' AND char_length(filename) <= 200),
  visible_to_customer boolean NOT NULL,
  added_by text NOT NULL,
  added_at timestamptz NOT NULL,
  removed_at timestamptz,
  removed_by text,
  removal_reason text
    CONSTRAINT attachment_removal_reason CHECK (btrim(removal_reason) <> ''),
  -- The hash stays when an attachment is removed; its hold on the content does not.
  held_sha256 bytea GENERATED ALWAYS AS (CASE WHEN removed_at IS NULL THEN sha256 END) STORED
    CONSTRAINT attachment_content_is_kept REFERENCES attachment_content (sha256),
  CONSTRAINT attachment_once UNIQUE (subject_id, held_sha256),
  CONSTRAINT attachment_removed
    CHECK (num_nonnulls(removed_at, removed_by, removal_reason) IN (0, 3))
);

CREATE INDEX attachment_by_subject ON attachment (subject_id, id);
CREATE INDEX attachment_by_content ON attachment (held_sha256) WHERE held_sha256 IS NOT NULL;

CREATE TRIGGER attachment_append_only BEFORE UPDATE OR DELETE ON attachment
  FOR EACH ROW EXECUTE FUNCTION
    refuse_change_except('removed_at', 'removed_by', 'removal_reason', 'held_sha256');

CREATE TABLE subject_tag (
  subject_id uuid NOT NULL
    CONSTRAINT subject_tag_subject REFERENCES subject (id),
  tag text NOT NULL
    CONSTRAINT subject_tag_is_normal
      CHECK (tag IS NFC NORMALIZED AND char_length(tag) BETWEEN 1 AND 40),
  CONSTRAINT subject_tag_once PRIMARY KEY (subject_id, tag)
);

CREATE INDEX subject_tag_by_tag ON subject_tag (tag, subject_id);

-- A field that the lessor adds to its packs, sites or contracts.
CREATE TABLE custom_field (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  subject_kind text NOT NULL
    CONSTRAINT custom_field_subject_kind CHECK (subject_kind IN ('pack', 'site', 'contract')),
  key text NOT NULL
    CONSTRAINT custom_field_key_form CHECK (key ~ '^[a-z][a-z0-9_]{0,39}$'),
  label_zh text NOT NULL,
  label_en text NOT NULL,
  type text NOT NULL
    CONSTRAINT custom_field_type
      CHECK (type IN ('text', 'integer', 'decimal', 'boolean', 'date', 'choice')),
  unit text,
  minimum numeric,
  maximum numeric,
  required boolean NOT NULL,
  visible_to_customer boolean NOT NULL,
  retired_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  CONSTRAINT custom_field_key_once UNIQUE (subject_kind, key),
  CONSTRAINT custom_field_identity UNIQUE (id, subject_kind, type),
  CONSTRAINT custom_field_limits_of_a_number
    CHECK (type IN ('integer', 'decimal') OR num_nonnulls(minimum, maximum, unit) = 0),
  CONSTRAINT custom_field_limits_in_order CHECK (minimum <= maximum)
);

CREATE TABLE custom_choice (
  field_id uuid NOT NULL
    CONSTRAINT custom_choice_field REFERENCES custom_field (id),
  choice text NOT NULL,
  position integer NOT NULL,
  CONSTRAINT custom_choice_once PRIMARY KEY (field_id, choice)
);

-- One column per type; kind and type repeat the field's and the subject's, so that a value of
-- another type, or of another kind of subject, has nowhere to go.
CREATE TABLE custom_value (
  field_id uuid NOT NULL,
  subject_id uuid NOT NULL,
  kind text NOT NULL,
  type text NOT NULL,
  text_value text
    CONSTRAINT custom_value_text CHECK (char_length(text_value) BETWEEN 1 AND 500),
  integer_value bigint,
  decimal_value numeric
    CONSTRAINT custom_value_decimal_is_a_number
      CHECK (decimal_value NOT IN ('NaN', 'Infinity', '-Infinity')),
  boolean_value boolean,
  date_value date,
  choice_value text,
  CONSTRAINT custom_value_once PRIMARY KEY (field_id, subject_id),
  CONSTRAINT custom_value_of_its_field
    FOREIGN KEY (field_id, kind, type) REFERENCES custom_field (id, subject_kind, type),
  CONSTRAINT custom_value_of_its_subject
    FOREIGN KEY (subject_id, kind) REFERENCES subject (id, kind),
  CONSTRAINT custom_value_of_its_choices
    FOREIGN KEY (field_id, choice_value) REFERENCES custom_choice (field_id, choice),
  CONSTRAINT custom_value_of_its_type CHECK (
    (text_value IS NOT NULL) = (type = 'text')
    AND (integer_value IS NOT NULL) = (type = 'integer')
    AND (decimal_value IS NOT NULL) = (type = 'decimal')
    AND (boolean_value IS NOT NULL) = (type = 'boolean')
    AND (date_value IS NOT NULL) = (type = 'date')
    AND (choice_value IS NOT NULL) = (type = 'choice'))
);

CREATE INDEX custom_value_by_subject ON custom_value (subject_id);

-- Whoever sees the thing sees what is written on it for customers: the thing's own policy
-- decides. What is written on a pack is thus seen by whoever has it at present.
ALTER TABLE subject ENABLE ROW LEVEL SECURITY;
CREATE POLICY subject_own ON subject FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM pack WHERE pack.id = subject.pack_id)
      OR EXISTS (SELECT FROM site WHERE site.id = subject.site_id)
      OR EXISTS (SELECT FROM contract WHERE contract.id = subject.contract_id));
CREATE POLICY subject_audit ON subject FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON subject TO leasing_customer, leasing_auditor;

ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY note_own ON note FOR SELECT TO leasing_customer
  USING (visible_to_customer AND EXISTS (SELECT FROM subject WHERE subject.id = subject_id));
CREATE POLICY note_audit ON note FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON note TO leasing_customer, leasing_auditor;

ALTER TABLE attachment ENABLE ROW LEVEL SECURITY;
CREATE POLICY attachment_own ON attachment FOR SELECT TO leasing_customer
  USING (visible_to_customer AND EXISTS (SELECT FROM subject WHERE subject.id = subject_id));
CREATE POLICY attachment_audit ON attachment FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON attachment TO leasing_customer, leasing_auditor;

ALTER TABLE attachment_content ENABLE ROW LEVEL SECURITY;
CREATE POLICY attachment_content_own ON attachment_content FOR SELECT TO leasing_customer
  USING (EXISTS (
    SELECT FROM attachment WHERE attachment.held_sha256 = attachment_content.sha256));
CREATE POLICY attachment_content_audit ON attachment_content FOR SELECT TO leasing_auditor
  USING (true);
GRANT SELECT ON attachment_content TO leasing_customer, leasing_auditor;

-- Tags are the lessor's own words for its things.
ALTER TABLE subject_tag ENABLE ROW LEVEL SECURITY;
CREATE POLICY subject_tag_audit ON subject_tag FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON subject_tag TO leasing_auditor;

ALTER TABLE custom_field ENABLE ROW LEVEL SECURITY;
CREATE POLICY custom_field_shown ON custom_field FOR SELECT TO leasing_customer
  USING (visible_to_customer);
CREATE POLICY custom_field_audit ON custom_field FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON custom_field TO leasing_customer, leasing_auditor;

ALTER TABLE custom_choice ENABLE ROW LEVEL SECURITY;
CREATE POLICY custom_choice_shown ON custom_choice FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM custom_field WHERE custom_field.id = field_id));
CREATE POLICY custom_choice_audit ON custom_choice FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON custom_choice TO leasing_customer, leasing_auditor;

ALTER TABLE custom_value ENABLE ROW LEVEL SECURITY;
CREATE POLICY custom_value_own ON custom_value FOR SELECT TO leasing_customer
  USING (EXISTS (SELECT FROM custom_field WHERE custom_field.id = field_id)
     AND EXISTS (SELECT FROM subject WHERE subject.id = subject_id));
CREATE POLICY custom_value_audit ON custom_value FOR SELECT TO leasing_auditor USING (true);
GRANT SELECT ON custom_value TO leasing_customer, leasing_auditor;
