// `-l team=payments,env=prod`.

import type { JsonObject } from '#domain/json.ts'
import { usage } from './failure.ts'
import { at } from './read-json.ts'

export type Wanted = readonly { readonly key: string; readonly value: string }[]

export const parseSelector = (text: string): Wanted =>
  text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=')
      if (equals < 1) {
        throw usage(`"${part}" is not a label`, { hint: 'write label=value, several with commas' })
      }
      return { key: part.slice(0, equals), value: part.slice(equals + 1) }
    })

/** All of them must hold. */
export const isSelected = (item: JsonObject, wanted: Wanted): boolean =>
  wanted.every(({ key, value }) => at(item, 'labels', key) === value)

export const matchLabels = (wanted: Wanted): Readonly<Record<string, string>> =>
  Object.fromEntries(wanted.map(({ key, value }) => [key, value]))
