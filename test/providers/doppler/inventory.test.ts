// What the inventory shows where not all of it can be read.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { doppler as provider } from '#providers/doppler/provider.ts'
import { call, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startDoppler, type Doppler } from '#test/peers/doppler/doppler.ts'
import { startFaultProxy, type FaultProxy } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'

peer('doppler').describe('an inventory of Doppler', () => {
  let doppler: Doppler
  let proxy: FaultProxy
  let session: Session
  beforeAll(async () => {
    doppler = await startDoppler()
    proxy = await startFaultProxy(doppler.address)
    for (const name of ['dev', 'prd', 'stg']) {
      const config = doppler.workplace.config('shop', name)
      config.secrets.set('STRIPE_KEY', { raw: name, visibility: 'masked' })
    }
    session = provider.connect({
      connection: 'x',
      externalId: 'x',
      settings: { apiUrl: proxy.address },
      credential: new Secret(doppler.admin),
      ports: plainPorts(),
    })
  })
  beforeEach(() => proxy.reset())
  afterAll(async () => {
    await proxy?.stop()
    await doppler?.stop()
  })

  const refuse = (status: number, path: RegExp) =>
    proxy.inject(
      { path },
      {
        kind: 'status',
        status,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: ['no'], success: false }),
      },
      20,
    )
  const found = async (): Promise<readonly (readonly string[])[]> => {
    const items: string[][] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<Session['inventory']>> = await session.inventory(
        'doppler.secret',
        cursor,
        call(),
      )
      items.push(
        ...page.items.map(({ ref }) =>
          [ref['config'], ref['name']].filter((part) => typeof part === 'string'),
        ),
      )
      cursor = page.next
    } while (cursor !== null)
    return items
  }

  test.each([
    [403, 'that the token may not read'],
    [404, 'that was deleted after it was listed'],
  ])('a config (%i) %s hides no other', async (status) => {
    refuse(status, /names\?project=shop&config=prd/)
    expect(await found()).toEqual([
      ['dev', 'STRIPE_KEY'],
      ['stg', 'STRIPE_KEY'],
    ])
  })

  test('a token that may read names nowhere is told so, and gets no empty list', async () => {
    refuse(403, /secrets\/names/)
    expect(await failure(session.inventory('doppler.secret', null, call()))).toMatchObject({
      kind: 'forbidden',
      hint: expect.stringContaining('enclave_project_config_secrets_read'),
    })
  })

  test('a name that no key can have hides no other', async () => {
    proxy.inject(
      { path: /names\?project=shop&config=dev/ },
      {
        kind: 'status',
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ names: ['DOPPLER_PROJECT', 'X'.repeat(300), 'FINE'] }),
      },
    )
    expect(await found()).toEqual([
      ['dev', 'FINE'],
      ['prd', 'STRIPE_KEY'],
      ['stg', 'STRIPE_KEY'],
    ])
  })

  test('more configs than Doppler gives at once are all listed', async () => {
    for (let n = 0; n < 25; n++) {
      const config = doppler.workplace.config('wide', `c${String(n).padStart(2, '0')}`)
      config.secrets.set('KEY', { raw: 'x', visibility: 'masked' })
    }
    const wide = (await found()).filter(([config]) => /^c\d\d$/.test(config ?? ''))
    expect(wide).toHaveLength(25)
  })
})
