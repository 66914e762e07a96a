// For a PostgreSQL that is not Rekey's own: what its superuser does once, before and after `rekey migrate`.
//
//   prepare   makes roles and database, lends the owners to rekey_migrate, and writes the connection strings of rekey_app and
//             rekey_migrate to DATABASE_URL_DIR (app-url, migration-url). Where these are, roles and passwords stay
//   seal      takes the owners back and raises the guards of the audit log
//
// Reads SUPERUSER_DATABASE_URL, and DATABASE_NAME (rekey where not said).

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  bootstrap,
  lendOwners,
  lowerGuards,
  raiseGuards,
  takeOwnersBack,
  withDatabase,
} from '../src/store/bootstrap.ts'

const needed = (name: string): string => {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set`)
  return value
}

const superuserUrl = needed('SUPERUSER_DATABASE_URL')
const database = process.env['DATABASE_NAME'] ?? 'rekey'

const prepare = async (): Promise<void> => {
  const dir = needed('DATABASE_URL_DIR')
  const [app, migration] = [join(dir, 'app-url'), join(dir, 'migration-url')]
  if (!existsSync(app) || !existsSync(migration)) {
    const urls = await bootstrap({ superuserUrl, database })
    mkdirSync(dir, { recursive: true })
    writeFileSync(migration, `${urls.migration}\n`, { mode: 0o600 })
    // Last: its presence says that all is there.
    writeFileSync(app, `${urls.app}\n`, { mode: 0o600 })
  }
  const url = withDatabase(superuserUrl, database)
  await lowerGuards(url)
  await lendOwners(url)
}

const seal = async (): Promise<void> => {
  const url = withDatabase(superuserUrl, database)
  await takeOwnersBack(url)
  await raiseGuards(url)
}

switch (process.argv[2]) {
  case 'prepare':
    await prepare()
    break
  case 'seal':
    await seal()
    break
  default:
    console.error('usage: node scripts/database.ts prepare | seal')
    process.exitCode = 2
}
