// What the token sees: projects, their configs, and in each the names of secrets, or its tokens. Ten configs are a page. Names
// only: no value is asked for. What stands in a branch config and may be its root's is listed there too: a look at it tells.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type InventoryItem } from '#domain/provider.ts'
import type { Ask } from './client.ts'
import { secretIdOf, tokensIdOf } from './refs.ts'
import { rightOf } from './rights.ts'
import { fieldsOf, rowsOf, textOf, textsOf } from '../untyped-json.ts'

interface Page {
  readonly items: readonly InventoryItem[]
  readonly next: string | null
}

/** The config that was listed last: by name, so that what comes and goes meanwhile loses and repeats nothing. */
interface Place {
  readonly project: string
  readonly config: string
}

export const inventory = async (
  ask: Ask,
  settings: JsonObject,
  { type, cursor }: { readonly type: string; readonly cursor: string | null },
  call: Call,
): Promise<Page> => {
  const kind = kinds[type]
  if (kind === undefined)
    throw new ProviderError('unsupported', 'none', 'the doppler provider has no such key type')
  let last = cursor === null ? null : decode(cursor)
  let refusal: ProviderError | null = null
  for (;;) {
    /* oxlint-disable no-await-in-loop -- Doppler counts requests a minute */
    const places = await configsAfter(ask, last, call)
    const items: InventoryItem[] = []
    let read = 0
    for (const place of places) {
      const refs = await kind.refs(ask, place, call).catch(unseen)
      if (refs instanceof ProviderError) {
        refusal ??= refs.kind === 'forbidden' ? refs : null
        continue
      }
      read += 1
      for (const { ref, facts } of refs) {
        const objectId = idOf(kind, settings, ref)
        if (objectId !== null) items.push({ type, ref, objectId, facts })
      }
    }
    /* oxlint-enable no-await-in-loop */
    const end = places.at(-1)
    // Of nothing at all the token may see the names: an empty list would say that there are none.
    if (end === undefined && cursor === null && refusal !== null) throw refusal
    if (end === undefined) return { items, next: null }
    if (read > 0 || refusal === null) return { items, next: encode(end) }
    last = end
  }
}

/** A config that the token may not read, or that has gone since it was listed, hides no other. */
const unseen = (error: unknown): ProviderError => {
  if (error instanceof ProviderError && (error.kind === 'forbidden' || error.kind === 'notFound'))
    return error
  throw error
}

/** Null: of a name that no key can have. */
const idOf = (kind: Kind, settings: JsonObject, ref: JsonObject): string | null => {
  try {
    return kind.id(settings, ref)
  } catch (error) {
    if (error instanceof ProviderError) return null
    throw error
  }
}

interface Kind {
  readonly id: (settings: JsonObject, ref: JsonObject) => string
  readonly refs: (
    ask: Ask,
    place: Place,
    call: Call,
  ) => Promise<readonly { readonly ref: JsonObject; readonly facts: JsonObject }[]>
}

const kinds: Readonly<Record<string, Kind>> = {
  'doppler.secret': {
    id: secretIdOf,
    refs: async (ask, { project, config }, call) => {
      const { body } = await ask(
        {
          method: 'GET',
          path: '/v3/configs/config/secrets/names',
          // A lease would be issued for each dynamic secret.
          query: {
            project,
            config,
            include_dynamic_secrets: 'false',
            include_managed_secrets: 'false',
          },
          needs: rightOf.describe,
          at: `${project}/${config}`,
        },
        call,
      )
      return textsOf(body['names']).map((name) => ({ ref: { project, config, name }, facts: {} }))
    },
  },
  'doppler.serviceToken': {
    id: tokensIdOf,
    refs: async (ask, { project, config }, call) => {
      const { body } = await ask(
        {
          method: 'GET',
          path: '/v3/configs/config/tokens',
          query: { project, config },
          needs: rightOf.tokens,
          at: `${project}/${config}`,
        },
        call,
      )
      const byAccess = Map.groupBy(rowsOf(body['tokens']), ({ access }) => textOf(access))
      return [...byAccess]
        .filter(([access]) => access === 'read' || access === 'read/write')
        .map(([access, tokens]) => ({
          ref: { project, config, access },
          facts: { tokens: tokens.map(({ name }) => textOf(name)) },
        }))
    },
  },
}

const perPage = 100
/** What Doppler gives whoever does not ask for a number. It may also give no more than that. */
const leastPerPage = 20
const together = 10

/** Of one project; none: that was all. */
const configsAfter = async (
  ask: Ask,
  last: Place | null,
  call: Call,
): Promise<readonly Place[]> => {
  const projects = await all(ask, '/v3/projects', {}, 'projects', call)
  const slugs = projects.map((row) => textOf(row['slug']) || textOf(row['id'])).toSorted()
  for (const project of slugs) {
    if (last !== null && project < last.project) continue
    // oxlint-disable-next-line no-await-in-loop -- one after the other, up to the first that has more
    const configs = await all(ask, '/v3/configs', { project }, 'configs', call)
    const found = configs
      .map((row) => textOf(row['name']))
      .filter((name) => last === null || project > last.project || name > last.config)
      .toSorted()
      .slice(0, together)
    if (found.length > 0) return found.map((config) => ({ project, config }))
  }
  return []
}

const all = async (
  ask: Ask,
  path: string,
  query: Readonly<Record<string, string>>,
  field: string,
  call: Call,
): Promise<readonly ReturnType<typeof fieldsOf>[]> => {
  const found: ReturnType<typeof fieldsOf>[] = []
  let full = 0
  for (let page = 1; ; page++) {
    // oxlint-disable-next-line no-await-in-loop -- pages follow each other
    const { body } = await ask(
      {
        method: 'GET',
        path,
        query: { ...query, page: String(page), per_page: String(perPage) },
        needs: 'access to the projects',
        at: query['project'] ?? 'the workplace',
      },
      call,
    )
    const rows = rowsOf(body[field])
    found.push(...rows)
    // Shorter than a page can be, or than the one before it was: the last one.
    if (rows.length < Math.max(leastPerPage, full)) return found
    full = rows.length
  }
}

const encode = (place: Place): string => Buffer.from(JSON.stringify(place)).toString('base64url')

const decode = (cursor: string): Place => {
  try {
    const place = fieldsOf(JSON.parse(Buffer.from(cursor, 'base64url').toString()))
    const [project, config] = [textOf(place['project']), textOf(place['config'])]
    if (project !== '' && config !== '') return { project, config }
  } catch {
    // Falls through: not one of ours.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
