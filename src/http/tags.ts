// What the operations are grouped by, in the document, on its page, and in what is generated from it.

export const tags = {
  audit: 'What was done, by whom, with which receipt; only read here.',
  compliance: 'Whether keys are rotated as their policies say, in groups and key by key.',
  connections:
    'Accounts at providers: what Rekey logs in with, what it may do there, what is there.',
  consumers: 'Applications that use keys, and how they are told of a new version.',
  documents: 'This document, the schemas of files, and the pages of the error codes.',
  floors: 'Bounds by label that no policy goes below.',
  freeze: 'Holds whatever would write at a provider.',
  health: 'Whether the process lives, and is ready.',
  incidents: 'A leak, from what is meant to the report: preview, approve, execute, restore.',
  keys: 'What is rotated: its versions, its use, what hangs on it, and its value where it is delivered.',
  plans: 'What a set of files would change; then exactly that, or nothing.',
  playbooks: 'What people do beside Rekey in an incident, reviewed in time.',
  policies: 'When keys rotate, and what must hold before an old version goes.',
  providers:
    'The types of keys: what each can do, its settings, and the least rights that it needs.',
  recovery: 'After a restore: what became of the keys, and the word that ends it.',
  rotations: 'One way of a key from a version to the next, and what a person may say to it.',
  schedule: 'What rotates when, also as a calendar.',
  sessions: 'Logging in with a browser, and ending that.',
  sinks: 'Who is told of what happens, and what could not be delivered.',
  tokens: 'Tokens of people and services, and the issuers of tokens that are believed.',
} as const

export type Tag = keyof typeof tags
