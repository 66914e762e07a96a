// Switching versions of a certificate off and on: the key and the secret of the same version are switched with it. One request
// sets it, so that a crash leaves the version as it was or as it shall be.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import { readCertificateVersions, readNewest } from './certificate-read.ts'
import type { Azure } from './clients.ts'
import { destroyed, stateOfRow, tag } from './versions.ts'

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
  const row = (await readCertificateVersions(azure, name, call)).find(({ id }) => id === version)
  if (row === undefined)
    throw new ProviderError('notFound', 'none', `the certificate has no version ${version}`)
  const state = stateOfRow(row)
  const facts = { version, from: state, to }
  if (state === to || (state === 'destroyed' && to === 'disabled'))
    return { ...facts, already: true }
  if (state === 'destroyed')
    throw new ProviderError('precondition', 'none', `version ${version} does not come back`, {
      hint: `its tag ${tag.state} says that it was destroyed`,
    })
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
