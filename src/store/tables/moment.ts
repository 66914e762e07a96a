// The database's clock, and the observed one beside it.

import { Prisma } from '../generated/client.ts'

export interface Moment {
  readonly at: Date
  readonly observedMs: number
}

/** The observed clock at this moment: a step of at most a minute beyond what was counted last. */
export const observedNow = Prisma.sql`observed_ms + greatest(0, least(60000, extract(epoch FROM app.now() - last_at) * 1000))::bigint`
