// What Ajv found, said once and for people. A union reports every branch that failed; a person made one mistake and meant
// one branch, so only the nearest one is told. Values are never repeated: bodies carry secrets.

import type { ErrorPlace } from '#domain/errors.ts'
import { pointerOf } from '#domain/issue.ts'
import { suggest } from '#domain/suggest.ts'

/** The part of Ajv's error objects that is read here; `parentSchema` is there with `verbose`. */
export interface ShapeFault {
  readonly keyword: string
  readonly instancePath: string
  readonly schemaPath: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string
  readonly parentSchema?: unknown
}

/** More would help nobody and costs a flooder nothing. */
const atMost = 32

/** `part` is `body`, or where else the value stands: its pointers get that as their first segment. */
export const placesOf = (faults: readonly ShapeFault[], part: string): ErrorPlace[] => {
  const prefix = part === 'body' ? '' : `/${part}`
  const places = new Map<string, ErrorPlace>()
  for (const fault of withoutBranches(faults)) {
    const pointer = prefix + fault.instancePath + tail(fault)
    const detail = detailOf(fault, part)
    places.set(`${pointer}\n${detail}`, { pointer, detail })
    if (places.size === atMost) break
  }
  return [...places.values()]
}

const tail = ({ keyword, params }: ShapeFault): string => {
  const name =
    keyword === 'required'
      ? params['missingProperty']
      : keyword === 'additionalProperties'
        ? params['additionalProperty']
        : undefined
  return typeof name === 'string' ? pointerOf([name]) : ''
}

const detailOf = (fault: ShapeFault, part: string): string => {
  const { keyword, params, message = 'is not valid' } = fault
  const schema = asRecord(fault.parentSchema)
  const { description } = schema
  switch (keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties': {
      const near = suggest(
        String(params['additionalProperty']),
        Object.keys(asRecord(schema['properties'])),
      )
      const what = part === 'query' ? 'unknown query parameter' : 'unknown field'
      return near === null ? what : `${what}; did you mean ${near}?`
    }
    case 'enum':
      return Array.isArray(params['allowedValues'])
        ? `must be one of ${params['allowedValues'].join(', ')}`
        : message
    case 'const':
      return `must be ${JSON.stringify(params['allowedValue'])}`
    case 'pattern':
    case 'format':
      return typeof description === 'string' ? `must be ${description}` : message
    default:
      return message
  }
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}

const isUnion = ({ keyword }: ShapeFault): boolean => keyword === 'anyOf' || keyword === 'oneOf'

/** What a union found stands right before it, inner unions among it already folded: one pass, however many there are. */
const withoutBranches = (faults: readonly ShapeFault[]): readonly ShapeFault[] => {
  const told: ShapeFault[] = []
  for (const fault of faults) {
    if (!isUnion(fault)) {
      told.push(fault)
      continue
    }
    let start = told.length
    while (told[start - 1]?.instancePath.startsWith(fault.instancePath)) start -= 1
    const [inside, others] = partition(told.splice(start), ({ schemaPath }) =>
      schemaPath.startsWith(`${fault.schemaPath}/`),
    )
    // Not spread into one call: there may be more than a call takes.
    for (const other of others) told.push(other)
    for (const one of inside.length > 0 ? nearest(fault, inside) : [fault]) told.push(one)
  }
  return told
}

const partition = <Item>(
  items: readonly Item[],
  test: (item: Item) => boolean,
): readonly [readonly Item[], readonly Item[]] => {
  const { yes = [], no = [] } = Object.groupBy(items, (item) => (test(item) ? 'yes' : 'no'))
  return [yes, no]
}

/** The branch that a person meant: one whose tag (`from: value`) is right, then the one with the fewest faults. Where the
 *  value is of none of the kinds, the union itself is told. */
const nearest = (union: ShapeFault, inside: readonly ShapeFault[]): readonly ShapeFault[] => {
  const branches = Map.groupBy(
    inside,
    (f) => f.schemaPath.slice(union.schemaPath.length + 1).split('/')[0],
  )
  const kindFits = [...branches.values()].filter(
    (faults) => !faults.some((f) => f.keyword === 'type' && f.instancePath === union.instancePath),
  )
  const tagFits = kindFits.filter((faults) => !faults.some((f) => f.keyword === 'const'))
  const [best] = (tagFits.length > 0 ? tagFits : []).toSorted((a, b) => a.length - b.length)
  if (best !== undefined) return best
  const constants = kindFits.flat().filter((f) => f.keyword === 'const')
  const [first] = constants
  if (first !== undefined && constants.every((f) => f.instancePath === first.instancePath)) {
    const allowedValues = constants.map((f) => f.params['allowedValue'])
    return [{ ...first, keyword: 'enum', params: { allowedValues } }]
  }
  const kinds = inside.flatMap((f) =>
    f.keyword === 'type' && f.instancePath === union.instancePath ? [f.params['type']].flat() : [],
  )
  if (kinds.length > 0)
    return [{ ...union, message: `must be ${[...new Set(kinds)].join(' or ')}` }]
  return [{ ...union, message: 'has none of the possible forms' }]
}
