// docker-compose.yml, as far as it can be looked at without images: by Docker itself where it is, by its own words elsewhere.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '#src/config.ts'
import { wrongCommands } from '#test/support/rekey-words.ts'

interface Service {
  readonly image?: string
  readonly build?: string
  readonly command?: readonly string[]
  readonly volumes?: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly disable?: boolean }
  readonly stop_grace_period?: string
}

const root = join(import.meta.dirname, '../..')
const { services, volumes } = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), {
  merge: true,
}) as {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
const rows = Object.entries(services)

const hasCompose = ((): boolean => {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

// No peer: no project file can install an engine. Without one the rest of this file is what is known.
if (hasCompose)
  test('docker compose accepts it', () => {
    execFileSync('docker', ['compose', 'config', '--quiet'], { cwd: root })
  })

describe.each(rows)('the service %s', (_name, service) => {
  test('is built here, or comes from an image of one version', () => {
    if (service.build === undefined) expect(service.image).toMatch(/^[a-z/-]+:\d+\.\d+/)
    else expect(existsSync(join(root, service.build, 'Dockerfile'))).toBe(true)
  })

  test('waits for services that there are, in states that they can reach', () => {
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const awaited = services[other]
      expect(awaited, other).toBeDefined()
      if (condition !== 'service_healthy') continue
      const checked = awaited?.healthcheck ?? /^HEALTHCHECK/m.test(dockerfile)
      expect(checked, `${other} has a health check`).toBeTruthy()
    }
  })

  test('mounts volumes that are declared', () => {
    for (const volume of service.volumes ?? [])
      expect(Object.keys(volumes)).toContain(volume.split(':')[0])
  })
})

describe.each(rows.filter(([, { build }]) => build !== undefined))(
  'of Rekey, %s',
  (_name, service) => {
    test('has variables that Rekey knows', () => {
      const env = Object.entries(service.environment ?? {}).map(([name, value]): [string, string] =>
        name.endsWith('_FILE') ? [name.slice(0, -5), 'postgresql://x@y/z'] : [name, String(value)],
      )
      expect(() => loadConfig(Object.fromEntries(env))).not.toThrow()
    })

    test('runs a role that there is, and has time to finish its step when it is stopped', () => {
      const [script = ''] = service.command ?? []
      const words = script.includes('\n')
        ? [...script.matchAll(/node src\/main\.ts (.*)/g)].map((match) => match[1] ?? '')
        : (service.command ?? [])
      expect(words.length).toBeGreaterThan(0)
      expect(words.flatMap((word) => wrongCommands(`rekey ${word}`))).toEqual([])
      expect(service.stop_grace_period).toBe('30s')
    })
  },
)
