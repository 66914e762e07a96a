-- Peppers of fingerprints that are exchanged while everything runs: which one makes new ones, which others material is still known
-- by, and no fingerprint under one that is gone. As with key-encryption keys (20261128000000_keks).
SET LOCAL ROLE rekey_owner;

-- Names only; the peppers are in files.
CREATE TABLE app.pepper (
  -- The first byte of the fingerprints that it made.
  number       integer        PRIMARY KEY CHECK (number BETWEEN 1 AND 255),
  id           text           NOT NULL,
  state        text           NOT NULL CHECK (state IN ('active', 'replaced', 'retired')),
  activated_at timestamptz(3) NOT NULL,
  replaced_at  timestamptz(3),
  -- What could be made anew at once was, and no living process made more with it, from then on.
  renewed_at   timestamptz(3),
  retired_at   timestamptz(3),
  CONSTRAINT pepper_state CHECK ((state = 'active') = (replaced_at IS NULL) AND (state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX pepper_one_active ON app.pepper ((true)) WHERE state = 'active';

-- What a process makes fingerprints with, and what is in its file. Null: a process of an earlier version, which knows of one only.
ALTER TABLE app.process ADD COLUMN marks text, ADD COLUMN peppers text[];

-- A process that stood still while a pepper was retired must not make fingerprints with it when it goes on: nobody would know
-- them again. The lock is that of a foreign key: whoever retires a pepper waits for those who are just writing under it, and counts
-- their rows. A pepper without a row is one that nobody retired.
CREATE FUNCTION app.refuse_retired_pepper() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone boolean;
BEGIN
  IF NEW.fingerprint IS NULL THEN
    RETURN NEW;
  END IF;
  -- A version is mostly written with the fingerprint that it has.
  IF TG_OP = 'UPDATE' THEN
    IF NEW.fingerprint = OLD.fingerprint THEN
      RETURN NEW;
    END IF;
  END IF;
  SELECT state = 'retired' INTO gone FROM app.pepper WHERE number = get_byte(NEW.fingerprint, 0) FOR KEY SHARE;
  IF gone THEN
    RAISE EXCEPTION 'the fingerprint pepper % is retired', get_byte(NEW.fingerprint, 0) USING ERRCODE = 'RK009';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER refuse_retired_pepper BEFORE INSERT OR UPDATE OF fingerprint ON app.version
  FOR EACH ROW EXECUTE FUNCTION app.refuse_retired_pepper();
CREATE TRIGGER refuse_retired_pepper BEFORE INSERT ON app.confirmation
  FOR EACH ROW EXECUTE FUNCTION app.refuse_retired_pepper();
CREATE TRIGGER refuse_retired_pepper BEFORE INSERT OR UPDATE OF fingerprint ON app.login
  FOR EACH ROW EXECUTE FUNCTION app.refuse_retired_pepper();

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.pepper
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.pepper ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.pepper
  FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.pepper ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.pepper IS 'Guarded: a change here without an audit event does not commit.';

GRANT SELECT, INSERT, UPDATE ON app.pepper TO rekey_app;
-- What was said stays; the fingerprint of it may be forgotten with its pepper.
GRANT UPDATE (fingerprint) ON app.confirmation TO rekey_app;
RESET ROLE;
