-- What a traceability record may tell: the catalogue of a pack's life to its end.

ALTER TABLE trace_record
  DROP CONSTRAINT trace_record_kind,
  ADD CONSTRAINT trace_record_kind CHECK (kind IN (
    'pack.acquired', 'pack.assembled', 'pack.decomposed', 'cascade.coded',
    'cascade.shipped', 'pack.commissioned', 'pack.swapped', 'pack.relocated',
    'lease.transferred', 'pack.damaged', 'pack.burnt', 'pack.lost', 'pack.found', 'pack.sold',
    'pack.returned', 'pack.inspected', 'pack.failed', 'pack.repaired', 'pack.reinstated',
    'waste.declared', 'route.chosen', 'route.released', 'waste.outbound', 'waste.inbound',
    'recycle.received', 'recycle.completed', 'qualification.changed', 'record.corrected'));
