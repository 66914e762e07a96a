import { ProviderError, type Call, type Check, type ObjectAddress } from '#domain/provider.ts'
import { certificateRights } from './certificate-rights.ts'
import { clockCheck } from '../clock-check.ts'
import { failedCheck } from '../failed-check.ts'
import type { Azure } from './clients.ts'
import { keyInventoryRight, keyRights } from './key-rights.ts'
import { readKey } from './key-read.ts'
import { useOf, type Use } from './key-use.ts'
import { nameIn } from './refs.ts'
import { checkRights, type Right } from './rights.ts'
import { secretInventoryRight, secretRights } from './secret-rights.ts'

interface At {
  readonly azure: Azure
  readonly now: () => Date
}

/** Nothing is changed. Stops at the first row that makes the others impossible. */
export const check = async (
  { azure, now }: At,
  objects: readonly ObjectAddress[],
  call: Call,
): Promise<readonly Check[]> => {
  let date: Date | null
  try {
    date = await login(azure, call)
  } catch (error) {
    return [failedCheck('login', error)]
  }
  const rows: Check[] = []
  for (const object of objects) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- a few at a time is what Azure's limits ask for
      rows.push(...(await checkRights(azure, await rightsOf(azure, object, call), call)))
    } catch (error) {
      rows.push(failedCheck('object', error))
    }
  }
  return [
    {
      name: 'login',
      outcome: 'ok',
      detail: `a token of this connection opens ${azure.settings.vaultUrl}`,
    },
    ...clockCheck(clock, date, now()),
    ...rows,
  ]
}

/** Azure's clock. A principal whose roles are for single objects may not list, and has logged in all the same. */
const login = async (azure: Azure, call: Call): Promise<Date | null> => {
  const { isHsm } = azure.settings
  const [action = ''] = (isHsm ? keyInventoryRight : secretInventoryRight).actions
  const scope = '/'
  const first = { maxPageSize: 1 }
  try {
    const { date } = isHsm
      ? await azure.readAt(
          {
            client: 'keys',
            action,
            scope,
            send: (keys, options) => keys.listPropertiesOfKeys(options).byPage(first).next(),
          },
          call,
        )
      : await azure.readAt(
          {
            client: 'secrets',
            action,
            scope,
            send: (secrets, options) =>
              secrets.listPropertiesOfSecrets(options).byPage(first).next(),
          },
          call,
        )
    return date
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'forbidden') return null
    throw error
  }
}

const clock = {
  system: 'Azure',
  hint: 'synchronise the clock of this host: Entra accepts five minutes',
}

/** What a rotation of it and all that follows needs. */
export const rightsOf = async (
  azure: Azure,
  { type, ref }: ObjectAddress,
  call: Call,
): Promise<readonly Right[]> => {
  const name = nameIn(ref)
  if (type === 'azure.keyvault.secret') return secretRights(name)
  if (type === 'azure.keyvault.certificate') return certificateRights(name)
  if (type === 'azure.keyvault.key') return keyRights(name, await keyUse(azure, name, call))
  throw new ProviderError('unsupported', 'none', 'the azure provider has no such key type')
}

/** Without the right to read the key, or without a key, what most keys are for. */
const keyUse = async (azure: Azure, name: string, call: Call): Promise<Use | undefined> => {
  try {
    const key = await readKey(azure, name, null, call)
    return (key === null ? null : useOf(key)) ?? undefined
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'forbidden') return undefined
    throw error
  }
}
