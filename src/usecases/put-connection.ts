// Connections are the admin's (9-security.md 1): whoever may write one could send its credential anywhere. Therefore the
// stored credential belongs to the settings that it was sent with: settings that differ drop it, and the write is refused
// until it is sent again. What comes from the environment, files or keys is bound by rules of its own (`CredentialRules`).

import { type Actor, inScope } from '#domain/actor.ts'
import type { Connection, CredentialRef, ManagedBy } from '#domain/connection.ts'
import type { ConnectionBody } from '#domain/connection-schema.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Committed, Ledger, LedgerEvent, Reads, Sessions, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import type { Provider } from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { checkShape } from './check-shape.ts'
import { mustSee, mustStayInScope } from './rights.ts'
import { asJson, mustHold, sameJson, type Written } from './written.ts'

/** The rules of credentials that need the host: see runtime/credentials.ts. */
export interface CredentialRules {
  check(
    use: Pick<Connection, 'name' | 'credential'> & { readonly endpoints: readonly string[] },
    db: Reads,
  ): Promise<void>
}

/** Where Rekey may connect to: see runtime/egress.ts. */
export interface EgressRules {
  checkUrl(url: string, kind: 'provider' | 'webhook', options: { readonly insecure: boolean }): void
}

export interface PutConnectionDeps {
  readonly ledger: Ledger
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: Pick<Sessions, 'forget'>
  readonly credentials: CredentialRules
  readonly egress: EgressRules
}

export interface PutConnection {
  readonly name: string
  readonly body: ConnectionBody
  readonly precondition: Precondition
  /** The owner set of a file apply; where not said, it stays. */
  readonly managedBy?: ManagedBy
}

export const putConnection =
  (deps: PutConnectionDeps) =>
  async (actor: Actor, put: PutConnection): Promise<Committed<Written<Connection>>> => {
    const write = connectionWrite(deps, actor, put)
    const done = await deps.ledger.commit(actor, async (tx) => {
      const written = await write(tx)
      return { value: written, audit: [connectionPut(written)] }
    })
    if (done.value.changed) await deps.sessions.forget(put.name)
    return done
  }

/** Checks what can be checked without the database, and returns the rest as work. Whoever runs it tells the audit log, and
 *  after the commit lets the sessions of a changed connection go. */
export const connectionWrite = (
  deps: Pick<PutConnectionDeps, 'providers' | 'credentials' | 'egress'>,
  actor: Actor,
  { name, body, precondition, managedBy }: PutConnection,
): ((tx: Tx) => Promise<Written<Connection> & { readonly before: Connection | null }>) => {
  const provider = deps.providers.get(body.provider)
  if (!provider) throw noProvider(body.provider, [...deps.providers.keys()])
  checkShape(provider.settingsSchema, body.settings ?? {}, '/settings')
  // Checked above: what a provider's own schema accepts is JSON.
  const settings = (body.settings ?? {}) as JsonObject
  const endpoints = provider.endpoints(settings)
  for (const endpoint of endpoints) {
    deps.egress.checkUrl(endpoint, 'provider', { insecure: settings['insecure'] === true })
  }
  return async (tx) => {
    await tx.lock(`connection:${name}`)
    const before = await tx.connections.get(name)
    if (before) mustSee(actor, { ...before, connection: name }, 'connection', name)
    checkPrecondition(precondition, before?.revision ?? null)
    const credential = await credentialOf(tx, provider, { name, body, settings, before })
    const now = await tx.now()
    const wanted = {
      name,
      provider: provider.id,
      settings,
      credential,
      grants: body.grants ?? [],
      labels: body.labels ?? {},
      managedBy: managedBy === undefined ? (before?.managedBy ?? null) : managedBy,
      revision: (before?.revision ?? 0) + 1,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    }
    mustStayInScope(actor, { labels: wanted.labels, connection: name })
    await deps.credentials.check({ name, credential, endpoints }, tx)
    if (!before) {
      await mustOwnCredential(tx, actor, credential)
      const resource = await tx.writeConnection.insert(wanted)
      return { before, resource, created: true, changed: true }
    }
    if (sameJson(fieldsOf(before), fieldsOf(wanted)))
      return { before, resource: before, created: false, changed: false }
    if (!sameJson(dialled(before), dialled(wanted))) await mustOwnCredential(tx, actor, credential)
    if (before.provider !== wanted.provider || !sameJson(before.settings, wanted.settings))
      await mustNotBeInIncident(tx, name)
    const resource = { ...wanted, externalId: before.externalId }
    mustHold(await tx.writeConnection.update(resource, before.revision))
    if (before.credential.from === 'value' && !sameJson(before.credential, credential)) {
      await tx.writeSealed.erase(before.credential.sealedId)
    }
    return { before, resource, created: false, changed: true }
  }
}

export const connectionPut = ({
  before,
  resource,
}: {
  readonly before: Connection | null
  readonly resource: Connection
}): LedgerEvent => ({
  action: 'connection.put',
  target: { id: resource.name, name: resource.name },
  outcome: 'succeeded',
  before: before && asJson(told(before)),
  after: asJson(told(resource)),
})

/** What an incident is about to switch off, and proves to be off, must be where it was when it was shown. */
const mustNotBeInIncident = async (tx: Tx, name: string): Promise<void> => {
  const incident = await tx.incidents.executingAt(name)
  if (incident === null) return
  throw new RekeyError('connection.inUse', {
    detail: `The incident ${incident} is executing on keys of the connection: it is not pointed elsewhere meanwhile.`,
    hint: 'Wait until it is at rest. A new credential may be given at any time.',
    extra: { incident },
  })
}

const noProvider = (id: string, known: readonly string[]): RekeyError =>
  new RekeyError('request.invalid', {
    detail: `There is no provider "${id}".`,
    hint: `Providers: ${known.join(', ')}.`,
    errors: [{ pointer: '/provider', detail: 'unknown provider' }],
  })

interface CredentialInput {
  readonly name: string
  readonly body: ConnectionBody
  readonly settings: JsonObject
  readonly before: Connection | null
}

const credentialOf = async (
  tx: Tx,
  provider: Provider,
  { name, body, settings, before }: CredentialInput,
): Promise<CredentialRef> => {
  const sent = body.credential ?? { from: 'none' }
  if (sent.from !== 'value') return sent
  const kept = before?.credential.from === 'value' ? before.credential : null
  if (sent.value === undefined) {
    // A kept credential must not follow the connection to another address or another way of logging in.
    if (kept && before?.provider === provider.id && sameJson(before.settings, settings)) return kept
    throw new RekeyError('request.impossible', {
      detail: kept
        ? 'The settings changed, so the stored credential is not used any more.'
        : 'There is no stored credential to keep.',
      hint: 'Send the credential again: {"from": "value", "value": …}.',
      errors: [{ pointer: '/credential/value', detail: 'must be sent again' }],
    })
  }
  if (!provider.credentialSchema) {
    throw new RekeyError('request.invalid', {
      detail: `The provider "${provider.id}" takes no credential.`,
      errors: [{ pointer: '/credential', detail: 'not taken by this provider' }],
    })
  }
  checkShape(provider.credentialSchema, sent.value, '/credential/value')
  const material = new Secret(
    typeof sent.value === 'string' ? sent.value : JSON.stringify(sent.value),
  )
  if (kept) {
    const stored = await tx.sealed.open(kept.sealedId)
    if (stored && sameCredential(revealText(stored), material.reveal())) return kept
  }
  return { from: 'value', sealedId: await tx.writeSealed.insert(material, `connection:${name}`) }
}

const sameCredential = (a: string, b: string): boolean => {
  if (a === b) return true
  try {
    return sameJson(JSON.parse(a), JSON.parse(b))
  } catch {
    return false
  }
}

/** Where a credential goes. */
const dialled = ({ provider, settings, credential }: Omit<Connection, 'externalId'>) => ({
  provider,
  settings,
  credential,
})

/** An admin with a scope must not send what is outside of it anywhere: not the credentials of the host, which know no
 *  labels, nor a key that lies elsewhere. What it says of such a key is what everybody hears who may not use one. */
const mustOwnCredential = async (
  tx: Tx,
  actor: Actor,
  credential: CredentialRef,
): Promise<void> => {
  if (!actor.scope) return
  if (credential.from === 'key') {
    const key = await tx.keys.byName(credential.key)
    if (key && inScope(actor, key)) return
    throw new RekeyError('connection.unusable', {
      detail: `The connection may not use the key "${credential.key}".`,
      errors: [{ pointer: '/credential/key', detail: 'may not be used' }],
    })
  }
  if (credential.from === 'none' || credential.from === 'value') return
  throw new RekeyError('auth.denied', {
    detail: 'The credentials of the host are for admins without a scope.',
    errors: [{ pointer: '/credential/from', detail: 'needs an admin without a scope' }],
  })
}

const fieldsOf = ({
  provider,
  settings,
  credential,
  grants,
  labels,
  managedBy,
}: Omit<Connection, 'externalId'>) => ({
  provider,
  settings,
  credential,
  grants,
  labels,
  managedBy,
})

/** A stored credential is shown as `{from: "value"}`: not even its id leaves. */
export const shownCredential = (credential: CredentialRef): Readonly<Record<string, string>> =>
  credential.from === 'value' ? { from: 'value' } : { ...credential }

const told = (connection: Connection) => ({
  provider: connection.provider,
  settings: connection.settings,
  credential: shownCredential(connection.credential),
  grants: connection.grants,
  labels: connection.labels,
  managedBy: connection.managedBy,
  revision: connection.revision,
})
