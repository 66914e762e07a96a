// What pages that are drawn from the code share.

export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

export const generated = '<!-- Drawn from the code by `npm run docs`; changes here are lost. -->'
