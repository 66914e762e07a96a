// `rekey doctor`: what is wrong with an installation, as far as its API can tell, and what to run next.
// It only asks. With `--deep` it also asks, page by page, whether what must be so of each key is so. With `--accept-restore`
// an admin says that what a recovery found at the providers is the truth.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Client } from '../client.ts'
import { isFailure, Leave, usage } from '../failure.ts'
import { plain } from '../human.ts'
import { show, withOutput } from '../output.ts'
import { at, numberAt, objectAt, objectsAt, textAt } from '../read-json.ts'
import { segment } from '../segment.ts'
import type { Run, Shell } from '../shell.ts'
import { table } from '../table.ts'

interface Options {
  readonly deep?: true
  readonly acceptRestore?: true
  readonly unreachable?: true
  readonly reason?: string
  readonly dryRun?: true
}

type State = 'ok' | 'warn' | 'fail' | 'unknown'
interface Line {
  readonly check: string
  readonly state: State
  readonly detail: string
  readonly next: string
}

export const addDoctor = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('doctor'))
    .summary('look for what is wrong, and say what to do')
    .description(
      'Look at the server, its database, clock, keys, log, queue and workers, at a recovery, stalled rotations, overdue keys, keys that differ from their provider, dead letters, and the reach and rights of each connection. Exit 1 when something failed.',
    )
    .option('--deep', 'look at every key too, in the records and at its provider; needs an auditor')
    .option('--accept-restore', 'end recovery mode: what was found at the providers is the truth')
    .option('--unreachable', 'with --accept-restore: go on without keys whose provider is away')
    .option('--reason <text>', 'with --accept-restore: why; kept in the audit log')
    .option('--dry-run', 'with --accept-restore: check everything and change nothing')
  command.action((options: Options) =>
    shell.act(command, { doing: 'look at the installation' }, (run) =>
      options.acceptRestore ? acceptRestore(run, options) : examine(run, options),
    ),
  )
}

const examine = async (run: Run, { deep }: Options): Promise<void> => {
  const client = await run.client()
  const found: Line[] = []
  const asked: Readonly<Record<string, Ask>> = deep
    ? { ...questions, 'every key': () => everyKey(run, client) }
    : questions
  for (const [check, ask] of Object.entries(asked)) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one after the other: a sick server is not pressed
      found.push(...(await answeredByAny(check, () => ask(client))))
    } catch (error) {
      // It answers, and can say no more than what it said of itself: that is what was asked for.
      const help = isFailure(error) ? helpForAll[error.info.code] : undefined
      if (!isFailure(error) || help === undefined) throw error
      const { detail, title, hint } = error.info
      found.push(line(check, 'fail', [detail ?? title, hint].filter(Boolean).join(' '), help))
      found.push(line('the rest', 'unknown', 'not asked: it would not be answered'))
      break
    }
  }
  await show(run, {
    json: { items: found.map((line) => ({ ...line })) },
    names: found.filter(({ state }) => state !== 'ok').map(({ check }) => check),
    text: () =>
      table(
        [
          { title: 'CHECK', text: ({ check }: Line) => check },
          { title: 'STATE', text: ({ state }) => state },
          { title: 'DETAIL', text: ({ detail }) => detail },
          { title: 'NEXT', text: ({ next }) => next || '–' },
        ],
        shortened(found),
        run.io.clock.now(),
      ),
  })
  if (found.some(({ state }) => state === 'fail')) throw new Leave('failed')
}

/** As many of one kind in one state as somebody reads. As data they are all there. */
const most = 20

const shortened = (found: readonly Line[]): readonly Line[] =>
  [...Map.groupBy(found, ({ check, state }) => `${check.replace(/\/.*/, '')} ${state}`)].flatMap(
    ([, alike]) => {
      const [first] = alike
      if (first === undefined || alike.length <= most) return alike
      const detail = `and ${alike.length - most} more like these; -o json has all`
      return [...alike.slice(0, most), line(first.check.replace(/\/.*/, ''), first.state, detail)]
    },
  )

/** A question that may not be asked, or has no answer, says so in its line; the others go on. */
const answered = async (
  check: string,
  ask: () => Promise<readonly Line[]>,
): Promise<readonly Line[]> => {
  try {
    return await ask()
  } catch (error) {
    if (!isFailure(error) || error.info.exit === 'unreachable' || error.info.exit === 'interrupted')
      throw error
    if (error.info.code in helpForAll) throw error
    const refused = error.info.exit === 'rights'
    return [line(check, refused ? 'unknown' : 'fail', error.info.detail ?? error.info.title, '')]
  }
}

/** The same of a path that every server of this version has: one that does not know it, or what is asked of it, is older. */
const answeredByAny = (
  check: string,
  ask: () => Promise<readonly Line[]>,
): Promise<readonly Line[]> =>
  answered(check, async () => {
    try {
      return await ask()
    } catch (error) {
      if (!isOfOlder(error)) throw error
      return [line(check, 'unknown', 'the server is older than this command')]
    }
  })

const isOfOlder = (error: unknown): boolean =>
  isFailure(error, 'resource.notFound') ||
  (isFailure(error, 'request.invalid') &&
    (error.info.errors ?? []).some(({ detail }) => detail.startsWith('unknown query parameter')))

const line = (check: string, state: State, detail: string, next = ''): Line => ({
  check,
  state,
  detail,
  next,
})

type Ask = (client: Client) => Promise<readonly Line[]>

const outageRunbook = 'docs/runbooks/RekeyAuditUnavailable.md'

/** By the code of what no other question would be answered with either. A job that asks every day with a token that has ended
 *  must not be told that all is well. */
const helpForAll: Readonly<Record<string, string>> = {
  'service.unavailable': outageRunbook,
  'auth.missing': 'export REKEY_TOKEN_FILE=<file with a token>',
  'auth.invalid': 'rekey whoami',
}

/** Of a part of the server that is not ready. */
const serverHelp: Readonly<Record<string, string>> = {
  database: outageRunbook,
  audit: outageRunbook,
  worker: 'docs/runbooks/RekeySweepNotRunning.md',
}

const questions: Readonly<Record<string, Ask>> = {
  server: async (client) => {
    // A server that is not ready says which of its checks failed with a 503.
    const { body } = await client.send({ method: 'GET', path: '/readyz', also: 503 })
    const ready = at(body, 'ready') === true
    const parts = objectsAt(body, 'checks').map((one) => {
      const detail = textAt(one, 'detail')
      const state = at(one, 'ready') !== true ? 'fail' : detail === '' ? 'ok' : 'warn'
      const help = state === 'fail' ? serverHelp[textAt(one, 'name')] : undefined
      return line(`server ${textAt(one, 'name')}`, state, detail || 'ready', help)
    })
    return [line('server', ready ? 'ok' : 'fail', ready ? 'ready' : 'not ready'), ...parts]
  },
  installation: async (client) => {
    const { body } = await client.send({ method: 'GET', path: '/v1/checks' })
    return objectsAt(body, 'items').map((one) => {
      const state = textAt(one, 'state')
      return line(
        textAt(one, 'name'),
        state === 'ok' || state === 'warn' ? state : 'fail',
        textAt(one, 'detail'),
        textAt(one, 'hint'),
      )
    })
  },
  recovery: async (client) => {
    const { body } = await client.send({ method: 'GET', path: '/v1/recovery' })
    if (at(body, 'active') !== true) return [line('recovery', 'ok', 'not in recovery mode')]
    const counts = objectAt(body, 'keys')
    const keys = Object.keys(counts).filter((state) => numberAt(counts, state) !== 0)
    const next = 'rekey doctor --accept-restore --reason …'
    const all = keys.map((state) => `${numberAt(counts, state)} ${state}`).join(', ')
    const lines = [
      line(
        'recovery',
        'fail',
        `${textAt(body, 'recovery', 'detail')}; keys: ${all || 'none'}`,
        next,
      ),
    ]
    for await (const one of client.list('/v1/recovery/keys')) {
      const state = textAt(one, 'state')
      if (state === 'equal') continue
      const key = textAt(one, 'key')
      const detail = `${state}: ${textAt(one, 'detail')}`
      lines.push(line(`recovery key/${key}`, 'warn', detail, `rekey describe key/${key}`))
    }
    return lines
  },
  rotations: async (client) =>
    each(client, ['/v1/rotations', { phase: 'stalled' }], 'rotations', 'none is stalled', (one) => {
      const id = `rotation/${textAt(one, 'id')}`
      const why = textAt(one, 'waitingFor', 'text') || 'stalled'
      return line(id, 'fail', `key/${textAt(one, 'key')}: ${why}`, `rekey describe ${id}`)
    }),
  keys: async (client) =>
    each(client, ['/v1/keys', { overdue: 'true' }], 'keys', 'none is overdue', (one) => {
      const key = `key/${textAt(one, 'name')}`
      return line(key, 'warn', 'older than its policy allows', `rekey describe ${key}`)
    }),
  drift: async (client) =>
    each(client, ['/v1/keys', { drifted: 'true' }], 'drift', 'none seen', (one) => {
      const drift = (name: string): string => textAt(one, 'status', 'drift', name)
      const key = `key/${textAt(one, 'name')}`
      const state = drift('state') === 'lost' ? 'fail' : 'warn'
      return line(key, state, `${drift('state')}: ${drift('detail')}`, `rekey describe ${key}`)
    }),
  sinks: async (client) => {
    const lines: Line[] = []
    for await (const sink of client.list('/v1/sinks')) {
      const name = textAt(sink, 'name')
      lines.push(...(await answered(`sink/${name}`, () => deadLettersOf(client, name))))
    }
    return lines
  },
  connections: async (client) => {
    const lines: Line[] = []
    for await (const one of client.list('/v1/connections')) {
      const name = textAt(one, 'name')
      lines.push(...(await answered(`connection/${name}`, () => rightsOf(client, name))))
    }
    return lines
  },
}

const deadLettersOf = async (client: Client, name: string): Promise<readonly Line[]> => {
  const path = `/v1/sinks/${segment(name)}/deadLetters`
  const { body } = await client.send({ method: 'GET', path, query: { limit: '1' } })
  return objectsAt(body, 'items').length > 0
    ? [line(`sink/${name}`, 'warn', 'has dead letters')]
    : [line(`sink/${name}`, 'ok', 'has no dead letters')]
}

const each = async (
  client: Client,
  [path, query]: readonly [string, Readonly<Record<string, string>>],
  check: string,
  fine: string,
  tell: (one: JsonObject) => Line,
): Promise<readonly Line[]> => {
  const lines: Line[] = []
  for await (const one of client.list(path, query)) lines.push(tell(one))
  return lines.length > 0 ? lines : [line(check, 'ok', fine)]
}

const talkEveryMs = 5_000

/** Page after page, of which only what is wrong is kept. */
const everyKey = async (run: Run, client: Client): Promise<readonly Line[]> => {
  const lines: Line[] = []
  let looked = 0
  let wrong = 0
  let unsure = 0
  let talked = run.io.clock.now().getTime()
  for await (const one of client.list('/v1/checks/keys')) {
    const key = `key/${textAt(one, 'key')}`
    const breaches = objectsAt(one, 'breaches')
    const unknown = textAt(one, 'unknown')
    for (const breach of breaches) {
      const detail = `${textAt(breach, 'sentence')} (${textAt(breach, 'invariant')})`
      lines.push(line(key, 'fail', detail, `rekey describe ${key}`))
    }
    if (unknown !== '') lines.push(line(key, 'warn', `not all of it is known: ${unknown}`))
    looked += 1
    wrong += breaches.length > 0 ? 1 : 0
    unsure += unknown === '' ? 0 : 1
    const now = run.io.clock.now().getTime()
    if (now - talked < talkEveryMs) continue
    talked = now
    run.talk(`looked at ${looked} keys, ${wrong} of them with a fault; going on`)
  }
  const sure = `${looked} looked at: ${wrong} with a fault, ${unsure} not wholly known`
  const all = `${looked} looked at: every invariant holds`
  const state = wrong > 0 ? 'fail' : unsure > 0 ? 'warn' : 'ok'
  return [line('every key', state, state === 'ok' ? all : sure), ...lines]
}

/** Only what is not as it should be, or one line that all is. */
const rightsOf = async (client: Client, name: string): Promise<readonly Line[]> => {
  const path = `/v1/connections/${segment(name)}/checks`
  const { body } = await client.send({ method: 'POST', path })
  const items = objectsAt(body, 'items')
  const lines = items.flatMap((item) => {
    const outcome = textAt(item, 'outcome')
    if (outcome === 'ok') return []
    const state = outcome === 'missing' ? 'fail' : 'warn'
    const name = textAt(item, 'name')
    const told = outcome === name ? name : `${name} ${outcome}`
    const detail = `${told}: ${textAt(item, 'detail')}`
    const next = textAt(item, 'hint') || `rekey describe connection/${name} --check`
    return [line(`connection/${name}`, state, detail, next)]
  })
  const good = line(
    `connection/${name}`,
    'ok',
    items.length === 1
      ? 'it is as it should be'
      : `all ${items.length} rights and facts are as they should be`,
  )
  return lines.length > 0 ? lines : [good]
}

const acceptRestore = async (run: Run, options: Options): Promise<void> => {
  if (options.reason === undefined) throw usage('--accept-restore needs --reason <text>')
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: '/v1/recovery/acceptance',
    body: { reason: options.reason, ...(options.unreachable ? { unreachable: true } : {}) },
    dryRun: options.dryRun === true,
  })
  const left = objectsAt(body, 'left')
  await show(run, {
    json: body,
    names: left.map((one) => `key/${textAt(one, 'key')}`),
    text: () =>
      [
        options.dryRun ? 'recovery mode would end' : 'recovery mode has ended',
        `${numberAt(body, 'keys', 'adopted') ?? 0} keys taken over`,
        ...left.map((one) => plain(`left: key/${textAt(one, 'key')}: ${textAt(one, 'detail')}`)),
        '',
      ].join('\n'),
  })
}
