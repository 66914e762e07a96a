// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same request with the same key has one effect and one
// reply. How a crash at any moment is survived stands in the store, above the table.

import { RekeyError } from '#domain/errors.ts'
import type {
  HashJson,
  Idempotency,
  IdempotencyClaim,
  IdempotencySlot,
  Keyring,
  Ledger,
  StoredReply,
} from '#domain/ports.ts'
import type { Json } from '#domain/json.ts'
import type { Route } from './route.ts'

export interface ReplayDeps {
  readonly idempotency: Idempotency
  readonly keyring: Pick<Keyring, 'macs'>
  readonly hashJson: HashJson
}

/** A structured-field string has quotes; many clients send the bare value. */
export const idempotencyKeyPattern = '^(?:"[!-~]{1,255}"|[!-~]{1,255})$'

/** Null where the header is absent and the route does not ask for it. */
export const readIdempotencyKey = (route: Route, header: string | undefined): string | null => {
  if (route.idempotency === 'none') return null
  if (header === undefined) {
    if (route.idempotency === 'accepted') return null
    throw new RekeyError('idempotency.missing', {
      detail: 'This needs an Idempotency-Key, so that a repeated request cannot do it twice.',
      hint: 'Send a new random value for each new request, and the same one when you repeat it.',
    })
  }
  const key = /^"(.+)"$/.exec(header)?.[1] ?? header
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    const detail = '1 to 255 visible ASCII characters'
    throw new RekeyError('request.invalid', {
      detail: `Idempotency-Key takes ${detail}.`,
      errors: [{ pointer: '/headers/Idempotency-Key', detail: `must be ${detail}` }],
    })
  }
  return key
}

/** `run` gets a ledger that binds the first effect to the claim, and renders its reply or refusal. */
export interface Run {
  readonly ledger: Ledger
  readonly secret: boolean
  /** The reply; what it throws was not done, or only in part. */
  readonly work: (ledger: Ledger) => Promise<StoredReply>
  /** The reply for what `work` threw. */
  readonly refused: (error: unknown) => StoredReply
  readonly onFault: (error: unknown, sentence: string) => void
}

export const once =
  ({ idempotency, keyring, hashJson }: ReplayDeps) =>
  async (
    slot: IdempotencySlot,
    request: Json,
    run: Run,
  ): Promise<{ readonly reply: StoredReply; readonly replayed: boolean }> => {
    // Keyed, since a body may hold a secret that could be guessed from a plain hash.
    const [hash, ...others] = keyring.macs('idempotency', hashJson(request))
    const begun = await idempotency.begin(slot, [hex(hash), ...others.map(hex)])
    if (begun.state === 'replay') return { reply: begun.reply, replayed: true }
    if (begun.state !== 'begun') throw refusals[begun.state]()
    const { claim } = begun
    const reply = await attempt(idempotency, claim, run)
    try {
      await idempotency.finish(claim, reply.status, run.secret ? null : reply)
    } catch (error) {
      // It is done, so it is answered; a retry will hear that the reply was lost.
      run.onFault(error, 'the reply of an idempotent request was not kept')
    }
    return { reply, replayed: false }
  }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const attempt = async (
  idempotency: Idempotency,
  claim: IdempotencyClaim,
  run: Run,
): Promise<StoredReply> => {
  try {
    return await run.work(binding(run.ledger, claim))
  } catch (error) {
    const reply = run.refused(error)
    try {
      // Refused before any effect: the same key may be used again. A refusal of ours after an effect is the reply for good;
      // a failure is not, since nobody knows yet what became of it.
      if ((await idempotency.release(claim)) === false && reply.status < 500 && !run.secret) {
        await idempotency.finish(claim, reply.status, reply)
      }
    } catch (fault) {
      run.onFault(fault, 'the claim of an idempotent request was not freed; it expires by itself')
    }
    throw error
  }
}

/** The first commit carries the mark, in its transaction; one whose claim was taken over is rolled back. */
const binding = (ledger: Ledger, claim: IdempotencyClaim): Ledger => ({
  ...ledger,
  commit: (actor, work) =>
    ledger.commit(actor, async (tx) => {
      const outcome = await work(tx)
      if (!(await tx.writeIdempotency.markEffective(claim))) throw refusals.running()
      return outcome
    }),
})

const refusals = {
  mismatch: () =>
    new RekeyError('idempotency.mismatch', {
      detail: 'This Idempotency-Key was sent before with another body or query.',
      hint: 'Use a new key for a new request.',
    }),
  running: () =>
    new RekeyError('idempotency.running', {
      detail: 'The first request with this Idempotency-Key has not ended yet.',
      hint: 'Ask again in a few seconds.',
    }),
  secret: () =>
    new RekeyError('idempotency.secretNotReplayable', {
      detail: 'The first request succeeded, and its reply held a secret, which is shown once.',
      hint: 'If the reply was lost, delete what it made and make it again with a new key.',
    }),
  lost: () =>
    new RekeyError('idempotency.replyLost', {
      detail: 'The first request had its effect, and its reply was lost when Rekey stopped.',
      hint: 'Read the resource to see what it became. It was not done twice.',
    }),
} as const
