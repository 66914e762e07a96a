import { ProviderError, type Call, type Verdict } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { readValue } from './secret-read.ts'
import { sameBytes } from '../digest.ts'

interface At {
  readonly azure: Azure
  readonly name: string
  readonly version: string
  readonly expected: string | null
}

/** Reads the version by its id and compares, where Rekey knows what it should hold. */
export const readsBack = async (
  { azure, name, version, expected }: At,
  call: Call,
): Promise<Verdict> => {
  const held = await readValue(azure, name, version, call)
  const facts = { operation: 'getSecret', version }
  if (held === null) return { ok: false, detail: `version ${version} is not handed out`, facts }
  if (expected !== null && !sameBytes(held.value, expected))
    return { ok: false, detail: `version ${version} holds another value than Rekey wrote`, facts }
  return { ok: true, facts: { ...facts, compared: expected !== null } }
}

/** The vault must hand out neither the version nor, to readers who name none, the same value again. */
export const isRefused = async (
  { azure, name, version, expected }: At,
  call: Call,
): Promise<Verdict> => {
  const facts = { operation: 'getSecret', version }
  const { refused } = await tryVersion(azure, name, version, call)
  if (refused === null)
    return { ok: false, detail: `version ${version} is still handed out`, facts }
  const told = { ...facts, status: refused }
  const served = await readValue(azure, name, null, call)
  if (served?.id === version)
    return { ok: false, detail: `version ${version} is what readers get`, facts: told }
  return expected !== null && served !== null && sameBytes(served.value, expected)
    ? {
        ok: false,
        detail: `version ${served.id}, which readers get, holds the same value`,
        facts: told,
      }
    : { ok: true, facts: told }
}

/** With the status by which it was refused. */
const tryVersion = async (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<{ readonly refused: number | null }> => {
  try {
    await azure.read(
      {
        client: 'secrets',
        action: 'secrets/getSecret/action',
        scope: `/secrets/${name}`,
        send: (secrets, options) => secrets.getSecret(name, { ...options, version }),
      },
      call,
    )
    return { refused: null }
  } catch (error) {
    if (error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind))
      return { refused: error.status ?? 0 }
    throw error
  }
}
