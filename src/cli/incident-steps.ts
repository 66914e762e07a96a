// The steps of an incident as requests: opened, previewed, executed. The command line and a person with curl send the same.

import { createHash } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import { isFailure, usage } from './failure.ts'
import { momentBefore } from './moments.ts'
import { objectAt } from './read-json.ts'
import { nameOf } from './reference.ts'
import { segment } from './segment.ts'
import { matchLabels, parseSelector } from './selector.ts'
import type { Run } from './shell.ts'

export const pathOf = (id: string): string => `/v1/incidents/${segment(id)}`

/** What an incident means, as options say it. */
export interface MeantOptions {
  readonly key?: readonly string[]
  readonly keyVersion?: readonly string[]
  readonly selector?: string
  readonly connection?: readonly string[]
  readonly provider?: readonly string[]
  readonly owner?: string
  readonly environment?: string
  readonly consumer?: string
  readonly policy?: string
  readonly createdAfter?: string
  readonly createdBefore?: string
  readonly secretStdin?: true
  readonly oneHalf?: true
}

export const selectorOf = async (run: Run, options: MeantOptions): Promise<JsonObject> => {
  const now = run.io.clock.now()
  const { owner, environment, consumer, policy } = options
  const labels = parseSelector(options.selector ?? '')
  const moment = (name: 'createdAfter' | 'createdBefore', option: string): JsonObject => {
    const text = options[name]
    return text === undefined ? {} : { [name]: momentBefore(text, now, option).toISOString() }
  }
  const selector = {
    ...(options.key === undefined ? {} : { keys: options.key.map((one) => keyName(one)) }),
    ...(options.keyVersion === undefined ? {} : { versions: options.keyVersion.map(versionOf) }),
    ...(labels.length === 0 ? {} : { matchLabels: matchLabels(labels) }),
    ...(options.connection === undefined ? {} : { connections: options.connection }),
    ...(options.provider === undefined ? {} : { providers: options.provider }),
    ...Object.fromEntries(
      Object.entries({ owner, environment, consumer, policy }).filter(
        ([, value]) => value !== undefined,
      ),
    ),
    ...moment('createdAfter', '--created-after'),
    ...moment('createdBefore', '--created-before'),
    ...(options.secretStdin === true ? { digests: await digestsOf(run) } : {}),
  }
  if (Object.keys(selector).length === 0)
    throw usage('say what it is about', {
      hint: '--key NAME, -l team=payments, --connection NAME, --consumer NAME, --secret-stdin, …',
    })
  return options.oneHalf === true ? { ...selector, pairs: 'meant' } : selector
}

const keyName = (text: string): string => nameOf(text.includes('/') ? text : `key/${text}`, 'key')

const versionOf = (text: string): JsonObject => {
  const [, key = '', number = ''] = /^(?:key\/)?([^@]+)@v?([1-9]\d{0,8})$/.exec(text) ?? []
  if (key === '') throw usage(`${text} is not a version of a key`, { hint: 'write orders-token@3' })
  return { key: keyName(key), version: Number(number) }
}

/** The secrets themselves never leave this process: one a line, and of each its SHA-256. */
const digestsOf = async (run: Run): Promise<readonly string[]> => {
  const lines = (await run.io.readInput()).split(/\r?\n/).filter((line) => line !== '')
  if (lines.length === 0) throw usage('there is no secret on standard input')
  if (lines.length > 100) throw usage('at most 100 secrets at once, one a line')
  return [...new Set(lines.map((line) => createHash('sha256').update(line, 'utf8').digest('hex')))]
}

export const openIncident = async (
  run: Run,
  body: JsonObject,
  dryRun = false,
): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt((await client.send({ method: 'POST', path: '/v1/incidents', body, dryRun })).body)
}

export const drawPreview = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt(
    (await client.send({ method: 'POST', path: `${pathOf(id)}/preview`, body: {} })).body,
  )
}

export const readIncident = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt((await client.send({ method: 'GET', path: pathOf(id) })).body)
}

/** Done once, however often it is sent: the key is of this preview of this incident, and of this moment of it. */
export const execute = async (
  run: Run,
  id: string,
  order: { readonly previewHash: string; readonly dryRun?: boolean },
): Promise<JsonObject> => {
  const client = await run.client()
  try {
    const { body } = await client.send({
      method: 'POST',
      path: `${pathOf(id)}/executions`,
      body: { previewHash: order.previewHash, confirm: id },
      dryRun: order.dryRun === true,
    })
    return objectAt(body)
  } catch (error) {
    // It had its effect, and the reply was lost.
    if (isFailure(error, 'idempotency.replyLost')) return readIncident(run, id)
    if (isFailure(error, 'incident.previewStale') || isFailure(error, 'incident.previewExpired'))
      throw error.with({ next: [`rekey incident preview incident/${id}`] })
    if (isFailure(error, 'incident.approvalMissing'))
      throw error.with({
        exit: 'stillWaiting',
        next: [`rekey incident approve incident/${id}   # somebody else`],
      })
    throw error
  }
}
