-- What verifiers were promised of signing keys: it holds whatever the settings of the connection say later.
SET LOCAL ROLE rekey_owner;

ALTER TABLE vault.material
  -- It ends by itself then.
  ADD COLUMN not_after      timestamptz(3),
  -- The last token that it signed is over then.
  ADD COLUMN honoured_until timestamptz(3),
  -- No kept copy of the set is left that was fetched before it was enabled, or before it was switched off.
  ADD COLUMN known_at       timestamptz(3),
  ADD COLUMN forgotten_at   timestamptz(3);

-- How long copies of the set are kept, and until when those are kept of which something else was said before.
ALTER TABLE vault.pointer
  ADD COLUMN kept_for_s integer,
  ADD COLUMN kept_until timestamptz(3);

-- What was promised of the versions that there are, as far as the settings still tell.
WITH issuer AS (
  SELECT k.id::text AS object, coalesce(c.settings ->> 'notAfter', '400d') AS not_after,
    coalesce(c.settings ->> 'tokenLifetime', '1h') AS lifetime,
    coalesce(c.settings ->> 'cacheMaxAge', '10m') AS told, coalesce(c.settings ->> 'cachedFor', '0s') AS known
  FROM app.key k JOIN app.connection c ON c.name = k.connection WHERE c.provider = 'jwks'
), promised AS (
  SELECT object, (SELECT array_agg(left(d, -1)::integer * CASE right(d, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END ORDER BY n)
    FROM unnest(ARRAY[not_after, lifetime, told, known]) WITH ORDINALITY AS said (d, n)) AS seconds
  FROM issuer
), pointed AS (
  UPDATE vault.pointer p SET kept_for_s = greatest(seconds[3], seconds[4]) FROM promised WHERE p.object = promised.object
)
UPDATE vault.material m SET not_after = m.created_at + make_interval(secs => seconds[1]),
  honoured_until = m.last_used_at + make_interval(secs => seconds[2])
FROM promised WHERE m.object = promised.object;

RESET ROLE;
