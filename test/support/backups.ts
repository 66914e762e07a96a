// Backups in memory, that fail on purpose.

import { type BackupSink, type BackupSource, manifestName } from '#domain/backup.ts'

export interface MemoryBackup {
  readonly sink: BackupSink
  readonly source: BackupSource
  readonly parts: Map<string, Uint8Array>
  readonly state: () => 'open' | 'committed' | 'discarded'
}

/** `onPart` runs before each part is taken. */
export const memoryBackup = (
  onPart: (name: string) => Promise<void> = async () => undefined,
): MemoryBackup => {
  const parts = new Map<string, Uint8Array>()
  let state: ReturnType<MemoryBackup['state']> = 'open'
  return {
    parts,
    state: () => state,
    sink: {
      put: async (name, bytes) => {
        await onPart(name)
        parts.set(name, new Uint8Array(bytes))
      },
      commit: async () => {
        state = 'committed'
      },
      discard: async () => {
        state = 'discarded'
      },
    },
    source: {
      parts: async function* () {
        for (const name of [...parts.keys()].toSorted())
          yield { name, bytes: parts.get(name) ?? new Uint8Array() }
      },
    },
  }
}

export const manifestOf = (parts: ReadonlyMap<string, Uint8Array>) =>
  JSON.parse(Buffer.from(parts.get(manifestName) ?? []).toString('utf8'))
