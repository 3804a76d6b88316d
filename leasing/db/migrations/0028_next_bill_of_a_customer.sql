-- A customer previews its own next bill. A preview is a run that is taken back; while it stands, its
-- drafts are shown to who would get them, and only to the transaction that names the run.
ALTER POLICY invoice_own ON invoice
  USING (buyer_id = current_setting('leasing.party')::uuid
         AND (state = 'final'
              OR (held_because IS NULL
                  AND run_id = nullif(current_setting('leasing.previewed_run', true), '')::uuid)));
