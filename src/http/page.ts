// Small pages without scripts, and without anything from elsewhere.

import { createHash } from 'node:crypto'

const style = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{line-height:1.2}code,td:first-child{font-family:ui-monospace,monospace}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #8884}details{margin:.4rem 0}
pre{overflow-x:auto;padding:.8rem 1rem;background:#8881;border-radius:6px;font-size:.9rem}summary{cursor:pointer}.method{display:inline-block;min-width:4.5rem;font-weight:600}`

export const htmlMediaType = 'text/html; charset=utf-8'

/** Allows this one style and nothing else. */
export const pageHeaders = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
} as const

/** `body` is HTML: escape what goes into it. */
export const page = (title: string, body: string): string =>
  `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)} · Rekey</title><style>${style}</style></head><body><main>\n${body}\n</main></body></html>\n`

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (c) => entities[c] ?? c)
