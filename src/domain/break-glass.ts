// Tokens to break glass with (9-security.md 5): made by one admin and approved by another, then in an envelope. The first use
// begins an hour, the first incident is the only one, and who was to be told when it was made is told, whatever became of the
// list of sinks since.

import type { Role } from './actor.ts'
import type { Sink } from './connection.ts'

/** It looks, and works on one incident. */
export const breakGlassRoles = ['viewer', 'responder'] as const satisfies readonly Role[]

export const breakGlassMs = 60 * 60_000

/** The part of a sink that it takes to tell it, with a copy of its secret. */
export interface FrozenSink extends Pick<Sink, 'type' | 'url' | 'sealedId'> {
  /** `brk:<token>:<sink>`: no sink is called that. */
  readonly name: string
}

export interface BreakGlass {
  readonly apiKeyId: string
  readonly approvedAt: Date | null
  readonly approvedBy: string | null
  readonly approvedByName: string | null
  readonly usedAt: Date | null
  readonly usedFrom: string | null
  readonly incidentId: string | null
  readonly sinks: readonly FrozenSink[]
}

export const frozenName = (apiKey: string, sink: string): string => `brk:${apiKey}:${sink}`
export const sinkOfFrozen = (name: string): string => name.split(':').slice(2).join(':')

export const endOfUse = (usedAt: Date): Date => new Date(usedAt.getTime() + breakGlassMs)
