// For Prisma's own tools. Rekey itself applies migrations with src/store/migrate.ts and needs none of this.
import { defineConfig } from 'prisma/config'

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // `generate` never connects; whoever runs Prisma's migrate against a real database says which.
  datasource: {
    url:
      process.env['REKEY_MIGRATION_DATABASE_URL'] ??
      'postgresql://rekey_migrate@127.0.0.1:5432/rekey',
  },
})
