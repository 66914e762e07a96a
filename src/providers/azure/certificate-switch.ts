// Switching versions of a certificate off and on: the key and the secret of the same version are switched with it. One request
// sets it, so that a crash leaves the version as it was or as it shall be.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import { readCertificateVersion, readNewest } from './certificate-read.ts'
import type { Azure } from './clients.ts'
import { destroyed, isAlready, mustComeBack, noVersion, stateOfRow, tag } from './versions.ts'

interface At {
  readonly azure: Azure
  readonly name: string
  readonly version: string
}

export const switchCertificate = async (
  { azure, name, version }: At,
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<JsonObject> => {
  const row = await readCertificateVersion(azure, name, version, call)
  if (row === null) throw noVersion('certificate', version)
  const state = stateOfRow(row)
  const facts = { version, from: state, to }
  if (isAlready(state, to)) return { ...facts, already: true }
  mustComeBack(state, version)
  if (to !== 'enabled' && call.incident !== true) {
    const newest = await readNewest(azure, name, call)
    if (newest?.held.id === version)
      throw new ProviderError(
        'precondition',
        'none',
        `version ${version} is the one that versionless callers get`,
        { hint: 'have another version made first; only an incident switches off the newest one' },
      )
  }
  await azure.write(
    {
      client: 'certificates',
      action: 'certificates/update/action',
      scope: `/certificates/${name}`,
      send: (certificates, options) =>
        certificates.updateCertificateProperties(name, version, {
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
