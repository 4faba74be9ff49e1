import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findPack } from '../../src/face/packs/catalogue.ts'
import type { MeasuredFile } from '../../src/face/packs/measured.ts'
import type { ScoreTable } from '../../src/face/packs/pack.ts'
import { confidenceOf, minusLog10Fmr, scoreAt } from '../../src/face/score-table.ts'
import { call } from '../../src/onboarding.ts'
import { check, endServers, foundCompany, runProgram, startServer } from '../support/server-process.ts'

/** A folder of measuring data, which is never part of the project; without it there is nothing to measure. */
const data = process.env.EVAL_DATA
const PEOPLE = 100

const pinned = findPack('test-mobilefacenet')!.measured!

describe.runIf(data)('a pack that nobody has measured', () => {
  let folder: string
  let faces: string
  let settings: Record<string, string>
  let written: MeasuredFile

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-measure-'))
    const MODEL_PATH = join(folder, 'models')
    faces = join(folder, 'faces')
    settings = { DATA_DIR: join(folder, 'data'), MODEL_PATH, NODE_OPTIONS: await withUnmeasured() }
    await mkdir(MODEL_PATH)
    for (const { path, source } of Object.values(findPack('test-mobilefacenet')!.files))
      if (source.kind === 'hand') await copyFile(join(data!, 'models', path), join(MODEL_PATH, path))
    await copyFaces()
  })
  afterAll(async () => {
    await endServers()
    await rm(folder, { recursive: true, force: true })
  })

  /**
   * The option of Node that has the program know the pack of test weights by another name and without its table: of no pack
   * that carries none are the weights at hand.
   */
  async function withUnmeasured(): Promise<string> {
    const catalogue = pathToFileURL(resolve('dist/face/packs/catalogue.js')).href
    const script = join(folder, 'unmeasured.mjs')
    await writeFile(
      script,
      `import { findPack, packs } from '${catalogue}'
      packs.push({ ...findPack('test-mobilefacenet'), name: 'unmeasured', measured: null })`,
    )
    return `--import=${pathToFileURL(script).href}`
  }

  /** At most two photos of each of the first people. */
  async function copyFaces(): Promise<void> {
    const all = await readdir(join(data!, 'faces'), { withFileTypes: true })
    const names = all.flatMap((entry) => (entry.isDirectory() ? entry.name : [])).sort()
    for (const name of names.slice(0, PEOPLE)) {
      await mkdir(join(faces, name), { recursive: true })
      for (const photo of (await readdir(join(data!, 'faces', name))).sort().slice(0, 2))
        await copyFile(join(data!, 'faces', name, photo), join(faces, name, photo))
    }
  }

  const models = (...words: string[]) => runProgram(['models', ...words], settings)

  test('is taken into use by nobody, and the command that measures it is named', async () => {
    expect((await models('install', 'unmeasured', '--accept-licence')).code).toBe(0)
    const { code, said } = await models('use', 'unmeasured', '--yes')
    expect(code).toBe(1)
    expect(said).toContain('rollcall models measure unmeasured --faces DIR')
  })

  test('is measured by a command, which says of how many photos, and where that is written', async () => {
    const path = join(settings.MODEL_PATH, 'unmeasured', 'measured.json')
    const { code, said } = await models('measure', 'unmeasured', '--faces', faces)
    expect({ code, said }).toMatchObject({ code: 0 })
    written = JSON.parse(await readFile(path, 'utf8'))
    expect(said).toContain(
      `Measured ${written.photos} photos of ${PEOPLE} people (0 without a face) and wrote ${path}.`,
    )
    expect(written).toMatchObject({ pack: 'unmeasured', people: PEOPLE })
  })

  /**
   * Three standard deviations of log10 of a rate 10^-y that is counted on n people. How often somebody is taken for others
   * differs from person to person by about the rate itself, at most (measured on the photos of the pinned table: .1 of it
   * at 10^-1, 1.1 at 10^-3), and each pair has two of them: 4 / n of the rate's square. The pairs that are counted, n² / 2
   * times the rate where only one photo of each is taken to tell anything new, add the Poisson part. For 100 people these
   * are .27, .32 and .64 decades at 10^-1, 10^-2 and 10^-3, which are .03 to .06 of confidence.
   */
  function bound(y: number): number {
    const counted = (PEOPLE * (PEOPLE - 1) * 10 ** -y) / 2
    return (3 / Math.LN10) * Math.sqrt(4 / PEOPLE + 1 / counted)
  }

  /** At a score of which the pinned table says 10^-y, `higher` than there. */
  const differenceAt = (table: ScoreTable, ofPinned: ScoreTable, y: number, higher = 0) =>
    Math.abs(minusLog10Fmr(table, scoreAt(ofPinned, y) + higher) - y)

  test.each([1, 2, 3])('has a table that agrees with the pinned one at a rate of 10^-%i', (y) => {
    expect(differenceAt(written.measured.raw, pinned.raw, y)).toBeLessThan(bound(y))
  })

  /**
   * Normalised scores come out higher where the cohort is smaller: what is taken from them is the mean of the ten highest
   * of a face's scores with the cohort. Of 98 normal deviates that is 1.72 deviations above their mean, of the 198 of the
   * pinned table 2.04 (the mean of the highest share p: the density at its start, over p). The deviation of raw scores is
   * that from the median to the highest 15.9%, half a decade of rates further up.
   */
  const deviation = scoreAt(pinned.raw, 0.8) - scoreAt(pinned.raw, 0.3)
  const smallCohort = (2.04 - 1.72) * deviation

  test.each([1, 2, 3])('has one of normalised scores that agrees with it at 10^-%i', (y) => {
    expect(differenceAt(written.measured.normalised, pinned.normalised, y, smallCohort)).toBeLessThan(
      bound(y),
    )
  })

  test('is taken into use then, and its table says how sure a check is', async () => {
    const server = await startServer(settings)
    const company = await foundCompany(server, { people: ['frontal', 'longHair'], kiosks: 1 })
    const { owner: headers } = company
    const api = `${server.base}/api/v1`
    const url = `${api}/recognition/models/switch`
    await call('POST', url, { headers, body: { pack: 'unmeasured' } })
    while ((await call<{ state: string }>('GET', url, { headers })).state === 'embedding')
      await new Promise((passed) => setTimeout(passed, 100))
    await call('POST', `${url}/confirm`, { headers })

    const { body } = await check(server.base, company.kiosks[0], 'frontal')
    expect(body).toMatchObject({ recognized: true, employee_id: 'frontal' })
    const { pack, scale, candidates } = await call<{
      pack: { name: string }
      scale: string
      candidates: { score: number; confidence: number; extrapolated: boolean }[]
    }>('GET', `${api}/attendance/${body.attendance_id}/explain`, { headers })
    expect([pack.name, scale]).toEqual(['unmeasured', 'raw'])
    const { raw } = written.measured
    expect(candidates).toHaveLength(2)
    for (const { score, confidence, extrapolated } of candidates) {
      expect(confidence).toBeCloseTo(confidenceOf(raw, score), 9)
      expect(extrapolated).toBe(minusLog10Fmr(raw, score) > raw.countedTo)
    }
    // Of the pinned table, which is so near, it is not.
    expect(candidates[1].confidence).not.toBe(confidenceOf(pinned.raw, candidates[1].score))
    expect(await server.end()).toBe(0)
  })
})

describe('the command refuses', () => {
  test.each([
    ['a pack that carries its table', 'human-v1', 'human-v1 carries what was measured of it.'],
    ['a pack that there is not', 'nowhere', 'There is no pack nowhere.'],
    ['a pack that is not installed', 'auraface', 'Run "rollcall models install auraface".'],
  ])('%s', async (_, name, sentence) => {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-measure-'))
    const settings = { DATA_DIR: folder, MODEL_PATH: folder }
    const { code, said } = await runProgram(['models', 'measure', name, '--faces', folder], settings)
    await rm(folder, { recursive: true })
    expect(code).toBe(1)
    expect(said).toContain(sentence)
  })
})
