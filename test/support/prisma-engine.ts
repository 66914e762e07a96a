// Prisma's own schema engine (WASM), as a judge of our migrations. Offline: it talks to the database through the pg adapter.
//
// Three shims, each for something that the adapter or the engine does and that a test database of ours shows at once:
// 1. The adapter's executeScript splits at every ";" and so breaks function bodies: here a script is one message.
// 2. Columns of the type "char" (OID 18) are refused by the adapter; as text they make the engine panic. They go through as
//    text and are told as Character.
// 3. With a connection string, connectToShadowDb returns the main database. So: fields, and a shadow database of our own.

import { readFile } from 'node:fs/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlQuery,
} from '@prisma/driver-adapter-utils'
import { SchemaEngine, type MigrationList } from '@prisma/schema-engine-wasm'
import { readMigrations } from '#store/migrate.ts'

export interface JudgeOptions {
  /** The database under judgement, as the role that migrates. */
  readonly url: string
  /** An empty database that the engine may fill; not needed for `diagnose` and `apply`. */
  readonly shadowUrl?: string
}

const noFilters = { externalTables: [], externalEnums: [] }
const schemaFile = new URL('../../prisma/schema.prisma', import.meta.url)

/** Runs `work` on an engine of its own. */
export const withJudge = async <T>(
  options: JudgeOptions,
  work: (engine: SchemaEngine) => Promise<T>,
): Promise<T> => {
  // Without it a panic of the engine hides behind a TypeError.
  Reflect.set(globalThis, 'PRISMA_WASM_PANIC_REGISTRY', {
    set_message: (message: string) => process.stderr.write(`${message}\n`),
  })
  const opened: SqlDriverAdapter[] = []
  const open = async (url: string): Promise<SqlDriverAdapter> =>
    shimmed(await new PrismaPg(fieldsOf(url)).connect())
  const factory = {
    provider: 'postgres' as const,
    adapterName: 'rekey-test',
    connect: async () => {
      const adapter = await open(options.url)
      opened.push(adapter)
      return adapter
    },
    connectToShadowDb: () => {
      if (options.shadowUrl === undefined) throw new Error('no shadow database was given')
      return open(options.shadowUrl)
    },
  }
  const datamodel = await readFile(schemaFile, 'utf8')
  const engine = await SchemaEngine.new(
    { datamodels: [['schema.prisma', datamodel]] },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(factory),
  )
  try {
    return await work(engine)
  } finally {
    engine.free()
    // The engine leaves its session open (though not the one of the shadow), and with it the migration lock.
    await Promise.all(opened.map((adapter) => adapter.dispose()))
  }
}

export const diagnose = (options: JudgeOptions, files?: Files) =>
  withJudge(options, async (engine) =>
    engine.diagnoseMigrationHistory({
      migrationsList: await migrationList(files),
      optInToShadowDatabase: false,
      filters: noFilters,
    }),
  )

export const apply = (options: JudgeOptions, files?: Files) =>
  withJudge(options, async (engine) =>
    engine.applyMigrations({ migrationsList: await migrationList(files), filters: noFilters }),
  )

/** The SQL that would turn what the migrations make into what schema.prisma says; empty when they agree. */
export const drift = (options: JudgeOptions) =>
  withJudge(options, async (engine) => {
    const result = await engine.diff({
      from: { tag: 'migrations', ...(await migrationList()) },
      to: {
        tag: 'schemaDatamodel',
        files: [{ path: 'schema.prisma', content: await readFile(schemaFile, 'utf8') }],
      },
      script: true,
      exitCode: true,
      filters: noFilters,
    })
    return result.stdout ?? ''
  })

type Files = Awaited<ReturnType<typeof readMigrations>>

const migrationList = async (files?: Files): Promise<MigrationList> => ({
  baseDir: '/migrations',
  lockfile: { path: './migration_lock.toml', content: 'provider = "postgresql"\n' },
  shadowDbInitScript: '',
  migrationDirectories: (files ?? (await readMigrations())).map((file) => ({
    path: file.name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: file.sql } },
  })),
})

const fieldsOf = (url: string) => {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: hostname,
    port: Number(port),
    user: username,
    password,
    database: pathname.slice(1),
    max: 1,
  }
}

interface Driver {
  query(sql: string): Promise<unknown>
}
interface Field {
  readonly name: string
  readonly dataTypeID: number
}
interface Patchable extends SqlDriverAdapter {
  underlyingDriver(): Driver
  performIO(query: SqlQuery): Promise<{ fields: readonly Field[] }>
}

const char = 18
const text = 25

const shimmed = (adapter: SqlDriverAdapter): SqlDriverAdapter => {
  const inner = adapter as Patchable
  const performIO = inner.performIO.bind(inner)
  const queryRaw = inner.queryRaw.bind(inner)
  let chars: ReadonlySet<number> = new Set()
  inner.performIO = async (query) => {
    const result = await performIO(query)
    chars = new Set(
      result.fields.flatMap((field, index) => (field.dataTypeID === char ? [index] : [])),
    )
    result.fields = result.fields.map((field) =>
      field.dataTypeID === char ? { ...field, dataTypeID: text } : field,
    )
    return result
  }
  inner.queryRaw = async (query) => {
    const result = await queryRaw(query)
    const columnTypes = result.columnTypes.map((type, index) =>
      chars.has(index) ? ColumnTypeEnum.Character : type,
    )
    return { ...result, columnTypes }
  }
  inner.executeScript = async (script) => {
    await inner.underlyingDriver().query(script)
  }
  return inner
}
