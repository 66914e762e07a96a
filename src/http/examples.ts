// Examples for the document. A request's example stands at its route (`examples`), and works as it is once those were sent that
// make what it names; only what the server made (ids, ETags, hashes) is another there. A reply's example is put together
// from its schema: a leaf's own `examples`, or what a field of this name holds everywhere.

import { recordOf, propertiesOf, type Schema } from './input.ts'
import type { Route } from './route.ts'

/** By the name of a resource's list: what the examples call theirs. */
export const exampleNames: Readonly<Record<string, string>> = {
  connections: 'vault',
  consumers: 'shop',
  keys: 'orders-token',
  policies: 'monthly',
  sinks: 'oncall',
}

const id = '01a214c2-32c0-7051-b212-1106795cc6da'
const hash = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
const signature =
  'MEUCIQDx7mVX2u8Jr6Ew0mFQ0PpQmB1Yt0Zr2cXc8l5aS1nqvAIgQm9sHk1Qy3YtF0m0kq3bXcZb9oV6uYgLkz3Bq0w='

/** By the name of a field, wherever it stands. */
const usual: Readonly<Record<string, unknown>> = {
  action: 'rotation.promoted',
  actor: 'ada',
  addresses: ['10.0.0.0/8'],
  approvedBy: 'bob',
  annotations: { runbook: 'docs/runbooks/orders.md' },
  attempt: 1,
  causationId: id,
  connection: 'vault',
  consumer: 'shop',
  correlationId: id,
  createdBy: 'user:ada',
  cursor: 'q83vEjRWeJCrze8',
  description: 'Tokens of the shop, monthly',
  detail: 'as it should be',
  disabledReason: null,
  environment: 'production',
  eventId: id,
  events: ['stalled', 'overdue'],
  evidence: 'deployed with build 4711',
  fromVersion: 1,
  gate: 'overlap',
  generate: null,
  hint: 'Ask an admin for the right to read the mount.',
  id,
  incident: null,
  instance: '/v1/keys/orders-token',
  key: 'orders-token',
  kind: 'key',
  labels: { team: 'shop' },
  lastError: 'the receiver answered 500',
  leafHash: hash,
  matchLabels: { team: 'shop' },
  missing: ['shop'],
  name: 'orders-token',
  nextCursor: null,
  objectId: 'local:orders-token',
  observe: null,
  occurrence: 'cron:2026-12-01T03:00[Europe/Paris]',
  openRotation: null,
  operationId: `${id}:minting:1`,
  outcome: 'succeeded',
  output: 'T5hM3yvfQw0=',
  owner: 'team-shop',
  phase: 'minting',
  planHash: hash,
  policy: 'monthly',
  prev: null,
  principal: 'ada',
  provider: 'local',
  providerVersions: ['2'],
  purpose: 'signs in at the payment service',
  reason: 'a laptop was lost',
  ref: {},
  refs: ['local:*'],
  requestId: id,
  retiredBy: id,
  roles: ['operator'],
  rotation: id,
  scope: { matchLabels: { team: 'shop' } },
  selector: { matchLabels: { team: 'shop' } },
  setBy: 'ada',
  settings: {},
  state: 'active',
  target: 'orders-db',
  text: 'The overlap ends in 22 hours.',
  ticket: 'OPS-4711',
  title: 'A secret in the built-in vault',
  token: 'rekey_pat_…',
  toVersion: 2,
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  type: 'local.secret',
  url: 'https://hooks.example.com/rekey',
  usableBy: [],
  usedFrom: '10.0.0.7',
  value: 'correct-horse-battery-staple',
  version: 2,
  warnings: [],
  webhook: 'https://shop.example.com/reload',
  why: 'It is not due: the next rotation is on 1 December.',
  writerKid: 'w-5f3a1c',
  writerSig: signature,
}

/** A leaf that says nothing of what it holds, by its name. A test fails on it; the document goes without that example. */
class NoExample extends Error {}

export const exampleIfAny = (schema: unknown): { readonly example?: unknown } => {
  try {
    return { example: exampleOf(schema) }
  } catch (error) {
    if (error instanceof NoExample) return {}
    throw error
  }
}

/** An instance of the schema. Throws `NoExample` for a leaf that says nothing of what it holds. */
export const exampleOf = (schema: unknown, name = ''): unknown => {
  const {
    examples,
    const: constant,
    enum: options,
    anyOf,
    type,
    default: usually,
  } = recordOf(schema)
  if (Array.isArray(examples)) return examples[0]
  if (constant !== undefined) return constant
  const known = usual[name]
  if (known !== undefined && fits(known, schema)) return known
  if (Array.isArray(options)) return options[0]
  if (usually !== undefined) return usually
  if (Array.isArray(anyOf)) return exampleOf(anyOf[0], name)
  switch (type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(propertiesOf(schema)).map(([field, value]) => [
          field,
          exampleOf(value, field),
        ]),
      )
    case 'array':
      return [exampleOf(recordOf(schema)['items'], singular(name))]
    case 'string':
      return stringOf(recordOf(schema), name)
    case 'integer':
    case 'number':
      return recordOf(schema)['minimum'] ?? 1
    case 'boolean':
      return true
    default:
      return null
  }
}

const stringOf = ({ format }: Schema, name: string): string => {
  if (format === 'date-time') return moments[name] ?? '2026-12-01T03:00:00.000Z'
  if (format === 'uuid') return id
  throw new NoExample(name === '' ? 'a text' : name)
}

const moments: Readonly<Record<string, string>> = {
  createdAt: '2026-11-01T02:00:04.217Z',
  updatedAt: '2026-11-01T02:00:04.217Z',
  until: '2027-01-04T00:00:00.000Z',
}

const singular = (name: string): string => name.replace(/ies$/, 'y').replace(/s$/, '')

/** Only the kind is looked at: the test checks whole examples against whole schemas. */
const fits = (value: unknown, schema: unknown): boolean => {
  const { type, anyOf, enum: options } = recordOf(schema)
  if (Array.isArray(anyOf)) return anyOf.some((branch) => fits(value, branch))
  if (Array.isArray(options)) return options.includes(value)
  if (type === undefined) return true
  if (value === null) return type === 'null'
  if (Array.isArray(value)) return type === 'array'
  if (typeof value === 'number') return type === 'integer' || type === 'number'
  return type === typeof value
}

/** Path parameters of the example: names that its resources have. */
export const exampleParams = (route: Route): Readonly<Record<string, unknown>> => {
  const list = /^\/v1\/([a-z-]+)/.exec(route.path)?.[1] ?? ''
  return Object.fromEntries(
    [...route.path.matchAll(/\{([A-Za-z]+)\}/g)].map(([, param = '']) => [
      param,
      route.examples[0]?.params?.[param] ??
        (param === 'name' ? exampleNames[list] : undefined) ??
        exampleOf(propertiesOf(route.params)[param], param),
    ]),
  )
}
