-- What came by a gateway and could not be read: encrypted, or damaged, or of a form nobody expects.
-- It is kept as it came for some weeks, so that nothing that was acknowledged is lost.

CREATE TABLE unread_message (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  source text NOT NULL,
  reason text NOT NULL
    CONSTRAINT unread_message_reason CHECK (btrim(reason) <> ''),
  received_at timestamptz NOT NULL,
  sha256 bytea NOT NULL
    CONSTRAINT unread_message_sha256 CHECK (sha256 = sha256(content)),
  content bytea NOT NULL
    CONSTRAINT unread_message_size CHECK (octet_length(content) <= 1048576),
  CONSTRAINT unread_message_once UNIQUE (source, sha256)
);

CREATE INDEX unread_message_by_time ON unread_message (received_at);

CREATE TRIGGER unread_message_append_only BEFORE UPDATE ON unread_message
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
