// Reading replies. A field that is missing, null or of another type reads as nothing: an older command line must be able
// to show what a newer server says.

import type { Json, JsonObject } from '#domain/json.ts'

type Path = readonly (string | number)[]

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

export const at = (value: Json | undefined, ...path: Path): Json | undefined => {
  let found = value
  for (const step of path) {
    if (isList(found) && typeof step === 'number') found = found[step]
    else if (isObject(found) && Object.hasOwn(found, step)) found = found[String(step)]
    else return undefined
  }
  return found
}

/** Text, number or boolean as text; empty where there is none. */
export const textAt = (value: Json | undefined, ...path: Path): string => {
  const found = at(value, ...path)
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean'
    ? String(found)
    : ''
}

export const numberAt = (value: Json | undefined, ...path: Path): number | null => {
  const found = at(value, ...path)
  return typeof found === 'number' ? found : null
}

export const objectAt = (value: Json | undefined, ...path: Path): JsonObject => {
  const found = at(value, ...path)
  return isObject(found) ? found : {}
}

export const listAt = (value: Json | undefined, ...path: Path): readonly Json[] => {
  const found = at(value, ...path)
  return isList(found) ? found : []
}

export const objectsAt = (value: Json | undefined, ...path: Path): readonly JsonObject[] =>
  listAt(value, ...path).filter(isObject)

/** Texts of a list of scalars. */
export const textsAt = (value: Json | undefined, ...path: Path): readonly string[] =>
  listAt(value, ...path).map((item) => textAt(item))

/** `a=b,c=d`, by label; what lies deeper by its path, `c.d=e`. */
export const labelsText = (value: Json | undefined): string =>
  pairsOf(value, '').toSorted().join(',')

const pairsOf = (value: Json | undefined, path: string): readonly string[] =>
  Object.entries(isObject(value) ? value : {}).flatMap(([label, inner]) => {
    if (isObject(inner)) return pairsOf(inner, `${path}${label}.`)
    return [`${path}${label}=${Array.isArray(inner) ? textsAt(inner).join('|') : textAt(inner)}`]
  })
