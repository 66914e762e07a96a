// `rekey incident …`: an emergency step by step. `rekey revoke key/NAME` takes the first steps at once.

import { Option, type Command } from 'commander'
import { incidentModes, noteKinds, severities } from '#domain/incident.ts'
import { momentText } from '#domain/incident-words.ts'
import type { JsonObject } from '#domain/json.ts'
import { confirmByName, confirmYes } from '../confirm.ts'
import { nextOf } from '../describe-incident.ts'
import { usage } from '../failure.ts'
import { moment, plain } from '../human.ts'
import {
  drawPreview,
  execute,
  type MeantOptions,
  openIncident,
  pathOf,
  readIncident,
  selectorOf,
} from '../incident-steps.ts'
import { countsText, incidentLine, previewText } from '../incident-text.ts'
import { durationOf } from '../moments.ts'
import { confirmByHand } from './incident-by-hand.ts'
import { changeIncident, tickStep } from './incident-playbook.ts'
import { show, withOutput } from '../output.ts'
import { numberAt, objectAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

const several = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text,
]

export const addIncident = (program: Command, shell: Shell): void => {
  const incident = program
    .command('incident')
    .summary('contain a leak: open, preview, approve, execute, restore, report')
    .description(
      'Contain a leak in steps, each of which can be taken by another person: open (what is meant), preview (exactly what will be done), approve (somebody else), execute, watch, restore, report.',
    )
  /** A verb about one incident, with what is done when it fails. */
  const about = <T extends object>(
    name: string,
    summary: string,
    work: (run: Run, id: string, options: T, argument: string) => Promise<void>,
    more: (command: Command) => Command = (command) => command,
  ): void => {
    const command = more(
      withOutput(incident.command(name)).argument('<incident>', 'incident/ID').summary(summary),
    )
    if (command.description() === '')
      command.description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    command.action((reference: string, ...rest: readonly (string | T | Command)[]) =>
      shell.act(
        command,
        {
          doing: `${name} ${reference}`,
          next: [`rekey describe ${reference}`],
          detached: 'the incident goes on at the server',
        },
        (run) =>
          work(
            run,
            nameOf(reference, 'incident'),
            command.opts<T>(),
            typeof rest[0] === 'string' ? rest[0] : '',
          ),
      ),
    )
  }
  addOpen(incident, shell)
  about('preview', 'show exactly what would be done, under a hash', preview)
  about(
    'approve',
    'agree to exactly what the preview shows, as somebody else',
    approve,
    (command) =>
      command
        .option(
          '--preview-hash <hash>',
          'the preview that is approved; shown and asked about where not given',
        )
        .option('--dry-run', 'check everything and change nothing'),
  )
  about('execute', 'do exactly what the preview shows, or nothing', executeIt, (command) =>
    command
      .description(
        'Do exactly what the preview shows, or nothing, and follow it. The exit code tells how it ended: 0 contained, 6 partly, 7 still under way at --timeout. Of one that ended partly, what failed is tried once more.',
      )
      .option('--preview-hash <hash>', 'the preview that was looked at (default: the last one)')
      .option('--confirm <id>', 'the id of the incident, instead of typing it')
      .option('--no-wait', 'do not follow it')
      .option('--timeout <duration>', 'how long to follow it (default: as long as it takes)')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('watch', 'follow it until it is at rest', watchIt, (command) =>
    command.option('--timeout <duration>', 'how long (default: as long as it takes)'),
  )
  about('restore', 'switch on again what the mode disable switched off', restore, (command) =>
    command
      .requiredOption('--reason <text>', 'why; kept in the audit log')
      .option('--key <name>', 'only this key; several times for several', several)
      .option('--no-wait', 'do not follow it')
      .option('--timeout <duration>', 'how long to follow it (default: as long as it takes)')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('note', 'write down a fact, a hypothesis or a note', note, (command) =>
    command
      .requiredOption('--text <text>', 'what is to be remembered; no secrets')
      .addOption(new Option('--kind <kind>', 'what it is').choices(noteKinds).default('note'))
      .option('--corrects <id>', 'the note that it takes the place of')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('change', 'change title, severity, commander or playbook', changeIncident, (command) =>
    command
      .option('--title <text>', 'what happened, in a line')
      .addOption(new Option('--severity <severity>', 'how bad it is').choices(severities))
      .option('--commander <name>', 'who leads')
      .option('--playbook <name>', 'take its steps, as they are now')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('confirm', 'say that what only a person can switch off is off', confirmByHand, (command) =>
    command
      .description(
        'Say that a version which only a person can switch off is off, and how that was seen. It proves nothing: the version stays unproven, with who said what. With --not-done it is not off, and --evidence says why; with --on it is switched on again, for a restoration.',
      )
      .requiredOption('--key <name>', 'its key')
      .requiredOption('--evidence <text>', 'how it was seen that it is refused now; no secrets')
      .option('--version <number>', 'the version, where there are several')
      .option('--not-done', 'it is not off')
      .option('--on', 'it is on again')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('step', 'tick off a step of its playbook', tickStep, (command) =>
    command
      .argument('<number>', 'the number of the step')
      .description(
        'Say that a step of its playbook is done, or with --not-done that it is not and why. The last word on a step counts; the others stay in the timeline. Nothing is carried out by it.',
      )
      .option('--not-done', 'it is not done; --note says why')
      .option('--note <text>', 'how it is known; no secrets')
      .option('--dry-run', 'check everything and change nothing'),
  )
  about('timeline', 'what happened, in order', timeline, (command) =>
    command.option('--all', 'also what was done key by key'),
  )
  about('report', 'the report to hand over, as Markdown; with -o json as JSON', report)
  about(
    'review',
    'sign what was executed by breaking glass, as somebody else',
    (run, id, options: Said) => end(run, id, 'reviews', { text: options.text ?? '' }, options),
    (command) =>
      command
        .requiredOption('--text <text>', 'what was found')
        .option('--dry-run', 'check everything and change nothing'),
  )
  about(
    'close',
    'end it, with a reason',
    (run, id, options: Said) => end(run, id, 'closures', { reason: options.reason ?? '' }, options),
    (command) =>
      command
        .requiredOption('--reason <text>', 'why it is over; kept in the audit log')
        .option('--dry-run', 'check everything and change nothing'),
  )
}

export const oneHalfText =
  'of a pair, one half of which is meant, leave the other one alone: nobody who has the one may have the other'

interface OpenOptions extends MeantOptions {
  readonly title: string
  readonly severity: string
  readonly mode: string
  readonly reason: string
  readonly commander?: string
  readonly playbook?: string
  readonly dryRun?: true
}

const addOpen = (incident: Command, shell: Shell): void => {
  const command = withOutput(incident.command('open'))
    .summary('say what leaked and what is to be done; touches nothing')
    .description(
      'Open an incident: what it means and what is to be done. Touches nothing. All that is said of the keys must hold.',
    )
    .requiredOption('--title <text>', 'what happened, in a line')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .addOption(
      new Option('--mode <mode>', 'disable comes back; the others are for good')
        .choices(incidentModes)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--severity <severity>', 'how bad it is').choices(severities).default('high'),
    )
    .option('--commander <name>', 'who leads')
    .option('--playbook <name>', 'what people do beside it: its steps are taken as they are now')
    .option('--key <name>', 'this key; several times for several', several)
    .option(
      '--key-version <key@version>',
      'exactly this version; several times for several',
      several,
    )
    .option('-l, --selector <labels>', 'keys with these labels: team=payments,env=prod')
    .option('--connection <name>', 'keys of this connection; several times for several', several)
    .option('--provider <id>', 'keys at this provider; several times for several', several)
    .option('--owner <name>', 'keys of this owner')
    .option('--environment <name>', 'keys of this environment')
    .option('--consumer <name>', 'keys that this consumer uses')
    .option('--policy <name>', 'keys that this policy rotates')
    .option(
      '--created-after <moment>',
      'versions made then or later: RFC 3339, or a duration back from now',
    )
    .option('--created-before <moment>', 'versions made before')
    .option(
      '--secret-stdin',
      'what leaked, one a line on standard input: only SHA-256 digests leave this machine',
    )
    .option('--one-half', oneHalfText)
    .option('--dry-run', 'check everything and change nothing')
  command.action((options: OpenOptions) =>
    shell.act(
      command,
      { doing: 'open an incident', next: ['rekey get incidents'] },
      async (run) => {
        const { title, severity, mode, reason, commander, playbook } = options
        const opened = await openIncident(
          run,
          {
            title,
            severity,
            mode,
            reason,
            ...(commander === undefined ? {} : { commander }),
            ...(playbook === undefined ? {} : { playbook }),
            selector: await selectorOf(run, options),
          },
          options.dryRun === true,
        )
        await present(run, opened)
        if (options.dryRun !== true) sayNext(run, opened)
      },
    ),
  )
}

export const present = (run: Run, incident: JsonObject): Promise<void> => {
  const counts = countsText(incident)
  return show(run, {
    json: incident,
    names: [`incident/${textAt(incident, 'id')}`],
    text: () => `${incidentLine(incident)}${counts === '' ? '' : `  ${counts}`}\n`,
  })
}

const sayNext = (run: Run, incident: JsonObject): void =>
  nextOf(incident).forEach((command, i) => run.talk(`${i === 0 ? 'next: ' : '      '}${command}`))

const preview = async (run: Run, id: string): Promise<void> => {
  const drawn = await drawPreview(run, id)
  const incident = await readIncident(run, id)
  await show(run, {
    json: drawn,
    names: [`incident/${id}`],
    text: () => previewText(drawn, textAt(incident, 'mode'), run.io.clock.now()),
  })
  sayNext(run, incident)
}

interface HashOptions {
  readonly previewHash?: string
  readonly dryRun?: true
}

const approve = async (run: Run, id: string, options: HashOptions): Promise<void> => {
  const dryRun = options.dryRun === true
  const previewHash = options.previewHash ?? (await hashSeen(run, id, dryRun))
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/approvals`,
    body: { previewHash },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [`incident/${id}`],
    text: () =>
      `incident/${id}  ${dryRun ? 'would be approved' : `approved: ${textAt(body, 'state')}`}\n`,
  })
  if (!dryRun) run.talk(`next: rekey incident execute incident/${id}`)
}

const lastPreview = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt((await client.send({ method: 'GET', path: `${pathOf(id)}/preview` })).body)
}

/** Shows what is approved, and asks. Without a terminal the hash must be said. */
const hashSeen = async (run: Run, id: string, dryRun: boolean): Promise<string> => {
  const shown = await lastPreview(run, id)
  const hash = textAt(shown, 'hash')
  if (dryRun) return hash
  if (!run.io.interactive || run.format === 'json')
    throw usage('which preview is approved must be said, and there is no terminal to ask on', {
      hint: `add --preview-hash ${hash}, if this is the preview that was meant`,
    })
  const incident = await readIncident(run, id)
  run.io.stderr.write(
    `${plain(incidentLine(incident))}\nreason: ${plain(textAt(incident, 'reason'))}\n${previewText(shown, textAt(incident, 'mode'), run.io.clock.now())}`,
  )
  await confirmYes(run, 'Approve exactly this?')
  return hash
}

interface FollowOptions {
  readonly wait: boolean
  readonly timeout?: string
}
interface ExecuteOptions extends HashOptions, FollowOptions {
  readonly confirm?: string
}

const executeIt = async (run: Run, id: string, options: ExecuteOptions): Promise<void> => {
  const timeoutMs = timeoutOf(options)
  const incident = await readIncident(run, id)
  const previewHash =
    options.previewHash ??
    (textAt(incident, 'execution', 'hash') || textAt(incident, 'preview', 'hash'))
  if (previewHash === '')
    throw usage('it was not previewed yet', { next: [`rekey incident preview incident/${id}`] })
  const dryRun = options.dryRun === true
  if (!dryRun) await confirmByName(run, id, effectOf(incident), options.confirm)
  const done = await execute(run, id, { previewHash, dryRun })
  if (dryRun || !options.wait) return present(run, done)
  run.talk(`executing ${incidentLine(done)}`)
  return follow(run, id, timeoutMs, 'the incident was executed and is under way')
}

export const effectOf = (incident: JsonObject): string =>
  `This does what was shown to ${numberAt(incident, 'preview', 'keys') ?? 0} keys (${textAt(incident, 'mode')}): ${plain(textAt(incident, 'title'))}`

export const follow = async (
  run: Run,
  id: string,
  timeoutMs: number | null,
  changed: string,
): Promise<void> => {
  const { watchIncident } = await import('../watch-incident.ts')
  return watchIncident(run, { id, timeoutMs, changed })
}

const longestTimerMs = 2 ** 31 - 1

export const timeoutOf = ({ timeout }: { readonly timeout?: string }): number | null => {
  if (timeout === undefined) return null
  const ms = durationOf(timeout)
  if (ms === null)
    throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m, 72h or 20d' })
  return ms > longestTimerMs ? null : ms
}

const watchIt = (run: Run, id: string, options: { readonly timeout?: string }): Promise<void> =>
  follow(run, id, timeoutOf(options), 'nothing')

interface RestoreOptions extends FollowOptions {
  readonly reason: string
  readonly key?: readonly string[]
  readonly dryRun?: true
}

const restore = async (run: Run, id: string, options: RestoreOptions): Promise<void> => {
  const timeoutMs = timeoutOf(options)
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/restorations`,
    body: { reason: options.reason, ...(options.key === undefined ? {} : { keys: options.key }) },
    dryRun: options.dryRun === true,
  })
  if (options.dryRun === true || !options.wait) return present(run, objectAt(body))
  run.talk(`restoring ${incidentLine(objectAt(body))}`)
  return follow(run, id, timeoutMs, 'the restoration was asked for and is under way')
}

interface NoteOptions {
  readonly text: string
  readonly kind: string
  readonly corrects?: string
  readonly dryRun?: true
}

const note = async (run: Run, id: string, { dryRun, ...said }: NoteOptions): Promise<void> => {
  const { text, kind, corrects } = said
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/notes`,
    body: { text, kind, ...(corrects === undefined ? {} : { corrects }) },
    dryRun: dryRun === true,
  })
  await show(run, {
    json: body,
    names: [textAt(body, 'id')],
    text: () => `${textAt(body, 'kind')} ${textAt(body, 'id')}  ${plain(textAt(body, 'text'))}\n`,
  })
}

const timeline = async (run: Run, id: string, { all }: { readonly all?: true }): Promise<void> => {
  const client = await run.client()
  const query = all === true ? { detail: 'all' } : {}
  const items = await Array.fromAsync(client.list(`${pathOf(id)}/timeline`, query))
  const now = run.io.clock.now()
  await show(run, {
    json: { items },
    names: items.map((item) => `audit-event/${textAt(item, 'id')}`),
    text: () =>
      items
        .map((item) => {
          const said = textAt(item, 'note', 'text')
          const what =
            said === ''
              ? `${momentText(textAt(item, 'action'))}${textAt(item, 'outcome') === 'succeeded' ? '' : ` (${textAt(item, 'outcome')})`}${textAt(item, 'reason') === '' ? '' : `: ${textAt(item, 'reason')}`}`
              : `${textAt(item, 'note', 'kind')}: ${said}`
          const target =
            textAt(item, 'target', 'kind') === 'incident'
              ? ''
              : `  ${textAt(item, 'target', 'name')}`
          return `${moment(textAt(item, 'at'), now)}  ${plain(textAt(item, 'actor'))}  ${plain(what)}${plain(target)}\n`
        })
        .join(''),
  })
}

const report = async (run: Run, id: string): Promise<void> => {
  const client = await run.client()
  const path = `${pathOf(id)}/report`
  if (run.format === 'table' || run.format === 'wide') {
    run.print(await client.text(path, {}, 'text/markdown'))
    return
  }
  const { body } = await client.send({ method: 'GET', path })
  await show(run, { json: body, names: [`incident/${id}`], text: () => '' })
}

interface Said {
  readonly text?: string
  readonly reason?: string
  readonly dryRun?: true
}

const end = async (
  run: Run,
  id: string,
  path: 'closures' | 'reviews',
  body: JsonObject,
  { dryRun }: Said,
): Promise<void> => {
  const client = await run.client()
  const reply = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/${path}`,
    body,
    dryRun: dryRun === true,
  })
  await present(run, objectAt(reply.body))
}
