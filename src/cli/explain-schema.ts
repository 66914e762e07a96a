// A part of a document's schema as a page: what it is, its form, what holds without it, and the fields below it.

import { type DocumentKind, documentKinds, kindNames } from '#domain/document-kinds.ts'
import type { Json } from '#domain/json.ts'
import { suggest } from '#domain/suggest.ts'
import { usage } from './failure.ts'
import { lines } from './table.ts'

export interface Explained {
  /** `policy.spec.schedule`; empty for all kinds. */
  readonly path: string
  readonly kind: string | null
  readonly title: string
  readonly form: string
  readonly fields: readonly ExplainedField[]
}

export interface ExplainedField {
  readonly path: string
  readonly name: string
  readonly form: string
  readonly required: boolean
  /** What holds where it is left out; absent where nothing does. */
  readonly default?: Json
  readonly title: string
}

/** JSON Schema as plain data, as far as it is used. */
interface Node {
  readonly type?: string
  readonly title?: string
  readonly description?: string
  readonly default?: Json
  readonly const?: Json
  readonly enum?: readonly Json[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly minimum?: number
  readonly maximum?: number
}

const titles: Readonly<Record<DocumentKind, string>> = {
  Connection: 'an account at a provider, and which keys may use which of its objects',
  Consumer: 'an application that uses keys, and says which version it has',
  Key: 'a managed key, secret or credential',
  Playbook: 'what people do in an emergency, step by step, and by when it is read again',
  RotationPolicy: 'when and how the keys that it selects rotate',
}

export const explained = (what: string): Explained => {
  if (what === '') return allKinds()
  const [first = '', ...path] = what.split('.')
  const kind = kindOf(first)
  const { noun, schema } = documentKinds[kind]
  // What TypeBox builds is JSON Schema.
  let node = schema as Node
  for (const [i, name] of path.entries()) node = fieldOf(node, name, [noun, ...path.slice(0, i)])
  const at = [noun, ...path].join('.')
  return {
    path: at,
    kind,
    title: path.length === 0 ? titles[kind] : (node.title ?? ''),
    form: formOf(node),
    fields: fieldsOf(node, at),
  }
}

const allKinds = (): Explained => ({
  path: '',
  kind: null,
  title: 'kinds of documents that a file may hold',
  form: '',
  fields: kindNames.map((kind) => ({
    path: documentKinds[kind].noun,
    name: kind,
    form: '',
    required: false,
    title: titles[kind],
  })),
})

const kindOf = (word: string): DocumentKind => {
  const found = kindNames.find((kind) =>
    [kind, documentKinds[kind].noun, documentKinds[kind].plural].some(
      (name) => name.toLowerCase() === word.toLowerCase(),
    ),
  )
  if (found !== undefined) return found
  const near = suggest(word, [...kindNames, ...kindNames.map((kind) => documentKinds[kind].noun)])
  throw usage(`there is no kind "${word}" in files`, {
    hint: near === null ? `kinds: ${kindNames.join(', ')}` : `did you mean ${near}?`,
  })
}

/** Fields of a list's items are named as if they were the list's own. */
const childrenOf = (node: Node): Readonly<Record<string, Node>> =>
  node.properties ?? node.items?.properties ?? {}

const fieldOf = (node: Node, name: string, path: readonly string[]): Node => {
  const children = childrenOf(node)
  const child = Object.hasOwn(children, name) ? children[name] : undefined
  if (child !== undefined) return child
  const names = Object.keys(children)
  const near = suggest(name, names)
  const at = path.join('.')
  throw usage(`${at} has no field "${name}"`, {
    hint:
      near !== null
        ? `did you mean ${at}.${near}?`
        : names.length === 0
          ? `${at} has no fields`
          : `its fields: ${names.join(', ')}`,
    next: [`rekey explain ${at}`],
  })
}

const fieldsOf = (node: Node, at: string): readonly ExplainedField[] => {
  const required = new Set(node.required ?? node.items?.required ?? [])
  return Object.entries(childrenOf(node)).map(([name, child]) => ({
    path: `${at}.${name}`,
    name,
    form: formOf(child),
    required: required.has(name),
    ...(child.default === undefined ? {} : { default: child.default }),
    title: child.title ?? '',
  }))
}

const formOf = (node: Node): string => {
  if (node.const !== undefined) return JSON.stringify(node.const)
  if (node.enum !== undefined) return node.enum.map(String).join(' | ')
  switch (node.type) {
    case 'array':
      return `list of ${node.items === undefined ? 'values' : formOf(node.items)}`
    case 'object':
      return node.properties === undefined ? 'mapping' : 'fields'
    case 'integer':
    case 'number':
      return node.minimum === undefined || node.maximum === undefined
        ? 'number'
        : `number, ${node.minimum} to ${node.maximum}`
    case 'boolean':
      return 'true | false'
    default:
      return node.description ?? 'text'
  }
}

export const explanationText = ({ path, kind, title, form, fields }: Explained): string => {
  const head = [
    ...(path === '' ? [] : [[path, kind ?? '']]),
    ['', title],
    ...(form === '' || form === 'fields' ? [] : [['', form]]),
  ]
    .map((row) => row.filter((part) => part !== '').join('  '))
    .filter((line) => line !== '')
  const rows = fields.map(({ name, form: of, required, default: usual, title: what }) => [
    `  ${name}`,
    required ? 'required' : usual === undefined ? '' : `default ${JSON.stringify(usual)}`,
    of,
    what,
  ])
  return `${head.join('\n')}\n${fields.length === 0 ? '' : `\n${lines(rows)}`}`
}
