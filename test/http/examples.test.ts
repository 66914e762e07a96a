// Every example of the OpenAPI document is sent as it stands, in an order in which each finds what it names; its reply must
// be one that the operation documents. Only what a server makes (ids, ETags, hashes, ciphertexts) is taken from its replies.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exampleOf } from '#http/examples.ts'
import { recordOf } from '#http/input.ts'
import { withReceipt } from '#http/openapi-replies.ts'
import { makeValidators } from '#http/validators.ts'
import type { Incident } from '#domain/incident.ts'
import { Secret } from '#domain/secret.ts'
import { keyTypes } from '#providers/registry.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import {
  makeReplyChecker,
  operationsOf,
  urlOf,
  type Example,
  type Json,
  type Operation,
} from '../support/examples.ts'
import { makeFaultPlan } from '../support/faults.ts'
import { actorOf } from '../support/house.ts'
import { goBack, recoveryOf } from '../support/recovery.ts'
import { admin } from '../support/house.ts'
import { openApi, productRoutes, type Answer, type Api } from '../support/http.ts'

const faults = makeFaultPlan()
let api: Api
let document: Json
let operations: readonly Operation[]
let advance: (id: string) => Promise<unknown>
beforeAll(async () => {
  api = await openApi({
    wrap: faults.wrap,
    readiness: [{ name: 'database', ready: async () => true }],
  })
  document = (await api.call('GET', '/openapi.json', { token: null })).json
  operations = operationsOf(document)
  const { ledger, timers, clock, ids, deps } = api.house
  const send = async () => ({ status: 200, detail: '' })
  advance = makeAdvanceRotation(
    {
      ledger,
      timers,
      clock,
      ids,
      world: { sessions: deps.sessions, types: keyTypes, fetch: globalThis.fetch, send } as never,
    },
    { instance: 'w1', bell: { ring: async () => undefined }, report: () => undefined },
  )
})
afterAll(() => api.close())

/** Rings for the rotation, turning the clock, until it is in the phase; null: until it has ended. */
const until = async (id: string, phase: string | null): Promise<void> => {
  for (let n = 0; n < 100; n++) {
    const { json } = await api.call('GET', `/v1/rotations/${id}`)
    if (phase === null ? json.endedAt !== null : json.phase === phase) return
    await advance(id)
    await api.house.clock.advance(1_000)
  }
  const { json } = await api.call('GET', `/v1/rotations/${id}`)
  throw new Error(`it did not come to ${phase ?? 'an end'}: ${JSON.stringify(json)}`)
}

const rotate = async (key: string, token?: string): Promise<string> => {
  const { json } = await api.call('POST', '/v1/rotations', {
    ...(token === undefined ? {} : { token }),
    body: { key, reason: 'an example' },
    headers: { 'idempotency-key': `${key}-${api.house.ids.next()}` },
  })
  if (json.id === undefined) throw new Error(JSON.stringify(json))
  return json.id
}

/** What only the server knows, by where the example has it. */
interface Made {
  readonly params?: Readonly<Record<string, string>>
  readonly body?: Readonly<Record<string, unknown>>
  readonly token?: string | null
}

type Step = readonly [operationId: string, made?: () => Promise<Made>]

let rotation = ''
const ofRotation = async (): Promise<Made> => ({ params: { id: rotation } })

const leakedKey = async () => ({ params: { name: 'leaked-key' } })

const ofIncident = async () => {
  const { json } = await api.call('GET', '/v1/incidents')
  return { params: { id: String(json.items[0].id) } }
}

/** Executed, on a key of its own. */
const incidentOn = async (key: string, registered = false): Promise<string> => {
  if (!registered) {
    await api.house.connection(`at-${key}`)
    await api.house.register(key, { connection: `at-${key}` })
  }
  const body = { title: 'A leak', severity: 'low', mode: 'disable', reason: 'a test' }
  const { json } = await api.call('POST', '/v1/incidents', {
    body: { ...body, selector: { keys: [key] } },
  })
  const path = `/v1/incidents/${json.id}`
  const { hash } = (await api.call('POST', `${path}/preview`)).json
  const token = await api.token(['approver'])
  await api.call('POST', `${path}/approvals`, { token, body: { previewHash: hash } })
  await api.call('POST', `${path}/executions`, {
    body: { previewHash: hash, confirm: json.id },
    headers: { 'idempotency-key': `execute-${json.id}` },
  })
  return json.id
}

/** As workers leave one of which every key failed. */
const settled = async (id: string, more: Partial<Incident> = {}): Promise<string> => {
  await api.house.ledger.commit(admin, async (tx) => {
    const found = await tx.incidents.get(id)
    if (!found) throw new Error('there is no incident')
    const { items } = await tx.incidents.keys(id, null, { limit: 100, after: null })
    await tx.writeIncident.putKeys(items.map((key) => ({ ...key, state: 'failed' })))
    const next = { ...found, ...more, state: 'partly', revision: found.revision + 1 } as const
    await tx.writeIncident.update(next, found)
    const target = { id, name: found.title }
    return { value: null, audit: [{ action: 'incident.partly', target, outcome: 'succeeded' }] }
  })
  return id
}

const story: readonly Step[] = [
  ['getLiveness'],
  ['getReadiness'],
  ['getOpenapi'],
  ['getDocs'],
  ['getSchema'],
  ['getProblem'],
  ['getMe'],
  ['listLogins'],
  ['listSessions'],
  ['revokeSessions'],
  ['listProviders'],
  ['putConnection'],
  ['listConnections'],
  ['getConnection'],
  ['checkConnection'],
  ['putConsumer'],
  ['listConsumers'],
  ['getConsumer'],
  ['registerKey'],
  ['listKeys'],
  ['getKey'],
  ['putKey'],
  ['listVersions'],
  ['listInventory'],
  [
    'readValue',
    async () => ({ token: await api.token(['consumer'], { consumer: 'shop', type: 'ack' }) }),
  ],
  ['signWithKey', async () => ({ token: await consumerOf('orders-signing') })],
  ['encryptWithKey', async () => ({ token: await consumerOf('orders-data') })],
  [
    'decryptWithKey',
    async () => {
      const token = await consumerOf('orders-data')
      const { json } = await api.call('POST', '/v1/keys/orders-data/encryptions', {
        token,
        body: { input: 'b3JkZXIgNDcxMQ==' },
      })
      return { token, body: { input: json.output } }
    },
  ],
  [
    'getJwks',
    async () => {
      const settings = { issuer: 'https://id.example.com' }
      await api.call('PUT', '/v1/connections/id-prod', { body: { provider: 'jwks', settings } })
      return {}
    },
  ],
  ['putPolicy'],
  ['createPolicy'],
  ['listPolicies'],
  ['getPolicy'],
  ['listPolicyRevisions'],
  ['makePlan', async () => ({ token: await api.token(['operator']) })],
  ['listPlans'],
  ['getPlan', async () => ({ params: { id: (await lastPlan()).id } })],
  [
    'approvePlan',
    async () => {
      const { id, hash } = await lastPlan()
      return { params: { id }, body: { hash }, token: await api.token(['approver']) }
    },
  ],
  [
    'applyPlan',
    async () => {
      const { id, hash } = await lastPlan()
      return { params: { id }, body: { hash } }
    },
  ],
  ['listSchedule'],
  ['getCompliance'],
  ['listComplianceKeys'],
  ['getKeyUsage'],
  ['getBlastRadius'],
  ['putFreeze'],
  ['getFreeze'],
  ['deleteFreeze'],
  ['putFloors'],
  ['getFloors'],
  ['putIssuers'],
  ['getIssuers'],
  ['listChecks'],
  ['checkKeys'],
  ['putSink'],
  ['listSinks'],
  ['getSink'],
  ['testSink'],
  ['listDeadLetters'],
  ['replayDeadLetters'],
  ['createApiKey'],
  [
    'approveApiKey',
    async () => {
      const { json } = await api.call('GET', '/v1/api-keys?limit=200')
      return {
        params: { id: json.items.find((k: Json) => k.type === 'brk').id },
        token: await api.token(['admin'], { by: actorOf('bob', ['admin']) }),
      }
    },
  ],
  ['listApiKeys'],
  [
    'deleteApiKey',
    async () => {
      const { json } = await api.call('GET', '/v1/api-keys?limit=200')
      return { params: { id: json.items.find((k: Json) => k.name === 'ci').id } }
    },
  ],
  ['putPlaybook', leakedKey],
  ['listPlaybooks'],
  ['getPlaybook', leakedKey],
  [
    'reviewPlaybook',
    async () => ({ ...(await leakedKey()), token: await api.token(['responder']) }),
  ],
  ['openIncident'],
  ['listIncidents'],
  ['getIncident', ofIncident],
  ['changeIncident', ofIncident],
  ['previewIncident', ofIncident],
  ['getIncidentPreview', ofIncident],
  [
    'approveIncident',
    async () => {
      const { params } = await ofIncident()
      const { json } = await api.call('GET', `/v1/incidents/${params.id}`)
      return {
        params,
        body: { previewHash: json.preview.hash },
        token: await api.token(['approver']),
      }
    },
  ],
  [
    'executeIncident',
    async () => {
      const { params } = await ofIncident()
      const { json } = await api.call('GET', `/v1/incidents/${params.id}`)
      return { params, body: { previewHash: json.preview.hash, confirm: params.id } }
    },
  ],
  ['noteIncident', ofIncident],
  [
    'tickIncidentStep',
    async () => {
      const { params } = await ofIncident()
      await api.call('PATCH', `/v1/incidents/${params.id}`, {
        headers: { 'if-match': '*' },
        body: { playbook: 'leaked-key' },
      })
      return { params }
    },
  ],
  ['getIncidentTimeline', ofIncident],
  ['listIncidentKeys', ofIncident],
  ['getIncidentReport', ofIncident],
  [
    'closeIncident',
    async () => {
      const { params } = await ofIncident()
      await settled(params.id)
      return { params }
    },
  ],
  ['followIncident', ofIncident],
  [
    'restoreIncident',
    async () => ({ params: { id: await settled(await incidentOn('to-restore')) } }),
  ],
  [
    'confirmContainment',
    async () => {
      await api.house.connection('portals', { provider: 'manual' })
      const ref = { description: 'a token', steps: [{ when: 'suspend', do: 'Portal, Disable' }] }
      await api.house.register('partner-token', {
        connection: 'portals',
        type: 'manual.credential',
        ref,
      })
      const id = await incidentOn('partner-token', true)
      await api.house.ledger.commit(admin, async (tx) => {
        const key = await tx.keys.byName('partner-token')
        const [one] = await tx.incidents.versionsOf(id, [key?.id ?? ''])
        if (one) await tx.writeIncident.putVersions([{ ...one, state: 'unproven' }])
        const target = { id, name: 'a leak' }
        return { value: null, audit: [{ action: 'incident.noted', target, outcome: 'succeeded' }] }
      })
      return { params: { id } }
    },
  ],
  [
    'reviewIncident',
    async () => {
      const id = await incidentOn('to-review')
      await settled(id, { breakGlass: 'brk' })
      return { params: { id }, token: await api.token(['responder']) }
    },
  ],
  ['startRotation'],
  ['listRotations'],
  [
    'getRotation',
    async () => {
      const { json } = await api.call('GET', '/v1/rotations?key=orders-token')
      rotation = json.items[0].id
      await until(rotation, 'overlapping')
      return ofRotation()
    },
  ],
  ['acknowledgeRotation', ofRotation],
  ['overrideRotation', ofRotation],
  ['rollBackRotation', ofRotation],
  [
    'cancelRotation',
    async () => {
      rotation = await rotate('orders-data')
      return ofRotation()
    },
  ],
  ['followRotation', ofRotation],
  [
    'approveRotation',
    async () => {
      await api.call('PUT', '/v1/policies/two-people', {
        body: {
          selector: { matchLabels: { team: 'shop' }, type: 'local.key' },
          priority: 5,
          manual: true,
          approval: { required: 1 },
        },
      })
      rotation = await rotate('orders-signing', await api.token(['operator']))
      await until(rotation, 'awaitingApproval')
      const { json } = await api.call('GET', `/v1/rotations/${rotation}`)
      return {
        params: { id: rotation },
        body: { planHash: json.planHash },
        token: await api.token(['approver']),
      }
    },
  ],
  [
    'resumeRotation',
    async () => {
      await stall()
      return ofRotation()
    },
  ],
  [
    'abandonRotation',
    async () => {
      await stall()
      return ofRotation()
    },
  ],
  [
    'confirmStep',
    async () => {
      await api.call('PUT', '/v1/connections/hands', { body: { provider: 'manual' } })
      const { json } = await api.call('POST', '/v1/keys', {
        body: {
          name: 'by-hand',
          connection: 'hands',
          type: 'manual.credential',
          ref: { description: 'a key', steps: [{ when: 'mint', do: 'make it' }] },
          purpose: 'p',
          owner: 'o',
          environment: 'e',
        },
      })
      rotation = await rotate(json.name)
      await until(rotation, 'minting')
      return { params: { id: rotation }, body: { operationId: `${rotation}:minting:1` } }
    },
  ],
  [
    'listAuditEvents',
    async () => {
      await endByHand()
      return {}
    },
  ],
  [
    'adoptVersion',
    async () => {
      await endRotations()
      // Somebody makes a version behind our back.
      const { json } = await api.call('GET', '/v1/keys/orders-token')
      const made = await api.house.vault.insert({
        object: json.status.id,
        operationId: 'by hand',
        algorithm: 'secret',
        material: new Secret(new Uint8Array([1])),
        publicKey: null,
      })
      return { body: { providerVersion: String(made.version) } }
    },
  ],
  [
    'getRecovery',
    async () => {
      await endRotations()
      await goBack(api.house)
      return {}
    },
  ],
  [
    'listRecoveryKeys',
    async () => {
      await recoveryOf(api.house, api.house.sessions).reconcile()
      return {}
    },
  ],
  ['acceptRecovery'],
  ['deletePolicy'],
  ['deleteSink'],
  [
    'deleteKey',
    async () => {
      await endRotations()
      return {}
    },
  ],
  ['deletePlaybook', leakedKey],
  ['deleteConsumer'],
  [
    'deleteConnection',
    async () => {
      await withoutApproval()
      for (const name of ['orders-signing', 'orders-data'])
        await api.call('DELETE', `/v1/keys/${name}`, { headers: { 'if-match': '*' } })
      return {}
    },
  ],
]

/** A plan is found by the id that its author was given. */
const lastPlan = async (): Promise<{ readonly id: string; readonly hash: string }> => {
  const [event] = await api.house.events({ action: 'plan.created' })
  const { json } = await api.call('GET', `/v1/plans/${event?.target.id}`)
  return json
}

/** What asks for approvals is not deleted by one person: a plan takes the asking away, and somebody else agrees. */
const withoutApproval = async (): Promise<void> => {
  const spec = { selector: { matchLabels: { team: 'shop' }, type: 'local.key' }, manual: true }
  const policy = {
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: { name: 'two-people' },
  }
  const { json: plan } = await api.call('POST', '/v1/plans', {
    body: { documents: [{ ...policy, spec: { ...spec, priority: 5 } }] },
  })
  const { id, hash } = plan
  const token = await api.token(['approver'])
  await api.call('POST', `/v1/plans/${id}/approvals`, { body: { hash }, token })
  await api.call('POST', `/v1/plans/${id}/apply`, { body: { hash } })
}

const endRotations = async (): Promise<void> => {
  const { json } = await api.call('GET', '/v1/rotations?limit=200')
  for (const { id, endedAt } of json.items) {
    if (endedAt !== null) continue
    for (const verb of ['cancel', 'abandon', 'rollback'])
      await api.call('POST', `/v1/rotations/${id}/${verb}`, {
        body: { reason: 'tidy up' },
        headers: { 'idempotency-key': api.house.ids.next() },
      })
    // Who had moved to the new version has to say that it moved back.
    await api.call('POST', `/v1/rotations/${id}/acknowledgements`, {
      body: { consumer: 'shop', version: 1 },
    })
    await until(id, null)
  }
}

/** It is undone, and whatever a person is asked for is done. */
const endByHand = async (): Promise<void> => {
  await api.call('POST', `/v1/rotations/${rotation}/rollback`, {
    body: { reason: 'tidy up' },
    headers: { 'idempotency-key': api.house.ids.next() },
  })
  for (let n = 0; n < 20; n++) {
    await advance(rotation)
    const { json } = await api.call('GET', `/v1/rotations/${rotation}`)
    if (json.endedAt !== null) return
    if (json.waitingFor?.gate === 'person') {
      const { operationId } = json.steps.at(-1)
      const body = { operationId, outcome: 'done', evidence: 'seen' }
      await api.call('POST', `/v1/rotations/${rotation}/confirmations`, { body })
    } else await api.house.clock.advance(1_000)
  }
}

const consumerOf = (key: string): Promise<string> =>
  api.token(['consumer'], { consumer: 'shop', keys: [key] })

const stall = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) {
    faults.arm('promote', 'refused')
    await advance(rotation)
    await api.house.clock.advance(16 * 60_000)
    const { json } = await api.call('GET', `/v1/rotations/${rotation}`)
    if (json.phase === 'stalled') return
  }
  throw new Error('it did not stall')
}

const etagOf = async (path: string): Promise<string | undefined> =>
  (await api.call('GET', path)).headers['etag']

const send = async (operation: Operation, example: Example, made: Made): Promise<Answer> => {
  const path = urlOf(operation.path, { ...example.params, ...made.params })
  const headers = { ...example.headers }
  if (headers['If-Match'] !== undefined) {
    const etag = await etagOf(path)
    // What is not there yet is made without.
    if (etag === undefined) delete headers['If-Match']
    else headers['If-Match'] = etag
  }
  if (headers['Idempotency-Key'] !== undefined) headers['Idempotency-Key'] = api.house.ids.next()
  return api.call(operation.method, urlOf(path, {}, example.query), {
    headers,
    ...(made.token === undefined ? {} : { token: made.token }),
    ...(example.body === undefined ? {} : { body: { ...(example.body as object), ...made.body } }),
  })
}

/** What takes a browser, and an issuer: login.test.ts tells of it. */
const ofBrowsers = ['beginLogin', 'finishLogin', 'endSession']

test('the story tells of every operation, once', () => {
  expect([...story.map(([id]) => id), ...ofBrowsers].toSorted()).toEqual(
    operations.map(({ id }) => id).toSorted(),
  )
})

test('every operation that needs a body shows one', () => {
  const bare = productRoutes(api.house).filter(({ body, examples }) => {
    const { required } = recordOf(body)
    return Array.isArray(required) && required.length > 0 && examples.length === 0
  })
  expect(bare.map(({ operationId }) => operationId)).toEqual([])
})

test(
  'every example works as it stands, and is answered as documented',
  { timeout: 240_000 },
  async () => {
    const check = makeReplyChecker(document)
    for (const [id, make] of story) {
      const operation = operations.find((one) => one.id === id)
      if (operation === undefined) throw new Error(`no operation ${id}`)
      const made = (await make?.()) ?? {}
      for (const example of operation.examples) {
        const answer = await send(operation, example, made)
        const where = `${id} ${example.title}: ${answer.status} ${answer.text.slice(0, 600)}`
        expect(answer.status, where).toBeGreaterThanOrEqual(200)
        expect(answer.status, where).toBeLessThan(300)
        const type = answer.headers['content-type'] ?? ''
        expect(check(operation, answer.status, type, answer.json), where).toEqual([])
      }
    }
  },
)

describe('every reply', () => {
  test('has an example that its schema accepts', () => {
    const validators = makeValidators()
    for (const route of productRoutes(api.house)) {
      for (const [status, declared] of Object.entries(route.replies)) {
        const schema = withReceipt(route, declared)
        const where = `${route.operationId} ${status}`
        const example: unknown = JSON.parse(JSON.stringify(exampleOf(schema)))
        const check = validators(schema, 'body')
        expect(
          check(example),
          `${where}: ${JSON.stringify('errors' in check && check.errors)}`,
        ).toBe(true)
      }
    }
  })

  test('shows it in the document', () => {
    for (const { id, responses } of operations) {
      for (const [status, { content }] of Object.entries(responses)) {
        for (const [type, media] of Object.entries<Json>(content)) {
          if (/^text\/(?:html|calendar|csv|markdown|vnd\.graphviz)$/.test(type)) continue
          const shown = media.example ?? media.examples
          if (id !== 'getOpenapi' && id !== 'getSchema')
            expect(shown, `${id} ${status}`).toBeDefined()
        }
      }
    }
  })
})
