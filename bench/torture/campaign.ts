import { randomUUID } from 'node:crypto'
import { readdir, utimes } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../../src/database/connect.ts'
import { call } from '../../src/onboarding.ts'
import type { PortraitName } from '../../test/face/portraits.ts'
import {
  addPhoto,
  type Company,
  check,
  foundCompany,
  type Kiosk,
  runProgram,
  type ServerProcess,
  startServer,
} from '../../test/support/server-process.ts'

/** What happens again and again while kiosks send punches and people are enrolled. */
export interface Campaign {
  name: string
  /** DATA_DIR and what else the server needs. */
  settings: Record<string, string> & { DATA_DIR: string }
  /** Does it once. Resolves to the server to go on with, which may still be starting inside. */
  strike(server: ServerProcess): Promise<ServerProcess>
}

export interface Outcome {
  name: string
  strikes: number
  /** Events of kiosks, each sent again until it was answered. */
  sent: number
  acknowledged: number
  /** Acknowledged punches that are there afterwards. */
  kept: number
  lost: number
  /** Punches beyond one for each event. */
  doubled: number
  /** From a strike to the next acknowledged punch. */
  recoveryMs: number[]
  /** Whatever else is not as it should be, in sentences. */
  faults: string[]
}

const people: PortraitName[] = ['blonde', 'bun', 'frontal', 'redLips']
/** Enrolled again and again, and never at a kiosk. */
const newcomer: PortraitName = 'sunlit'
const KIOSKS = 4
/** How long a punch may take to get through after a strike. */
const PATIENCE_MS = 120_000

/**
 * Runs a campaign on a new installation until `enough` says so, then looks at everything that is stored. Rejects when
 * the server does not come back.
 */
export async function runCampaign(
  { name, settings, strike }: Campaign,
  enough: (strikes: number) => boolean,
): Promise<Outcome> {
  let server = await startServer(settings)
  const company = await foundCompany(server, { people, kiosks: KIOSKS })
  const traffic = startTraffic(() => server.base, company)
  const recoveryMs: number[] = []
  try {
    while (!enough(recoveryMs.length)) {
      // At any moment of a check-in: it takes a tenth of a second.
      await sleep(200 + Math.random() * 600)
      const began = performance.now()
      server = await strike(server)
      await traffic.nextAcknowledged()
      recoveryMs.push(performance.now() - began)
    }
    await traffic.finish()
  } finally {
    traffic.abandon()
  }
  const code = await server.end()
  if (code !== 0) traffic.faults.push(`the server ended with ${code} and said: ${server.said().slice(-500)}`)
  const { acknowledged, events, faults } = traffic
  const sweeping = await sweepStrays(settings)
  const stored = await readStored(settings)
  const kept = [...acknowledged.values()].filter((id) => stored.punches.has(id)).length
  return {
    name,
    strikes: recoveryMs.length,
    sent: events(),
    acknowledged: acknowledged.size,
    kept,
    lost: acknowledged.size - kept,
    doubled: stored.punches.size - new Set(acknowledged.values()).size,
    recoveryMs,
    faults: [...faults, ...sweeping, ...stored.faults],
  }
}

/** Kiosks that send one event after the other, each until it is answered, and somebody who enrols people. */
function startTraffic(base: () => string, company: Company) {
  const faults: string[] = []
  /** What each event was answered: the number of its punch. */
  const acknowledged = new Map<string, number>()
  let sent = 0
  let finishing = false
  let abandoned = false
  let onAcknowledged = () => {}

  async function send(kiosk: Kiosk, number: number): Promise<void> {
    const key = randomUUID()
    const name = people[number % people.length]
    const type = number % 2 === 0 ? 'IN' : 'OUT'
    sent++
    // Some answers are asked for twice, as a kiosk does that did not see the first.
    for (let wanted = Math.random() < 0.1 ? 2 : 1; wanted > 0 && !abandoned; ) {
      const answer = await check(base(), kiosk, name, { key, type }).catch(() => undefined)
      if (answer?.status === 200) {
        accept(key, name, answer.body)
        wanted--
      } else {
        if (answer && answer.status < 500)
          faults.push(`a check was refused: ${answer.status} ${answer.body.code}`)
        await sleep(50)
      }
    }
  }

  function accept(key: string, name: string, body: Awaited<ReturnType<typeof check>>['body']): void {
    if (body.employee_id !== name || body.attendance_id === undefined || body.duplicate)
      faults.push(`a check of ${name} was answered ${body.code} ${body.employee_id}`)
    const before = acknowledged.get(key)
    if (before !== undefined && before !== body.attendance_id)
      faults.push(`an event was answered with the punches ${before} and ${body.attendance_id}`)
    if (body.attendance_id !== undefined) acknowledged.set(key, body.attendance_id)
    onAcknowledged()
  }

  async function operate(kiosk: Kiosk, first: number): Promise<void> {
    for (let number = first; !finishing && !abandoned; number++) await send(kiosk, number)
  }

  async function enrol(): Promise<void> {
    for (let number = 1; !finishing && !abandoned; number++) {
      const employee_id = `NEW_${number}`
      const body = { employee_id, name: employee_id }
      const headers = company.program
      await untilItWorks(() => call('POST', `${base()}/api/v1/employees`, { body, headers }))
      await untilItWorks(() => addPhoto(base(), company, employee_id, newcomer))
      await sleep(300)
    }
  }

  async function untilItWorks(work: () => Promise<unknown>): Promise<void> {
    while (!abandoned) {
      try {
        await work()
        return
      } catch (error) {
        const { message } = error as Error
        // Made by the request whose answer was cut off.
        if (/: 409 /.test(message)) return
        if (/: 4\d\d /.test(message)) faults.push(message)
        await sleep(100)
      }
    }
  }

  const all = Promise.all([...company.kiosks.map((kiosk, number) => operate(kiosk, number)), enrol()])
  all.catch(() => {})
  return {
    faults,
    acknowledged,
    events: () => sent,
    nextAcknowledged: () =>
      within(
        new Promise<void>((done) => {
          onAcknowledged = done
        }),
      ),
    /** Every event that was begun is answered. */
    finish: () => {
      finishing = true
      return within(all)
    },
    abandon: () => {
      abandoned = true
    },
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  const late = new AbortController()
  const tooLate = sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error(`no punch got through within ${PATIENCE_MS / 1000} s`)
  })
  tooLate.catch(() => {})
  try {
    return await Promise.race([work, tooLate])
  } finally {
    late.abort()
  }
}

/** What a crash left between a file and its row is swept away once it is an hour old: it is made so, and a server started. */
async function sweepStrays(settings: Campaign['settings']): Promise<string[]> {
  for (const path of await photoFiles(settings.DATA_DIR)) await utimes(path, new Date(0), new Date(0))
  const code = await (await startServer(settings)).end()
  return code === 0 ? [] : [`the server that swept ended with ${code}`]
}

async function photoFiles(dataDir: string): Promise<string[]> {
  const entries = await readdir(join(dataDir, 'uploads'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

/** The punches, and what is half or left over of anything. */
async function readStored(
  settings: Campaign['settings'],
): Promise<{ punches: Set<number>; faults: string[] }> {
  const faults: string[] = []
  const { db, close } = await openDatabase({ url: settings.DB_URL, dataDir: settings.DATA_DIR })
  const read = async () => ({
    punches: (await db.selectFrom('attendance').select('id').execute()).map(({ id }) => id),
    samples: await db.selectFrom('samples').select(['id', 'employee_id', 'file_path']).execute(),
    embedded: (await db.selectFrom('sample_embeddings').select('sample_id').execute()).map(
      (row) => row.sample_id,
    ),
    templates: (await db.selectFrom('face_templates').select('employee_id').execute()).map(
      (row) => row.employee_id,
    ),
  })
  const { punches, samples, embedded, templates } = await read().finally(close)
  const expectSame = (what: string, found: readonly unknown[], wanted: readonly unknown[]) => {
    const only = found.filter((item) => !wanted.includes(item)).length
    const missing = wanted.filter((item) => !found.includes(item)).length
    if (only + missing > 0) faults.push(`${what}: ${only} are left over, ${missing} are missing`)
  }
  const files = (await photoFiles(settings.DATA_DIR)).map((path) => basename(path))
  expectSame(
    'files of photos',
    files,
    samples.map(({ file_path }) => file_path),
  )
  expectSame(
    'embeddings of photos',
    embedded,
    samples.map(({ id }) => id),
  )
  expectSame(
    'templates of people',
    templates,
    samples.map(({ employee_id }) => employee_id),
  )
  if (templates.length !== new Set(templates).size) faults.push('somebody has two templates')
  const verified = await runProgram(['verify'], settings)
  if (verified.code !== 0) faults.push(`rollcall verify: ${verified.said}`)
  return { punches: new Set(punches), faults }
}

/** kill -9 of the server, and a new start. */
export function killServer(settings: Campaign['settings']): Campaign['strike'] {
  return async (server) => {
    await server.end('SIGKILL')
    return startServer(settings)
  }
}
