// A file system of a few megabytes that a test may fill to the last byte.

import { spawn } from 'node:child_process'
import { mkdtemp, open, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAs, serverUser } from '#runtime/server-user.ts'

export interface SmallDisk {
  /** Its root, which belongs to the user that PostgreSQL runs as. */
  readonly directory: string
  /** Until not a byte is left. */
  readonly fill: () => Promise<void>
  /** There is as much space again as before. */
  readonly clear: () => Promise<void>
  readonly unmount: () => Promise<void>
}

export const mountSmallDisk = async (): Promise<SmallDisk> => {
  const directory = await mkdtemp(join(tmpdir(), 'rekey-small-disk-'))
  const owner = await serverUser()
  const ids = owner === null ? '' : `,uid=${owner.uid},gid=${owner.gid}`
  const options = `size=16m,mode=700${ids}`
  const mounted = await runAs(null, 'mount', ['-t', 'tmpfs', '-o', options, 'rekey', directory])
  if (mounted.code !== 0) throw new Error(`it cannot be mounted: ${mounted.output}`)
  unmountWithUs(directory)
  const ballast = join(directory, 'ballast')
  return {
    directory,
    fill: async () => {
      const file = await open(ballast, 'a')
      try {
        for (let size = 1 << 20; size >= 1;) {
          const written = await file.write(Buffer.alloc(size)).then(
            ({ bytesWritten }) => bytesWritten,
            () => 0,
          )
          if (written < size) size >>= 1
        }
      } finally {
        await file.close()
      }
    },
    clear: () => rm(ballast, { force: true }),
    unmount: async () => {
      await runAs(null, 'umount', ['-l', directory])
      await rmdir(directory)
    },
  }
}

/** A run that is killed cannot. */
const unmountWithUs = (directory: string): void => {
  const script = `while kill -0 "$1" 2>/dev/null && test -d "$2"; do sleep 2; done
    test -d "$2" && umount -l "$2" && rmdir "$2"`
  spawn('sh', ['-c', script, 'sh', String(process.pid), directory], {
    detached: true,
    stdio: 'ignore',
  }).unref()
}
