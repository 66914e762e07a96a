import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { revealBytes, revealText, Secret } from '#domain/secret.ts'

const planted = 'planted-4711'
const text = new Secret(planted)
const bytes = new Secret(new TextEncoder().encode(planted))

test('a secret that is printed, joined, serialised or inspected says «redacted»', () => {
  for (const secret of [text, bytes]) {
    const said = [
      String(secret),
      `${secret.toString()}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [secret] }, { depth: null, showHidden: true }),
    ]
    for (const one of said) {
      expect(one).toContain('«redacted»')
      expect(one).not.toContain(planted)
    }
  }
})

test('a secret is the same as text and as bytes', () => {
  expect(text.reveal()).toBe(planted)
  expect(revealText(text)).toBe(planted)
  expect(revealText(bytes)).toBe(planted)
  expect(revealBytes(text)).toEqual(bytes.reveal())
  expect(revealBytes(bytes)).toBe(bytes.reveal())
})

test('bytes that are no text are not turned into one', () => {
  expect(() => revealText(new Secret(new Uint8Array([0xff, 0xfe])))).toThrow(TypeError)
})
