// One session for each connection and revision. Opening resolves the credential and checks where the settings would dial;
// a session is opened anew when the connection, or what its credential comes from, has changed.

import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import { declaredPace } from '#domain/pace.ts'
import type { Clock, Ids, Ledger, LoginBook, Paces, Sessions } from '#domain/ports.ts'
import type { Material, Provider, Session, VaultStore } from '#domain/provider.ts'
import { inTurn } from './login-turns.ts'
import { makeNativeProcess } from './native-process.ts'
import { boundedSession } from './bounded-session.ts'
import { atItsLimit, type Line, makeLine } from './line.ts'
import { pacedFetch, pacedSession } from './paced.ts'
import type { Credentials } from './credentials.ts'
import type { Egress } from './egress.ts'
import { knownNames, type KnownNamesDeps } from './known-names.ts'
import { makeSafeFetch, type SafeFetch } from './safe-fetch.ts'
import { CheckedSocket } from './checked-socket.ts'

export interface SessionsDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly providers: { get(id: string): Provider | undefined }
  readonly credentials: Credentials
  readonly egress: Egress
  readonly host: {
    readonly clock: Clock
    readonly ids: Ids
    readonly vault: VaultStore
    readonly paces: Paces
    readonly keyring: KnownNamesDeps['keyring']
    readonly publishDir?: string | null
    readonly logins: (connection: Pick<Connection, 'name' | 'revision'>) => LoginBook
    /** Libraries of others that may be loaded, and what they get of the environment. */
    readonly native: {
      readonly modules: readonly string[]
      readonly env: () => Readonly<Record<string, string>>
    }
  }
}

interface Kept {
  /** Connection revision and stamp of the credential. */
  readonly stamp: string
  readonly session: Session
  readonly http: SafeFetch
  readonly line: Line
}

/** Calls under way on a session that was replaced get this long to end. */
const graceMs = 60_000
const readMs = 10_000

export const makeSessions = (deps: SessionsDeps): Sessions => {
  const kept = new Map<string, Kept>()
  const opening = new Map<string, Promise<Session>>()
  const retiring = new Map<Kept, NodeJS.Timeout>()

  const shut = async (entry: Kept): Promise<void> => {
    const timer = retiring.get(entry)
    if (timer) clearTimeout(timer)
    retiring.delete(entry)
    await entry.session.close().catch(() => undefined)
    await entry.http.close().catch(() => undefined)
  }
  const retire = (entry: Kept): void => {
    const timer = setTimeout(() => void shut(entry), graceMs)
    timer.unref()
    retiring.set(entry, timer)
  }

  const openNow = async (connection: Connection): Promise<Session> => {
    const provider = deps.providers.get(connection.provider)
    if (!provider) {
      throw new RekeyError('connection.unusable', {
        detail: `There is no provider "${connection.provider}".`,
      })
    }
    const insecure = connection.settings['insecure'] === true
    const endpoints = provider.endpoints(connection.settings)
    const { credential, stamp } = await deps.ledger.read((db) =>
      deps.credentials.resolve(
        { name: connection.name, credential: connection.credential, endpoints },
        db,
        primaryOf,
      ),
    )
    const now = `${connection.revision}@${connection.createdAt.getTime()}:${stamp}`
    const old = kept.get(connection.name)
    if (old?.stamp === now) return old.session
    for (const endpoint of endpoints) deps.egress.checkUrl(endpoint, 'provider', { insecure })
    await Promise.all(
      endpoints.map((endpoint) => deps.egress.resolve(new URL(endpoint), 'provider', { insecure })),
    ).catch(unreachable)
    const http = makeSafeFetch({ egress: deps.egress, kind: 'provider', insecure })
    const line = makeLine(
      { ...deps.host, stopwatch: () => performance.now() },
      connection.name,
      declaredPace(provider, connection.settings),
    )
    const names = knownNames({ keyring: deps.host.keyring, ledger: deps.ledger })
    const adapter = provider.connect({
      connection: connection.name,
      settings: connection.settings,
      externalId: connection.externalId,
      credential,
      fromHost: connection.credential.from === 'default',
      ports: {
        now: () => deps.host.clock.now(),
        random: (bytes) => deps.host.ids.random(bytes),
        fetch: pacedFetch(http.fetch, line, deps.host.clock),
        socket: (scheme) => new CheckedSocket({ egress: deps.egress, scheme, insecure }),
        nameOf: names.nameOf,
        publishDir: deps.host.publishDir ?? null,
        vault: deps.host.vault,
        logins: inTurn(deps.host.logins(connection), deps.host.clock),
        nativeModules: deps.host.native.modules,
        nativeProcess: (main) =>
          makeNativeProcess(main, {
            now: () => deps.host.clock.now(),
            env: deps.host.native.env,
          }),
        confirmations: (keyId) => deps.ledger.read((db) => db.confirmations.ofKey(keyId)),
      },
    })
    // Where requests are not HTTP, an operation counts as one.
    const speaksHttp = endpoints.some((endpoint) => /^https?:/.test(endpoint))
    const named = names.around(adapter)
    const session = boundedSession(speaksHttp ? named : pacedSession(named, line))
    kept.set(connection.name, { stamp: now, session, http, line })
    if (old) retire(old)
    return session
  }

  /** Two callers at once share one opening, so that none of two sessions is lost. */
  const open = (connection: Connection): Promise<Session> => {
    const id = `${connection.name}@${connection.revision}`
    const running = opening.get(id)
    if (running) return running
    const promise = openNow(connection).finally(() => opening.delete(id))
    opening.set(id, promise)
    return promise
  }

  /** The primary version of a key that is another connection's credential. */
  const primaryOf = async (key: Key): Promise<{ material: Material; stamp: string }> => {
    const { version, connection, sealed } = await deps.ledger.read(async (db) => {
      const primary = await db.versions.primary(key.id)
      return {
        version: primary,
        connection: await db.connections.get(key.connection),
        sealed: primary?.sealedId ? await db.sealed.open(primary.sealedId) : null,
      }
    })
    const providerVersion = version?.providerVersions.at(-1)
    if (!version || !connection || providerVersion === undefined) {
      throw new RekeyError('connection.unusable', {
        detail: `The key "${key.name}" has no version to use.`,
      })
    }
    const stamp = `${key.id}:${version.version}:${providerVersion}`
    const type = deps.providers
      .get(connection.provider)
      ?.types.find((declared) => declared.type === key.type)
    const { settings } = connection
    const told = (material: Material) => ({
      material: type?.handedOut?.({ settings, providerVersion }, material) ?? material,
      stamp,
    })
    if (sealed) return told(sealed)
    const session = await open(connection)
    const object = { type: key.type, ref: key.ref, keyId: key.id, keyName: key.name }
    const call = { signal: deps.host.clock.deadline(readMs) }
    return told(await session.readMaterial(object, providerVersion, call))
  }

  const forget = async (name: string): Promise<void> => {
    const entry = kept.get(name)
    kept.delete(name)
    if (entry) retire(entry)
  }

  const enter: Sessions['enter'] = async (connection) => {
    const full = await kept.get(connection.name)?.line.enter()
    return full ? { afterMs: full.afterMs, why: atItsLimit(connection.name, full.rate) } : null
  }

  return {
    open,
    enter,
    forget,
    async close() {
      const all = [...kept.values(), ...retiring.keys()]
      kept.clear()
      await Promise.all(all.map(shut))
    },
  }
}

/** A name that does not resolve is an outage, not a fault of the connection. */
const unreachable = (cause: unknown): never => {
  if (cause instanceof RekeyError) throw cause
  throw new RekeyError('provider.unavailable', {
    detail: 'The host of the connection cannot be resolved.',
  })
}
