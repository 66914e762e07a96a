import { randomBytes, randomUUID } from 'node:crypto'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { pkcs11 } from '#providers/pkcs11/provider.ts'
import type { Algorithm } from '#providers/pkcs11/protocol.ts'
import { anyEffect, startBetween } from '#test/peers/pkcs11-between.ts'
import { startSoftHsm } from '#test/peers/softhsm.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

/** A token of its own for each suite; keys of one algorithm. */
export const startPkcs11 = (algorithm: Algorithm) => async (): Promise<ContractPeer> => {
  const hsm = startSoftHsm()
  const token = hsm.token()
  const settings = { library: hsm.library, tokenLabel: token.label }
  const between = startBetween({
    library: hsm.library,
    folder: hsm.folder,
    late: (held) =>
      algorithm === 'aes256' ? void hsm.make(token, held) : hsm.makePair(token, held),
  })
  const credential = new Secret(token.pin)
  const ports = { ...plainPorts(), nativeModules: [hsm.library, between.library] }
  const session = pkcs11.connect({
    connection: 'arrange',
    externalId: 'x',
    settings,
    credential,
    ports,
  })
  const named = (label: string): ObjectAddress => ({
    type: 'pkcs11.key',
    ref: { label },
    keyId: randomUUID(),
    keyName: label,
  })
  const unborn = (): ObjectAddress => named(`k-${randomBytes(6).toString('hex')}`)
  const labelOf = (object: ObjectAddress): string => object.keyName
  return {
    settings,
    credential,
    ports,
    newObject: async () => {
      const object = unborn()
      await session.create(
        {
          object,
          operationId: randomUUID(),
          preImage: {},
          generate: { algorithm },
          material: null,
        },
        { signal: AbortSignal.timeout(20_000) },
      )
      return object
    },
    unborn,
    beyondOnePage: 55,
    versions: async (object) =>
      hsm
        .seen(token)
        .filter(
          ({ kind, label }) =>
            kind !== 'public' &&
            (label === labelOf(object) || label.startsWith(`${labelOf(object)}#`)),
        ).length,
    foreign: async (object) => {
      hsm.make(token, { label: labelOf(object) })
    },
    faults: {
      proxy: between,
      settings: { ...settings, library: between.library },
      nobody: { ...settings, tokenLabel: 'nobody' },
      mint: () => ({ path: /^\/C_GenerateKey/ }),
      requests: { path: anyEffect },
      fixtures: [],
    },
    stop: async () => {
      await session.close()
      hsm.stop()
    },
  }
}
