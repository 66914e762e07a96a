// A failure on stderr: lines for a person, or with `-o json` one problem object on one line. stdout stays data.

import type { ErrorPlace } from '#domain/errors.ts'
import { exitCodes } from './exit-codes.ts'
import type { FailureInfo } from './failure.ts'
import type { Paint } from './paint.ts'

export const failureText = (info: FailureInfo, paint: Paint): string => {
  const what = info.doing === undefined ? '' : `couldn't ${info.doing}: `
  const rows: (readonly [string, string])[] = [
    ...(info.detail === undefined || info.detail === info.title
      ? []
      : [['why', info.detail] as const]),
    ...(info.shown === undefined
      ? (info.errors ?? []).map((place) => ['at', placeText(place)] as const)
      : []),
    ...(info.hint === undefined ? [] : [['hint', info.hint] as const]),
    ...(info.changed === undefined ? [] : [['changed', info.changed] as const]),
    ...(info.next ?? []).map((command) => ['next', command] as const),
    ...(info.requestId === undefined ? [] : [['request', info.requestId] as const]),
  ]
  return [
    ...(info.shown === undefined ? [] : [info.shown.trimEnd()]),
    `${paint('red', 'error:')} ${what}${info.title} [${info.code}]`,
    ...rows.map(
      ([label, text]) => `  ${label.padEnd(8)} ${text.replaceAll('\n', `\n${' '.repeat(11)}`)}`,
    ),
  ]
    .join('\n')
    .concat('\n')
}

/** The server's problem whole, with what only this side knows: what was being done, what was changed, what to run next. */
export const failureJson = (info: FailureInfo): string =>
  `${JSON.stringify({
    type: `about:blank`,
    title: info.title,
    ...(info.status === undefined ? {} : { status: info.status }),
    ...(info.detail === undefined ? {} : { detail: info.detail }),
    code: info.code,
    ...(info.requestId === undefined ? {} : { requestId: info.requestId }),
    errors: info.errors ?? [],
    ...(info.hint === undefined ? {} : { hint: info.hint }),
    ...info.problem,
    ...(info.doing === undefined ? {} : { doing: info.doing }),
    changed: info.changed ?? null,
    next: info.next ?? [],
    exitCode: exitCodes[info.exit],
  })}\n`

const placeText = ({ file, line, column, pointer, detail }: ErrorPlace): string => {
  const where = [file, line, column].filter((part) => part !== undefined).join(':')
  return [where, pointer]
    .filter((part) => part !== '')
    .join(' ')
    .concat(`: ${detail}`)
}
