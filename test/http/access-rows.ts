// Who may do what, written by hand from the design of the API and of security, for access.test.ts to try. One row for each
// operation of the OpenAPI document: a new route without a row fails there.

import type { Role } from '#domain/actor.ts'

/** What the calls are about: one of each kind in the scope of team a, and its like in that of team b. */
export interface Side {
  readonly team: 'a' | 'b'
  readonly connection: string
  readonly key: string
  readonly cryptoKey: string
  readonly policy: string
  readonly consumer: string
  readonly playbook: string
  readonly sink: string
  readonly apiKey: string
  /** Open, waiting for approval. */
  readonly rotation: string
  readonly planHash: string
  readonly ended: string
  /** Made by an operator of the team. */
  readonly plan: { readonly id: string; readonly hash: string }
  /** Previewed, and awaiting approval. */
  readonly incident: { readonly id: string; readonly hash: string }
  readonly closedIncident: string
}

interface Call {
  readonly url: string
  readonly body?: unknown
}

export interface Row {
  /** `everybody`: without a token; `any token`; or roles, besides admin, which always may. */
  readonly who: 'everybody' | 'any token' | readonly Role[]
  readonly method?: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly call: (side: Side) => Call
  /** In an allowed cell. Writes are dry runs. */
  readonly ok: number
  /** With a scope of team a, about team b. Absent: there is nothing that a scope could tell apart. */
  readonly outside?: number | ((role: Role) => number)
  /** A list: with a scope of team a it names nothing of team b. */
  readonly list?: true
  /** With a scope, about its own team; as without one where not said. */
  readonly inside?: number
}

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const steers = ['operator', 'responder'] as const
const labelled = ({ team }: Side) => ({ team })
const reason = { reason: 'a test of access' }
const at = (url: (side: Side) => string) => (side: Side) => ({ url: url(side) })
const about = (path: string, body: unknown = {}) => ({ url: `${path}?dryRun=all`, body })
/** What belongs to the whole installation: no token with a scope gets in. */
const unscoped = { inside: 403 } as const
const input = Buffer.from('x').toString('base64')

const operates = (path: string): Row => ({
  who: ['consumer'],
  method: 'POST',
  call: ({ cryptoKey }) => ({ url: `/v1/keys/${cryptoKey}/${path}`, body: { input } }),
  ok: 200,
  outside: 404,
})
/** The rotation waits for an approval: what needs another phase is refused for that, after rights and scope. */
const steer = (path: string, ok: number, who: readonly Role[] = steers): Row => ({
  who,
  method: 'POST',
  call: ({ rotation }) => about(`/v1/rotations/${rotation}/${path}`, reason),
  ok,
  outside: 404,
})
export const consumerDocument = (side: Pick<Side, 'team' | 'consumer'>, owner: string) => ({
  apiVersion: 'rekey.dev/v1',
  kind: 'Consumer',
  metadata: { name: side.consumer, labels: { team: side.team } },
  spec: { owner },
})
export const playbookBody = ({ team }: Pick<Side, 'team'>, title: string) => ({
  title,
  owner: 'team',
  steps: [{ title: 'Look' }],
  reviewEvery: '180d',
  labels: { team },
})
const keyBody = (side: Side) => ({
  connection: side.connection,
  type: 'local.secret',
  purpose: 'tests',
  owner: 'team',
  environment: 'test',
  labels: labelled(side),
  consumers: [side.consumer],
})

const incidentBody = { title: 'A test', severity: 'low', mode: 'disable', ...reason }

/** With a body it is a write. */
const incident = (path: string, who: readonly Role[], ok: number, body?: unknown): Row => ({
  who,
  ...(body === undefined ? {} : { method: 'POST' as const }),
  call: ({ incident: { id } }) =>
    body === undefined
      ? { url: `/v1/incidents/${id}${path}` }
      : about(`/v1/incidents/${id}${path}`, body),
  ok,
  outside: 404,
})

export const rows: Readonly<Record<string, Row>> = {
  getLiveness: { who: 'everybody', call: at(() => '/livez'), ok: 200 },
  getReadiness: { who: 'everybody', call: at(() => '/readyz'), ok: 200 },
  getOpenapi: { who: 'everybody', call: at(() => '/openapi.json'), ok: 200 },
  getDocs: { who: 'everybody', call: at(() => '/docs'), ok: 200 },
  getSchema: { who: 'everybody', call: at(() => '/schemas/policy.v1.json'), ok: 200 },
  getJwks: { who: 'everybody', call: at(() => '/jwks/id-prod'), ok: 404 },
  getProblem: { who: 'everybody', call: at(() => '/problems/auth.denied'), ok: 200 },

  listLogins: { who: 'everybody', call: at(() => '/v1/login'), ok: 200 },
  beginLogin: { who: 'everybody', call: at(() => '/v1/login/nobody'), ok: 404 },
  finishLogin: { who: 'everybody', call: at(() => '/v1/login/nobody/callback'), ok: 404 },

  getMe: { who: 'any token', call: at(() => '/v1/me'), ok: 200 },
  listProviders: { who: 'any token', call: at(() => '/v1/providers'), ok: 200 },

  // It came by a token, which is no session.
  endSession: {
    who: 'any token',
    method: 'DELETE',
    call: () => about('/v1/session'),
    ok: 422,
  },
  listSessions: { who: [], call: at(() => '/v1/sessions'), ok: 200, ...unscoped },
  revokeSessions: {
    who: [],
    method: 'POST',
    call: () => about('/v1/sessions/revocations', { principal: 'https://id.example#1', ...reason }),
    ok: 200,
    ...unscoped,
  },

  listApiKeys: { who: [], call: at(() => '/v1/api-keys?limit=200'), ok: 200, list: true },
  createApiKey: {
    who: [],
    method: 'POST',
    call: (side) =>
      about('/v1/api-keys', {
        name: 'made',
        type: 'svc',
        roles: ['viewer'],
        scope: { matchLabels: labelled(side) },
      }),
    ok: 200,
    outside: 403,
  },
  approveApiKey: {
    who: [],
    method: 'POST',
    call: ({ apiKey }) => about(`/v1/api-keys/${apiKey}/approvals`),
    // It is none to break glass with.
    ok: 422,
    outside: 404,
  },
  deleteApiKey: {
    who: [],
    method: 'DELETE',
    call: ({ apiKey }) => about(`/v1/api-keys/${apiKey}`),
    ok: 200,
    outside: 404,
  },

  listConnections: { who: readers, call: at(() => '/v1/connections'), ok: 200, list: true },
  getConnection: {
    who: readers,
    call: at(({ connection }) => `/v1/connections/${connection}`),
    ok: 200,
    outside: 404,
  },
  putConnection: {
    who: [],
    method: 'PUT',
    call: (side) =>
      about(`/v1/connections/${side.connection}`, { provider: 'local', labels: labelled(side) }),
    ok: 200,
    outside: 404,
  },
  deleteConnection: {
    who: [],
    method: 'DELETE',
    call: ({ connection }) => about(`/v1/connections/${connection}`),
    // Keys use it.
    ok: 409,
    outside: 404,
  },
  checkConnection: {
    who: ['operator'],
    method: 'POST',
    call: ({ connection }) => about(`/v1/connections/${connection}/checks`),
    ok: 200,
    outside: 404,
  },
  listInventory: {
    who: ['operator', 'auditor'],
    call: at(({ connection }) => `/v1/connections/${connection}/inventory?type=local.secret`),
    ok: 200,
    outside: 404,
  },

  listKeys: { who: readers, call: at(() => '/v1/keys'), ok: 200, list: true },
  registerKey: {
    who: ['operator'],
    method: 'POST',
    call: (side) => about('/v1/keys', { ...keyBody(side), name: `new-${side.team}`, create: true }),
    ok: 200,
    outside: 403,
  },
  getKey: { who: readers, call: at(({ key }) => `/v1/keys/${key}`), ok: 200, outside: 404 },
  putKey: {
    who: ['operator'],
    method: 'PUT',
    call: (side) => about(`/v1/keys/${side.key}`, keyBody(side)),
    ok: 200,
    outside: 404,
  },
  deleteKey: {
    who: ['operator'],
    method: 'DELETE',
    call: ({ key }) => about(`/v1/keys/${key}`),
    // It has an open rotation.
    ok: 409,
    outside: 404,
  },
  listVersions: {
    who: readers,
    call: at(({ key }) => `/v1/keys/${key}/versions`),
    ok: 200,
    outside: 404,
  },
  getKeyUsage: {
    who: readers,
    call: at(({ key }) => `/v1/keys/${key}/usage`),
    ok: 200,
    outside: 404,
  },
  getBlastRadius: {
    who: readers,
    call: at(({ key }) => `/v1/keys/${key}/blast-radius`),
    ok: 200,
    outside: 404,
  },
  adoptVersion: {
    who: ['operator'],
    method: 'POST',
    call: ({ key }) => about(`/v1/keys/${key}/versions`, { providerVersion: 'none' }),
    ok: 422,
    outside: 404,
  },
  readValue: {
    who: ['consumer'],
    call: at(({ key }) => `/v1/keys/${key}/value`),
    ok: 200,
    outside: 404,
  },
  signWithKey: operates('signatures'),
  encryptWithKey: operates('encryptions'),
  // What it is given was never encrypted.
  decryptWithKey: { ...operates('decryptions'), ok: 422 },

  listPolicies: { who: readers, call: at(() => '/v1/policies'), ok: 200, list: true },
  createPolicy: {
    who: ['operator'],
    method: 'POST',
    call: (side) =>
      about('/v1/policies', {
        name: `new-${side.team}`,
        labels: labelled(side),
        selector: { matchLabels: { ...labelled(side), nothing: 'yet' } },
        manual: true,
      }),
    ok: 200,
    outside: 403,
  },
  getPolicy: {
    who: readers,
    call: at(({ policy }) => `/v1/policies/${policy}`),
    ok: 200,
    outside: 404,
  },
  putPolicy: {
    who: ['operator'],
    method: 'PUT',
    call: (side) =>
      about(`/v1/policies/${side.policy}`, {
        labels: labelled(side),
        selector: { matchLabels: labelled(side) },
        manual: true,
        approval: { required: 1 },
        description: 'in other words',
      }),
    ok: 200,
    outside: 404,
  },
  deletePolicy: {
    who: ['operator'],
    method: 'DELETE',
    call: ({ team }) => about(`/v1/policies/idle-${team}`),
    ok: 200,
    outside: 404,
  },
  listPolicyRevisions: {
    who: readers,
    call: at(({ policy }) => `/v1/policies/${policy}/revisions`),
    ok: 200,
    outside: 404,
  },

  makePlan: {
    who: ['operator'],
    method: 'POST',
    call: (side) => about('/v1/plans', { documents: [consumerDocument(side, 'others')] }),
    ok: 200,
    outside: 404,
  },
  listPlans: { who: readers, call: at(() => '/v1/plans'), ok: 200, list: true },
  getPlan: { who: readers, call: at(({ plan }) => `/v1/plans/${plan.id}`), ok: 200, outside: 404 },
  applyPlan: {
    who: ['operator'],
    method: 'POST',
    call: ({ plan: { id, hash } }) => about(`/v1/plans/${id}/apply`, { hash }),
    ok: 200,
    outside: 404,
  },
  approvePlan: {
    who: ['approver', 'responder', 'operator'],
    method: 'POST',
    call: ({ plan: { id, hash } }) => about(`/v1/plans/${id}/approvals`, { hash }),
    ok: 200,
    outside: 404,
  },

  listConsumers: { who: readers, call: at(() => '/v1/consumers'), ok: 200, list: true },
  getConsumer: {
    who: readers,
    call: at(({ consumer }) => `/v1/consumers/${consumer}`),
    ok: 200,
    outside: 404,
  },
  putConsumer: {
    who: ['operator'],
    method: 'PUT',
    call: (side) =>
      about(`/v1/consumers/${side.consumer}`, { owner: 'other', labels: labelled(side) }),
    ok: 200,
    outside: 404,
  },
  deleteConsumer: {
    who: ['operator'],
    method: 'DELETE',
    call: ({ consumer }) => about(`/v1/consumers/${consumer}`),
    ok: 200,
    outside: 404,
  },

  listPlaybooks: { who: readers, call: at(() => '/v1/playbooks'), ok: 200, list: true },
  getPlaybook: {
    who: readers,
    call: at(({ playbook }) => `/v1/playbooks/${playbook}`),
    ok: 200,
    outside: 404,
  },
  putPlaybook: {
    who: ['operator', 'responder'],
    method: 'PUT',
    call: (side) => about(`/v1/playbooks/${side.playbook}`, playbookBody(side, 'another title')),
    ok: 200,
    outside: 404,
  },
  deletePlaybook: {
    who: ['operator', 'responder'],
    method: 'DELETE',
    call: ({ playbook }) => about(`/v1/playbooks/${playbook}`),
    ok: 200,
    outside: 404,
  },
  reviewPlaybook: {
    who: ['operator', 'approver', 'responder'],
    method: 'POST',
    call: ({ playbook }) =>
      about(`/v1/playbooks/${playbook}/reviews`, { revision: 1, text: 'read' }),
    ok: 200,
    outside: 404,
  },

  listSinks: { who: [], call: at(() => '/v1/sinks'), ok: 200, ...unscoped },
  getSink: { who: [], call: at(({ sink }) => `/v1/sinks/${sink}`), ok: 200, ...unscoped },
  putSink: {
    who: [],
    method: 'PUT',
    call: ({ sink }) =>
      about(`/v1/sinks/${sink}`, { type: 'webhook', url: 'https://sink.example.com/x' }),
    ok: 200,
    ...unscoped,
  },
  deleteSink: {
    who: [],
    method: 'DELETE',
    call: ({ sink }) => about(`/v1/sinks/${sink}`),
    ok: 200,
    ...unscoped,
  },
  testSink: {
    who: [],
    method: 'POST',
    call: ({ sink }) => about(`/v1/sinks/${sink}/tests`),
    ok: 200,
    ...unscoped,
  },
  listDeadLetters: {
    who: [],
    call: at(({ sink }) => `/v1/sinks/${sink}/deadLetters`),
    ok: 200,
    ...unscoped,
  },
  replayDeadLetters: {
    who: [],
    method: 'POST',
    call: ({ sink }) => about(`/v1/sinks/${sink}/deadLetters`, {}),
    ok: 200,
    ...unscoped,
  },

  getFreeze: { who: readers, call: at(() => '/v1/freeze'), ok: 200 },
  putFreeze: {
    who: ['operator', 'responder'],
    method: 'PUT',
    call: (side) =>
      about('/v1/freeze', {
        until: '2099-01-01T00:00:00Z',
        ...reason,
        selector: { matchLabels: labelled(side) },
      }),
    ok: 200,
    outside: 403,
  },
  deleteFreeze: {
    who: ['operator', 'responder'],
    method: 'DELETE',
    call: () => about('/v1/freeze'),
    ok: 200,
  },

  getFloors: { who: readers, call: at(() => '/v1/floors'), ok: 200, list: true },
  putFloors: {
    who: [],
    method: 'PUT',
    call: () => about('/v1/floors', { items: [] }),
    ok: 200,
    ...unscoped,
  },

  getIssuers: { who: [], call: at(() => '/v1/issuers'), ok: 200, ...unscoped },
  putIssuers: {
    who: [],
    method: 'PUT',
    call: () => about('/v1/issuers', { items: [] }),
    ok: 200,
    ...unscoped,
  },

  listSchedule: { who: readers, call: at(() => '/v1/schedule'), ok: 200, list: true },

  getCompliance: {
    who: readers,
    call: at(() => '/v1/compliance?by=label:team'),
    ok: 200,
    list: true,
  },
  listComplianceKeys: { who: readers, call: at(() => '/v1/compliance/keys'), ok: 200, list: true },

  checkKeys: { who: ['auditor'], call: at(() => '/v1/checks/keys'), ok: 200, list: true },
  listChecks: { who: readers, call: at(() => '/v1/checks'), ok: 200 },

  getRecovery: { who: readers, call: at(() => '/v1/recovery'), ok: 200 },
  listRecoveryKeys: { who: readers, call: at(() => '/v1/recovery/keys'), ok: 200, list: true },
  acceptRecovery: {
    who: [],
    method: 'POST',
    call: () => about('/v1/recovery/acceptance', reason),
    // Nothing was restored.
    ok: 409,
    // It is about all keys.
    inside: 403,
    outside: 403,
  },

  listRotations: { who: readers, call: at(() => '/v1/rotations'), ok: 200, list: true },
  startRotation: {
    who: ['operator'],
    method: 'POST',
    // One is open.
    call: ({ key }) => about('/v1/rotations', { key, ...reason }),
    ok: 409,
    outside: 404,
  },
  getRotation: {
    who: readers,
    call: at(({ rotation }) => `/v1/rotations/${rotation}`),
    ok: 200,
    outside: 404,
  },
  // The door lets three roles in, since a policy may name them; the policy here asks for an approver.
  approveRotation: {
    who: ['approver'],
    method: 'POST',
    call: ({ rotation, planHash }) => about(`/v1/rotations/${rotation}/approvals`, { planHash }),
    ok: 200,
    outside: 404,
  },
  acknowledgeRotation: {
    who: ['consumer', 'operator'],
    method: 'POST',
    call: ({ rotation, consumer }) =>
      about(`/v1/rotations/${rotation}/acknowledgements`, { consumer, version: 2 }),
    // No version was made that could be acknowledged.
    ok: 422,
    // A bound token is told at once that it speaks for its own consumer only.
    outside: (role) => (role === 'consumer' ? 403 : 404),
  },
  // Nothing of it is done by hand.
  confirmStep: {
    who: ['operator', 'responder'],
    method: 'POST',
    call: ({ rotation }) =>
      about(`/v1/rotations/${rotation}/confirmations`, { operationId: 'none', outcome: 'done' }),
    ok: 409,
    outside: 404,
  },
  cancelRotation: steer('cancel', 200),
  rollBackRotation: steer('rollback', 409),
  resumeRotation: steer('resume', 409),
  abandonRotation: steer('abandon', 409),
  overrideRotation: steer('overrides', 409, ['operator', 'approver']),
  followRotation: {
    who: readers,
    call: at(({ ended }) => `/v1/rotations/${ended}/events`),
    ok: 200,
    outside: 404,
  },

  listIncidents: { who: readers, call: at(() => '/v1/incidents'), ok: 200, list: true },
  openIncident: {
    who: ['responder'],
    method: 'POST',
    call: ({ key }) => about('/v1/incidents', { ...incidentBody, selector: { keys: [key] } }),
    ok: 200,
    // A key that is not seen does not exist.
    outside: 422,
  },
  getIncident: incident('', readers, 200),
  changeIncident: {
    ...incident('', ['responder'], 200, { severity: 'low' }),
    method: 'PATCH',
  },
  previewIncident: incident('/preview', ['responder'], 200, {}),
  getIncidentPreview: incident('/preview', readers, 200),
  approveIncident: {
    who: ['approver', 'responder'],
    method: 'POST',
    call: ({ incident: { id, hash } }) =>
      about(`/v1/incidents/${id}/approvals`, { previewHash: hash }),
    ok: 200,
    outside: 404,
  },
  executeIncident: {
    who: ['responder'],
    method: 'POST',
    call: ({ incident: { id, hash } }) =>
      about(`/v1/incidents/${id}/executions`, { previewHash: hash, confirm: id }),
    // Nobody has approved it.
    ok: 409,
    outside: 404,
  },
  // Nothing was executed.
  restoreIncident: incident('/restorations', ['responder'], 409, reason),
  noteIncident: incident('/notes', ['approver', 'responder'], 200, { kind: 'fact', text: 'x' }),
  // Nothing was executed.
  confirmContainment: incident('/confirmations', ['responder'], 409, {
    key: 'k',
    version: 1,
    outcome: 'done',
    evidence: 'x',
  }),
  // It has no playbook.
  tickIncidentStep: incident('/steps', ['approver', 'responder'], 409, {
    step: 1,
    outcome: 'done',
  }),
  listIncidentKeys: incident('/keys', readers, 200),
  getIncidentTimeline: incident('/timeline', readers, 200),
  getIncidentReport: incident('/report', readers, 200),
  closeIncident: incident('/closures', ['approver', 'responder'], 200, reason),
  // It was not executed by breaking glass.
  reviewIncident: incident('/reviews', ['approver', 'responder'], 409, { text: 'x' }),
  followIncident: {
    who: readers,
    call: ({ closedIncident }) => ({ url: `/v1/incidents/${closedIncident}/events` }),
    ok: 200,
    outside: 404,
  },

  listAuditEvents: {
    who: ['auditor'],
    call: at(({ key }) => `/v1/audit/events?key=${key}`),
    ok: 200,
    outside: 404,
  },
}
