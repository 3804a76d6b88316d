-- Private halves of keys that sign life files are kept encrypted, with a passphrase that the database
-- never learns. Those of before are forgotten: what they signed stays good, and staff make a new key.
ALTER TABLE signing_key DISABLE TRIGGER signing_key_append_only;
ALTER TABLE signing_key ALTER COLUMN private_pem DROP NOT NULL;
UPDATE signing_key SET private_pem = NULL;
ALTER TABLE signing_key
  ADD CONSTRAINT signing_key_encrypted
    CHECK (private_pem LIKE '-----BEGIN ENCRYPTED PRIVATE KEY-----%');
ALTER TABLE signing_key ENABLE TRIGGER signing_key_append_only;
