// Where the trace of a rotation goes on. Read once a job, before anything else of it.

import type { Database } from './database.ts'
import { isUuid } from './tables/translate.ts'

/** The W3C traceparent under which a rotation was opened; null where there was none, or no such rotation. */
export const createTraceparents =
  ({ client: db }: Database) =>
  async (rotationId: string): Promise<string | null> => {
    if (!isUuid(rotationId)) return null
    const row = await db.rotation.findUnique({
      where: { id: rotationId },
      select: { traceparent: true },
    })
    return row?.traceparent ?? null
  }
