import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasRole, inScope, roles, systemActor } from '#domain/actor.ts'

const someRoles = fc.subarray([...roles])

describe('a role', () => {
  test('is had by who has it, and by admins', () => {
    fc.assert(
      fc.property(someRoles, someRoles, (had, asked) => {
        const has = had.includes('admin') || had.some((role) => asked.includes(role))
        expect(hasRole({ roles: had }, ...asked)).toBe(has)
      }),
    )
  })

  test('is not what a timer of the house has', () => {
    const actor = systemActor('worker', 'w-1')
    expect(actor).toEqual({
      type: 'worker',
      id: 'worker:w-1',
      name: 'w-1',
      roles: [],
      scope: null,
      consumer: null,
      keys: null,
    })
    expect(hasRole(actor, ...roles)).toBe(false)
  })
})

describe('a scope', () => {
  const labels = { team: 'payments', env: 'prod' }
  const sees = (scope: Parameters<typeof inScope>[0]['scope'], connection?: string) =>
    inScope({ scope }, { labels, ...(connection === undefined ? {} : { connection }) })

  test('that is none holds everything', () => {
    expect(sees(null)).toBe(true)
    expect(sees({})).toBe(true)
  })

  test('of labels holds what carries all of them', () => {
    expect(sees({ matchLabels: { team: 'payments' } })).toBe(true)
    expect(sees({ matchLabels: { team: 'payments', env: 'prod' } })).toBe(true)
    expect(sees({ matchLabels: { team: 'payments', env: 'dev' } })).toBe(false)
    expect(sees({ matchLabels: { region: 'eu' } })).toBe(false)
  })

  test('of connections holds what is on one of them, and nothing that is on none', () => {
    expect(sees({ connections: ['vault', 'aws'] }, 'aws')).toBe(true)
    expect(sees({ connections: ['vault'] }, 'aws')).toBe(false)
    expect(sees({ connections: ['vault'] })).toBe(false)
    expect(sees({ connections: [] }, 'aws')).toBe(false)
  })

  test('of both holds what is in both', () => {
    const scope = { connections: ['aws'], matchLabels: { env: 'prod' } }
    expect(sees(scope, 'aws')).toBe(true)
    expect(sees(scope, 'vault')).toBe(false)
    expect(sees({ ...scope, matchLabels: { env: 'dev' } }, 'aws')).toBe(false)
  })
})
