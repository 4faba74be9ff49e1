/**
 * What Rollcall costs on this machine, each figure beside a reference measured in the same run.
 *
 *   npm run bench [-- --json] [-- --models DIR]
 *
 * --models also times, of the packs whose weights lie in DIR, what one picture and one burst cost.
 * --json prints one JSON object and nothing else to stdout. All traffic stays on 127.0.0.1. The exit code is 1 only
 * when a check was answered wrongly or not at all: slow is a finding, not a failure.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packs } from '../src/face/packs/catalogue.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import { placeOf } from '../src/face/packs/locate.ts'
import { benchServer, type LoadResult } from './load.ts'
import { benchSearch } from './search.ts'
import { startServerProcess } from './server-process.ts'
import { BURST_FRAMES, benchStages, type StagesResult, type Whole } from './stages.ts'
import { cpuMsSince, type Timing } from './timing.ts'

/** What a check may cost, in CPU time of the bare networks. */
const AIM_CHECK_RATIO = 1.25
/** Of the checks that the bare networks alone would allow on all cores: what must be left with several kiosks. */
const AIM_LOAD_RATIO = 0.75
/** What a search may cost, in passes over the same bytes. */
const AIM_SEARCH_PASSES = 1.3
const AIM_HEALTH_MS = 100
/** Above it the figures say more about the other programs. */
const QUIET_SHARE = 0.05

const { values: options } = parseArgs({
  options: { json: { type: 'boolean', default: false }, models: { type: 'string' } },
})
const progress = (line: string) => console.error(line)

const ticksAtStart = machineTicks()
progress('stages of looking at a picture')
const { stages, reference } = await benchStages()
const otherPacks = await benchOtherPacks(options.models)
progress('gallery search')
const search = await benchSearch()
const { startUp, check, loads, serverCpuMs } = await measureServer()
await reference.close()

const cores = availableParallelism()
const report = {
  machine: { cpu: cpus()[0].model, cores, memoryGiB: totalmem() / 1024 ** 3, node: process.version },
  /** Of the machine's CPU time during the run, what other programs took. */
  othersCpuShare: othersShare(serverCpuMs),
  stages,
  otherPacks,
  check: {
    ...check,
    /** Over the bare networks. */
    ratio: check.check.cpuMs / check.bareNetworks.cpuMs,
    withoutNetworksCpuMs: check.check.cpuMs - check.bareNetworks.cpuMs,
    withKeyWithoutNetworksCpuMs: check.checkWithKey.cpuMs - check.bareNetworks.cpuMs,
  },
  // The reference: every core runs the bare networks and nothing else.
  loads: loads.map((load) => ({
    ...load,
    ratio: load.checksPerSecond / ((cores * 1000) / check.bareNetworks.cpuMs),
  })),
  search,
  startUp,
}
const aims = [
  {
    aim: `CPU time of a check <= ${AIM_CHECK_RATIO} x the bare networks`,
    measured: report.check.ratio,
    met: report.check.ratio <= AIM_CHECK_RATIO,
  },
  ...report.loads
    .filter(({ connections }) => connections > 1)
    .map((load) => ({
      aim: `${nameOf(load)}: checks/s >= ${AIM_LOAD_RATIO} x what the bare networks allow`,
      measured: load.ratio,
      met: load.ratio >= AIM_LOAD_RATIO,
    })),
  ...search.map(({ rows, searchToPass }) => ({
    aim: `search of ${rows} templates <= ${AIM_SEARCH_PASSES} x one pass over the same bytes`,
    measured: searchToPass,
    met: searchToPass <= AIM_SEARCH_PASSES,
  })),
  ...loads.flatMap((load) => [
    {
      aim: `${nameOf(load)}: answers other than the right person or "later"`,
      measured: faults(load),
      met: faults(load) === 0,
    },
    {
      aim: `${nameOf(load)}: GET /health within ${AIM_HEALTH_MS} ms, at most`,
      measured: load.health.maxMs,
      met: load.health.maxMs < AIM_HEALTH_MS && load.health.lost === 0,
    },
  ]),
]

if (options.json) console.log(JSON.stringify({ ...report, aims }))
else print()
process.exitCode = loads.some((load) => faults(load) > 0) ? 1 : 0

/** The packs besides the embedded one whose weights are all in the folder. */
async function benchOtherPacks(folder: string | undefined): Promise<StagesResult[]> {
  const results: StagesResult[] = []
  if (folder === undefined) return results
  for (const pack of packs) {
    const isThere = Object.values(pack.files).every((file) => existsSync(placeOf(file, folder)))
    if (pack.name === humanV1.name || !isThere) continue
    progress(`the pack ${pack.name}`)
    const { stages, reference } = await benchStages(pack, folder)
    await reference.close()
    results.push(stages)
  }
  return results
}

async function measureServer() {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-bench-'))
  try {
    progress('first start, on an empty folder')
    const first = await startServerProcess(folder)
    const afterFirstStart = await first.usage()
    await first.stop()
    progress('second start')
    const second = await startServerProcess(folder)
    const afterStart = await second.usage()
    const results = await benchServer(second, { checks: 200, loadMs: 10_000, reference, progress })
    const afterLoad = await second.usage()
    await second.stop()
    const startUp = {
      firstMs: first.startMs,
      secondMs: second.startMs,
      engineMs: stages.engineStartMs,
      rssAfterFirstStartMiB: afterFirstStart.rssMiB,
      rssAfterStartMiB: afterStart.rssMiB,
      rssAfterLoadMiB: afterLoad.rssMiB,
    }
    return { startUp, serverCpuMs: afterFirstStart.cpuMs + afterLoad.cpuMs, ...results }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Milliseconds that all cores were busy, and in all. */
function machineTicks(): { busyMs: number; allMs: number } {
  let busyMs = 0
  let allMs = 0
  for (const { times } of cpus()) {
    const { idle, ...busy } = times
    const sum = Object.values(busy).reduce((one, other) => one + other, 0)
    busyMs += sum
    allMs += sum + idle
  }
  return { busyMs, allMs }
}

function othersShare(serverCpuMs: number): number {
  const now = machineTicks()
  const ownMs = cpuMsSince({ user: 0, system: 0 }) + serverCpuMs
  return Math.max(0, now.busyMs - ticksAtStart.busyMs - ownMs) / (now.allMs - ticksAtStart.allMs)
}

function faults({ wrong, unexpected, lost }: LoadResult): number {
  return wrong + unexpected + lost
}

function nameOf({ connections, waitsAfter503 }: LoadResult): string {
  return `${connections} connections${waitsAfter503 ? '' : ' that do not wait after a 503'}`
}

function print(): void {
  const { machine } = report
  console.log(`${machine.cpu}, ${machine.cores} cores, ${show(machine.memoryGiB)} GiB, Node ${machine.node}`)
  if (report.othersCpuShare > QUIET_SHARE)
    console.log(
      `Other programs took ${show(100 * report.othersCpuShare)} % of the machine: measure again when it is quiet.`,
    )

  for (const pack of [stages, ...otherPacks]) printPack(pack)

  console.log('\nOne check over HTTP, milliseconds; CPU of the server only')
  console.table(
    rows({
      check: check.check,
      'with Idempotency-Key': check.checkWithKey,
      'GET /health': check.health,
      'bare networks': check.bareNetworks,
    }),
  )
  console.log(
    `check : bare networks = ${show(report.check.ratio)}; ${show(report.check.withoutNetworksCpuMs)} CPU-ms more` +
      ` (${show(report.check.withKeyWithoutNetworksCpuMs)} with a key)`,
  )

  if (check.notIdentified > 0) console.log(`${check.notIdentified} checks left no new punch`)

  console.log('\nMany at once; the ratio is to the bare networks on every core')
  console.table(
    report.loads.map((load) => ({
      load: nameOf(load),
      'checks/s': show(load.checksPerSecond),
      ratio: show(load.ratio),
      right: load.right,
      '503 later': load.later,
      wrong: load.wrong,
      other: load.unexpected,
      lost: load.lost,
      'check median, p99 ms': `${show(load.checkMs.medianMs)}, ${show(load.checkMs.p99Ms)}`,
      'health p99, max ms': `${show(load.health.p99Ms)}, ${show(load.health.maxMs)}`,
    })),
  )

  console.log('\nGallery search, milliseconds')
  console.table(
    search.map((result) => ({
      templates: result.rows,
      search: show(result.search.wallMs),
      'one pass': show(result.pass.wallMs),
      'plain loop': show(result.plainLoop.wallMs),
      'search : pass': show(result.searchToPass),
      'search : plain loop': show(result.searchToPlainLoop),
    })),
  )

  console.log('\nStart and memory')
  console.table(Object.fromEntries(Object.entries(startUp).map(([name, value]) => [name, show(value)])))

  console.log('\nAims')
  console.table(
    aims.map(({ aim, measured, met }) => ({ aim, measured: show(measured), '': met ? 'met' : 'NOT MET' })),
  )
}

function printPack({ pack, pictureBytes, stages, picture, bareNetwork, burst }: StagesResult): void {
  console.log(`\n${pack}: looking at a picture of 640 x 480 (${pictureBytes} bytes), milliseconds`)
  console.table({
    ...rows(stages),
    ...rows({ 'analyse (all of them)': picture.analyse, 'bare networks': picture.bareNetworks }),
    ...rows(Object.fromEntries(Object.entries(bareNetwork).map(([name, timing]) => [`  ${name}`, timing]))),
    ...rows({
      [`burst of ${BURST_FRAMES}`]: burst.analyse,
      'its bare networks': burst.bareNetworks,
    }),
  })
  const compared = ({ ratio, overheadCpuMs }: Whole) =>
    `${show(ratio)} x the bare networks, ${show(overheadCpuMs)} CPU-ms more`
  console.log(`a picture: ${compared(picture)}; a burst: ${compared(burst)}`)
}

function rows(timings: Record<string, Timing>): Record<string, { CPU: string; wall: string }> {
  return Object.fromEntries(
    Object.entries(timings).map(([name, { cpuMs, wallMs }]) => [
      name,
      { CPU: show(cpuMs), wall: show(wallMs) },
    ]),
  )
}

/** Three digits that matter. */
function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}
