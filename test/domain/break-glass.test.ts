import fc from 'fast-check'
import { expect, test } from 'vitest'
import { breakGlassRoles, endOfUse, frozenName, sinkOfFrozen } from '#domain/break-glass.ts'
import { namePattern } from '#domain/names.ts'

const isName = new RegExp(namePattern)
const name = fc.stringMatching(isName)

test('the copy of a sink is called as no sink can be, and tells which one it was of', () => {
  fc.assert(
    fc.property(fc.uuid(), name, (apiKey, sink) => {
      const frozen = frozenName(apiKey, sink)
      expect(frozen).toBe(`brk:${apiKey}:${sink}`)
      expect(isName.test(frozen)).toBe(false)
      expect(sinkOfFrozen(frozen)).toBe(sink)
    }),
  )
})

test('two tokens have two copies of one sink', () => {
  expect(frozenName('a', 'oncall')).not.toBe(frozenName('b', 'oncall'))
  expect(sinkOfFrozen('brk:a:with:colons')).toBe('with:colons')
})

test('the first use begins an hour', () => {
  expect(endOfUse(new Date('2026-03-29T00:30:00Z'))).toEqual(new Date('2026-03-29T01:30:00Z'))
})

test('it looks and works on an incident, and does nothing else', () => {
  expect(breakGlassRoles).toEqual(['viewer', 'responder'])
})
