// What a step by hand is about, as the intent that asked for it says.

import { describe, expect, test } from 'vitest'
import { type Became, type HandEffect, isHandEffect, subjectOf } from '#domain/by-hand.ts'
import type { JsonObject } from '#domain/json.ts'
import { effects } from '#domain/rotation.ts'

const subject = (effect: HandEffect, target: string | null, preImage: JsonObject = {}) =>
  subjectOf({ operationId: 'op-1', effect, target, preImage })

describe('a step is about', () => {
  test.each<
    readonly [
      effect: HandEffect,
      target: string | null,
      preImage: JsonObject,
      version: string,
      became: Became,
    ]
  >([
    ['mint', null, {}, 'op-1', 'enabled'],
    ['mint', 'p1', { to: 'p2' }, 'op-1', 'enabled'],
    ['promote', null, { to: 'p2' }, 'p2', 'current'],
    ['promote', 'p1', { to: 'p2' }, 'p1', 'current'],
    ['swapBack', 'p1', {}, 'p1', 'current'],
    ['suspend', 'p1', {}, 'p1', 'disabled'],
    ['suspend', 'p1', { wanted: 'destroyed' }, 'p1', 'disabled'],
    ['reinstate', 'p1', {}, 'p1', 'enabled'],
    ['retire', 'p1', { wanted: 'disabled' }, 'p1', 'disabled'],
    ['retire', 'p1', { wanted: 'destroyed' }, 'p1', 'destroyed'],
    ['removeNew', 'p2', {}, 'p2', 'destroyed'],
  ])('%s of %s, with %j: %s, which is %s since', (effect, target, preImage, version, became) => {
    expect(subject(effect, target, preImage)).toEqual({ version, became })
  })

  test.each<
    readonly [what: string, effect: HandEffect, target: string | null, preImage: JsonObject]
  >([
    ['no version', 'suspend', null, {}],
    ['a version that is no text', 'promote', null, { to: 2 }],
    ['no version, though the end is said', 'retire', null, { wanted: 'destroyed' }],
    ['a retirement that does not say how', 'retire', 'p1', {}],
    ['a retirement of another end', 'retire', 'p1', { wanted: 'enabled' }],
  ])(
    'nothing where the intent names %s: it is told, not guessed',
    (_what, effect, target, preImage) => {
      expect(() => subject(effect, target, preImage)).toThrow(
        new RangeError('the intent op-1 does not say what it is about'),
      )
    },
  )
})

test('people carry out what is done to versions, and nothing that Rekey writes elsewhere', () => {
  expect(Object.keys(effects).filter(isHandEffect).toSorted()).toEqual([
    'mint',
    'promote',
    'reinstate',
    'removeNew',
    'retire',
    'suspend',
    'swapBack',
  ])
  expect(isHandEffect('distribute')).toBe(false)
  expect(isHandEffect('constructor')).toBe(false)
})
