import { expect, test } from 'vitest'
import { every } from '#runtime/ticker.ts'

const hourMs = 3_600_000

test('told to run now it does not wait, and told while it runs it runs once more', async () => {
  let runs = 0
  let goOn = (): void => {}
  const ticker = every(
    hourMs,
    async () => {
      runs += 1
      if (runs === 2) await new Promise<void>((resolve) => (goOn = resolve))
    },
    () => {},
  )
  await expect.poll(() => runs).toBe(1)
  ticker.now()
  await expect.poll(() => runs).toBe(2)
  ticker.now()
  ticker.now()
  expect(runs).toBe(2)
  goOn()
  await expect.poll(() => runs).toBe(3)
  await ticker.stop()
  ticker.now()
  expect(runs).toBe(3)
})
