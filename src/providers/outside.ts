// The door for providers that are not part of Rekey (ADR 0021). A module that REKEY_PROVIDERS names exports
//
//   export const apiVersion = 1
//   export const makeProvider = (rekey) => ({ id, title, … })      // a Provider of src/domain/provider.ts
//
// It imports nothing of Rekey: what it works with is handed to it, so that its errors and secrets are those that the engine
// knows, wherever the file lies. The modules are code of the operator's, with all rights of the process; nothing but the
// process's environment names them. Whatever is wrong with one is told at the start, and nothing starts.

import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import { type Provider, ProviderError } from '#domain/provider.ts'
import { faultsOfProvider } from '#domain/provider-shape.ts'
import { revealBytes, revealText, Secret } from '#domain/secret.ts'
import { abortable, failureOfNetwork, retryAfterMs } from './network-failure.ts'
import { judgePath } from './safe-path.ts'
import { singleValue, singleValueTraits } from './single-value.ts'

/** What authors name the parts of a provider by; `import type` of `rekey/provider` leaves no trace in a running module. */
export type {
  Call,
  KeyType,
  Material,
  MintOrder,
  ObjectAddress,
  Provider,
  ProviderError,
  Session,
  TypeTraits,
  Verdict,
} from '#domain/provider.ts'
export type { Secret } from '#domain/secret.ts'

export const apiVersion = 1

/** What an adapter is made of. */
export const rekey = {
  apiVersion,
  ProviderError,
  Secret,
  revealText,
  revealBytes,
  /** TypeBox, for the schemas of settings, refs and parameters. */
  Type,
  generateSecret,
  generateSecretSchema,
  failureOfNetwork,
  retryAfterMs,
  abortable,
  singleValue,
  singleValueTraits,
} as const

export type Rekey = typeof rekey
export type MakeProvider = (rekey: Rekey) => Provider

export class ProvidersRefused extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(
      `REKEY_PROVIDERS names what cannot be used:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    )
    this.name = 'ProvidersRefused'
    this.problems = problems
  }
}

/** The built-in ones, and those of the modules, in that order. Throws ProvidersRefused with everything that is wrong. */
export const withOutside = async (
  builtIn: readonly Provider[],
  modules: readonly string[],
): Promise<readonly Provider[]> => {
  const all = [...builtIn]
  const problems: string[] = []
  for (const file of modules) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- in the order in which they are named
      const provider = await load(file)
      const taken = takenBy(all, provider)
      if (taken.length > 0) problems.push(...taken.map((fault) => `${file}: ${fault}`))
      else all.push(provider)
    } catch (error) {
      if (!(error instanceof ProvidersRefused)) throw error
      problems.push(...error.problems.map((fault) => `${file}: ${fault}`))
    }
  }
  if (problems.length > 0) throw new ProvidersRefused(problems)
  return all
}

const load = async (file: string): Promise<Provider> => {
  const real = await safePathOf(file)
  let exported: { readonly apiVersion?: unknown; readonly makeProvider?: unknown }
  try {
    exported = await import(pathToFileURL(real).href)
  } catch (error) {
    throw new ProvidersRefused([`cannot be loaded: ${messageOf(error)}`])
  }
  if (exported.apiVersion !== apiVersion)
    throw new ProvidersRefused([
      `exports apiVersion ${String(exported.apiVersion)}; this Rekey speaks ${apiVersion}`,
    ])
  const { makeProvider } = exported
  if (typeof makeProvider !== 'function')
    throw new ProvidersRefused(['exports no function makeProvider'])
  let made: unknown
  try {
    made = (makeProvider as MakeProvider)(rekey)
  } catch (error) {
    throw new ProvidersRefused([`makeProvider failed: ${messageOf(error)}`])
  }
  const faults = faultsOfProvider(made)
  if (faults.length > 0) throw new ProvidersRefused(faults)
  const provider = made as Provider
  // After a restore nothing of it would be looked at: what it stores elsewhere does not go back in time.
  if (provider.sharesDatabase !== undefined)
    throw new ProvidersRefused([
      '/sharesDatabase is for what is stored in the database of Rekey, which a provider from outside has no part of',
    ])
  return provider
}

/** Whoever can write the file, or exchange it or a folder above it, would be Rekey. What was judged is what is loaded, and not
 *  the link to it. */
const safePathOf = async (file: string): Promise<string> => {
  if (!isAbsolute(file)) throw new ProvidersRefused(['is not an absolute path'])
  const judged = await judgePath(file)
  if ('real' in judged) return judged.real
  throw new ProvidersRefused([
    judged.fault === 'missing'
      ? 'does not exist'
      : `others than root and Rekey's user may change ${judged.at}: chown it, and chmod go-w`,
  ])
}

const takenBy = (others: readonly Provider[], { id, types }: Provider): readonly string[] => [
  ...(others.some((other) => other.id === id) ? [`there is a provider "${id}" already`] : []),
  ...types.flatMap(({ type }) =>
    others.some((other) => other.types.some((one) => one.type === type))
      ? [`there is a key type "${type}" already`]
      : [],
  ),
]

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'it threw')
