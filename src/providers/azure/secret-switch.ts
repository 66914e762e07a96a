// Switching versions off and on. Set semantics: done already is done. One request sets it, so that a crash leaves the version
// as it was or as it shall be.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { readValue, readVersion } from './secret-read.ts'
import { destroyed, isAlready, mustComeBack, noVersion, stateOfRow, tag } from './versions.ts'

export const switchSecret = async (
  {
    azure,
    name,
    version,
  }: { readonly azure: Azure; readonly name: string; readonly version: string },
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<JsonObject> => {
  const row = await readVersion(azure, name, version, call)
  if (row === null) throw noVersion('secret', version)
  const state = stateOfRow(row)
  const facts = { version, from: state, to }
  if (isAlready(state, to)) return { ...facts, already: true }
  mustComeBack(state, version)
  if (to !== 'enabled' && call.incident !== true && call.takeBack !== true)
    await mustNotServe(azure, name, version, call)
  await azure.write(
    {
      client: 'secrets',
      action: 'secrets/update/action',
      scope: `/secrets/${name}`,
      send: (secrets, options) =>
        secrets.updateSecretProperties(name, version, {
          ...options,
          enabled: to === 'enabled',
          // They are replaced as a whole; left out, they stay.
          ...(to === 'destroyed' ? { tags: { ...row.tags, [tag.state]: destroyed } } : {}),
        }),
    },
    call,
  )
  return facts
}

/** Readers who name no version get the newest one, or nothing where that is disabled: Key Vault does not fall back. */
const mustNotServe = async (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<void> => {
  const served = await readValue(azure, name, null, call)
  if (served?.id !== version) return
  throw new ProviderError(
    'precondition',
    'none',
    `version ${version} is the one that readers get`,
    { hint: 'write another version first; only an incident switches off the newest one' },
  )
}
