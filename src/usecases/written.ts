// What the writes of resources share: the answer, equality, and pages of what an actor may see.

import { inScope, type Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json } from '#domain/json.ts'
import type { Page, Paged } from '#domain/ports.ts'
import type { Scoped } from './rights.ts'

/** A row was changed between the read and the write of one transaction. */
export const mustHold = (held: boolean): void => {
  if (!held)
    throw new RekeyError('precondition.failed', { detail: 'It was changed at the same moment.' })
}

/** A body as it is handed on: nobody changes it. */
export type DeepReadonly<T> = T extends (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** What a write of a resource did. `changed` is false when the same was put again: no new revision. */
export interface Written<T> {
  readonly resource: T
  readonly created: boolean
  readonly changed: boolean
}

export { sameJson } from '#domain/json.ts'

/** Half of what an audit record may hold, for a `before` and an `after`. */
const mostTold = 14_000

/** As JSON, for the audit log. What is too long for a record is told by its size: the revision itself is kept elsewhere. */
export const asJson = (value: unknown): Json => {
  const text = JSON.stringify(value)
  if (text === undefined) return null
  return text.length > mostTold
    ? { omitted: 'too long for an audit record', length: text.length }
    : (JSON.parse(text) as Json)
}

/** A full page of what lies in the scope, from a list of a few hundred that is sorted by name. */
export const pageInScope = async <T extends Scoped & { readonly name: string }>(
  actor: Actor,
  page: Page,
  list: (page: Page) => Promise<Paged<T>>,
  asScoped: (item: T) => Scoped = (item) => item,
): Promise<Paged<T>> =>
  pageOf(actor, page, list, {
    sees: (item) => inScope(actor, asScoped(item)),
    keyOf: ({ name }) => name,
  })

/** A full page of what is seen, whatever lies in between: how many are not is told by nothing, nor which is the next of them. */
export const pageOf = async <T>(
  actor: Actor,
  page: Page,
  list: (page: Page) => Promise<Paged<T>>,
  { sees, keyOf }: { readonly sees: (item: T) => boolean; readonly keyOf: (item: T) => string },
): Promise<Paged<T>> => {
  if (!actor.scope) return list(page)
  const items: T[] = []
  let after = page.after
  for (;;) {
    const found = await list({ limit: 200, after }) // oxlint-disable-line no-await-in-loop -- a page names the next one
    for (const item of found.items) {
      if (!sees(item)) continue
      const last = items.at(-1)
      if (items.length === page.limit && last) return { items, next: keyOf(last) }
      items.push(item)
    }
    if (found.next === null) return { items, next: null }
    after = found.next
  }
}
