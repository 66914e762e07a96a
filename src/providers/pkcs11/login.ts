// A login at a token, which counts wrong PINs and locks itself after a few. So a PIN that was refused is not tried again: not
// by this process, not after a restart, and by no other process of the installation (`ProviderPorts.logins`). The token's own
// flags are read first: where one more wrong PIN would lock it, Rekey is not the one to send it.

import {
  type Call,
  type ConnectArgs,
  type NativeProcess,
  ProviderError,
  type SendNative,
} from '#domain/provider.ts'
import { failureOf, isRefusedPin, isWrite, meaningOf, unanswered } from './failures.ts'
import { mustBeSafe } from './library.ts'
import { type Calls, type CallName, ckr, type Reply, tokenFlags } from './protocol.ts'
import type { Pkcs11Settings } from './settings.ts'

export type Ask = <N extends CallName>(
  name: N,
  args: Calls[N]['in'],
  call: Pick<Call, 'signal'>,
) => Promise<Calls[N]['out']>

export const makeAsk = (
  token: NativeProcess,
  { library, tokenLabel }: Pkcs11Settings,
  { credential, ports }: Pick<ConnectArgs, 'credential' | 'ports'>,
): Ask => {
  /** The process that is open and logged in. Whether it is the one that lives is asked in one's turn and not before: while
   *  somebody waits, the process may die under those in front. */
  let ready: number | null = null

  const raw = async <N extends CallName>(
    send: SendNative,
    name: N,
    args: Calls[N]['in'],
  ): Promise<Calls[N]['out']> => {
    const reply = (await send({ name, args })) as Reply
    if ('value' in reply) return reply.value as Calls[N]['out']
    if (meaningOf(reply.fault).fatal) token.drop()
    if (name === 'login' && credential) {
      const how = isRefusedPin(reply.fault) ? 'refused' : 'accepted'
      await ports.logins.ended(credential, how)
    }
    throw failureOf(reply.fault, name)
  }

  /** What comes before a call: whatever becomes of it, the call itself has had no effect. */
  const before: typeof raw = (send, name, args) =>
    raw(send, name, args).catch((error: unknown) => unanswered(name, error))

  const login = async (send: SendNative, flags: number, signal: AbortSignal): Promise<void> => {
    if (!credential) {
      throw new ProviderError('auth', 'none', 'the connection has no PIN', {
        hint: 'give it a credential: the PIN of the user of the token',
      })
    }
    if ((flags & tokenFlags.userPinLocked) !== 0) throw refused(ckr.pinLocked)
    if ((flags & tokenFlags.userPinFinalTry) !== 0) {
      throw new ProviderError(
        'auth',
        'none',
        'one more wrong PIN would lock the token, so none is sent',
        { hint: "log in once by the token's own tools: that sets its counter back" },
      )
    }
    // Waits while another process tries the same PIN.
    const claim = await ports.logins.claim(credential, signal)
    const afterDeath = claim === 'tryAfterDeath' && (flags & tokenFlags.userPinCountLow) !== 0
    if (claim === 'refused' || afterDeath) {
      if (afterDeath) await ports.logins.ended(credential, 'refused')
      throw refused(ckr.pinIncorrect)
    }
    await before(send, 'login', { pin: credential.reveal() })
    await ports.logins.ended(credential, 'accepted')
  }

  const prepare = async (send: SendNative, signal: AbortSignal): Promise<void> => {
    const real = await mustBeSafe(library, ports.nativeModules)
    const { flags } = await before(send, 'open', { library: real, tokenLabel })
    try {
      await login(send, flags, signal)
    } catch (error) {
      token.drop()
      throw error
    }
    ready = token.lives()
  }

  return async (name, args, { signal }) => {
    const once = () =>
      token.turn(async (send) => {
        const lives = token.lives()
        if (lives === null || lives !== ready) await prepare(send, signal)
        return raw(send, name, args)
      }, signal)
    try {
      return await once()
    } catch (error) {
      if (!hasDied(error) || isWrite(name) || signal.aborted) return unanswered(name, error)
    }
    // A read is asked once more, of the next process.
    return once().catch((error: unknown) => unanswered(name, error))
  }
}

const hasDied = (error: unknown): boolean =>
  error instanceof ProviderError && error.kind === 'outcomeUnknown'

const refused = (code: number): ProviderError =>
  failureOf({ kind: 'ckr', code, call: 'C_Login' }, 'login')
