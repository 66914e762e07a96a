// `rekey get KIND | KIND/NAME…`: lists, every page of them.

import type { Command } from 'commander'
import type { DocumentKind } from '#domain/document-kinds.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import { documentOf } from '#domain/resource-document.ts'
import type { Client, Query } from '../client.ts'
import { segment } from '../segment.ts'
import { Failure, usage } from '../failure.ts'
import {
  type FilterOptions,
  filters,
  limitOf,
  type Question,
  questionOf,
  refuseFilters,
} from '../get-filters.ts'
import { kinds, type KindView } from '../kinds.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, objectsAt, textAt } from '../read-json.ts'
import { kindNames, listing, parseReference, type Plural } from '../reference.ts'
import { isSelected } from '../selector.ts'
import type { Run, Shell } from '../shell.ts'
import { table } from '../table.ts'

interface Options extends FilterOptions {
  readonly watch?: true
}

/** What files may hold: as YAML these are printed so that they can be applied again. */
const fileKinds: Partial<Readonly<Record<Plural, DocumentKind>>> = {
  connections: 'Connection',
  consumers: 'Consumer',
  keys: 'Key',
  playbooks: 'Playbook',
  policies: 'RotationPolicy',
}

export const addGet = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('get'))
    .argument('<what...>', `a kind (${Object.keys(kinds).join(', ')}) or KIND/NAME`)
    .summary('list what there is')
    .description(
      'List things of a kind, or show the ones named. All pages are followed; of audit events the newest 100 are shown where no --limit says more.',
    )
    .option('-l, --selector <labels>', 'only with these labels: team=payments,env=prod')
    .option('--limit <count>', 'at most this many')
    .option('-w, --watch', 'of rotations: show them as they go on')
  for (const { flags, about } of Object.values(filters)) command.option(flags, about)
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
  const question = questionOf(kind, options, run.io.clock.now())
  if (!whole) refuseFilters(options)
  if (options.watch === true) return watch(run, kind, question, references, options)
  const client = await run.client()
  const items = whole
    ? await listed(run, client, kinds[kind], question, limitOf(options))
    : await named(
        client,
        kind,
        references.map((reference) => reference.name ?? ''),
      )
  const narrowed = Object.values(options).some((value) => value !== undefined)
  if (items.length === 0) run.talk(`there are no ${narrowed ? 'such ' : ''}${kind}`)
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
  return watchRotations(run, { query, limit: limitOf(options) ?? Infinity })
}

const present = (
  run: Run,
  kind: Plural,
  items: readonly JsonObject[],
  whole: boolean,
): Promise<void> => {
  const { columns, reference } = kinds[kind]
  const fileKind = fileKinds[kind]
  const shownColumns =
    run.format === 'wide' ? columns : columns.filter((column) => column.wide !== true)
  const json: Json = whole || items.length !== 1 ? { items } : (items[0] ?? null)
  return show(run, {
    json,
    names: items.map(reference),
    text: () => (items.length === 0 ? '' : table(shownColumns, items, run.io.clock.now())),
    ...(fileKind === undefined || items.length === 0
      ? {}
      : { documents: items.map((item) => documentOf(fileKind, item)) }),
  })
}

const listed = async (
  run: Run,
  client: Client,
  view: KindView,
  { query, labels }: Question,
  wanted: number | null,
): Promise<JsonObject[]> => {
  const limit = wanted ?? view.most ?? Infinity
  const items: JsonObject[] = []
  for await (const item of itemsOf(client, view, query)) {
    if (items.length >= limit) {
      run.talk(`there are more: the newest ${limit} are shown; see --limit`)
      break
    }
    if (isSelected(item, labels)) items.push(item)
    if (items.length === wanted) break
  }
  return items
}

async function* itemsOf(
  client: Client,
  { path, whole }: KindView,
  query: Query,
): AsyncGenerator<JsonObject> {
  if (whole !== true) return yield* client.list(path, query)
  yield* objectsAt((await client.send({ method: 'GET', path, query })).body, 'items')
}

const named = async (
  client: Client,
  kind: Plural,
  names: readonly string[],
): Promise<JsonObject[]> => {
  const view = kinds[kind]
  if (view.one === 'none')
    throw usage(`${kind} are listed, not named`, { hint: `rekey get ${kind}` })
  if (view.one === 'path') {
    const replies = await Promise.all(
      names.map((name) => client.send({ method: 'GET', path: `${view.path}/${segment(name)}` })),
    )
    return replies.map(({ body }) => objectAt(body))
  }
  const found = new Map<string, JsonObject>()
  for await (const item of itemsOf(client, view, {})) found.set(textAt(item, 'id'), item)
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
