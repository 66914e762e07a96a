// Looking for a secret wherever it must not be, in every form in which it could have got there.

import { inspect } from 'node:util'
import pg from 'pg'

/** Raw, base64 at each of its three alignments (and for URLs), hex, percent-encoded, as a JSON string has it. */
export const formsOf = (secret: string): ReadonlySet<string> => {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replaceAll('=', '')
    // The digits that hold bits of a neighbour are left out at both ends.
    return text.slice(
      offset === 0 ? 0 : offset + 1,
      (bytes.length + offset) % 3 === 0 ? undefined : -1,
    )
  })
  return new Set([
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    encodeURI(secret),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ])
}

export type Places = Map<string, string>

/** `place: name of the secret (form)` for each find; never the secret itself. */
export const findPlanted = (
  places: Places,
  secrets: Readonly<Record<string, string>>,
): readonly string[] =>
  Object.entries(secrets).flatMap(([name, secret]) =>
    [...formsOf(secret)].flatMap((form, n) =>
      [...places].flatMap(([place, text]) =>
        text.includes(form) ? [`${place}: ${name} (form ${n})`] : [],
      ),
    ),
  )

/** Every row of every table of Rekey's schemas as text, all columns; bytes in hex. */
export const tablesOf = async (superuserUrl: string): Promise<Places> => {
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND n.nspname IN ('app', 'audit', 'queue', 'vault')`,
    )
    const places: Places = new Map()
    for (const { name } of rows) {
      // oxlint-disable-next-line no-await-in-loop -- one connection
      const table = await client.query<{ row: string }>(
        // As JSON a text stands as it is but for quotes; a bytea is hex in both spellings of a row.
        `SELECT to_jsonb(t)::text || ' ' || t::text AS row FROM ${name} t`,
      )
      places.set(name, table.rows.map(({ row }) => row).join('\n'))
    }
    return places
  } finally {
    await client.end()
  }
}

/** An error as the most talkative of loggers would print it, with all of its causes. */
export const errorText = (error: unknown): string =>
  [
    inspect(error, { depth: Infinity, showHidden: true, getters: true, maxStringLength: null }),
    String(error),
    error instanceof Error ? error.stack : '',
    JSON.stringify(error),
    ...(error instanceof Error && error.cause !== undefined ? [errorText(error.cause)] : []),
  ].join('\n')
