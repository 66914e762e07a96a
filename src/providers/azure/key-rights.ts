import type { CryptographyClient } from '@azure/keyvault-keys'
import type { Use } from './key-use.ts'
import type { Right } from './rights.ts'

/** No version of any key has this id. */
const nowhere = '0'.repeat(32)

const uses = {
  sign: ['sign'],
  encrypt: ['encrypt', 'decrypt'],
  wrap: ['wrap', 'unwrap'],
} as const
type Operation = (typeof uses)[Use][number]

/** For verifying, only what the key's kind of use needs; signing, the common kind, unless told. */
export const keyRights = (name: string, use: Use = 'sign'): readonly Right[] => {
  const scope = `/keys/${name}`
  const asked = { client: 'keys', scope } as const
  return [
    {
      name: 'describe',
      actions: ['keys/read'],
      scope,
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'keys/read',
            send: (keys, options) => keys.getKey(name, { ...options, version: nowhere }),
          },
          call,
        ),
    },
    {
      name: 'rotate',
      actions: ['keys/create/action'],
      scope,
      asksByWrite: true,
      // There is no such kind of key.
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'keys/create/action',
            send: (keys, options) => keys.createKey(name, 'none', options),
          },
          call,
        ),
    },
    // Suspend, reinstate, retire and destroy: all of them set attributes.
    {
      name: 'switch',
      actions: ['keys/update/action'],
      scope,
      asksByWrite: true,
      ask: (azure, call) =>
        azure.read(
          {
            ...asked,
            action: 'keys/update/action',
            send: (keys, options) => keys.updateKeyProperties(name, nowhere, options),
          },
          call,
        ),
    },
    ...uses[use].map((operation): Right => verifyRight(name, operation)),
  ]
}

const verifyRight = (name: string, operation: Operation): Right => {
  const action = `keys/${operation}/action`
  const scope = `/keys/${name}`
  return {
    name: 'verify',
    actions: [action],
    scope,
    ask: (azure, call) =>
      azure.read(
        {
          client: 'keys',
          remoteOnly: true,
          action,
          scope,
          send: (keys, options) =>
            tries[operation](keys.getCryptographyClient(name, { keyVersion: nowhere }), options),
        },
        call,
      ),
  }
}

const bytes = new Uint8Array(32)
const algorithm = 'RSA-OAEP-256'
const tries: Readonly<
  Record<
    Operation,
    (client: CryptographyClient, options: { readonly abortSignal: AbortSignal }) => Promise<unknown>
  >
> = {
  sign: (client, options) => client.sign('ES256', bytes, options),
  encrypt: (client, options) => client.encrypt({ algorithm, plaintext: bytes }, options),
  decrypt: (client, options) => client.decrypt({ algorithm, ciphertext: bytes }, options),
  wrap: (client, options) => client.wrapKey(algorithm, bytes, options),
  unwrap: (client, options) => client.unwrapKey(algorithm, bytes, options),
}

/** Beyond the common kind, and beyond need. */
export const keyExtraRights = (name: string): readonly Right[] => {
  const scope = `/keys/${name}`
  const actions = (of: readonly string[]): readonly string[] =>
    of.map((one) => `keys/${one}/action`)
  return [
    { name: 'verifyEncryptionKey', actions: actions(['encrypt', 'decrypt']), scope },
    { name: 'verifyWrappingKey', actions: actions(['wrap', 'unwrap']), scope },
    // To find out whether Key Vault rotates the key by itself.
    { name: 'rotationPolicy', actions: ['keyrotationpolicies/read'], scope },
  ]
}

export const keyInventoryRight: Right = { name: 'inventory', actions: ['keys/read'], scope: '/' }
