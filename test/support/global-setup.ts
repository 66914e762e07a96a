// One PostgreSQL for the whole run, with a template database that every test file clones. Nothing in it survives the run,
// so nothing waits for the disk.

import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { bootstrap, withClient, type DatabaseUrls } from '#store/bootstrap.ts'
import { migrate } from '#store/migrate.ts'
import { fastPlace } from './fast-place.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly database: DatabaseUrls
    /** Where the server listens too: a round trip takes a third less than over TCP. */
    readonly socketDirectory: string | null
  }
}

export const templateName = 'rekey_template'

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const dataDir = await mkdtemp(join(await fastPlace(), 'rekey-test-'))
  await chmod(dataDir, 0o711)
  const sockets = process.platform === 'win32' ? null : join(dataDir, 'postgres')
  const server = await startEmbeddedPostgres({
    dataDir,
    initdbFlags: ['--no-sync'],
    settings: {
      fsync: 'off',
      full_page_writes: 'off',
      max_connections: '300',
      shared_buffers: '128MB',
      // A superuser of a test may hold a transaction open for as long as the test wants.
      idle_in_transaction_session_timeout: '0',
      unix_socket_directories: sockets ?? '',
    },
  })
  stopWithUs(dataDir, join(server.directory, 'postmaster.pid'))
  try {
    const urls = await bootstrap({ superuserUrl: server.superuserUrl, database: templateName })
    await migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration })
    await withClient(urls.superuser, (db) => db.query(shiftableClock))
    // No session may be open on a template; this also keeps one from being opened by mistake.
    await withClient(server.superuserUrl, (db) =>
      db.query(`ALTER DATABASE ${templateName} IS_TEMPLATE true ALLOW_CONNECTIONS false`),
    )
    project.provide('database', urls)
    project.provide('socketDirectory', sockets)
  } catch (e) {
    await server.stop()
    throw e
  }
  return async () => {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** A run that is killed cannot stop its server; somebody must, or servers pile up. */
const stopWithUs = (dataDir: string, pidFile: string): void => {
  const script = `while kill -0 "$1" 2>/dev/null; do sleep 2; done
    test -f "$2" && kill -QUIT "$(head -n 1 "$2")" && sleep 2
    rm -rf "$3"`
  spawn('sh', ['-c', script, 'sh', String(process.pid), pidFile, dataDir], {
    detached: true,
    stdio: 'ignore',
  }).unref()
}

const shiftableClock = `
  CREATE TABLE app.test_clock (shift_ms bigint NOT NULL);
  INSERT INTO app.test_clock VALUES (0);
  COMMENT ON TABLE app.test_clock IS 'Not guarded: only in test databases.';
  GRANT SELECT ON app.test_clock TO rekey_app;
  CREATE OR REPLACE FUNCTION app.now() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN clock_timestamp() + (SELECT shift_ms FROM app.test_clock) * interval '1 millisecond';
`
