// The report as Markdown, for the ticket and the archive. Whatever people wrote is text in it and nothing else.

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
    ...table(
      ['', ''],
      [
        ['Incident', incident.id],
        ['Severity', incident.severity],
        ['Mode', incident.mode],
        ['State', incident.state],
        ['Reason', incident.reason],
        ['Opened', `${incident.openedBy.name}, ${moment(incident.createdAt)}`],
        ['Commander', incident.commander ?? '–'],
        ['Selector', JSON.stringify(incident.selector)],
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
            String(version.version),
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
        body.at,
        body.actor.name,
        note === null ? body.action : `${note.kind}: ${note.text}`,
        body.reason ?? '',
        body.id,
        receipt.leafHash,
      ]),
    ),
    '',
  ].join('\n')
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

const moment = (at: Date | null): string => at?.toISOString() ?? '–'

/** In one line, with everything that Markdown or HTML would read as its own taken literally. */
const text = (written: string): string =>
  written.replaceAll(/[\\`*_{}[\]<>()#+!|~&]/g, (sign) => `\\${sign}`).replaceAll(/\s*\n\s*/g, ' ')

const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(text))].map(
    (cells) => `| ${cells.join(' | ')} |`,
  )
