// What hangs on a key, as a tree: the key, who is there, and below a target of publishing its readers.

import type { JsonObject } from '#domain/json.ts'
import { plain } from './human.ts'
import { at, isObject, objectsAt, textAt } from './read-json.ts'

export const blastTree = (radius: JsonObject): string => {
  const key = textAt(radius, 'key')
  const edges = objectsAt(radius, 'edges')
  const top = `key/${key}`
  const lines =
    edges.length === 0
      ? ['└─ nothing that Rekey knows of, which is not nothing']
      : branches(edges, top, new Set([top]))
  return [top, ...lines].map((line) => `${plain(line)}\n`).join('')
}

const nodeAt = (edge: JsonObject, end: 'from' | 'to'): string | null =>
  isObject(at(edge, end)) ? `${textAt(edge, end, 'kind')}/${textAt(edge, end, 'name')}` : null

/** Several edges to one node are one branch, with a line for each that says how it is known. */
const branches = (
  edges: readonly JsonObject[],
  from: string,
  above: ReadonlySet<string>,
): readonly string[] => {
  const below = Map.groupBy(
    edges.filter((edge) => nodeAt(edge, 'from') === from),
    (edge) => nodeAt(edge, 'to') ?? `unknown: ${textAt(edge, 'detail')}`,
  )
  return [...below].flatMap(([to, known], i, all) => {
    const last = i === all.length - 1
    const inner = [
      ...(to.startsWith('unknown: ') ? [] : known.map(howKnown)),
      // A target may be the object of a key that is published back.
      ...(above.has(to) ? [] : branches(edges, to, new Set([...above, to]))),
    ]
    return [
      `${last ? '└─ ' : '├─ '}${to}`,
      ...inner.map((line) => `${last ? '   ' : '│  '}${line}`),
    ]
  })
}

const howKnown = (edge: JsonObject): string => {
  const age = textAt(edge, 'age')
  return `· ${textAt(edge, 'confidence')}: ${textAt(edge, 'detail')}${age === '' ? '' : `, ${age} ago`}`
}
