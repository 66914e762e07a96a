import type { Check } from '#domain/provider.ts'

/** How far the clock of a system is from ours. Nothing where it did not tell. */
export const clockCheck = (
  { system, hint }: { readonly system: string; readonly hint: string },
  date: Date | null,
  now: Date,
): readonly Check[] => {
  if (date === null) return []
  const seconds = Math.round(Math.abs(now.getTime() - date.getTime()) / 1000)
  return [
    seconds <= 30
      ? { name: 'clock', outcome: 'ok', detail: 'the clocks agree' }
      : {
          name: 'clock',
          outcome: 'missing',
          detail: `${system}’s clock differs by ${seconds} s`,
          hint,
        },
  ]
}
