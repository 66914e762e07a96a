// Puts the events of one transaction into the log, in one statement, and keeps the streams without a gap.
//
// A stream is the events of one rotation or incident. Its head is locked here, at the end of the transaction, so that
// sequence numbers follow the order of commits; heads are locked in the order of their names, so that two transactions
// with two streams do not wait for each other. Whoever writes a rotation has locked its row, and with it the head of its stream.

import { canonicalBody, leafHash } from '#audit/canonical.ts'
import type { Writer } from '#audit/writer.ts'
import type { Actor } from '#domain/actor.ts'
import { auditActions, type AuditBody, type Receipt } from '#domain/audit.ts'
import type { Clock, Ids, LedgerEvent } from '#domain/ports.ts'
import type { Tracer } from '#domain/telemetry.ts'
import type { Db } from './database.ts'
import type { Heads } from './stream-heads.ts'
import { Prisma } from './generated/client.ts'

export interface EventDeps {
  readonly writer: Writer
  readonly ids: Ids
  readonly clock: Pick<Clock, 'now'>
  readonly trace: Pick<Tracer, 'current'>
}

type Events = readonly [LedgerEvent, ...LedgerEvent[]]

export const writeEvents = async (
  db: Db,
  deps: EventDeps,
  actor: Actor,
  events: Events,
  locked: Heads = new Map(),
): Promise<readonly [Receipt, ...Receipt[]]> => {
  const heads = await lockHeads(db, events, locked)
  const traceId = deps.trace.current()?.traceId ?? null
  const written = await mapEvents(events, (event) => {
    const head = event.correlationId === undefined ? undefined : heads.get(event.correlationId)
    const stream =
      head === undefined || event.correlationId === undefined
        ? null
        : { id: event.correlationId, seq: head.seq + 1, prev: head.prev && hex(head.prev) }
    const signed = signedEvent(deps, actor, event, { traceId, stream })
    if (head !== undefined) {
      head.seq += 1
      head.prev = signed.leaf
    }
    return signed
  })
  const insert = insertOf(written)
  if (heads.size === 0) {
    await db.$executeRaw(insert)
  } else {
    const moved = [...heads].map(
      ([stream, h]) => Prisma.sql`(${stream}, ${h.seq}::integer, ${h.prev}::bytea)`,
    )
    await db.$executeRaw`
      WITH said AS (${insert})
      UPDATE app.stream_head h SET seq = n.seq, leaf_hash = n.leaf_hash
      FROM (VALUES ${Prisma.join(moved)}) n (stream, seq, leaf_hash) WHERE h.stream = n.stream`
  }
  return mapEvents(written, (e) => ({
    eventId: e.id,
    leafHash: hex(e.leaf),
    writerKid: hex(e.kid),
    writerSig: Buffer.from(e.signature).toString('base64'),
  }))
}

/** An event as a row of the log holds it. */
export const signedEvent = (
  { ids, clock, writer }: Pick<EventDeps, 'ids' | 'clock' | 'writer'>,
  actor: Actor,
  event: LedgerEvent,
  { traceId, stream }: Pick<AuditBody, 'traceId' | 'stream'> = { traceId: null, stream: null },
) => {
  const id = event.id ?? ids.next()
  const text = canonicalBody(bodyOf({ id, at: clock.now(), traceId, actor, event, stream }))
  // The key may be exchanged while others are written: this one is of the one that signs now.
  return { id, text, leaf: leafHash(text), kid: writer.kid, signature: writer.sign(text) }
}

type Signed = ReturnType<typeof signedEvent>

/** Of many the text is the same however many they are: it is parsed once a session, not each time. */
const insertOf = (events: readonly [Signed, ...Signed[]]): Prisma.Sql => {
  const [first, ...more] = events
  if (more.length === 0)
    return Prisma.sql`INSERT INTO audit.event (id, body, writer_kid, writer_sig)
      VALUES (${first.id}::uuid, ${first.text}, ${first.kid}::bytea, ${first.signature}::bytea)`
  return Prisma.sql`INSERT INTO audit.event (id, body, writer_kid, writer_sig)
    SELECT e.id, e.body, decode(e.kid, 'hex'), decode(e.sig, 'hex')
    FROM unnest(${events.map((e) => e.id)}::uuid[], ${events.map((e) => e.text)}::text[],
      ${events.map((e) => hex(e.kid))}::text[], ${events.map((e) => hex(e.signature))}::text[])
      WITH ORDINALITY e (id, body, kid, sig, n) ORDER BY e.n`
}

/** Makes missing heads and locks all of them; what it returns is current until the transaction ends. */
const lockHeads = async (db: Db, events: Events, locked: Heads): Promise<Heads> => {
  const streams = [...new Set(events.flatMap((e) => e.correlationId ?? []))].toSorted()
  const heads: Heads = new Map()
  for (const stream of streams) {
    const head = locked.get(stream)
    if (head) {
      heads.set(stream, { ...head })
      continue
    }
    const rows = await db.$queryRaw<
      { readonly seq: number; readonly leaf_hash: Uint8Array | null }[]
    >`
      INSERT INTO app.stream_head AS h (stream, seq) VALUES (${stream}, 0)
      ON CONFLICT (stream) DO UPDATE SET seq = h.seq RETURNING seq, leaf_hash`
    const row = rows[0]
    heads.set(stream, { seq: row?.seq ?? 0, prev: row?.leaf_hash ?? null })
  }
  return heads
}

/** Field by field, never `...event`: nothing gets into the log that was not meant to. */
const bodyOf = ({
  id,
  at,
  traceId,
  actor,
  event,
  stream,
}: {
  readonly id: string
  readonly at: Date
  readonly traceId: string | null
  readonly actor: Actor
  readonly event: LedgerEvent
  readonly stream: AuditBody['stream']
}): AuditBody => ({
  id,
  at: at.toISOString(),
  actor: { type: actor.type, id: actor.id, name: actor.name, roles: actor.roles },
  action: event.action,
  target: { kind: auditActions[event.action], id: event.target.id, name: event.target.name },
  outcome: event.outcome,
  reason: event.reason ?? null,
  ticket: event.ticket ?? null,
  requestId: actor.requestId ?? null,
  traceId,
  correlationId: event.correlationId ?? null,
  causationId: event.causationId ?? null,
  stream,
  before: event.before ?? null,
  after: event.after ?? null,
  provider: event.provider
    ? { operationId: event.provider.operationId, requestId: event.provider.requestId ?? null }
    : null,
})

/** Signing hundreds in one go would keep everybody else of this process waiting. */
const atOnce = 40
const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/** In their order. */
const mapEvents = async <A, B>(
  list: readonly [A, ...A[]],
  each: (item: A) => B,
): Promise<readonly [B, ...B[]]> => {
  const [first, ...rest] = list
  const mapped: [B, ...B[]] = [each(first)]
  for (const item of rest) {
    if (mapped.length % atOnce === 0) await breathe() // oxlint-disable-line no-await-in-loop -- others come in between
    mapped.push(each(item))
  }
  return mapped
}

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
