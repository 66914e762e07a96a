// Reads YAML 1.2 (a stream of documents) or JSON, which is a part of it, and remembers where everything stood. Stricter than
// the language, so that a file means one thing to every tool: unique keys that are text, no merge keys, no tags of one's own,
// no second meaning of `yes`; anchors are allowed while they stay small.
//
// Nothing here throws on any text, and nothing is quadratic: the library's own check of keys and its resolution of aliases
// are, so both are done here.

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import type { Alias, Document, Node, Pair, YAMLMap, YAMLSeq } from 'yaml'
import { pointerOf, segmentsOf, type Issue } from './issue.ts'
import { type Place, placeIn, placeOf, toIssue } from './text-place.ts'
import { forbiddenCharacter, guardFault, inParts, limits } from './yaml-guard.ts'

export interface ReadDocument {
  readonly value: unknown
  /** Where the value at the pointer stands (`of: 'key'`: its key); for what is not there, the key of its nearest parent. */
  readonly locate: (pointer: string, of?: 'key' | 'value') => Place
}

export interface ReadStream {
  /** Only those without an issue. Documents that hold nothing but comments are left out. */
  readonly documents: readonly ReadDocument[]
  readonly issues: readonly Issue[]
}

const mostIssues = 100

export const readYaml = (text: string): ReadStream => {
  const fault = guardFault(text)
  if (fault !== null) {
    return {
      documents: [],
      issues: [toIssue('', fault.detail, placeIn(text, fault.offset, fault.length), fault.hint)],
    }
  }
  const lines = new LineCounter()
  const parsed = parse(text, lines)
  const place: Placer = (start, end) => placeOf(lines, text, start, end)
  if (parsed.fault !== null) {
    const { detail, pos, hint } = parsed.fault
    return { documents: [], issues: [toIssue('', detail, place(...pos), hint)] }
  }
  const read = parsed.documents.filter(
    (document) => !isEmpty(document.contents) || document.errors.length > 0,
  )
  const results = read.map((document) => readDocument(document, place))
  return {
    documents: results.flatMap((result) => (result.issues.length === 0 ? [result.document] : [])),
    issues: results.flatMap((result) => result.issues).slice(0, mostIssues),
  }
}

type Placer = (start: number, end: number) => Place
type Parsed = Document.Parsed
interface Fault {
  readonly detail: string
  readonly pos: readonly [number, number]
  readonly hint?: string
}

const parse = (
  text: string,
  lineCounter: LineCounter,
): { documents: readonly Parsed[]; fault: Fault | null } => {
  const failed = (detail: string, pos: readonly [number, number] = [0, 0], hint?: string) => ({
    documents: [],
    fault: { detail, pos, ...(hint === undefined ? {} : { hint }) },
  })
  try {
    const parsed = parseAllDocuments(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      strict: true,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
      lineCounter,
    })
    if (parsed.length > limits.documents)
      return failed(`more than ${limits.documents} documents`, [0, 0], inParts)
    const [error] = 'empty' in parsed ? parsed.errors : []
    return error === undefined
      ? { documents: [...parsed], fault: null }
      : failed(error.message, error.pos)
  } catch (e) {
    // The guard has bounded depth and size, so this is a fault of the parser; an input must not be able to show it as ours.
    return failed(
      e instanceof RangeError ? 'nested too deeply to be read' : 'the text cannot be read as YAML',
    )
  }
}

const readDocument = (
  document: Parsed,
  place: Placer,
): { document: ReadDocument; issues: Issue[] } => {
  const reader = new Reader(document, place)
  return {
    document: {
      value: reader.value,
      locate: (pointer, of = 'value') => reader.locate(pointer, of),
    },
    issues: reader.issues,
  }
}

interface Converted {
  readonly value: unknown
  /** Nodes, with those that aliases repeat. */
  readonly size: number
}

/** Lives while one document is read; afterwards it only answers `locate`. */
class Reader {
  readonly issues: Issue[] = []
  readonly value: unknown
  readonly #place: Placer
  readonly #root: Node | null
  /** The latest node of each anchor; `undefined` while it is still being read, when an alias to it would be a circle. */
  readonly #anchors = new Map<string, { readonly node: Node; converted: Converted | undefined }>()
  readonly #targets = new Map<Alias, Node>()
  #aliased = 0

  constructor(document: Parsed, place: Placer) {
    this.#place = place
    this.#root = document.contents
    for (const error of document.errors.slice(0, 20)) {
      this.issues.push(toIssue('', error.message, place(error.pos[0], error.pos[1])))
    }
    if (document.directives.yaml.version !== '1.2') {
      this.issues.push(
        toIssue('', 'only YAML 1.2 is read', place(0, 0), 'delete the %YAML directive'),
      )
    }
    this.value = this.issues.length > 0 ? null : this.#convert(this.#root, []).value
  }

  locate(pointer: string, of: 'key' | 'value'): Place {
    let node: Node | null = this.#root
    let key: Node | null = null
    for (const segment of segmentsOf(pointer)) {
      const container: Node | null = isAlias(node) ? (this.#targets.get(node) ?? null) : node
      const pair: Pair | undefined = isMap(container)
        ? container.items.find((item) => keyText(item) === segment)
        : undefined
      if (pair !== undefined) {
        key = pair.key as Node
        node = pair.value as Node | null
      } else if (isSeq(container) && container.items[Number(segment)] !== undefined) {
        key = null
        node = container.items[Number(segment)] as Node
      } else {
        return this.#placeOf(key ?? node)
      }
    }
    const isCollection = isMap(node) || isSeq(node)
    return this.#placeOf(
      key !== null && (of === 'key' || isCollection || isEmpty(node)) ? key : node,
    )
  }

  #placeOf(node: Node | null): Place {
    const [start = 0, end = start] = node?.range ?? []
    return this.#place(start, end)
  }

  #fail(
    path: readonly (string | number)[],
    node: Node | null,
    detail: string,
    hint?: string,
  ): Converted {
    const [start = 0, end = start] = node?.range ?? []
    if (this.issues.length < mostIssues) {
      this.issues.push(toIssue(pointerOf(path), detail, this.#place(start, end), hint))
    }
    return { value: null, size: 1 }
  }

  #convert(node: Node | null, path: readonly (string | number)[]): Converted {
    if (node === null) return { value: null, size: 1 }
    if (isAlias(node)) return this.#repeat(node, path)
    if (!isScalar(node) && path.length >= limits.depth) {
      return this.#fail(path, node, `nested deeper than ${limits.depth} levels`)
    }
    if (node.tag !== undefined && !plainTags.has(node.tag)) {
      return this.#fail(
        path,
        node,
        'tags are not allowed',
        'write a plain text, number, list or mapping',
      )
    }
    const anchor =
      node.anchor === undefined
        ? undefined
        : { node, converted: undefined as Converted | undefined }
    if (anchor !== undefined && node.anchor !== undefined) this.#anchors.set(node.anchor, anchor)
    const converted = this.#content(node, path)
    if (anchor !== undefined) anchor.converted = converted
    return converted
  }

  #content(node: Node, path: readonly (string | number)[]): Converted {
    if (isMap(node)) return this.#mapping(node, path)
    if (isSeq(node)) return this.#list(node, path)
    if (!isScalar(node)) return this.#fail(path, node, 'this cannot be read')
    const fault = scalarFault(node.value)
    return fault === null ? { value: node.value, size: 1 } : this.#fail(path, node, fault)
  }

  #list(node: YAMLSeq, path: readonly (string | number)[]): Converted {
    const items = node.items.map((item, i) => this.#convert(item as Node | null, [...path, i]))
    return { value: items.map((item) => item.value), size: sum(items) }
  }

  #mapping(node: YAMLMap, path: readonly (string | number)[]): Converted {
    const value: Record<string, unknown> = {}
    const members: Converted[] = []
    for (const pair of node.items) {
      const key = pair.key as Node | null
      const name = keyText(pair)
      const fault = name === null ? 'a key must be a text' : keyFault(name, value)
      if (name === null || fault !== null) {
        this.#fail(
          path,
          key ?? node,
          fault ?? '',
          name === '<<' ? 'merge keys are not part of YAML 1.2; write the fields out' : undefined,
        )
        continue
      }
      const member = this.#convert(pair.value as Node | null, [...path, name])
      members.push(member)
      value[name] = member.value
    }
    return { value, size: sum(members) }
  }

  #repeat(node: Alias, path: readonly (string | number)[]): Converted {
    const target = this.#anchors.get(node.source)
    if (target === undefined) return this.#fail(path, node, 'this alias has no anchor before it')
    if (target.converted === undefined) return this.#fail(path, node, 'this alias contains itself')
    this.#targets.set(node, target.node)
    const before = this.#aliased
    this.#aliased += target.converted.size
    if (this.#aliased <= limits.aliasedNodes) return target.converted
    // Said once. What is not repeated cannot grow either.
    if (before > limits.aliasedNodes) return { value: null, size: 1 }
    return this.#fail(path, node, 'the aliases repeat too much', 'write the values out')
  }
}

const plainTags: ReadonlySet<string> = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`),
)

const keyText = ({ key }: Pair): string | null =>
  isScalar(key) &&
  typeof key.value === 'string' &&
  (key.tag === undefined || plainTags.has(key.tag))
    ? key.value
    : null

const keyFault = (name: string, siblings: object): string | null => {
  if (name === '<<') return 'merge keys are not allowed'
  if (name === '__proto__' || name === 'constructor' || name === 'prototype')
    return `the key ${name} is not allowed`
  if (Object.hasOwn(siblings, name)) return `the key ${JSON.stringify(name)} stands here twice`
  const character = forbiddenCharacter(name)
  return character === null ? null : `the character ${character.name} is not allowed`
}

const scalarFault = (value: unknown): string | null => {
  if (typeof value === 'string') {
    const character = forbiddenCharacter(value)
    return character === null ? null : `the character ${character.name} is not allowed`
  }
  if (typeof value === 'number') {
    const exact =
      Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
    return exact ? null : 'the number is out of range'
  }
  return value === null || typeof value === 'boolean' ? null : 'this cannot be read'
}

const isEmpty = (node: Node | null): boolean =>
  node === null || (isScalar(node) && node.source === '')
const sum = (members: readonly Converted[]): number =>
  members.reduce((total, { size }) => total + size, 1)
