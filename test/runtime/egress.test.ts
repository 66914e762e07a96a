import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isRekeyError } from '#domain/errors.ts'
import { classifyAddress, makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'

describe('classes of addresses', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12:3456::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['2002:0a00:0001::', 'private'],
    ['169.254.169.254', 'forbidden'],
    ['::ffff:169.254.169.254', 'forbidden'],
    ['64:ff9b::a9fe:a9fe', 'forbidden'],
    ['2002:a9fe:a9fe::1', 'forbidden'],
    ['fe80::1', 'forbidden'],
    ['fe80::1%eth0', 'forbidden'],
    ['fd00:ec2::254', 'forbidden'],
    ['100.100.100.200', 'forbidden'],
    ['168.63.129.16', 'forbidden'],
    ['0.0.0.0', 'forbidden'],
    ['::', 'forbidden'],
    ['224.0.0.1', 'forbidden'],
    ['255.255.255.255', 'forbidden'],
    ['ff02::1', 'forbidden'],
    ['not an address', 'forbidden'],
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:0:a9fe:a9fe', 'forbidden'],
    ['::ffff:0:0a00:0001', 'private'],
    ['2606:4700::5efe:a9fe:a9fe', 'forbidden'],
    ['2606:4700::200:5efe:7f00:1', 'loopback'],
    ['64:ff9b:1::a9fe:a9fe', 'forbidden'],
    ['2001:0:4136:e378:8000:63bf:5601:5601', 'forbidden'],
    ['fd00:42::42', 'forbidden'],
    ['::7f00:1', 'loopback'],
    ['4000::1', 'forbidden'],
    ['3fff::1', 'private'],
  ])('%s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected)
  })

  test('an IPv4 address is of one class in every disguise', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const plain = classifyAddress(address)
        expect(classifyAddress(`::ffff:${address}`)).toBe(plain)
        expect(classifyAddress(`64:ff9b::${address}`)).toBe(plain)
      }),
    )
  })
})

describe('spellings of URLs', () => {
  const egress = makeEgress({ allow: [] })
  test.each([
    'https://2852039166/',
    'https://0xa9fea9fe/',
    'https://0251.0376.0251.0376/',
    'https://169.254.43518/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://169.254.169.254./',
  ])('%s is the metadata service', (url) => {
    for (const kind of ['provider', 'webhook'] as const) {
      expect(() => egress.checkUrl(url, kind, { insecure: false })).toThrow()
    }
  })

  test('metadata is never allowed, not even by name', () => {
    const open = makeEgress({ allow: ['169.254.0.0/16', '*', '10.0.0.0/8'] })
    expect(() => open.checkUrl('https://169.254.169.254', 'webhook', { insecure: true })).toThrow()
    open.checkUrl('https://10.1.1.1', 'webhook', { insecure: false })
  })
})

describe('names', () => {
  const resolving = (answers: readonly string[], allow: readonly string[] = []) =>
    makeEgress({ allow, lookupAll: async () => answers })
  const at = { protocol: 'https:', hostname: 'name.example.com' }

  test('one forbidden address among good ones spoils the name', async () => {
    const egress = resolving(['93.184.216.34', '169.254.169.254'])
    await expect(egress.resolve(at, 'provider', { insecure: false })).rejects.toThrow()
  })

  test('a webhook name with a private address needs to be allowed by name, suffix or network', async () => {
    for (const [allow, ok] of [
      [[], false],
      [['name.example.com'], true],
      [['*.example.com'], true],
      [['*.ample.com'], false],
      [['10.0.0.0/8'], true],
      [['10.0.0.6'], false],
    ] as const) {
      const outcome = resolving(['10.0.0.5'], allow).resolve(at, 'webhook', { insecure: false })
      if (ok) await expect(outcome).resolves.toEqual(['10.0.0.5'])
      else await expect(outcome).rejects.toThrow()
    }
  })

  test('plain http goes only where the name is loopback', async () => {
    const http = { ...at, protocol: 'http:' }
    await expect(
      resolving(['127.0.0.1']).resolve(http, 'provider', { insecure: false }),
    ).resolves.toHaveLength(1)
    await expect(
      resolving(['10.0.0.5']).resolve(http, 'provider', { insecure: false }),
    ).rejects.toThrow()
    await expect(
      resolving(['10.0.0.5']).resolve(http, 'provider', { insecure: true }),
    ).resolves.toHaveLength(1)
  })
})

describe('the fetch that providers get', () => {
  let server: Server
  let port: number
  const hosts: (string | undefined)[] = []

  beforeAll(async () => {
    server = createServer((request, reply) => {
      hosts.push(request.headers.host)
      if (request.url === '/redirect') {
        reply.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
      } else if (request.url === '/big') {
        reply.end('x'.repeat(100_000))
      } else if (request.url === '/bomb') {
        reply.setHeader('content-encoding', 'gzip')
        reply.end(gzipSync(Buffer.alloc(50 * 1024 * 1024)))
      } else if (request.url === '/slow') {
        reply.flushHeaders()
      } else reply.end('ok')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const client = (answers: readonly (readonly string[])[], more: object = {}) => {
    let asked = 0
    const egress = makeEgress({
      allow: [],
      lookupAll: async () => answers[Math.min(asked++, answers.length - 1)] ?? [],
    })
    return {
      asked: () => asked,
      ...makeSafeFetch({ egress, kind: 'provider', insecure: false, ...more }),
    }
  }

  test('dials the address that was checked, under the name that was asked for', async () => {
    const { fetch, close, asked } = client([['127.0.0.1'], ['169.254.169.254']])
    const reply = await fetch(`http://vault.test:${port}/`)
    expect(await reply.text()).toBe('ok')
    expect(hosts.at(-1)).toBe(`vault.test:${port}`)
    expect(asked()).toBe(1)
    await close()
  })

  test('a name that answers otherwise the next time is refused the next time', async () => {
    const { fetch, close } = client([['169.254.169.254']])
    await expect(fetch(`http://rebind.test:${port}/`)).rejects.toThrow()
    await close()
  })

  test('an address in the URL is checked too', async () => {
    const { fetch, close } = client([])
    const error = await fetch('http://169.254.169.254/latest').catch((e: unknown) => e)
    expect(error).toBeInstanceOf(Error)
    expect(isRekeyError((error as Error).cause)).toBe(true)
    await close()
  })

  test('redirects are not followed', async () => {
    const { fetch, close } = client([['127.0.0.1']])
    const reply = await fetch(`http://vault.test:${port}/redirect`)
    expect(reply.status).toBe(302)
    await close()
  })

  test('a compressed reply, small on the way and endless here, is not taken', async () => {
    const { fetch, close } = client([['127.0.0.1']], { maxBytes: 200_000 })
    const asked = { headers: { 'accept-encoding': 'gzip' } }
    await expect(fetch(`http://vault.test:${port}/bomb`, asked)).rejects.toThrow('compressed')
    await close()
  })

  test('a reply that is too large or too slow breaks off', async () => {
    const small = client([['127.0.0.1']], { maxBytes: 1_000 })
    await expect(
      small.fetch(`http://vault.test:${port}/big`).then((reply) => reply.text()),
    ).rejects.toThrow()
    await small.close()
    const brief = client([['127.0.0.1']], { timeoutMs: 200 })
    await expect(
      brief.fetch(`http://vault.test:${port}/slow`).then((reply) => reply.text()),
    ).rejects.toThrow()
  })
})
