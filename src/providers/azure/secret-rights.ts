import type { Right } from './rights.ts'

/** No version of any secret has this id. */
const nowhere = '0'.repeat(32)

export const secretRights = (name: string): readonly Right[] => {
  const scope = `/secrets/${name}`
  return [
    {
      name: 'describe',
      actions: ['secrets/readMetadata/action'],
      scope,
      ask: (azure, call) =>
        azure.read(
          {
            client: 'secrets',
            action: 'secrets/readMetadata/action',
            scope,
            send: (secrets, options) =>
              secrets
                .listPropertiesOfSecretVersions(name, options)
                .byPage({ maxPageSize: 1 })
                .next(),
          },
          call,
        ),
    },
    {
      name: 'verify',
      actions: ['secrets/getSecret/action'],
      scope,
      ask: (azure, call) =>
        azure.read(
          {
            client: 'secrets',
            action: 'secrets/getSecret/action',
            scope,
            send: (secrets, options) => secrets.getSecret(name, { ...options, version: nowhere }),
          },
          call,
        ),
    },
    {
      name: 'rotate',
      actions: ['secrets/setSecret/action'],
      scope,
      asksByWrite: true,
      // Without a value there is nothing to be set.
      ask: (azure, call) =>
        azure.read(
          {
            client: 'secrets',
            action: 'secrets/setSecret/action',
            scope,
            send: (secrets, options) =>
              secrets.setSecret(name, undefined as unknown as string, options),
          },
          call,
        ),
    },
    // Suspend, reinstate, retire and destroy: all of them set attributes.
    {
      name: 'switch',
      actions: ['secrets/update/action'],
      scope,
      asksByWrite: true,
      ask: (azure, call) =>
        azure.read(
          {
            client: 'secrets',
            action: 'secrets/update/action',
            scope,
            send: (secrets, options) => secrets.updateSecretProperties(name, nowhere, options),
          },
          call,
        ),
    },
  ]
}

/** Names of all secrets, no values. */
export const secretInventoryRight: Right = {
  name: 'inventory',
  actions: ['secrets/readMetadata/action'],
  scope: '/',
}
