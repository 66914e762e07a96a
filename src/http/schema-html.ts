// A JSON Schema as nested lists of fields.

import { propertiesOf, recordOf } from './input.ts'
import { escapeHtml } from './page.ts'

/** Below that, a field is told by its type alone. */
const deepest = 6

export const fieldsHtml = (schema: unknown, depth = 0): string => {
  const { anyOf, items, properties } = recordOf(schema)
  if (depth > deepest) return ''
  if (properties !== undefined) return objectHtml(schema, depth)
  if (items !== undefined) return fieldsHtml(items, depth)
  if (Array.isArray(anyOf)) {
    const shapes = anyOf.filter((branch) => recordOf(branch)['type'] !== 'null')
    const shown = shapes.map((branch) => fieldsHtml(branch, depth)).filter((html) => html !== '')
    return shown.join('<p>or</p>')
  }
  return depth === 0 ? `<p>${typeHtml(schema)}</p>` : ''
}

const objectHtml = (schema: unknown, depth: number): string => {
  const { required } = recordOf(schema)
  const needed: readonly unknown[] = Array.isArray(required) ? required : []
  const fields = Object.entries(propertiesOf(schema)).map(([name, field]) => {
    const must = needed.includes(name) ? ' <strong>required</strong>' : ''
    const { title, description } = field
    const said = [title, description].find((part) => typeof part === 'string') ?? ''
    return `<li><code>${escapeHtml(name)}</code> <small>${typeHtml(field)}</small>${must} ${escapeHtml(String(said))}${fieldsHtml(field, depth + 1)}</li>`
  })
  return `<ul>${fields.join('')}</ul>`
}

/** `string`, `integer or null`, `one of a, b`, a link to a named schema. */
export const typeHtml = (schema: unknown): string => {
  const {
    $ref: reference,
    anyOf,
    type,
    format,
    items,
    const: constant,
    default: usual,
  } = recordOf(schema)
  const { enum: options } = recordOf(schema)
  if (typeof reference === 'string') {
    const name = escapeHtml(reference.split('/').at(-1) ?? '')
    return `<a href="#schema-${name}">${name}</a>`
  }
  if (constant !== undefined) return `<code>${escapeHtml(JSON.stringify(constant))}</code>`
  if (Array.isArray(options))
    return `one of ${options.map((o) => `<code>${escapeHtml(String(o))}</code>`).join(', ')}`
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeHtml))].join(' or ')
  const base = items === undefined ? namesOf(type) : `list of ${typeHtml(items)}`
  const more = [
    typeof format === 'string' ? escapeHtml(format) : '',
    usual === undefined ? '' : `default <code>${escapeHtml(JSON.stringify(usual))}</code>`,
  ].filter((part) => part !== '')
  return more.length === 0 ? base : `${base} (${more.join(', ')})`
}

const namesOf = (type: unknown): string => {
  const names = [type].flat().filter((name) => typeof name === 'string')
  return names.length === 0 ? 'anything' : names.join(' or ')
}
