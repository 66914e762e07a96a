// How notes and moments look in replies.

import { Type } from 'typebox'
import { noteKinds } from '#domain/incident.ts'
import { isOwn } from '#domain/actor.ts'
import type { Moment, ShownNote } from '#usecases/incident-timeline.ts'
import { idSchema, momentSchema, nullable, receiptSchema, strict } from '../../schemas.ts'
import { sentence } from './sentence.ts'

export const noteSchema = strict({
  id: idSchema,
  kind: Type.Enum([...noteKinds], { examples: ['fact'] }),
  text: sentence('The laptop was taken at 02:10.'),
  corrects: nullable(Type.String({ description: 'the note that it takes the place of' }), {
    examples: [null],
  }),
  correctedBy: nullable(Type.String(), { examples: [null] }),
  by: sentence('ada'),
  at: momentSchema,
})

export const presentNote = (note: ShownNote) => ({
  id: note.id,
  kind: note.kind,
  text: note.text,
  corrects: note.corrects,
  correctedBy: note.correctedBy,
  by: note.principalName,
  at: note.at.toISOString(),
})

export const momentOfSchema = strict({
  id: idSchema,
  at: momentSchema,
  actor: Type.String({
    examples: ['ada'],
    description: 'who did it; of what Rekey did by itself, the worker, scheduler or process',
  }),
  byRekey: Type.Boolean({
    description: 'nobody did it: a timer of Rekey’s own',
    examples: [false],
  }),
  action: sentence('incident.executed'),
  target: strict({
    kind: sentence('incident'),
    id: idSchema,
    name: sentence('A laptop was stolen'),
  }),
  outcome: sentence('succeeded'),
  reason: nullable(Type.String()),
  after: Type.Unknown({ examples: [{ keys: 3 }] }),
  note: nullable(noteSchema),
  receipt: receiptSchema,
})

export const presentMoment = ({ event: { body, receipt }, note }: Moment) => ({
  id: body.id,
  at: body.at,
  actor: body.actor.name,
  byRekey: isOwn(body.actor),
  action: body.action,
  target: { ...body.target },
  outcome: body.outcome,
  reason: body.reason,
  after: body.after,
  note: note && presentNote(note),
  receipt,
})
