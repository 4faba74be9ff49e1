import { once } from 'node:events'
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Tables } from '../../src/database/tables.ts'
import { counted, type FaceEngine, openNetworks, type Work } from '../../src/face/engine.ts'
import type { Network } from '../../src/face/onnx/session.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { analyseFrames, analysePicture } from '../../src/face/pipeline.ts'
import { systemClock } from '../../src/shared/clock.ts'
import { AppError } from '../../src/shared/errors.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  await running.db.deleteFrom('sites').where('id', '>', 1).execute()
})
afterAll(() => running.close())

const status = async () => (await running.app.inject('/api/v1/device-management/status')).json()

describe('the overview', () => {
  test('has the keys of the older system', async () => {
    await registerKiosk(running, 'GATE')
    await registerKiosk(running, 'DOOR')
    await running.db
      .updateTable('devices')
      .set({ is_active: false })
      .where('device_id', '=', 'DOOR')
      .execute()
    await enrol(running, 'ANN', await portrait('blonde'))
    await recordPunch(running.db, 'ANN', 'GATE')
    expect(await status()).toEqual({
      devices: { total: 2, active: 1, inactive: 1 },
      attendance: { today: 1 },
      ai_models: { face_detector: true, anti_spoof: false, face_recognizer: true },
      system_health: 'healthy',
      total_employees: 1,
      total_devices: 2,
      active_devices: 1,
      today_attendance: 1,
      total_templates: 1,
      avg_confidence: expect.closeTo(0.9),
      models_loaded: { face_detector: true, anti_spoof: false, face_recognizer: true },
      performance: {
        total_recognitions: expect.any(Number),
        avg_processing_time: expect.any(Number),
        cache_hits: 0,
        last_reset: expect.any(String),
      },
      cache_size: 0,
    })
  })

  test('answers zeros for a company without anything', async () => {
    expect(await status()).toMatchObject({
      devices: { total: 0, active: 0, inactive: 0 },
      attendance: { today: 0 },
      avg_confidence: 0,
    })
  })

  test('today begins at midnight in the time zone of each site, and counts what was corrected once', async () => {
    const west = await running.db
      .insertInto('sites')
      .values({ name: 'West', time_zone: 'America/Los_Angeles' })
      .returning('id')
      .executeTakeFirstOrThrow()
    for (const id of ['GATE', 'WEST']) await registerKiosk(running, id)
    await running.db
      .updateTable('devices')
      .set({ site_id: west.id })
      .where('device_id', '=', 'WEST')
      .execute()
    await enrol(running, 'ANN')
    // It is 08:00 of 3 March in Vietnam, and 17:00 of 2 March in Los Angeles.
    running.clock.set('2025-03-03T01:00:00Z')
    await recordPunch(running.db, 'ANN', 'GATE', '2025-03-02T16:59:59Z')
    const last = await recordPunch(running.db, 'ANN', 'GATE', '2025-03-02T17:00:00Z')
    await recordPunch(running.db, 'ANN', 'WEST', '2025-03-02T07:59:59Z')
    await recordPunch(running.db, 'ANN', 'WEST', '2025-03-02T08:00:00Z')
    await recordPunch(running.db, 'ANN', 'WEST', '2025-03-02T16:59:59Z')
    expect((await status()).attendance.today).toBe(3)

    const correct = (payload: object) =>
      running.app.inject({ method: 'POST', url: `/api/v1/attendance/${last}/correct`, payload })
    expect((await correct({ timestamp: '2025-03-02T17:30:00Z', notes: 'Late' })).statusCode).toBe(201)
    expect((await status()).attendance.today).toBe(3)
  })
})

describe('the figures for Prometheus', () => {
  const metrics = async () => (await running.app.inject('/metrics')).body

  test('count answers by the pattern of their route, checks by how they ended, and what the parts hold', async () => {
    await registerKiosk(running, 'GATE')
    await enrol(running, 'ANN', await portrait('blonde'))
    const check = async (image: Uint8Array) =>
      running.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        payload: form({ image, device_id: 'GATE' }),
      })
    await check(await portrait('blonde'))
    await check(Buffer.from('no picture'))
    await running.app.inject('/api/v1/employees/somebody')
    await running.app.inject('/no/such/route')
    const text = await metrics()
    expect(text).toMatch(/^rollcall_checks_total\{outcome="identified"\} 1$/m)
    expect(text).toMatch(/^rollcall_checks_total\{outcome="(invalid_image|unsupported_media_type)"\} 1$/m)
    expect(text).toMatch(
      /rollcall_http_request_duration_seconds_count\{method="GET",route="\/api\/v1\/employees\/:employee_id",status="404"\} 1/,
    )
    expect(text).toMatch(/duration_seconds_count\{method="GET",route="unknown",status="404"\} 1/)
    expect(text).toMatch(/^rollcall_gallery_people 1$/m)
    expect(text).toMatch(/^rollcall_engine_ready 1$/m)
    expect(text).toMatch(/^rollcall_queue_waiting 0$/m)
    for (const stage of ['detect', 'mesh', 'quality', 'embed'])
      expect(text).toMatch(new RegExp(`^rollcall_stage_duration_seconds_count{stage="${stage}"} [1-9]`, 'm'))
    expect(text).toMatch(/^rollcall_database_up 1$/m)
    expect(text).toMatch(/^rollcall_database_answer_seconds 0\.[0-9]+$/m)
    expect(text).toMatch(/^rollcall_devices\{state="active"\} 1$/m)
    expect(text).toMatch(/^process_resident_memory_bytes [0-9]/m)
    expect(text).not.toMatch(/ANN|GATE|somebody/)
  })

  test('tell how old the newest backup is', async () => {
    expect(await metrics()).toMatch(/^rollcall_backup_age_seconds \+Inf$/m)
    const backups = join(dirname(running.uploads), 'backups')
    await mkdir(backups)
    for (const [name, hours] of [
      ['old.zip', 30],
      ['new.zip', 2],
      ['half.zip.part', 1],
    ] as const) {
      await writeFile(join(backups, name), '')
      const then = new Date(running.clock.now().getTime() - hours * 3_600_000)
      await utimes(join(backups, name), then, then)
    }
    expect(await metrics()).toMatch(/^rollcall_backup_age_seconds 7200$/m)
    await rm(backups, { recursive: true })
  })

  test('are text of the type that Prometheus reads, and for those alone who may see the system', async () => {
    const answer = await running.app.inject('/metrics')
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
    for (const role of ['viewer', 'manager', 'hr'] as const) {
      const headers = await signIn(running.db, role)
      expect((await running.app.inject({ url: '/metrics', headers })).statusCode).toBe(403)
    }
    expect((await running.app.inject({ url: '/metrics', headers: { authorization: '' } })).statusCode).toBe(
      401,
    )
  })
})

describe('readiness', () => {
  test('asks the database at that moment', async () => {
    const ready = await running.app.inject('/health/ready')
    expect(ready.statusCode).toBe(200)
    expect(ready.json()).toEqual({ status: 'ready', database: 'connected', ai_models: 'ready' })
  })

  test('has every network embed a face, at most once in some seconds, whoever asks how often', async () => {
    let tries = 0
    const counting = (engine: FaceEngine): FaceEngine => ({
      ...engine,
      works: () => {
        tries++
        return engine.works()
      },
    })
    const watched = await testApp({}, {}, counting)
    const { analyses } = watched.engine.performance()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => watched.app.inject(index % 2 ? '/ready' : '/health/ready')),
    )
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
    expect((await watched.app.inject('/ready')).json().ai_models).toBe('ready')
    expect(tries).toBe(1)
    // Not work that anybody asked for.
    expect(watched.engine.performance().analyses).toBe(analyses)
    expect((await watched.app.inject('/live')).json()).toEqual({ status: 'alive' })
    await watched.close()
  })

  test('is 503 when a network fails, and /health says so, although nobody has checked in', async () => {
    let broken = true
    const networks = await openNetworks(humanV1)
    const [features, resnet] = networks.embedders as [Network, Network]
    const failing: Network = {
      ...resnet,
      run: (...input) =>
        broken ? Promise.reject(new AppError('model_failure', 'broken')) : resnet.run(...input),
    }
    const wired = { ...networks, embedders: [features, failing] }
    const work: Work = {
      analyse: (bytes, choice) => analysePicture(humanV1, wired, bytes, choice),
      analyseFrames: (pictures, spread) => analyseFrames(humanV1, wired, pictures, spread),
    }
    const failed = await testApp({}, {}, (engine) => ({ ...engine, ...counted(work, systemClock) }))
    expect((await failed.app.inject('/health')).statusCode).toBe(200)
    const answer = await failed.app.inject('/ready')
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toEqual({ status: 'not_ready', database: 'connected', ai_models: 'not_ready' })
    expect((await failed.app.inject('/health')).json().components.ai_models).toBe('degraded')
    broken = false
    await expect
      .poll(async () => (await failed.app.inject('/ready')).statusCode, { timeout: 15_000, interval: 500 })
      .toBe(200)
    await failed.close()
    for (const network of [networks.detector, networks.mesh, features, resnet]) await network.close()
  })

  test('is 503, and comes all the same, while the database hangs', async () => {
    const silent = createServer((socket) => void socket.on('error', () => {}).unref()).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const pool = new pg.Pool({ host: '127.0.0.1', port, user: 'nobody', database: 'none' })
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
    const { ledger } = running
    const hanging = await testApp({ db, ledger }, {}, undefined, await signIn(running.db, 'owner'))
    const answer = await hanging.app.inject('/health/ready')
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toEqual({ status: 'not_ready', database: 'disconnected', ai_models: 'ready' })
    await hanging.close()
    silent.close()
  })

  test('tells when kiosks need no key', async () => {
    const open = await testApp({}, { DEVICE_AUTH: 'open' })
    expect((await open.app.inject('/health')).json().device_auth).toBe('open')
    await open.close()
  })
})
