// A guide as its reader takes it: files to write, commands to type, output to compare with.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

export type Piece =
  /** The line before the block names a file: `policies/payments.yaml`: */
  | { readonly is: 'file'; readonly name: string; readonly text: string }
  | { readonly is: 'command'; readonly text: string; readonly exit: number }
  /** Lines that the command before it prints. */
  | { readonly is: 'output'; readonly lines: readonly string[] }

export interface Section {
  readonly title: string
  readonly pieces: readonly Piece[]
}

/** By its headings. */
export const sectionsOf = (guide: string): readonly Section[] => {
  const text = readFileSync(join(root, guide), 'utf8')
  const parts: string[] = []
  let inBlock = false
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) inBlock = !inBlock
    if (parts.length === 0 || (!inBlock && /^#{1,3} /.test(line))) parts.push('')
    parts.push(`${parts.pop() ?? ''}${line}\n`)
  }
  return parts.flatMap((part) => {
    const title = /^#+ (.*)/.exec(part)?.[1] ?? ''
    const pieces = piecesOf(part)
    return pieces.length === 0 ? [] : [{ title, pieces }]
  })
}

/** `rekey verb …` in running text; what stands in blocks is run. */
export const mentionsOf = (guide: string): readonly string[] => {
  const text = readFileSync(join(root, guide), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '')
  return [...text.matchAll(/`(rekey [a-z][^`\n]*)`/g)].map((match) => match[1] ?? '')
}

const piecesOf = (part: string): readonly Piece[] =>
  [...part.matchAll(/(?:^`([^`\n]+)`:\n)?^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(
    ([, name, language, text = '']): readonly Piece[] => {
      if (name !== undefined) return [{ is: 'file', name, text }]
      if (language === 'text') return [{ is: 'output', lines: text.trimEnd().split('\n') }]
      return language === 'sh' ? statementsOf(text).map(commandOf) : []
    },
  )

const commandOf = (text: string): Piece => ({
  is: 'command',
  text,
  exit: Number(/ {2,}# exits (\d+)\b/m.exec(text)?.[1] ?? 0),
})

/** As a shell reads them: a line, or as many as it takes until nothing is open. */
export const statementsOf = (block: string): readonly string[] => {
  const statements: string[] = []
  let open = ''
  for (const line of block.trimEnd().split('\n')) {
    open += `${line}\n`
    if (line.endsWith('\\') || !isWhole(open)) continue
    if (!/^\s*(?:#.*)?$/.test(open)) statements.push(open.trimEnd())
    open = ''
  }
  if (open !== '') throw new Error(`a command that does not end: ${open}`)
  return statements
}

const isWhole = (text: string): boolean => {
  try {
    execFileSync('sh', ['-n'], { input: text, stdio: ['pipe', 'ignore', 'ignore'] })
    return true
  } catch {
    return false
  }
}
