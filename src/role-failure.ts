// What a command that needs the database says when it is refused, and its exit code. Without a stack.

import { Failure, interrupted, usage } from '#cli/failure.ts'
import type { ExitName } from '#cli/exit-codes.ts'
import { BackupRefused, type RefusedBackup } from '#domain/backup.ts'
import { KekRefused, type RefusedKek } from '#domain/kek.ts'
import { PepperRefused, type RefusedPepper } from '#domain/pepper.ts'
import { StartRefused } from '#domain/start-refused.ts'
import { ConfigError } from './config.ts'
import { startFailure } from './start-failure.ts'

export const told = async (title: string, work: () => Promise<void>): Promise<void> => {
  try {
    await work()
  } catch (error) {
    throw toFailure(error, title)
  }
}

const exits: Readonly<Record<RefusedBackup, ExitName>> = {
  target: 'conflict',
  damaged: 'integrity',
  notBackup: 'notFound',
  newer: 'conflict',
  older: 'conflict',
  notEmpty: 'conflict',
  keys: 'conflict',
}

const kekExits: Readonly<Record<RefusedKek, ExitName>> = {
  busy: 'conflict',
  file: 'conflict',
  ambiguous: 'conflict',
  waits: 'stillWaiting',
  damaged: 'integrity',
  early: 'conflict',
  inUse: 'conflict',
}

const pepperExits: Readonly<Record<RefusedPepper, ExitName>> = {
  busy: 'conflict',
  file: 'conflict',
  ambiguous: 'conflict',
  older: 'stillWaiting',
  waits: 'stillWaiting',
  last: 'conflict',
  inUse: 'conflict',
  ended: 'conflict',
}

/** What was refused says why, in one piece, without a stack. */
const toFailure = (error: unknown, title: string): unknown => {
  if (!(error instanceof Error) || error instanceof Failure) return error
  if (error instanceof ConfigError) return usage(error.message, { code: 'config.invalid' })
  if (error instanceof BackupRefused) {
    const { why, hint, message: detail } = error
    return new Failure({
      code: `backup.${why}`,
      exit: exits[why],
      title,
      detail,
      hint,
      changed: 'nothing',
    })
  }
  if (error instanceof KekRefused) {
    const { why, hint, message: detail } = error
    return new Failure({ code: `kek.${why}`, exit: kekExits[why], title, detail, hint })
  }
  if (error instanceof PepperRefused) {
    const { why, hint, message: detail } = error
    return new Failure({ code: `pepper.${why}`, exit: pepperExits[why], title, detail, hint })
  }
  if (error.name === 'ProvidersRefused') return usage(error.message, { code: 'config.invalid' })
  if (error.name === 'Interrupted') return interrupted({ title, detail: error.message })
  if (error.name === 'MigrationRefused')
    return new Failure({
      code: 'migrate.refused',
      exit: 'conflict',
      title,
      detail: error.message,
      hint: 'start the version that the database is of; the way back is the backup of before: docs/how-to/upgrade.md',
      changed: 'nothing',
    })
  if (error instanceof StartRefused) {
    // Of the schema: another version would start. Of anything else: somebody was at the database.
    const exit = error.findings.every(({ check }) => /^(migrations|schema)/.test(check))
      ? 'conflict'
      : 'integrity'
    return new Failure({
      code: 'start.refused',
      exit,
      title,
      detail: error.message,
      changed: 'nothing',
    })
  }
  const known = startFailure(error)
  if (known !== null) return new Failure({ ...known, title })
  return new Failure({
    code: 'start.failed',
    exit: 'failed',
    title,
    detail: error.message === '' && 'code' in error ? String(error.code) : error.message,
  })
}
