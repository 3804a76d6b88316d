-- A regulator reads which reports are due and what became of them, not what they say.

CREATE POLICY obligation_regulator ON obligation FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT (id, record_id, rule_id, pack_id, party_id, role, event_kind, event_on, recipient,
              deadline_number, deadline_unit, due_on, is_provisional, state, level, submission_id,
              submitted_on, receipt, void_reason, version, opened_at, changed_at)
  ON obligation TO leasing_regulator;
CREATE POLICY obligation_rule_regulator ON obligation_rule FOR SELECT
  TO leasing_regulator USING (true);
CREATE POLICY working_day_regulator ON working_day FOR SELECT TO leasing_regulator USING (true);
GRANT SELECT ON obligation_rule, working_day TO leasing_regulator;
