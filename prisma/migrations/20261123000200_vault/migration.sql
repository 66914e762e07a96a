-- The built-in vault: storage of the providers `local` and `jwks`, which happen to live here. Nothing else reads it.
SET LOCAL ROLE rekey_owner;

CREATE SCHEMA IF NOT EXISTS vault AUTHORIZATION rekey_owner;

CREATE TABLE vault.material (
  object       text           NOT NULL,
  version      integer        NOT NULL CHECK (version >= 1),
  operation_id text           NOT NULL,
  state        text           NOT NULL DEFAULT 'enabled' CHECK (state IN ('enabled', 'disabled', 'destroyed')),
  algorithm    text           NOT NULL,
  public_key   text,
  kek_id       text           NOT NULL,
  wrapped_key  bytea,
  ciphertext   bytea,
  created_at   timestamptz(3) NOT NULL DEFAULT app.now(),
  last_used_at timestamptz(3),
  PRIMARY KEY (object, version),
  CONSTRAINT material_there_or_destroyed CHECK ((state = 'destroyed') = (wrapped_key IS NULL) AND (state = 'destroyed') = (ciphertext IS NULL))
);
CREATE UNIQUE INDEX material_operation ON vault.material (object, operation_id);
CREATE INDEX material_kek ON vault.material (kek_id) WHERE state <> 'destroyed';

CREATE TABLE vault.pointer (
  object     text           PRIMARY KEY,
  current    integer        NOT NULL,
  moved_at   timestamptz(3) NOT NULL DEFAULT app.now(),
  FOREIGN KEY (object, current) REFERENCES vault.material (object, version)
);

-- A provider's own storage, like that of any other provider: the intent and the outcome of each write are in the log.
COMMENT ON TABLE vault.material IS 'Not guarded: the store of a provider.';
COMMENT ON TABLE vault.pointer IS 'Not guarded: the store of a provider.';

GRANT USAGE ON SCHEMA vault TO rekey_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.material, vault.pointer TO rekey_app;

RESET ROLE;
