// The rights that Rekey needs, as one table: the HCL that an administrator copies, the checks, and the preflight before a
// write are all read from it.

import type { Json } from '#domain/json.ts'
import { ProviderError, type Call, type Check } from '#domain/provider.ts'
import type { Ask } from './session.ts'
import type { Capability } from './failures.ts'
import { textsOf } from '../untyped-json.ts'

export interface Right {
  /** What it is for: `rotate`, `verify`, … */
  readonly name: string
  /** Raw path; one that ends with `*` is a prefix. */
  readonly path: string
  readonly capabilities: readonly Capability[]
}

/** For every login. All of it is in Vault's `default` policy. */
export const sessionRights: readonly Right[] = [
  { name: 'check', path: 'sys/capabilities-self', capabilities: ['update'] },
  { name: 'token', path: 'auth/token/lookup-self', capabilities: ['read'] },
  { name: 'token', path: 'auth/token/renew-self', capabilities: ['update'] },
  { name: 'token', path: 'auth/token/revoke-self', capabilities: ['update'] },
]

/** What a rotating connection must not have: whoever has it can give itself the rest. */
const powers: readonly { readonly path: string; readonly may: string }[] = [
  { path: 'sys/policies/acl/rekey-check', may: 'write policies' },
  { path: 'sys/auth/rekey-check', may: 'enable auth methods' },
  { path: 'sys/mounts/rekey-check', may: 'mount engines' },
  { path: 'auth/token/create', may: 'make tokens' },
  { path: 'sys/raw/rekey-check', may: 'read the raw storage' },
]

/** HCL by name of the right; rights of one name stand in one document. */
export const hclByName = (rights: readonly Right[]): Readonly<Record<string, Json>> => {
  const documents: Record<string, string> = {}
  for (const right of rights) {
    const block = `path ${JSON.stringify(right.path)} {\n  capabilities = [${right.capabilities.map((one) => JSON.stringify(one)).join(', ')}]\n}\n`
    documents[right.name] = (documents[right.name] ?? '') + block
  }
  return documents
}

/** Capabilities of the connection's token by path. Null: the token may not ask. */
const capabilitiesOf = async (
  ask: Ask,
  paths: readonly string[],
  call: Call,
): Promise<ReadonlyMap<string, readonly string[]> | null> => {
  if (paths.length === 0) return new Map()
  const reply = await ask(
    { verb: 'write', path: 'sys/capabilities-self', body: { paths }, accept: [403] },
    call,
  )
  if (reply.status === 403) return null
  return new Map(paths.map((path) => [path, textsOf(reply.data[path])]))
}

/** Throws `forbidden` naming the first right that is missing. Where the token may not ask, nothing is thrown: then the
 *  call itself will tell. */
export const requireRights = async (
  ask: Ask,
  rights: readonly Right[],
  call: Call,
): Promise<void> => {
  const [hint] = await missingRights(ask, rights, call)
  if (hint !== undefined)
    throw new ProviderError('forbidden', 'none', 'the connection’s policies do not allow it', {
      hint,
    })
}

/** What is missing of them, each a sentence; empty where the token may not ask. */
export const missingRights = async (
  ask: Ask,
  rights: readonly Right[],
  call: Call,
): Promise<readonly string[]> => {
  const have = await capabilitiesOf(ask, [...new Set(rights.map(({ path }) => path))], call)
  if (have === null) return []
  return rights.flatMap((right) => {
    const missing = missingOf(right, have.get(right.path) ?? [])
    return missing.length === 0 ? [] : [`needs ${missing.join(' and ')} on ${right.path}`]
  })
}

/** A row a right, and a row where there is more than the least. */
export const checkRights = async (
  ask: Ask,
  rights: readonly Right[],
  call: Call,
): Promise<readonly Check[]> => {
  const paths = [...rights, ...powers].map(({ path }) => path)
  const have = await capabilitiesOf(ask, [...new Set(paths)], call)
  if (have === null)
    return [
      {
        name: 'rights',
        outcome: 'unknown',
        detail: 'the token may not ask for its own rights',
        hint: 'needs update on sys/capabilities-self',
      },
    ]
  const rows: Check[] = rights.map((right) => {
    const missing = missingOf(right, have.get(right.path) ?? [])
    const base = { name: right.name, detail: `${right.capabilities.join(', ')} on ${right.path}` }
    return missing.length === 0
      ? { ...base, outcome: 'ok' }
      : { ...base, outcome: 'missing', hint: `needs ${missing.join(' and ')} on ${right.path}` }
  })
  return [...rows, ...beyond(rights, have)]
}

const beyond = (
  rights: readonly Right[],
  have: ReadonlyMap<string, readonly string[]>,
): readonly Check[] => {
  if ([...have.values()].some((capabilities) => capabilities.includes('root')))
    return [
      {
        name: 'beyondLeast',
        outcome: 'beyondLeast',
        detail: 'the token has the root policy: it may do everything',
        hint: 'give the connection a policy of its own with the least rights',
      },
    ]
  const rows: Check[] = []
  const add = (path: string, may: string, more: readonly string[]): void => {
    rows.push({
      name: 'beyondLeast',
      outcome: 'beyondLeast',
      detail: `the token may ${may} (${more.join(', ')} on ${path})`,
      hint: 'give the connection a policy of its own with the least rights',
    })
  }
  for (const power of powers) {
    const more = grantedIn(have.get(power.path) ?? []).filter((c) => c !== 'list' && c !== 'read')
    if (more.length > 0) add(power.path, power.may, more)
  }
  for (const path of new Set(rights.map((right) => right.path))) {
    const least = rights.filter((r) => r.path === path).flatMap((r) => r.capabilities)
    const more = grantedIn(have.get(path) ?? []).filter((c) => !least.some((l) => l === c))
    if (more.length > 0) add(path, 'do more with it than Rekey asks for', more)
  }
  return rows
}

const grantedIn = (capabilities: readonly string[]): readonly string[] =>
  capabilities.filter((capability) => capability !== 'deny')

const missingOf = (right: Right, have: readonly string[]): readonly string[] =>
  have.includes('root') ? [] : right.capabilities.filter((needed) => !have.includes(needed))
