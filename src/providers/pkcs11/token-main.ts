// The process that owns a token: started by Rekey (ProviderPorts.nativeProcess), it answers requests one by one until its channel closes. It
// knows nothing of Rekey, and the PIN comes to it in one message, never as an argument or in the environment.

import { Fail } from './objects.ts'
import type { Fault, Reply, Request } from './protocol.ts'
import { makeToken } from './token.ts'

let token: ReturnType<typeof makeToken> | null = null

const answer = ({ name, args }: Request): Reply => {
  try {
    token ??= makeToken()
    const handle = token[name] as (args: unknown) => unknown
    return { value: handle(args) }
  } catch (error) {
    return { fault: faultOf(error) }
  }
}

const faultOf = (error: unknown): Fault => {
  if (error instanceof Fail) return error.fault
  const code = Fail.codeOf(error)
  if (code === null || code === 0) return { kind: 'fault' }
  const call: unknown = error instanceof Error ? Reflect.get(error, 'method') : null
  return { kind: 'ckr', code, call: typeof call === 'string' ? call : '' }
}

process.on('message', ({ number, request }: { number: number; request: Request }) =>
  process.send?.({ number, reply: answer(request) }),
)
process.on('disconnect', () => process.exit())
// Whoever stops Rekey ends this by closing the channel: a Ctrl-C at the terminal, or a supervisor that tells every process of
// the service to stop, is not for it to answer. Rekey ends what is under way first.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)
