// `rekey import -c CONNECTION`: what is at a provider and not managed yet becomes keys. It is made into documents, and these
// go the way of all files: a plan that is shown, asked about, and done exactly so or not at all. `-o yaml` prints the documents
// instead, to be kept and edited as files.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Client } from '../client.ts'
import { interrupted, usage } from '../failure.ts'
import { orDash } from '../human.ts'
import { type Said, chosen, documentsOf } from '../import-keys.ts'
import { show, withOutput } from '../output.ts'
import { paintFor } from '../paint.ts'
import { makePlan } from '../plan-files.ts'
import { planText } from '../plan-text.ts'
import { at, labelsText, objectsAt, textAt } from '../read-json.ts'
import { segment } from '../segment.ts'
import { matchLabels, parseSelector } from '../selector.ts'
import type { Run, Shell } from '../shell.ts'
import { table, type Column } from '../table.ts'

interface Options {
  readonly connection: string
  readonly type?: string
  readonly list?: true
  readonly purpose?: string
  readonly keyOwner?: string
  readonly environment?: string
  readonly labels?: string
  readonly owner?: string
  readonly allowMassRotation?: true
  readonly dryRun?: true
  readonly yes?: true
}

export const addImport = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('import'))
    .argument('[objects...]', 'which: patterns over the column OBJECT, such as */app/*')
    .summary('take over what is at a provider')
    .description(
      'Make keys of objects that are at a provider and not managed yet: all of a connection, or those that a pattern names. Shows the plan, asks, and does exactly that. The present version of each is adopted; nothing is changed at the provider.\n' +
        '-o yaml prints them as documents for `rekey apply -f` instead, and registers nothing.',
    )
    .requiredOption('-c, --connection <name>', 'where to look')
    .option('--type <type>', 'only objects of this type')
    .option('--list', 'show what is there: managed, unmanaged, gone; import nothing')
    .option('--purpose <text>', 'what the keys are for')
    .option('--key-owner <name>', 'who owns the keys')
    .option('--environment <name>', 'where they are used: prod, staging, …')
    .option('--labels <labels>', 'labels of the keys: team=payments,app=shop')
    .option('--owner <name>', 'whose files these will be, as of `rekey apply`')
    .option(
      '--allow-mass-rotation',
      'more than 10 keys, or more than 20 % of all, may become due at once',
    )
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask')
  command.action((patterns: readonly string[], options: Options) =>
    shell.act(
      command,
      {
        doing: `import from connection/${options.connection}`,
        next: [`rekey describe connection/${options.connection} --check`, 'rekey get connections'],
        detached: 'what was begun at the server goes on; run the same command to finish it',
      },
      (run) => importKeys(run, patterns, options),
    ),
  )
}

const importKeys = async (
  run: Run,
  patterns: readonly string[],
  options: Options,
): Promise<void> => {
  if (run.format === 'yaml' && (options.yes || options.dryRun) && !options.list) {
    throw usage('-o yaml writes documents and imports nothing', {
      hint: 'leave --yes and --dry-run out, or take another -o',
    })
  }
  const client = await run.client()
  if (options.list) return showInventory(run, options, await inventoryOf(client, options), patterns)
  const free = await inventoryOf(client, options, 'unmanaged')
  const keys = await Array.fromAsync(client.list('/v1/keys'))
  const objects = chosen(free, patterns, keys)
  if (objects.length === 0) return nothingToDo(run, options)
  const said = run.format === 'yaml' ? saidBy(options) : await allSaid(run, saidBy(options))
  const documents = documentsOf(options.connection, objects, namesOf(keys), said)
  if (run.format === 'yaml') return showDocuments(run, documents, said)
  await applyDocuments(run, client, documents, options)
}

const inventoryOf = (
  client: Client,
  { connection, type }: Options,
  state?: 'unmanaged',
): Promise<JsonObject[]> =>
  Array.fromAsync(client.list(`/v1/connections/${segment(connection)}/inventory`, { type, state }))

const namesOf = (keys: readonly JsonObject[]): ReadonlySet<string> =>
  new Set(keys.map((key) => textAt(key, 'name')))

const columns: readonly Column<JsonObject>[] = [
  { title: 'STATE', text: (item) => textAt(item, 'state') },
  { title: 'TYPE', text: (item) => textAt(item, 'type') },
  { title: 'OBJECT', text: (item) => textAt(item, 'objectId') },
  { title: 'KEY', text: (item) => orDash(textAt(item, 'key')) },
  { title: 'REF', text: (item) => orDash(labelsText(at(item, 'ref'))), wide: true },
]

const showInventory = async (
  run: Run,
  { connection }: Options,
  inventory: readonly JsonObject[],
  patterns: readonly string[],
): Promise<void> => {
  if (patterns.length > 0) throw usage('--list shows everything: leave the patterns out')
  if (inventory.length === 0) run.talk(`there is nothing at connection/${connection}`)
  const shown = run.format === 'wide' ? columns : columns.filter(({ wide }) => wide !== true)
  await show(run, {
    json: { items: inventory },
    names: inventory.map((item) => textAt(item, 'objectId')),
    text: () => (inventory.length === 0 ? '' : table(shown, inventory, run.io.clock.now())),
  })
}

const nothingToDo = (run: Run, { connection }: Options): Promise<void> => {
  run.talk('everything there is managed already, or is none of these')
  run.talk(`see rekey import -c ${connection} --list`)
  return show(run, { json: { items: [] }, names: [], documents: [], text: () => '' })
}

const saidBy = ({ purpose, keyOwner, environment, labels }: Options): Said => ({
  ...(purpose === undefined ? {} : { purpose }),
  ...(keyOwner === undefined ? {} : { keyOwner }),
  ...(environment === undefined ? {} : { environment }),
  labels: matchLabels(parseSelector(labels ?? '')),
})

const questions = {
  purpose: ['--purpose', 'What are these keys for?'],
  keyOwner: ['--key-owner', 'Who owns them?'],
  environment: ['--environment', 'In which environment are they used?'],
} as const

type Asked = keyof typeof questions
const missing = (said: Said): readonly Asked[] =>
  (Object.keys(questions) as readonly Asked[]).filter((field) => said[field] === undefined)

/** What is not said is asked; without a terminal it must be said. */
const allSaid = async (run: Run, said: Said): Promise<Said> => {
  const fields = missing(said)
  if (fields.length > 0 && (!run.io.interactive || run.format === 'json')) {
    throw usage(
      'what no provider knows of a key must be said, and there is no terminal to ask on',
      {
        hint: `add ${fields.map((field) => `${questions[field][0]} …`).join(' ')}`,
      },
    )
  }
  const answers: Partial<Record<Asked, string>> = {}
  for (const field of fields) {
    // oxlint-disable-next-line no-await-in-loop -- one question after the other
    const answer = await run.io.ask(questions[field][1])
    if (answer === null) throw interrupted({ changed: 'nothing' })
    answers[field] = answer.trim()
  }
  return { ...said, ...answers }
}

const showDocuments = async (
  run: Run,
  documents: readonly JsonObject[],
  said: Said,
): Promise<void> => {
  const fields = missing(said).map((field) => (field === 'keyOwner' ? 'owner' : field))
  if (fields.length > 0) run.talk(`each of these still needs: ${fields.join(', ')}`)
  await show(run, { json: { items: documents }, names: [], documents, text: () => '' })
}

const applyDocuments = async (
  run: Run,
  client: Client,
  documents: readonly JsonObject[],
  options: Options,
): Promise<void> => {
  const dryRun = options.dryRun === true
  const body = {
    documents,
    allow: options.allowMassRotation ? ['massRotation'] : [],
    ...(options.owner === undefined ? {} : { owner: options.owner }),
  }
  const plan = await makePlan(client, body, dryRun)
  const names = objectsAt(plan, 'items').map((item) => `key/${textAt(item, 'name')}`)
  if (dryRun) {
    const text = () => planText(plan, paintFor(run.io.env, run.io.stdout))
    return show(run, { json: plan, names, text })
  }
  const steps = await import('../apply-plan.ts')
  steps.showPlan(run, plan)
  steps.mustNotWait(plan)
  await steps.confirmPlan(run, plan, options.yes === true)
  const applied = await steps.applyPlan(run, plan)
  await show(run, {
    json: applied,
    names,
    text: () => table(appliedColumns, objectsAt(applied, 'items'), run.io.clock.now()),
  })
  steps.mustBeDone(applied)
}

const appliedColumns: readonly Column<JsonObject>[] = [
  { title: 'KEY', text: (item) => `key/${textAt(item, 'name')}` },
  {
    title: 'RESULT',
    text: (item) => (textAt(item, 'outcome') === 'done' ? 'imported' : textAt(item, 'outcome')),
  },
]
