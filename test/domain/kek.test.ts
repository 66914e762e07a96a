import { expect, test } from 'vitest'
import { type Kek, KekRefused, type KekState, retirableFrom, wordOf } from '#domain/kek.ts'
import { at } from './key-facts.ts'

const kek = (id: string, state: KekState): Kek => ({
  id,
  state,
  activatedAt: at(0),
  replacedAt: state === 'active' ? null : at(10),
  rewrappedAt: null,
  retiredAt: state === 'retired' ? at(20) : null,
})

test('the word on keys is the active one, and all that are retired; replaced ones may be gone back to', () => {
  expect(
    wordOf([kek('a', 'retired'), kek('b', 'replaced'), kek('c', 'active'), kek('d', 'retired')]),
  ).toEqual({ seals: 'c', retired: ['a', 'd'] })
})

test('before the first start there is no word', () => {
  expect(wordOf([])).toEqual({ seals: null, retired: [] })
  expect(wordOf([kek('a', 'replaced')])).toEqual({ seals: null, retired: [] })
})

test('a replaced key is kept for a day after the last row was sealed anew', () => {
  const rewrappedAt = new Date('2026-03-28T12:00:00Z')
  expect(retirableFrom({ rewrappedAt })).toEqual(new Date('2026-03-29T12:00:00Z'))
  expect(retirableFrom({ rewrappedAt: null })).toBeNull()
})

test('a refusal says why in a word, in a sentence, and what to do', () => {
  const refused = new KekRefused('early', 'It is too early.', 'Come back tomorrow.')
  expect(refused).toBeInstanceOf(Error)
  expect(refused).toMatchObject({
    name: 'KekRefused',
    why: 'early',
    message: 'It is too early.',
    hint: 'Come back tomorrow.',
  })
})
