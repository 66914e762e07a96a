// A login at a token, which counts wrong PINs and locks itself after a few. So a PIN that was refused is not tried again: not
// by this process, not after a restart, and by no other process of the installation (`ProviderPorts.logins`). The token's own
// flags are read first: where one more wrong PIN would lock it, Rekey is not the one to send it.

import { type Call, type ConnectArgs, type NativeProcess, ProviderError } from '#domain/provider.ts'
import { failureOf, isRefusedPin, meaningOf, unanswered } from './failures.ts'
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
  /** Whose process is open and logged in. */
  let ready = 0
  let readying: Promise<void> | null = null

  const raw = async <N extends CallName>(
    name: N,
    args: Calls[N]['in'],
    signal: AbortSignal,
  ): Promise<Calls[N]['out']> => {
    const reply = (await token
      .ask({ name, args }, signal)
      .catch((error: unknown) => unanswered(name, error))) as Reply
    if ('value' in reply) return reply.value as Calls[N]['out']
    if (meaningOf(reply.fault).fatal) token.drop()
    if (name === 'login' && credential) {
      const how = isRefusedPin(reply.fault) ? 'refused' : 'accepted'
      await ports.logins.ended(credential, how)
    }
    throw failureOf(reply.fault, name)
  }

  const login = async (flags: number, signal: AbortSignal): Promise<void> => {
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
    await raw('login', { pin: credential.reveal() }, signal)
    await ports.logins.ended(credential, 'accepted')
  }

  const prepare = async (signal: AbortSignal): Promise<void> => {
    const real = await mustBeSafe(library)
    const { flags } = await raw('open', { library: real, tokenLabel }, signal)
    try {
      await login(flags, signal)
    } catch (error) {
      token.drop()
      throw error
    }
    ready = token.starts()
  }

  return async (name, args, { signal }) => {
    if (ready !== token.starts() || !token.isAlive()) {
      readying ??= prepare(signal).finally(() => (readying = null))
      await readying
    }
    return raw(name, args, signal)
  }
}

const refused = (code: number): ProviderError =>
  failureOf({ kind: 'ckr', code, call: 'C_Login' }, 'login')
