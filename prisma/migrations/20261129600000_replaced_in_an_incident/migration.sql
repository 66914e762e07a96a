-- One place that only the next value ends is contained by its replacement. `disable` is never planned: what cannot be suspended is
-- destroyed by it, or does not know it.
SET LOCAL ROLE rekey_owner;
ALTER TABLE app.incident_version DROP CONSTRAINT incident_version_containment_check;
ALTER TABLE app.incident_version ADD CONSTRAINT incident_version_containment_check
  CHECK (containment IN ('suspend', 'destroy', 'switchOffKey', 'replace', 'byHand', 'none'));
RESET ROLE;
