-- A key-encryption key (KEK) that is exchanged while everything runs: which one seals, who is known to open what, and no row
-- under one that is gone.
SET LOCAL ROLE rekey_owner;

-- Fingerprints only; the keys are in files.
CREATE TABLE app.kek (
  id           text           PRIMARY KEY,
  state        text           NOT NULL CHECK (state IN ('active', 'replaced', 'retired')),
  activated_at timestamptz(3) NOT NULL,
  replaced_at  timestamptz(3),
  -- No row was under it, and no living process made anything with it, from then on.
  rewrapped_at timestamptz(3),
  retired_at   timestamptz(3),
  CONSTRAINT kek_state CHECK ((state = 'active') = (replaced_at IS NULL) AND (state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX kek_one_active ON app.kek ((true)) WHERE state = 'active';

-- The processes that serve, as each tells every two seconds.
CREATE TABLE app.process (
  instance   text           PRIMARY KEY,
  host       text           NOT NULL,
  pid        integer        NOT NULL,
  version    text           NOT NULL,
  -- What it makes new things with, and what is in its file.
  seals      text           NOT NULL,
  accepts    text[]         NOT NULL,
  started_at timestamptz(3) NOT NULL DEFAULT app.now(),
  seen_at    timestamptz(3) NOT NULL
);
COMMENT ON TABLE app.process IS 'Not guarded: it changes every two seconds, and says who is there.';

-- A process that stood still while a KEK was retired must not seal under it when it goes on. The lock is that of a foreign key:
-- whoever retires a KEK waits for those who are just writing under it, and counts their rows. A KEK without a row is one that
-- nobody retired.
CREATE FUNCTION app.refuse_retired_kek() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone boolean;
BEGIN
  SELECT state = 'retired' INTO gone FROM app.kek WHERE id = NEW.kek_id FOR KEY SHARE;
  IF gone THEN
    RAISE EXCEPTION 'the key-encryption key % is retired', NEW.kek_id USING ERRCODE = 'RK007';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER refuse_retired_kek BEFORE INSERT OR UPDATE OF kek_id ON app.sealed
  FOR EACH ROW WHEN (NEW.ciphertext IS NOT NULL) EXECUTE FUNCTION app.refuse_retired_kek();
CREATE TRIGGER refuse_retired_kek BEFORE INSERT OR UPDATE OF kek_id ON vault.material
  FOR EACH ROW WHEN (NEW.ciphertext IS NOT NULL) EXECUTE FUNCTION app.refuse_retired_kek();

-- A rewrap walks through the rows of one KEK in the order of their keys.
DROP INDEX app.sealed_kek;
CREATE INDEX sealed_kek ON app.sealed (kek_id, id) WHERE erased_at IS NULL;
DROP INDEX vault.material_kek;
CREATE INDEX material_kek ON vault.material (kek_id, object, version) WHERE state <> 'destroyed';

CREATE CONSTRAINT TRIGGER must_be_audited AFTER INSERT OR UPDATE OR DELETE ON app.kek
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.must_be_audited();
ALTER TABLE app.kek ENABLE ALWAYS TRIGGER must_be_audited;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.kek
  FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
ALTER TABLE app.kek ENABLE ALWAYS TRIGGER refuse_truncate;
COMMENT ON TABLE app.kek IS 'Guarded: a change here without an audit event does not commit.';

GRANT SELECT, INSERT, UPDATE ON app.kek TO rekey_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.process TO rekey_app;
RESET ROLE;
