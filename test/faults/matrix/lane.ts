// Where the cells of the matrix are run: an engine on a database of its own, the shelf and the real Vault behind it, and
// between them a count of what got through. A cell is one rotation; the cells of a lane come one after the other, since they
// share its clock.

import { Secret } from '#domain/secret.ts'
import type { Call, Provider, Session } from '#domain/provider.ts'
import { jwks } from '#providers/jwks/provider.ts'
import { vault } from '#providers/vault/provider.ts'
import { maxRequestDuration, type VaultPeer } from '#test/peers/vault.ts'
import { openEngine } from '#test/support/engine.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { startWebhookReceiver } from '#test/support/webhook-receiver.ts'
import type { Peers, Row } from './rows.ts'

export interface Lane extends Peers {
  /** How often each effect of the rotation was applied at a peer: `discard` is the removal of what was found of a mint. */
  readonly applied: (rotationId: string) => Promise<Readonly<Record<string, number>>>
  /** Writes that came to a peer without an open intent of their own. */
  readonly unannounced: readonly string[]
  /** The label that puts a key under the row's policy; what the row's targets hold is as in the beginning. */
  readonly prepare: (row: Row) => Promise<Readonly<Record<string, string>>>
  readonly close: () => Promise<void>
}

export const openLane = async (server: VaultPeer | null): Promise<Lane> => {
  const shelf = makeShelf()
  const sent: { readonly operationId: string; readonly method: string }[] = []
  const unannounced: string[] = []
  const counted = async <T>(method: string, call: Call, real: () => Promise<T>): Promise<T> => {
    const operationId = call.operationId ?? ''
    const intent = await engine.ledger.read((db) => db.intents.get(operationId))
    if (!intent || intent.closed) unannounced.push(`${method} ${operationId}`)
    const answer = await real()
    sent.push({ operationId, method })
    return answer
  }
  const adapter = (session: Session): Session => ({
    ...session,
    create: (order, call) => counted('create', call, () => session.create(order, call)),
    mint: (order, call) => counted('mint', call, () => session.mint(order, call)),
    promote: (order, call) => counted('promote', call, () => session.promote(order, call)),
    suspend: (at, id, call) => counted('suspend', call, () => session.suspend(at, id, call)),
    reinstate: (at, id, call) => counted('reinstate', call, () => session.reinstate(at, id, call)),
    retire: (at, id, how, call) => counted('retire', call, () => session.retire(at, id, how, call)),
  })
  const receiver = await startWebhookReceiver()
  const engine = await openEngine({
    adapter,
    providers: [shelf.provider, tokens, ...(server ? [vaultAt(server)] : [])],
  })
  await engine.consumer('app', { uses: 'it' }, { webhook: receiver.url, secret: receiver.secret })
  const known = new Set<string>()

  return {
    engine,
    shelf,
    vault: server,
    unannounced,
    applied: async (rotationId) => {
      const intents = await engine.intents(rotationId)
      const found: Record<string, number> = {}
      const count = (effect: string) => (found[effect] = (found[effect] ?? 0) + 1)
      for (const { operationId, method } of sent) {
        const intent = intents.find((one) => one.operationId === operationId)
        if (intent)
          count(intent.effect === 'mint' && method === 'retire' ? 'discard' : intent.effect)
      }
      for (const { body } of receiver.received) if (body.includes(rotationId)) count('notify')
      return found
    },
    prepare: async (row) => {
      const set = row.name.replace(/[^a-z0-9]+/g, '-')
      if (!known.has(set)) await engine.policy(set, policyOf(row, set))
      known.add(set)
      for (const { name, held } of row.targets) {
        shelf.clear(`${set}-${name}`)
        if (held) shelf.put(`${set}-${name}`, 'before')
      }
      return { set }
    },
    close: async () => {
      await engine.close()
      await receiver.close()
    },
  }
}

const policyOf = (
  row: Row,
  set: string,
): Parameters<Awaited<ReturnType<typeof openEngine>>['policy']>[1] => ({
  selector: { matchLabels: { set } },
  retire: row.retire,
  soak: '20s',
  acceptGap: true,
  retry: { initial: '1s', max: '2s' },
  concurrency: { max: 100 },
  ...(row.approval ? { approval: { required: 1 } } : {}),
  ...(row.consumer
    ? {
        consumers: {
          matchLabels: { uses: 'it' },
          acknowledgement: { required: 'all' as const, timeout: '24h' },
        },
      }
    : {}),
  ...(row.targets.length > 0
    ? {
        publish: row.targets.map(({ name }) => ({
          name,
          connection: 'shelf',
          type: 'shelf.value',
          ref: { path: `${set}-${name}` },
        })),
      }
    : {}),
})

/** For an engine that knows no settings. */
const tokens: Provider = {
  ...jwks,
  id: 'tokens',
  connect: (at) =>
    jwks.connect({
      ...at,
      settings: { issuer: 'https://id.example.com', cacheMaxAge: '2m', tokenLifetime: '5m' },
    }),
}

/** The real Vault, for an engine that knows neither settings nor credentials. */
const vaultAt = ({ address, token }: VaultPeer): Provider => {
  const settings = { address, maxRequestDuration, auth: { method: 'token' } }
  return {
    ...vault,
    id: 'peer',
    types: vault.types.map((type) => ({
      ...type,
      objectId: (at) => type.objectId({ ...at, settings }),
      lateEffectIn: () => type.lateEffectIn?.(settings) ?? 0,
    })),
    connect: (at) => vault.connect({ ...at, settings, credential: new Secret(token) }),
  }
}
