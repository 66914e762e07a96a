// `rekey get KIND | KIND/NAME…`: lists, every page of them.

import type { Command } from 'commander'
import type { DocumentKind } from '#domain/document-kinds.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import { documentOf } from '#domain/resource-document.ts'
import type { Client, Query } from '../client.ts'
import { segment } from '../segment.ts'
import { Failure, usage } from '../failure.ts'
import { kinds, referenceOf, type KindView } from '../kinds.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, textAt } from '../read-json.ts'
import { kindNames, listing, parseReference, type Plural } from '../reference.ts'
import { isSelected, parseSelector, type Wanted } from '../selector.ts'
import type { Run, Shell } from '../shell.ts'
import { table } from '../table.ts'

interface Options {
  readonly selector?: string
  readonly limit?: string
  readonly watch?: true
  readonly [filter: string]: string | boolean | undefined
}

/** Each option, and the query parameter of the same name. */
const filters = {
  connection: ['--connection <name>', 'keys of this connection'],
  type: ['--type <type>', 'keys of this type'],
  policy: ['--policy <name>', 'keys or rotations of this policy'],
  overdue: ['--overdue', 'keys past their maxAge'],
  key: ['--key <name>', 'rotations of this key'],
  phase: ['--phase <phases>', 'rotations in these phases, several with commas'],
  trigger: ['--trigger <trigger>', 'rotations that this started'],
} as const

/** What files may hold: as YAML these are printed so that they can be applied again. */
const fileKinds: Partial<Readonly<Record<Plural, DocumentKind>>> = {
  connections: 'Connection',
  consumers: 'Consumer',
  keys: 'Key',
  policies: 'RotationPolicy',
}

export const addGet = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('get'))
    .argument('<what...>', `a kind (${Object.keys(kinds).join(', ')}) or KIND/NAME`)
    .summary('list what there is')
    .description('List things of a kind, or show the ones named. All pages are followed.')
    .option('-l, --selector <labels>', 'only with these labels: team=payments,env=prod')
    .option('--limit <count>', 'at most this many')
    .option('-w, --watch', 'of rotations: show them as they go on')
  for (const [flags, description] of Object.values(filters)) command.option(flags, description)
  command.action((what: readonly string[], options: Options) =>
    shell.act(
      command,
      {
        doing: `get ${what.join(' ')}`,
        next: listing(what.find((one) => one.includes('/')) ?? ''),
      },
      (run) => get(run, what, options),
    ),
  )
}

const get = async (run: Run, what: readonly string[], options: Options): Promise<void> => {
  const references = what.map(parseReference)
  const [first] = references
  if (first === undefined) throw usage('name a kind')
  const { kind } = first
  if (references.some((reference) => reference.kind !== kind)) throw usage('one kind at a time')
  const whole = references.some((reference) => reference.name === null)
  if (whole && references.length > 1) throw usage(`either ${kind}, or ${kindNames[kind]}/NAME…`)
  const question = questionOf(kind, options)
  if (!whole) refuseFilters(options)
  if (options.watch === true) return watch(run, kind, question, references, options)
  const client = await run.client()
  const items = whole
    ? await listed(client, kinds[kind], question, limitOf(options))
    : await named(
        client,
        kind,
        references.map((reference) => reference.name ?? ''),
      )
  await present(run, kind, items, whole)
}

/** The open ones, or one until it ends. */
const watch = async (
  run: Run,
  kind: Plural,
  { query }: Question,
  references: readonly { readonly name: string | null }[],
  options: Options,
): Promise<void> => {
  const [first, ...others] = references
  if (kind !== 'rotations' || others.length > 0)
    throw usage('--watch shows rotations, or one of them: rotation/ID')
  const id = first?.name ?? null
  if (id !== null) {
    const { watchRotation } = await import('../watch-rotation.ts')
    return watchRotation(run, { id, timeoutMs: null, steps: true, changed: 'nothing', from: null })
  }
  const { watchRotations } = await import('../watch-rotations.ts')
  return watchRotations(run, { query, limit: limitOf(options) })
}

const present = (
  run: Run,
  kind: Plural,
  items: readonly JsonObject[],
  whole: boolean,
): Promise<void> => {
  const { columns } = kinds[kind]
  const fileKind = fileKinds[kind]
  const shownColumns =
    run.format === 'wide' ? columns : columns.filter((column) => column.wide !== true)
  if (items.length === 0) run.talk(`there are no such ${kind}`)
  const json: Json = whole || items.length !== 1 ? { items } : (items[0] ?? null)
  return show(run, {
    json,
    names: items.map((item) => referenceOf(kind, item)),
    text: () => (items.length === 0 ? '' : table(shownColumns, items, run.io.clock.now())),
    ...(fileKind === undefined || items.length === 0
      ? {}
      : { documents: items.map((item) => documentOf(fileKind, item)) }),
  })
}

interface Question {
  readonly query: Query
  readonly labels: Wanted
  readonly here: boolean
}

const questionOf = (kind: Plural, options: Options): Question => {
  const view = kinds[kind]
  for (const name of Object.keys(filters)) {
    if (options[name] !== undefined && !view.filters.includes(name)) {
      const takers = Object.entries(kinds).flatMap(([plural, { filters: own }]) =>
        own.includes(name) ? [plural] : [],
      )
      throw usage(`--${name} does not filter ${kind}`, {
        hint: `it filters ${takers.join(' and ')}`,
      })
    }
  }
  const labels = parseSelector(options.selector ?? '')
  if (labels.length > 0 && view.labels === 'none')
    throw usage(`${kind} have no labels to select by`)
  const query = Object.fromEntries(
    view.filters.flatMap((name) =>
      options[name] === undefined ? [] : [[name, valueOf(name, String(options[name]))]],
    ),
  )
  return view.labels === 'server'
    ? {
        query: { ...query, label: labels.map(({ key, value }) => `${key}=${value}`) },
        labels: [],
        here: false,
      }
    : { query, labels, here: true }
}

const valueOf = (name: string, text: string): string | readonly string[] =>
  name === 'phase' ? text.split(',').filter((phase) => phase !== '') : text

const refuseFilters = (options: Options): void => {
  const given = ['selector', 'limit', ...Object.keys(filters)].find(
    (name) => options[name] !== undefined,
  )
  if (given !== undefined) throw usage(`--${given} filters a list, not a thing that is named`)
}

const limitOf = ({ limit }: Options): number => {
  if (limit === undefined) return Infinity
  if (!/^[1-9]\d{0,8}$/.test(limit)) throw usage('--limit takes a positive number')
  return Number(limit)
}

const listed = async (
  client: Client,
  view: KindView,
  { query, labels }: Question,
  limit: number,
): Promise<JsonObject[]> => {
  const items: JsonObject[] = []
  for await (const item of client.list(view.path, query)) {
    if (isSelected(item, labels)) items.push(item)
    if (items.length >= limit) break
  }
  return items
}

const named = async (
  client: Client,
  kind: Plural,
  names: readonly string[],
): Promise<JsonObject[]> => {
  const view = kinds[kind]
  if (view.single) {
    const replies = await Promise.all(
      names.map((name) => client.send({ method: 'GET', path: `${view.path}/${segment(name)}` })),
    )
    return replies.map(({ body }) => objectAt(body))
  }
  const found = new Map<string, JsonObject>()
  for await (const item of client.list(view.path)) found.set(textAt(item, 'id'), item)
  return names.map((name) => {
    const item = found.get(name)
    if (item !== undefined) return item
    throw new Failure({
      code: 'resource.notFound',
      exit: 'notFound',
      title: 'There is no such resource',
      detail: `there is no ${kindNames[kind]} ${name}`,
      changed: 'nothing',
      next: [`rekey get ${kind}`],
    })
  })
}
