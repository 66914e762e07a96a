// What is shipped for whoever is woken: alerts, dashboard, runbooks. That their metrics exist is asked of live processes in
// test/e2e/observability.test.ts.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { alertsFile, alertTestsFile, panels, root, rules } from '#test/support/monitoring.ts'
import { peer } from '#test/support/peers.ts'
import { wrongCommands } from '#test/support/rekey-words.ts'
import { peers } from '#test/peers/peers.ts'

const alerts = rules.filter((rule) => rule.alert !== undefined)
/** These are for whoever comes with a leak or a symptom, and not with an alert: test/e2e/guides.test.ts takes their steps. */
const ofNoAlert = ['README', 'leaked-credential', 'leaked-key']
const runbooks = readdirSync(join(root, 'docs', 'runbooks'))
  .map((file) => file.slice(0, -3))
  .filter((name) => !ofNoAlert.includes(name))
const textOf = (runbook: string): string =>
  readFileSync(join(root, 'docs', 'runbooks', `${runbook}.md`), 'utf8')

test('each alert says how bad it is, what happened and which runbook helps; each rule is one or the other', () => {
  expect(alerts.length).toBeGreaterThan(15)
  for (const { record, alert, expr, labels = {}, annotations = {} } of rules) {
    expect([record, alert].filter(Boolean), expr).toHaveLength(1)
    expect(expr.trim()).not.toBe('')
    if (alert === undefined) continue
    expect(alert).toMatch(/^Rekey[A-Z][A-Za-z]+$/)
    expect(['page', 'ticket'], alert).toContain(labels['severity'])
    expect(annotations['summary'], alert).toMatch(/\S/)
    expect(annotations['description'], alert).toMatch(/\S/)
    expect(annotations['runbook_url']).toBe(`docs/runbooks/${alert}.md`)
  }
})

test('each alert has a runbook, and each runbook an alert', () => {
  expect(runbooks.toSorted()).toEqual(
    [...new Set(alerts.map(({ alert }) => alert ?? ''))].toSorted(),
  )
})

describe.each(runbooks)('the runbook %s', (runbook) => {
  test('answers the five questions of somebody who was just woken', () => {
    const text = textOf(runbook)
    expect(text.startsWith(`# ${runbook}\n`)).toBe(true)
    const sections = text.split(/^## /m).slice(1)
    expect(sections.map((section) => section.split('\n')[0])).toEqual([
      'What it means',
      'What is still safe',
      'Look',
      'Do',
      'Wake',
    ])
    for (const section of sections)
      expect(section.split('\n').slice(1).join('').length).toBeGreaterThan(20)
    expect(sections[2]).toContain('```sh')
  })

  test('names only commands that there are', () => {
    const unknown = commandsIn(textOf(runbook)).flatMap(wrongCommands)
    expect(unknown).toEqual([])
  })

  test('leads only to pages that there are', () => {
    const links = [...textOf(runbook).matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1] ?? '')
    for (const link of links)
      expect(existsSync(join(root, 'docs', 'runbooks', link)), link).toBe(true)
  })
})

/** `rekey verb …`, in blocks and in lines. */
const commandsIn = (text: string): readonly string[] =>
  [...text.matchAll(/(?:^|`)(rekey [a-z][^`\n#]*)/gm)].map((match) => match[1]?.trim() ?? '')

test('the commands of runbooks are looked at: a wrong one is seen', () => {
  expect(wrongCommands('rekey get rotations --phase stalled')).toEqual([])
  for (const line of ['rekey gett rotations', 'rekey get rotations --fase x'])
    expect(wrongCommands(line)).toEqual([line])
  expect(runbooks.flatMap((runbook) => commandsIn(textOf(runbook))).length).toBeGreaterThan(20)
})

test('the dashboard: each panel has its own id, a question, and a runbook that there is', () => {
  const ids = panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { type, title, targets = [], description = '' } of panels) {
    if (type !== 'row') expect(targets.length, title).toBeGreaterThan(0)
    for (const name of description.match(/\bRekey[A-Z][A-Za-z]+/g) ?? [])
      expect(runbooks, title).toContain(name)
  }
})

peer('promtool').describe('promtool', () => {
  const promtool = (...args: readonly string[]) =>
    promisify(execFile)(peers.promtool.find() ?? '', [...args])

  test('accepts the rules', async () => {
    const { stdout } = await promtool('check', 'rules', alertsFile)
    expect(stdout).toContain(`SUCCESS: ${rules.length} rules found`)
  })

  test('sees each alert fire when it should, and none when all is well', async () => {
    const { stdout } = await promtool('test', 'rules', alertTestsFile)
    expect(stdout).toContain('SUCCESS')
    const tested = readFileSync(alertTestsFile, 'utf8')
    for (const { alert } of alerts) expect(tested).toContain(`alertname="${alert}"`)
  }, 60_000)
})
