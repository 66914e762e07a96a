// Issues as a person reads them in a terminal:
//
//   policies/payments.yaml:8:15  error  request.invalid  unknown time zone "Mars/Base"
//      8 |     timezone: Mars/Base
//        |               ^^^^^^^^^   use an IANA name, e.g. Europe/Paris      docs: /problems/request.invalid

import type { Issue } from './issue.ts'
import { forbiddenCharacter } from './yaml-guard.ts'

const widest = 120

/** The text must be the one that was checked. Safe to print: control characters of the text do not reach the terminal. */
export const renderIssues = (text: string, issues: readonly Issue[]): string => {
  const lines = text.split('\n')
  return issues.map((issue) => render(lines, issue)).join('\n\n')
}

const render = (lines: readonly string[], issue: Issue): string => {
  const { line, column, code, pointer } = issue
  const where = [
    issue.file ?? '<input>',
    ...(line === undefined ? [] : [line, ...(column === undefined ? [] : [column])]),
  ]
  const subject = line === undefined && pointer !== '' ? `${pointer}: ` : ''
  const head = `${where.join(':')}  error  ${code}  ${subject}${visible(issue.detail)}`
  const notes = [
    ...(issue.hint === undefined ? [] : [visible(issue.hint)]),
    `docs: /problems/${code}`,
  ].join('      ')
  const source = line === undefined ? undefined : lines[line - 1]
  if (source === undefined || line === undefined || column === undefined)
    return `${head}\n     ${notes}`

  // Of a long line, the part around the fault.
  const skipped = column > widest - 20 ? column - 40 : 0
  const shown = visible(source.slice(skipped, skipped + widest).trimEnd())
  const length = Math.min((issue.endColumn ?? column + 1) - column, widest - (column - 1 - skipped))
  const indent = source.slice(skipped, column - 1).replaceAll(/[^\t]/g, ' ')
  const number = String(line).padStart(4)
  return [
    head,
    `${number} | ${shown}`,
    `${' '.repeat(number.length)} | ${indent}${'^'.repeat(Math.max(1, length))}   ${notes}`,
  ].join('\n')
}

/** One sign for each, so that the caret stays below its place. */
const visible = (text: string): string => {
  if (forbiddenCharacter(text.replaceAll(/[\r\n]/g, '\u0000')) === null) return text
  return Array.from(text, (c) =>
    c === '\t' || (forbiddenCharacter(c) === null && !/[\r\n]/.test(c)) ? c : '�',
  ).join('')
}
