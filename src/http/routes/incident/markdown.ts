// The report as Markdown, for the ticket and the archive. Whatever people wrote is text in it and nothing else.

import { isOwn } from '#domain/actor.ts'
import { modeText, momentText, selectorText, stateMeanings } from '#domain/incident-words.ts'
import { halfOfVersion } from '#domain/pair-halves.ts'
import { takenSteps } from '#domain/playbook.ts'
import type { IncidentReport, ReportedKey } from '#usecases/report-incident.ts'

export const markdownMediaType = 'text/markdown'

/** Whether a reply may be Markdown: only who asks for it gets it. */
export const wantsMarkdown = (accept: string | undefined): boolean =>
  (accept ?? '').toLowerCase().includes(markdownMediaType)

export const markdownOf = (report: IncidentReport): string => {
  const { incident, preview, approvals, keys, notes, timeline, counts, open } = report
  const versions = keys.flatMap((key) => key.versions.map((version) => ({ key, version })))
  return [
    `# ${text(incident.title)}`,
    '',
    ...inShort(report).flatMap((sentence) => [text(sentence), '']),
    ...table(
      ['', ''],
      [
        ['Incident', incident.id],
        ['Severity', incident.severity],
        ['Mode', `${incident.mode}: ${modeText[incident.mode]}`],
        ['State', incident.state],
        ['Reason', incident.reason],
        ['Opened', `${incident.openedBy.name}, ${moment(incident.createdAt)}`],
        ['Commander', incident.commander ?? '–'],
        ['Means', selectorText(incident.selector)],
        [
          'Previewed',
          preview === null
            ? '–'
            : `${incident.preview?.by.name ?? ''}, ${moment(preview.at)}, hash ${preview.hash}`,
        ],
        [
          'Approved',
          approvals.map(({ principalName, at }) => `${principalName}, ${moment(at)}`).join('; ') ||
            `by nobody (${incident.preview?.approvalsNeeded ?? 0} needed)`,
        ],
        [
          'Executed',
          incident.execution === null
            ? '–'
            : `${incident.execution.by.name}, ${moment(incident.execution.at)}${incident.breakGlass === null ? '' : ', by breaking glass'}`,
        ],
        [
          'Reviewed',
          incident.review === null
            ? '–'
            : `${incident.review.by.name}, ${moment(incident.review.at)}: ${incident.review.text}`,
        ],
        ['At rest', moment(incident.settledAt)],
        [
          'Closed',
          incident.closed === null
            ? '–'
            : `${incident.closed.by}, ${moment(incident.closed.at)}: ${incident.closed.reason}`,
        ],
        [
          'Keys',
          Object.entries(counts)
            .map(([state, count]) => `${count} ${state}`)
            .join(', ') || '–',
        ],
        ['As of', moment(report.at)],
      ],
    ),
    '',
    '## Left to do',
    '',
    ...(open.length === 0 ? ['Nothing.'] : open.map((sentence) => `- ${text(sentence)}`)),
    '',
    ...stepsOf(report),
    '## Evidence',
    '',
    ...(versions.length === 0
      ? ['Nothing was executed.']
      : table(
          [
            'Key',
            'Version',
            'State',
            'Done',
            'Requested',
            'Effective',
            'Proven',
            'Tried',
            'Answer',
            'Detail',
            'Audit event',
          ],
          versions.map(({ key, version }) => [
            key.key,
            numbered(key, version),
            version.state,
            version.containment,
            moment(version.requestedAt),
            moment(version.effectiveAt),
            version.refusedAfter === null
              ? moment(version.provenAt)
              : `accepted until ${moment(version.refusedAfter)}`,
            version.operation ?? '–',
            version.code ?? '–',
            version.detail ?? '–',
            version.auditEventId ?? '–',
          ]),
        )),
    '',
    ...replacements(keys),
    ...(preview === null || preview.warnings.length === 0
      ? []
      : [
          '## What the preview warned of',
          '',
          ...preview.warnings.map((one) => `- ${text(one)}`),
          '',
        ]),
    '## Notes',
    '',
    ...(notes.length === 0
      ? ['None.']
      : notes.map(
          (note) =>
            `- ${moment(note.at)} ${text(note.principalName)}, ${note.kind}${note.corrects === null ? '' : ` (corrects ${note.corrects})`}${note.correctedBy === null ? '' : ` (corrected by ${note.correctedBy})`}: ${text(note.text)} [${note.id}]`,
        )),
    '',
    '## Timeline',
    '',
    ...table(
      ['At', 'Who', 'What', 'Why', 'Audit event', 'Leaf hash'],
      timeline.map(({ event: { body, receipt }, note }) => [
        moment(new Date(body.at)),
        isOwn(body.actor) ? 'Rekey' : body.actor.name,
        note === null ? momentText(body.action) : `${note.kind}: ${note.text}`,
        body.reason ?? '',
        body.id,
        receipt.leafHash,
      ]),
    ),
    '',
  ].join('\n')
}

/** Of a pair with its half. */
const numbered = ({ plan }: ReportedKey, { version }: ReportedKey['versions'][number]): string => {
  const half = halfOfVersion(plan, version)
  return half === null ? String(version) : `${version}, ${half}`
}

const stepsOf = ({ incident: { playbook }, ticks, at }: IncidentReport): readonly string[] => {
  if (playbook === null) return []
  return [
    '## Playbook',
    '',
    `${text(playbook.title)} (${text(playbook.name)}, revision ${playbook.revision}, of ${text(playbook.owner)}), taken ${moment(new Date(playbook.at))}.${playbook.reviewOverdue ? ' Its review was overdue.' : ''}${playbook.revisionReviewed === false ? ' Nobody had reviewed this revision.' : ''}`,
    '',
    ...table(
      ['Step', 'What', 'Owner', 'State', 'Due', 'Who', 'When', 'Note'],
      takenSteps(playbook, ticks, at).map(({ step, title, owner, state, late, dueAt, tick }) => [
        String(step),
        title,
        owner ?? playbook.owner,
        `${state === 'notDone' ? 'not done' : state}${late ? ', late' : ''}`,
        moment(dueAt),
        tick?.principalName ?? '–',
        moment(tick?.at ?? null),
        tick?.note ?? '–',
      ]),
    ),
    '',
  ]
}

/** For whoever reads nothing else. */
const inShort = ({ incident, keys, counts, at }: IncidentReport): readonly string[] => {
  const { execution } = incident
  if (execution === null) return [`Nothing was done as of ${moment(at)}.`]
  const total = keys.length
  const versions = keys.flatMap((key) => key.versions)
  const proven = versions.filter(({ state, provenAt }) => state === 'refused' && provenAt !== null)
  const last = new Date(Math.max(...proven.map(({ provenAt }) => provenAt?.getTime() ?? 0)))
  return [
    `On ${moment(execution.at)} ${execution.by.name} had ${total} ${total === 1 ? 'key' : 'keys'} contained: ${modeText[incident.mode]}.`,
    ...(proven.length === 0
      ? []
      : [
          `${proven.length} of ${versions.length} ${versions.length === 1 ? 'version was' : 'versions were'} tried afterwards with the old credential and refused, the last at ${moment(last)}.`,
        ]),
    ...Object.entries(counts).map(
      ([state, count]) =>
        `${count} ${count === 1 ? 'key is' : 'keys are'} ${state}${stateMeanings[state] === undefined ? '' : `: ${stateMeanings[state]}`}.`,
    ),
  ]
}

const replacements = (keys: readonly ReportedKey[]): readonly string[] => {
  const replaced = keys.filter(({ replacement }) => replacement !== null)
  if (replaced.length === 0) return []
  return [
    '## Replacements',
    '',
    ...table(
      ['Key', 'Replacement', 'Rotation', 'Detail'],
      replaced.map(({ key, replacement, rotationId, detail }) => [
        key,
        replacement ?? '',
        rotationId ?? '–',
        detail ?? '–',
      ]),
    ),
    '',
  ]
}

/** In UTC, to the second: what is exact stands in the JSON, and in the log. */
const moment = (at: Date | null): string =>
  at === null ? '–' : `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** In one line, with everything that Markdown or HTML would read as its own taken literally. */
const text = (written: string): string =>
  written.replaceAll(/[\\`*_{}[\]<>()#+!|~&]/g, (sign) => `\\${sign}`).replaceAll(/\s*\n\s*/g, ' ')

const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(text))].map(
    (cells) => `| ${cells.join(' | ')} |`,
  )
