import { pkcs11 } from '#providers/pkcs11/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startPkcs11 } from './pkcs11-peer.ts'
import { providerContract } from './suite.ts'

// Spoken to by no network, and without rights of its own.
const without = ['faults', 'http', 'rights', 'names'] as const

peer('softhsm').describe('AES in SoftHSM', () => {
  providerContract({ provider: pkcs11, type: 'pkcs11.key', start: startPkcs11('aes256'), without })
})
peer('softhsm').describe('EC in SoftHSM', () => {
  providerContract({
    provider: pkcs11,
    type: 'pkcs11.key',
    start: startPkcs11('ecP256'),
    without: [...without, 'inventory'],
  })
})
