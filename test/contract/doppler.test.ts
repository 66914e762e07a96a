import { doppler } from '#providers/doppler/provider.ts'
import { peer } from '#test/support/peers.ts'
import { startDopplerSecrets, startDopplerTokens } from './doppler-peer.ts'
import { providerContract } from './suite.ts'

peer('doppler').describe('Doppler', () => {
  providerContract({ provider: doppler, type: 'doppler.secret', start: startDopplerSecrets })
  providerContract({ provider: doppler, type: 'doppler.serviceToken', start: startDopplerTokens })
})
