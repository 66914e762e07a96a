// The log: one JSON object a line on stderr, for whoever collects it; on a terminal the same lines for a person. What is
// logged holds no secrets; the paths below are the second lock.

import { styleText } from 'node:util'
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'

const censor = '«redacted»'

/** For `pino()`. `fields` are those of the work under way: its trace, its rotation. */
export const logOptions = (
  level: string,
  fields: () => Readonly<Record<string, string>> = () => ({}),
): LoggerOptions => ({
  level,
  mixin: () => ({ ...fields() }),
  // `info`, not 30; RFC 3339, not milliseconds since 1970: people and collectors read both.
  formatters: { level: (label) => ({ level: label }) },
  timestamp: pino.stdTimeFunctions.isoTime,
  redact: {
    paths: [
      'authorization',
      'cookie',
      'token',
      'password',
      'secret',
      '*.authorization',
      '*.cookie',
      '*.token',
      '*.password',
      '*.secret',
      'req.headers',
      'headers',
      'body',
      'req.body',
      'err.validation',
      'err.config',
      'err.request',
      'err.response',
    ],
    censor,
  },
})

export const openLog = (
  level: string,
  fields: () => Readonly<Record<string, string>>,
  stderr: NodeJS.WriteStream = process.stderr,
): Logger => pino(logOptions(level, fields), stderr.isTTY ? forPeople(stderr) : pino.destination(2))

const forPeople = (stderr: NodeJS.WriteStream): DestinationStream => {
  // Honours NO_COLOR and the terminal's own abilities.
  const paint: Paint = (style, text) => styleText(style, text, { stream: stderr })
  return { write: (line) => void stderr.write(`${readable(line, paint)}\n`) }
}

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string

const colours: Readonly<Record<string, Style>> = {
  debug: 'dim',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
}
/** Not told to people: they are the same on every line, or are told before. */
const silent = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'spanId'])

/** `01:02:03.456 info  request  method=GET status=200`. What is no JSON object stays as it is. */
export const readable = (line: string, paint: Paint = (_style, text) => text): string => {
  const fields = parsed(line)
  if (fields === null) return line.trimEnd()
  const text = (name: string): string => {
    const value = fields[name]
    return typeof value === 'string' ? plain(value) : ''
  }
  const level = text('level')
  const rest = Object.entries(fields)
    .filter(([name]) => !silent.has(name))
    .map(([name, value]) => `${name}=${written(value)}`)
  return [
    paint('dim', text('time').slice(11, 23)),
    paint(colours[level] ?? 'reset', level.padEnd(5)),
    text('msg'),
    ...(rest.length === 0 ? [] : [paint('dim', rest.join(' '))]),
  ].join(' ')
}

const parsed = (line: string): Readonly<Record<string, unknown>> | null => {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

/** Quoted where it could be taken for several. */
const written = (value: unknown): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return plain(typeof value === 'string' && !/^[^\s"=]+$/.test(text) ? JSON.stringify(text) : text)
}

/** What could move a cursor, or hide, is shown by its number. */
const plain = (text: string): string =>
  text.replaceAll(/\p{C}/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
