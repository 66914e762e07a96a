// What `rekey doctor` says of playbooks: those that nobody has looked at in time.

import type { Clock, Ledger } from '#domain/ports.ts'
import type { InstallationCheck } from './check-installation.ts'

const mostNamed = 20

export const makeCheckPlaybooks =
  ({
    ledger,
    clock,
  }: {
    readonly ledger: Pick<Ledger, 'read'>
    readonly clock: Pick<Clock, 'now'>
  }): (() => Promise<readonly InstallationCheck[]>) =>
  async () => {
    const late = await ledger.read((db) => db.playbooks.overdue(clock.now(), mostNamed))
    if (late.length === 0)
      return [
        {
          name: 'playbooks',
          state: 'ok',
          detail: 'no playbook waits for its review',
          hint: null,
        },
      ]
    return late.map(({ name, spec, reviewDueAt }) => ({
      name: 'playbooks',
      state: 'warn' as const,
      detail: `the playbook ${name} (${spec.owner}) was to be reviewed by ${reviewDueAt.toISOString()}`,
      hint: `Somebody else than its author: rekey review playbook/${name} --text "…"`,
    }))
  }
