// The rights that Rekey needs, as one table: the role that an administrator copies, the hints and the checks are all read from
// it. Key Vault does not tell what a principal may do, so it is asked by trying: reads as they are, and changes by requests
// that cannot have an effect. A refused one is a missing right; any other answer, of a thing that is not there or of a request
// that is not whole, comes after the right was looked at.

import type { Json } from '#domain/json.ts'
import { ProviderError, type Call, type Check } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { needed } from './failures.ts'

export interface Right {
  /** What it is for: `rotate`, `describe`, … */
  readonly name: string
  /** Data actions of Azure's roles, without `Microsoft.KeyVault/vaults/`. */
  readonly actions: readonly string[]
  /** Where the role is to be assigned, below the vault; `/` is the vault itself. */
  readonly scope: string
  /** Tries one of the actions, in vain. Not there: only the call itself will tell. */
  readonly ask?: (azure: Azure, call: Call) => Promise<unknown>
  /** It asks by a request that would change something if it were whole. */
  readonly asksByWrite?: true
}

/** By name of the right; rights of one name stand in one document. */
export const documentsOf = (rights: readonly Right[]): Readonly<Record<string, Json>> =>
  Object.fromEntries(
    [...Map.groupBy(rights, ({ name }) => name)].map(([name, of]) => [
      name,
      of.map(({ actions, scope }) => ({
        dataActions: actions.map((action) => `Microsoft.KeyVault/vaults/${action}`),
        scope,
      })),
    ]),
  )

type Found = 'ok' | 'missing'

const ask = async (azure: Azure, right: Right, call: Call): Promise<Found | null> => {
  if (right.ask === undefined) return null
  try {
    await right.ask(azure, call)
    return 'ok'
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    if (error.kind === 'forbidden') return 'missing'
    if (answersAfterRights.has(error.kind)) return 'ok'
    throw error
  }
}

const answersAfterRights: ReadonlySet<string> = new Set([
  'notFound',
  'permanent',
  'disabled',
  'conflict',
  'precondition',
])

const sentence = (azure: Azure, { actions, scope }: Right): string =>
  actions.map((action) => needed({ action, scope }, azure.settings.isHsm)).join('; ')

/** What is missing of them, each a sentence. */
export const missingOf = async (
  azure: Azure,
  rights: readonly Right[],
  call: Call,
): Promise<readonly string[]> => {
  const found: string[] = []
  for (const right of rights)
    // oxlint-disable-next-line no-await-in-loop -- a handful
    if ((await ask(azure, right, call)) === 'missing') found.push(sentence(azure, right))
  return found
}

const seenForMs = 10 * 60_000

/** Throws `forbidden` naming the first right that is missing. One that was there minutes ago is not asked for again: what is
 *  lost meanwhile the write itself tells. */
export const requireRights = async (
  azure: Azure,
  rights: readonly Right[],
  call: Call,
): Promise<void> => {
  const now = azure.now()
  const keyOf = ({ actions, scope }: Right): string => `${actions.join()} ${scope}`
  const isNew = (right: Right): boolean =>
    now.getTime() - Number(azure.seenRights.get(keyOf(right)) ?? 0) > seenForMs
  const asked = rights.filter(isNew)
  const [hint] = await missingOf(azure, asked, call)
  if (hint !== undefined)
    throw new ProviderError(
      'forbidden',
      'none',
      'the roles of the connection’s principal do not allow it',
      { hint: `${hint}; a new role is known after some minutes` },
    )
  for (const right of asked) azure.seenRights.set(keyOf(right), now)
}

/** A row a right. */
export const checkRights = async (
  azure: Azure,
  rights: readonly Right[],
  call: Call,
): Promise<readonly Check[]> => {
  const rows: Check[] = []
  for (const right of rights) {
    // oxlint-disable-next-line no-await-in-loop -- a handful
    const found = await ask(azure, right, call)
    const detail = `${right.actions.join(', ')} on ${right.scope}`
    if (found === 'missing')
      rows.push({ name: right.name, outcome: 'missing', detail, hint: sentence(azure, right) })
    else if (found === 'ok') rows.push({ name: right.name, outcome: 'ok', detail })
  }
  return rows
}
