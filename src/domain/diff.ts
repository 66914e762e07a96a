// What differs between two JSON values, field by field, each with a pointer (RFC 6901) and both values. Lists whose items
// have names are compared by name; other lists are one value, since half of what such a diff says would be shifted indices.

import { type Json, type JsonObject, sameJson } from './json.ts'
import { pointerOf } from './issue.ts'
import type { FieldChange } from './plan.ts'

/** `undefined`: not there. A whole that appears or goes is told field by field too. */
export const diffJson = (before: Json | undefined, after: Json | undefined): FieldChange[] =>
  compare(before, after, [])

type Path = readonly (string | number)[]

const compare = (before: Json | undefined, after: Json | undefined, path: Path): FieldChange[] => {
  if (sameJson(before, after)) return []
  const [left, right] = [asObject(before), asObject(after)]
  if (left && right) {
    // In one order, whatever a text or a database makes of the order of members: plans are compared by it.
    const names = [...new Set([...Object.keys(right), ...Object.keys(left)])].toSorted()
    // An empty mapping that comes or goes has no field to tell of it.
    if (names.length > 0)
      return names.flatMap((name) => compare(own(left, name), own(right, name), [...path, name]))
  }
  if (isList(before) && isList(after)) {
    const byName = compareByName(before, after, path)
    if (byName !== null) return byName
  }
  return [
    {
      pointer: pointerOf(path),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  ]
}

/** A mapping with fields; what is not there has none, when the other side has some. */
const asObject = (value: Json | undefined): JsonObject | null => {
  if (value === undefined) return {}
  return typeof value === 'object' && value !== null && !isList(value) ? value : null
}

/** `Array.isArray` does not know readonly lists. */
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

const own = (value: JsonObject, name: string): Json | undefined =>
  Object.hasOwn(value, name) ? value[name] : undefined

/** Null where items have no names, or only their order changed. Indices are those of the list that the item is in, now or before. */
const compareByName = (
  before: readonly Json[],
  after: readonly Json[],
  path: Path,
): FieldChange[] | null => {
  const [left, right] = [named(before), named(after)]
  if (!left || !right) return null
  const changes = [
    ...after.flatMap((item, i) =>
      compare(before[left.get(nameOf(item)) ?? -1], item, [...path, i]),
    ),
    ...before.flatMap((item, i) =>
      right.has(nameOf(item)) ? [] : compare(item, undefined, [...path, i]),
    ),
  ]
  return changes.length === 0 ? null : changes
}

const named = (items: readonly Json[]): ReadonlyMap<string, number> | null => {
  const found = new Map(items.map((item, i) => [nameOf(item), i]))
  return found.size === items.length && !found.has('') ? found : null
}

const nameOf = (item: Json): string => {
  const name = asObject(item)?.['name']
  return typeof name === 'string' ? name : ''
}
