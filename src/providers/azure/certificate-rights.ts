import { keyRights } from './key-rights.ts'
import type { Right } from './rights.ts'

/** No version of any certificate has this id. */
const nowhere = '0'.repeat(32)

export const certificateRights = (name: string): readonly Right[] => {
  const scope = `/certificates/${name}`
  const asked = { client: 'certificates', scope } as const
  return [
    {
      name: 'describe',
      actions: ['certificates/read'],
      scope,
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'certificates/read',
            send: (certificates, options) =>
              certificates.getCertificateVersion(name, nowhere, options),
          },
          call,
        ),
    },
    {
      name: 'rotate',
      actions: ['certificates/create/action'],
      scope,
      asksByWrite: true,
      // There is no such kind of key.
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'certificates/create/action',
            send: (certificates, options) =>
              certificates.beginCreateCertificate(
                name,
                { issuerName: 'Self', subject: 'CN=none', keyType: 'none' },
                options,
              ),
          },
          call,
        ),
    },
    // Suspend, reinstate, retire and destroy: all of them set attributes.
    {
      name: 'switch',
      actions: ['certificates/update/action'],
      scope,
      asksByWrite: true,
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'certificates/update/action',
            send: (certificates, options) =>
              certificates.updateCertificateProperties(name, nowhere, options),
          },
          call,
        ),
    },
    // Its key is used, and never read.
    ...keyRights(name).flatMap((right): readonly Right[] => {
      if (right.name === 'describe') return [{ ...right, name: 'describeKey' }]
      return right.name === 'verify' ? [right] : []
    }),
  ]
}

export const certificateInventoryRight: Right = {
  name: 'inventory',
  actions: ['certificates/read'],
  scope: '/',
}
