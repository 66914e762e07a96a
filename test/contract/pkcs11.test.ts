import { pkcs11 } from '#providers/pkcs11/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startPkcs11 } from './pkcs11-peer.ts'
import { providerContract } from './suite.ts'

// Spoken to by no HTTP, and without rights of its own. What fails here is the library, in the middle of its calls.
const without = ['http', 'rights', 'names'] as const

peer('softhsm').describe('AES in SoftHSM', () => {
  providerContract({ provider: pkcs11, type: 'pkcs11.key', start: startPkcs11('aes256'), without })
})
// What a library leaves that dies with pairs in its hands: test/usecases/rotate-pkcs11.test.ts, call by call.
peer('softhsm').describe('RSA in SoftHSM', () => {
  providerContract({
    provider: pkcs11,
    type: 'pkcs11.key',
    start: startPkcs11('rsa2048'),
    without: [...without, 'inventory', 'faults'],
  })
})
peer('softhsm').describe('EC in SoftHSM', () => {
  providerContract({
    provider: pkcs11,
    type: 'pkcs11.key',
    start: startPkcs11('ecP256'),
    without: [...without, 'inventory', 'faults'],
  })
})
