import { expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { lateEffectOf, ProviderError, providerErrorKinds } from '#domain/provider.ts'
import { completed } from './key-facts.ts'

test('what may succeed by itself later is tried again, what needs a person is not', () => {
  const retried = providerErrorKinds.filter(
    (kind) => new ProviderError(kind, 'none', 'x').retryable,
  )
  expect(retried).toEqual(['throttled', 'transient', 'timeout', 'outcomeUnknown'])
})

test('a failure says what is known of it, and null of what is not', () => {
  expect({ ...new ProviderError('auth', 'unknown', 'refused') }).toEqual({
    name: 'ProviderError',
    kind: 'auth',
    effect: 'unknown',
    retryAfterMs: null,
    hint: null,
    status: null,
    requestId: null,
  })
  const more = { retryAfterMs: 0, hint: 'grant it', status: 403, requestId: 'r-1' }
  const failure = new ProviderError('forbidden', 'none', 'not allowed', more)
  expect(failure).toMatchObject({ message: 'not allowed', ...more })
})

test('how late a request may have its effect is said by the settings of the connection, else by the type', () => {
  const traits = { ...completed.traits, lateEffectMs: 5_000 }
  const lateEffectIn = (settings: JsonObject) => Number(settings['most'] ?? 7_000)
  expect(lateEffectOf({ traits }, { settings: {} })).toBe(5_000)
  expect(lateEffectOf({ traits, lateEffectIn }, { settings: {} })).toBe(7_000)
  expect(lateEffectOf({ traits, lateEffectIn }, { settings: { most: 0 } })).toBe(0)
})
