-- Playbooks: what people do in an emergency, by when somebody else must have read it, and the copies that incidents took.
SET LOCAL ROLE rekey_owner;

CREATE TABLE app.playbook (
  name              text           PRIMARY KEY,
  labels            jsonb          NOT NULL,
  spec              jsonb          NOT NULL,
  managed_by        text,
  -- Of the present revision.
  author_id         text           NOT NULL,
  author_name       text           NOT NULL,
  reviewed_at       timestamptz(3),
  reviewed_by_id    text,
  reviewed_by_name  text,
  reviewed_revision integer,
  review            text,
  review_due_at     timestamptz(3) NOT NULL,
  -- That it is overdue was told.
  overdue_since     timestamptz(3),
  revision          integer        NOT NULL,
  created_at        timestamptz(3) NOT NULL,
  updated_at        timestamptz(3) NOT NULL,
  CONSTRAINT playbook_reviewed CHECK ((reviewed_at IS NULL) = (reviewed_by_id IS NULL) AND (reviewed_at IS NULL) = (reviewed_by_name IS NULL)
    AND (reviewed_at IS NULL) = (reviewed_revision IS NULL) AND (reviewed_at IS NULL) = (review IS NULL)),
  -- Nobody reviews their own revision.
  CONSTRAINT playbook_reviewed_by_another CHECK (reviewed_revision IS DISTINCT FROM revision OR reviewed_by_id <> author_id)
);
CREATE INDEX playbook_unreviewed ON app.playbook (review_due_at) WHERE overdue_since IS NULL;

-- As it was taken: name, revision, title, owner, when, by whom, steps.
ALTER TABLE app.incident ADD COLUMN playbook jsonb;

CREATE TABLE app.incident_step (
  id             uuid           PRIMARY KEY,
  incident_id    uuid           NOT NULL REFERENCES app.incident (id),
  -- From 1 on, in the playbook as the incident took it.
  step           integer        NOT NULL CHECK (step >= 1),
  outcome        text           NOT NULL CHECK (outcome IN ('done', 'notDone')),
  note           text           CHECK (outcome = 'done' OR note IS NOT NULL),
  principal_id   text           NOT NULL,
  principal_name text           NOT NULL,
  at             timestamptz(3) NOT NULL
);
CREATE INDEX incident_step_of ON app.incident_step (incident_id, id);

-- A step that somebody has spoken of keeps its text.
CREATE FUNCTION app.check_incident_playbook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.playbook IS DISTINCT FROM OLD.playbook AND EXISTS (SELECT FROM app.incident_step s WHERE s.incident_id = OLD.id) THEN
    RAISE EXCEPTION 'a playbook whose steps were ticked off is frozen' USING ERRCODE = 'RK008';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER check_playbook BEFORE UPDATE OF playbook ON app.incident FOR EACH ROW EXECUTE FUNCTION app.check_incident_playbook();
ALTER TABLE app.incident ENABLE ALWAYS TRIGGER check_playbook;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['playbook', 'incident_step'] LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER must_be_audited', t);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()', t);
    EXECUTE format('ALTER TABLE app.%I ENABLE ALWAYS TRIGGER refuse_truncate', t);
    EXECUTE format('COMMENT ON TABLE app.%I IS %L', t, 'Guarded: a change here without an audit event does not commit.');
  END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON app.playbook TO rekey_app;
GRANT SELECT, INSERT ON app.incident_step TO rekey_app;
RESET ROLE;
