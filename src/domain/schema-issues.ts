// One short issue for each mistake that a schema finds, with what was probably meant.

import type { TSchema } from 'typebox'
import { Settings } from 'typebox/system'
import { Errors } from 'typebox/value'
import { pointerOf, segmentsOf, type Issue } from './issue.ts'
import { suggest } from './suggest.ts'

/** TypeBox stops after eight unless told; an unknown field counts twice. It is the library's only switch for it. */
Settings.Set({ maxErrors: 200 })

const mostIssues = 50

export interface SchemaIssue extends Issue {
  /** Whether the key is at fault (an unknown field) or its value. */
  readonly of: 'key' | 'value'
}

/** Pointers are relative to `value`. A missing field is reported at its parent. Values are never repeated: some are secret. */
export const schemaIssues = (schema: TSchema, value: unknown): SchemaIssue[] => {
  const found = new Map<string, SchemaIssue>()
  for (const error of Errors(schema, value)) {
    for (const issue of translate(schema, value, error)) {
      // The first word about a place is the plainest one: its type, before its pattern.
      const name = issue.detail.endsWith('is missing')
        ? `${issue.pointer} ${issue.detail}`
        : issue.pointer
      if (!found.has(name) && found.size < mostIssues) found.set(name, issue)
    }
  }
  return [...found.values()]
}

/** JSON Schema as plain data: what TypeBox builds and Ajv reads. */
interface Node {
  readonly type?: string
  readonly pattern?: string
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Node>>
  readonly patternProperties?: Readonly<Record<string, Node>>
  readonly items?: Node
}

type Found = ReturnType<typeof Errors>[number]

const translate = (root: TSchema, value: unknown, error: Found): SchemaIssue[] => {
  const path = segmentsOf(error.instancePath)
  const node = nodeAt(root, path)
  const actual = valueAt(value, path)
  const one = (
    detail: string,
    hint?: string | null,
    of: 'key' | 'value' = 'value',
  ): SchemaIssue[] => [
    {
      code: 'request.invalid',
      pointer: error.instancePath,
      detail,
      of,
      ...(hint === null || hint === undefined ? {} : { hint }),
    },
  ]
  switch (error.keyword) {
    case 'boolean':
      return one(...unknownField(root, path), 'key')
    case 'additionalProperties':
      return []
    case 'required':
      return error.params.requiredProperties.flatMap((name) =>
        one(`${name} is missing`, hintFor(node?.properties?.[name])),
      )
    case 'enum':
      return one(
        `must be ${listed(error.params.allowedValues)}`,
        nearest(actual, error.params.allowedValues),
      )
    case 'const':
      return one(`must be ${JSON.stringify(error.params.allowedValue)}`)
    case 'type':
      return one(
        `must be ${typePhrase(node)}`,
        isUnquoted(actual, node) ? 'put it in quotes' : null,
      )
    case 'pattern':
      return one(`must be ${node?.description ?? 'of another form'}`)
    default:
      return one(phrases[error.keyword]?.(error.params) ?? error.message)
  }
}

const phrases: Readonly<Record<string, (params: object) => string>> = {
  minProperties: () => 'must not be empty',
  minItems: () => 'must not be empty',
  minLength: () => 'is too short',
  maxLength: (params) => `must not be longer than ${limitOf(params)} characters`,
  maxItems: (params) => `must not have more than ${limitOf(params)} items`,
  maxProperties: (params) => `must not have more than ${limitOf(params)} fields`,
  minimum: (params) => `must be at least ${limitOf(params)}`,
  maximum: (params) => `must be at most ${limitOf(params)}`,
  uniqueItems: () => 'must not name anything twice',
}

const limitOf = (params: object): string => ('limit' in params ? String(params.limit) : '')

const unknownField = (
  root: TSchema,
  path: readonly string[],
): [detail: string, hint: string | null] => {
  const name = path.at(-1) ?? ''
  const parent = nodeAt(root, path.slice(0, -1))
  if (parent?.properties === undefined) return [`${quote(name)} is not an allowed name here`, null]
  const near = suggest(name, Object.keys(parent.properties))
  if (near !== null) return [`unknown field ${quote(name)}`, `did you mean ${near}?`]
  const home = homeOf(root, name, [])
  const known = Object.keys(parent.properties).join(', ')
  return [
    `unknown field ${quote(name)}`,
    home === null ? `known here: ${known}` : `${name} belongs in ${home}`,
  ]
}

/** Where a field of exactly this name would be right. */
const homeOf = (node: Node, name: string, path: readonly string[]): string | null => {
  const { properties = {}, items } = node
  if (path.length > 0 && Object.hasOwn(properties, name))
    return pointerOf(path).slice(1).replaceAll('/', '.')
  for (const [field, child] of Object.entries(properties)) {
    const found = homeOf(child, name, [...path, field])
    if (found !== null) return found
  }
  return items === undefined ? null : homeOf(items, name, path)
}

const nodeAt = (root: TSchema, path: readonly string[]): Node | undefined => {
  let node: Node | undefined = root
  for (const segment of path) {
    const named: Node | undefined =
      node?.properties !== undefined && Object.hasOwn(node.properties, segment)
        ? node.properties[segment]
        : undefined
    node = named ?? node?.items ?? Object.values(node?.patternProperties ?? {})[0]
  }
  return node
}

const typePhrase = (node: Node | undefined): string => {
  if (node?.type === 'string' && node.description !== undefined) return node.description
  const plain: Readonly<Record<string, string>> = {
    string: 'a text',
    integer: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a mapping of fields',
  }
  return plain[node?.type ?? ''] ?? 'of another type'
}

const hintFor = (node: Node | undefined): string | undefined => {
  if (node?.enum !== undefined) return listed(node.enum)
  return node?.type === 'string' ? node.description : undefined
}

/** YAML reads `tier: 1` as a number, where a text was meant. */
const isUnquoted = (actual: unknown, node: Node | undefined): boolean =>
  node?.type === 'string' &&
  (typeof actual === 'number' || typeof actual === 'boolean') &&
  (node.pattern === undefined || new RegExp(node.pattern, 'u').test(String(actual)))

const nearest = (actual: unknown, allowed: readonly unknown[]): string | null => {
  const near = typeof actual === 'string' ? suggest(actual, allowed.map(String)) : null
  return near === null ? null : `did you mean ${near}?`
}

const valueAt = (value: unknown, path: readonly string[]): unknown => {
  let at = value
  for (const segment of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, segment)) return undefined
    at = (at as Readonly<Record<string, unknown>>)[segment]
  }
  return at
}

const listed = (values: readonly unknown[]): string =>
  `${values.length > 2 ? 'one of ' : ''}${values.map(String).join(values.length > 2 ? ', ' : ' or ')}`
/** Names are the writer's own and may be long. */
const quote = (name: string): string =>
  JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
