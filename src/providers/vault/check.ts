import {
  ProviderError,
  type Call,
  type Check,
  type ObjectAddress,
  type ProviderPorts,
} from '#domain/provider.ts'
import { clockCheck } from '../clock-check.ts'
import { failedCheck } from '../failed-check.ts'
import type { Client, Reply } from './client.ts'
import { checkRights, sessionRights, type Right } from './rights.ts'
import { checkSecretId } from './check-secret-id.ts'
import type { Ask } from './session.ts'
import { healthRequest, type ProveNamespace } from './namespaces.ts'
import type { Tokens } from './tokens.ts'
import { fieldsOf, numberOf, textOf, textsOf } from '../untyped-json.ts'

interface At {
  readonly client: Client
  readonly ask: Ask
  readonly ports: ProviderPorts
  readonly tokens: Pick<Tokens, 'secretId'>
  readonly proveNamespace: ProveNamespace
  readonly rightsOf: (object: ObjectAddress, call: Call) => Promise<readonly Right[]>
  readonly objects: readonly ObjectAddress[]
}

/** Reads only. Stops at the first row that makes the others impossible. */
export const check = async (at: At, call: Call): Promise<readonly Check[]> => {
  const server = await checkServer(at, call)
  if (server.some((row) => row.outcome === 'missing' && row.name !== 'clock')) return server
  try {
    await at.proveNamespace(call)
  } catch (error) {
    return [...server, failedCheck('namespace', error)]
  }
  const token = await checkToken(at, call)
  if (token.some((row) => row.name === 'login' && row.outcome === 'missing'))
    return [...server, ...token]
  const rights: Right[] = [...sessionRights]
  const unknown: Check[] = []
  for (const object of at.objects) {
    try {
      rights.push(...(await at.rightsOf(object, call)))
    } catch (error) {
      unknown.push(failedCheck('object', error))
    }
  }
  return [...server, ...token, ...(await checkRights(at.ask, rights, call)), ...unknown]
}

const checkServer = async ({ client, ports }: At, call: Call): Promise<readonly Check[]> => {
  let health: Reply
  try {
    health = await client.send(healthRequest, null, call)
  } catch (error) {
    return [failedCheck('reachable', error)]
  }
  const { body } = health
  const rows: Check[] = [
    { name: 'reachable', outcome: 'ok', detail: `version ${textOf(body['version']) || 'unknown'}` },
  ]
  if (body['initialized'] === false)
    rows.push({
      name: 'unsealed',
      outcome: 'missing',
      detail: 'Vault is not initialised',
      hint: '`vault operator init`',
    })
  else if (body['sealed'] === true)
    rows.push({
      name: 'unsealed',
      outcome: 'missing',
      detail: 'Vault is sealed',
      hint: '`vault operator unseal`',
    })
  else rows.push({ name: 'unsealed', outcome: 'ok', detail: 'Vault is unsealed' })
  const there = numberOf(body['server_time_utc']) * 1000
  const clock = { system: 'Vault', hint: 'synchronise both clocks' }
  rows.push(...clockCheck(clock, there > 0 ? new Date(there) : null, ports.now()))
  return rows
}

const dayInSeconds = 86_400

const checkToken = async ({ ask, ports, tokens }: At, call: Call): Promise<readonly Check[]> => {
  let looked: Reply
  try {
    looked = await ask({ verb: 'read', path: 'auth/token/lookup-self' }, call)
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'forbidden')
      return [{ ...failedCheck('token', error), outcome: 'unknown' }]
    return [failedCheck('login', error)]
  }
  const ttl = numberOf(looked.data['ttl'])
  const uses = numberOf(looked.data['num_uses'])
  const renewable = looked.data['renewable'] === true
  const policies = [
    ...textsOf(looked.data['policies']),
    ...textsOf(looked.data['identity_policies']),
  ]
  const rows: Check[] = [
    { name: 'login', outcome: 'ok', detail: `policies: ${policies.join(', ') || 'none'}` },
  ]
  const login = textOf(looked.data['path']).endsWith('/login')
  if (ttl === 0) rows.push({ name: 'token.ttl', outcome: 'ok', detail: 'the token does not end' })
  else if (!renewable && !login && ttl < dayInSeconds)
    rows.push({
      name: 'token.ttl',
      outcome: 'missing',
      detail: `the token ends in ${ttl} s and cannot be renewed`,
      hint: 'use appRole, or a periodic token',
    })
  else
    rows.push({
      name: 'token.ttl',
      outcome: 'ok',
      detail: `${ttl} s left${renewable ? ', renewable' : ''}`,
    })
  if (!login && uses > 0)
    rows.push({
      name: 'token.uses',
      outcome: 'missing',
      detail: `the token may be used ${uses} more times, and Rekey uses it for ever`,
      hint: 'make one without a number of uses, or use appRole',
    })
  const role = textOf(fieldsOf(looked.data['meta'])['role_name'])
  return [...rows, ...(await checkSecretId({ ask, ports, tokens, role }, call))]
}
