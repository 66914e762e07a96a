// The pepper is exchanged before any call of a rotation of a secret at Doppler, which is named by its value.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { pepperOfName } from '#domain/value-name.ts'
import { openDopplerStage, type DopplerStage } from '#test/support/doppler-stage.ts'
import { makeExchanges } from '#test/support/exchange-at.ts'
import { peer } from '#test/support/peers.ts'

peer('doppler').describe('an exchange before a call to Doppler', () => {
  let stage: DopplerStage
  const exchanges = makeExchanges()
  beforeAll(async () => {
    stage = await openDopplerStage({ wrap: exchanges.wrap })
  })
  afterAll(() => stage?.close())

  const read = (config: string): string | undefined =>
    stage.doppler.workplace.find('backend', config)?.secrets.get('PASSWORD')?.raw
  const register = async (config: string) => {
    const { secrets } = stage.doppler.workplace.config('backend', config)
    secrets.set('PASSWORD', { raw: `old ${config}`, visibility: 'masked' })
    const ref = { project: 'backend', config, name: 'PASSWORD' }
    const key = await stage.register(config, 'doppler.secret', ref)
    await stage.policy(config, { acceptGap: true })
    return key
  }

  test('its rotation ends as without one, with one write, and the next one knows what it left', async () => {
    // Every third: each is a rotation of its own.
    for (let n = 0, calls = 0; n <= calls; n += 3) {
      // oxlint-disable no-await-in-loop -- one rotation after the other
      const config = `at-${n}`
      const key = await register(config)
      const requests = await stage.requestsOf(async () => {
        calls = await exchanges.at(stage.house, n, async () => {
          expect((await stage.until(await stage.rotate(config), 'end')).phase).toBe('completed')
        })
      })
      expect(requests['secrets-update'], config).toBe(1)
      const written = read(config)
      expect(written).toBeDefined()
      expect(written).not.toBe(`old ${config}`)
      expect((await stage.until(await stage.rotate(config), 'end')).phase).toBe('completed')
      expect(read(config)).not.toBe(written)
      const versions = await stage.house.versions(key.id)
      expect(versions.map(({ primary }) => primary)).toEqual([false, false, true])
      const names = versions.flatMap(({ providerVersions }) => providerVersions)
      expect(names.map(pepperOfName)).not.toContain(null)
      // oxlint-enable no-await-in-loop
    }
  })
})
